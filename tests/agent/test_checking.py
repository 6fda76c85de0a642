"""Each wrong value is named by a sentence of its own with its cure; the agent's checks, by its socket, say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from somatui.domain.report import Line, Report
from tests.agent.harness import Household, household
from tests.agent.wrong_values import TABLE, Row, World

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    """A practice network and an agent."""
    with household(tmp_path_factory.mktemp("home")) as made:
        made.start_agent()
        yield made


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, home: Household) -> Iterator[World]:
    """The servers that the table needs."""
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("world"), stack, home.card)


_SAID: dict[str, Line] = {}


def said(row: Row, world: World) -> Line:
    """The first line of the report that is not as it should be."""
    if row.id not in _SAID:
        found = row.tried(world)
        line = found.trouble if isinstance(found, Report) else found
        if line is None and isinstance(found, Report):
            line = next((one for one in found.lines if one.cure), None)
        assert line is not None, f"{row.id} passed: {found}"
        _SAID[row.id] = line
    return _SAID[row.id]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_wrong_value_is_named_with_its_cure(row: Row, world: World) -> None:
    line = said(row, world)
    assert row.cause in line.detail, line
    assert row.cure in line.cure, line
    assert line.status != "ok"


def test_no_two_wrong_values_get_the_same_sentence(world: World) -> None:
    assert len(TABLE) >= 40
    told: dict[str, str] = {}
    for row in TABLE:
        sentence = re.sub(r"127\.0\.0\.1(:\d+)?", "host", said(row, world).sentence)
        assert sentence not in told, f"{row.id} and {told[sentence]}: {sentence}"
        assert sentence.endswith(".") and "\n" not in sentence
        told[sentence] = row.id
