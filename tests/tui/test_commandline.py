"""The `:` line takes the registry's names with their words; the `/` line filters while it is typed."""

from __future__ import annotations

import re

import pytest

from somatui.domain.actions import by_name
from somatui.domain.money import AmountError
from somatui.paths import Paths
from somatui.tui.commandline import Unreadable, parse
from tests.tui.consoles import console
from tests.tui.serve import busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def test_a_line_is_a_name_words_and_options() -> None:
    typed = parse("train steps=40 lr=0.001")
    assert typed.what is by_name("train") and dict(typed.options) == {"steps": 40, "lr": 0.001}
    typed = parse("publish label=x --stake=1.5 commission=250")
    assert dict(typed.options) == {"label": "x", "stake_shannons": 1_500_000_000, "commission_bps": 250}
    assert parse("claim 7c1f 8d2e").words == ("7c1f", "8d2e")
    assert dict(parse("score max_hits=3 submit=no").options) == {"max_hits": 3, "submit": False}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("score limt=5", "“limt=” does not fit: score takes limit=, max-hits=, submit=, shards=."),
        ("score limit 5", "“limit” does not fit"),
        ("claim all=1", "“all=” does not fit: claim takes all, or targets."),
        ("advance 3", "“3” does not fit: advance takes nothing."),
    ],
)
def test_what_an_act_does_not_take_is_refused_and_not_passed_over(line: str, says: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(says)):
        parse(line)


def test_a_beginning_that_fits_one_name_is_enough() -> None:
    assert parse("rev 7c1f").what is by_name("reveal")


@pytest.mark.parametrize("line", ["nonsense", "t", "p 1"])
def test_a_line_that_names_nothing_or_too_much_says_what_there_is(line: str) -> None:
    with pytest.raises(Unreadable, match="Nothing here is called"):
        parse(line)


def test_an_amount_that_is_none_is_refused() -> None:
    with pytest.raises(AmountError):
        parse("publish stake=-1")


async def test_claim_all_typed_opens_the_panel_for_all(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("colon")
        await c.type("claim all")
        await c.shows("Claim 2 targets")
        await c.shows("tried by the node")
        await c.press("y")
        await c.until(lambda: c.agent.calls("act"), "the act")
        assert len(c.agent.calls("act")[0]["args"]["target_ids"]) == 2


async def test_an_id_that_is_unknown_is_said_and_nothing_opens(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("colon")
        await c.type("claim ffff")
        await c.shows("claim: No target begins with ffff: list them to see the ids.")
        assert c.agent.asked == []


async def test_options_travel_to_the_agent(paths: Paths) -> None:
    from dataclasses import replace

    async with console(paths, replace(busy(), jobs=())) as c:
        await c.press("colon")
        await c.type("train steps=40")
        await c.until(lambda: c.agent.calls("job.start"), "the call")
        assert c.agent.calls("job.start") == [{"kind": "train", "args": {"steps": 40}}]


async def test_a_panes_name_goes_there_and_esc_leaves_the_line(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("colon")
        await c.type("targets")
        await c.until(lambda: c.app.home and c.app.home.current == "targets", "targets")
        await c.press("colon", "escape")
        await c.until(lambda: c.app.home and not c.app.home.query("#entry"), "the line gone")


async def test_what_was_typed_before_comes_back_with_up(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("colon")
        await c.type("models")
        await c.press("colon", "up")
        await c.until(lambda: c.app.focused is not None and getattr(c.app.focused, "value", "") == "models", "history")


async def test_the_filter_narrows_while_typed_and_esc_takes_it_back(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("2", "slash", "9", "e", "0", "b")
        await c.shows("1 of 26")
        assert "7c10" not in c.flat
        await c.press("escape")
        await c.shows("7c10")


async def test_a_line_that_is_left_gives_the_focus_back_to_its_own_pane_among_others(paths: Paths) -> None:
    async with console(paths, size=(160, 48)) as c:
        await c.until(lambda: c.app.home and len(c.app.home._panes) == 5, "the panes")
        await c.press("2", "slash", "9", "e", "0", "b")
        await c.shows("1 of 26")
        await c.press("escape")
        await c.until(lambda: "1 of 26" not in c.flat and not c.app.screen.query("#entry"), "the filter gone")
        await c.pilot.pause()
        assert c.app.home and c.app.home.current == "targets"
        assert c.app.focused is c.app.home._panes["targets"].table
        row = c.app.home.row
        await c.press("colon")
        await c.type("open")
        await c.shows("esc back")
        assert row and row in c.flat
