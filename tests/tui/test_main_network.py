"""A profile of the main network is red, and nothing costly goes there on one key."""

from __future__ import annotations

from dataclasses import replace

import pytest

from somatui.domain.actions import Context, by_name
from somatui.domain.snapshot import NetworkKind, Snapshot
from somatui.paths import Paths
from somatui.tui.early import frame
from somatui.tui.header import header, network_parts
from somatui.tui.state import World
from tests.tui.consoles import console
from tests.tui.serve import NOW_MS, busy


def at(kind: NetworkKind, colour: str, name: str = "ops") -> Snapshot:
    return replace(busy(), profile=name, network=replace(busy().network, kind=kind, name=name, colour=colour))


@pytest.mark.parametrize(
    ("kind", "colour", "shown"),
    [
        ("practice", "", "practice"), ("practice", "practice", "practice"), ("localnet", "practice", "localnet"),
        ("testnet", "testnet", "testnet"), ("custom", "testnet", "custom"), ("custom", "main", "main"),
        ("testnet", "main", "main"), ("custom", "practice", "practice"),
    ],
)  # fmt: skip
def test_colour_and_word_are_the_kinds_own_unless_the_profile_says_another(
    kind: NetworkKind, colour: str, shown: str
) -> None:
    (text, style), *_ = network_parts(at(kind, colour).network)
    assert text == f" {shown.upper()} ops " and style.endswith(f" on $network-{shown}")


def test_the_whole_bar_is_red_there() -> None:
    world = World("mainnet", connected=True, snapshot=at("custom", "main", "mainnet"))
    line = header(world, NOW_MS, 100)
    assert len(line.plain) == 100 and " MAIN mainnet " in line.plain
    assert {str(span.style) for span in line.spans} == {"bold $on-network on $network-main"}


def test_the_bar_is_red_before_the_agent_has_answered() -> None:
    world = World("mainnet", calling=True, network=at("custom", "main", "mainnet").network)
    line = header(world, NOW_MS, 80)
    assert len(line.plain) == 80 and " MAIN mainnet " in line.plain and "agent ◌ starting" in line.plain
    assert {str(span.style) for span in line.spans} == {"bold $on-network on $network-main"}


def test_the_first_frame_is_red_there_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    red = "48;2;192;57;43"
    assert red in frame("MAIN ops", "main", "dark", 80, 24)
    assert red not in frame("CUSTOM ops", "custom", "dark", 80, 24)


def test_every_act_that_asks_wants_the_profiles_name_typed_there() -> None:
    claim = by_name("claim")
    assert claim is not None
    red = claim.consequence(Context(at("custom", "main", "mainnet"), NOW_MS))
    usual = claim.consequence(Context(busy(), NOW_MS))
    assert red is not None and red.typed_word == "mainnet"
    assert usual is not None and usual.typed_word is None


async def test_a_job_that_submits_by_itself_asks_there_as_well() -> None:
    async with console(Paths.for_profile("practice"), replace(at("custom", "main", "mainnet"), jobs=())) as c:
        await c.press("s")
        await c.shows("locks a bond of 65 shannons a byte")
        await c.answers_only_to("mainnet", other="y", method="job.start")


async def test_the_confirm_panel_asks_for_the_name_and_its_key_does_nothing() -> None:
    async with console(Paths.for_profile("practice"), at("custom", "main", "mainnet")) as c:
        await c.press("c")
        await c.shows("type mainnet and enter to go ahead")
        await c.answers_only_to("mainnet", other="y")
