"""Each wrong value is named by a sentence of its own with its cure; the agent's checks, by its socket, say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from somatui.agent.client import AgentError
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


async def test_the_agent_tries_what_it_is_given_and_what_it_has(home: Household) -> None:
    async with home.client() as agent:
        own = await agent.call("check.storage")
        given = await agent.call("check.storage", store={"endpoint": home.card["store_url"], "bucket": "nothing"})
        network = await agent.call("check.network")
        gpu = await agent.call("check.gpu")
        hub = await agent.call("check.huggingface", token="of no use")
    assert own["ok"] and own["facts"]["public_mode"] == "public_url"
    assert [line["name"] for line in own["lines"]] == ["signed put", "head", "anonymous read", "delete", "lifecycle"]
    assert not given["ok"] and "no bucket nothing" in given["lines"][0]["detail"]
    assert network["ok"] and network["facts"]["epoch"] == 0 and network["facts"]["wallet_balance"] == 0
    assert abs(network["facts"]["clock_skew_ms"]) < 5_000
    assert {line["name"] for line in gpu["lines"]} >= {"driver", "memory", "PyTorch"}
    assert not hub["ok"] and "of no use" not in str(hub)


async def test_a_store_is_kept_in_the_profile_and_its_keys_in_the_vault(home: Household) -> None:
    store = {"endpoint": "https://s3.example.com", "bucket": "data", "public_url": "", "public_mode": "acl"}
    keys = {"access": "planted-access", "secret": "planted-secret"}  # pragma: allowlist secret
    async with home.client() as agent:
        with pytest.raises(AgentError, match="public_mode"):
            await agent.call("store.save", store=store | {"public_mode": "magic"})
        with pytest.raises(AgentError, match="endpoint and bucket"):
            await agent.call("store.save", store=store | {"bucket": ""})
        assert await agent.call("store.save", store=store, **keys)
        assert {"store/practice/access", "store/practice/secret"} <= set((await agent.call("vault.list"))["names"])
        tried = await agent.call("check.storage", store=store, **keys)
        assert not tried["ok"] and "planted" not in str(tried)
    written = home.paths.config_file.read_text()
    assert "s3.example.com" in written
    assert not any("planted" in f.read_text("utf-8", "replace") for f in home.paths.home.rglob("*") if f.is_file())


async def test_nothing_is_deleted_that_others_may_ask_for(home: Household) -> None:
    picture = await home.look()
    model = next(m for m in picture.models if m.state == "active" and m.url)
    assert model.url is not None
    key = model.url.partition("/practice/")[2]
    async with home.client() as agent:
        with pytest.raises(AgentError, match="is active"):
            await agent.call("store.delete", key=key)
        assert (await agent.call("store.delete", key="data/nothing"))["ok"]
