"""One registry: every act's key works, is shown in footer, help and palette, and says why where it does not."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import pytest
from textual import events

from somatui.domain.actions import ACTIONS, PANES, Context
from somatui.paths import Paths, command
from somatui.tui.footer import fitting, footer, offers
from somatui.tui.keys import SHELL_KEYS, TABLE_KEYS, clashes
from somatui.tui.table import KeyedTable
from tests.domain.worlds import NOW_MS
from tests.tui.consoles import console
from tests.tui.serve import busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def test_no_key_means_two_things() -> None:
    assert clashes() == set()


@pytest.mark.parametrize("pane", PANES)
@pytest.mark.parametrize("width", [40, 60, 80, 120, 160])
def test_the_footer_never_is_wider_than_the_terminal_and_always_offers_help(pane: str, width: int) -> None:
    line = footer(Context(busy(), NOW_MS, pane), width).plain
    assert len(line) <= width
    assert "? help  q quit" in line


def test_the_footer_drops_what_cannot_be_done_first() -> None:
    found = offers(Context(busy(), NOW_MS, "wallet"))
    kept = fitting(found, 30)
    assert kept
    assert all(o.ready for o in kept)


def test_the_footer_keeps_what_is_done_in_this_pane_alone() -> None:
    for pane, own in (("jobs", "x stop"), ("wallet", "f faucet")):
        line = footer(Context(busy(), NOW_MS, pane, "job-7"), 60).plain
        assert own in line and "? help  q quit" in line


def test_acts_of_practice_are_not_offered_on_another_network() -> None:
    world = busy()
    real = replace(world, network=replace(world.network, kind="testnet"))
    names = [o.name for o in offers(Context(real, NOW_MS, "wallet"))]
    assert not {a.name for a in ACTIONS if a.practice_only} & set(names)


def test_the_footer_offers_to_start_the_agent_only_where_it_is_not_being_started() -> None:
    assert "a start the agent" in footer(None, 80, away=True).plain
    assert footer(None, 80).plain == " / filter  : act  ? help  q quit"


def test_a_practice_network_that_is_gone_is_the_thing_to_start() -> None:
    world = busy()
    gone = replace(world, network=replace(world.network, reachable=False))
    for pane in PANES:
        assert "a start the network" in footer(Context(gone, NOW_MS, pane), 80).plain
        assert "a start" not in footer(Context(world, NOW_MS, pane), 80).plain


async def test_a_key_that_cannot_act_now_says_why(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("t")
        await c.shows("train: A train job runs already: stop it with x in the jobs pane.")
        assert c.agent.asked == []


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
async def test_every_acts_key_asks_or_acts_or_says_why(paths: Paths, action: object) -> None:
    async with console(paths) as c:
        await c.press(action.key)  # type: ignore[attr-defined]
        await c.until(lambda: c.agent.asked or c.app.home and c.app.home._said[0], "an answer")


async def test_numbers_and_tab_move_among_panes(paths: Paths) -> None:
    async with console(paths) as c:
        for number, pane in enumerate(PANES, 1):
            await c.press(str(number))
            await c.until(lambda p=pane: c.app.home and c.app.home.current == p, pane)
        await c.press("tab")
        await c.until(lambda: c.app.home and c.app.home.current == PANES[0], "round to the first")
        await c.press("shift+tab")
        await c.until(lambda: c.app.home and c.app.home.current == PANES[-1], "back to the last")


async def test_keys_that_come_at_once_are_meant_for_the_pane_that_the_first_leads_to(paths: Paths) -> None:
    async with console(paths) as c:
        for key in ("5", "j", "x"):
            c.app.post_message(events.Key(key, key))
        await c.until(lambda: c.agent.calls("job.stop"), "the act")
        assert c.agent.calls("job.stop") == [{"job_id": "job-7"}], "the second row, where j has led"
        await c.press("slash", "4", "tab")
        await c.until(lambda: getattr(c.app.focused, "value", "") == "4", "what is typed into a line is typed")
        assert c.app.home and c.app.home.current == "jobs"


async def test_help_names_every_act_of_the_pane_and_every_key(paths: Paths) -> None:
    async with console(paths, size=(100, 120)) as c:
        await c.press("5", "question_mark")
        await c.shows("Help: jobs")
        for action in ACTIONS:
            assert (action.help()[:30] in c.flat) == ("jobs" in action.panes), action.name
        for key in SHELL_KEYS:
            assert key.help[:30] in c.flat
        for shown, _, text in TABLE_KEYS:
            assert f"{shown} " in c.flat and text[:30] in c.flat
            assert set(shown.split()) <= set(KeyedTable._merged_bindings.key_to_bindings)  # type: ignore[union-attr]
        await c.shows("Not now: A train job runs already")
        await c.press("escape")
        await c.until(lambda: c.app.screen is c.app.home, "home again")


async def test_enter_opens_what_is_under_the_cursor_and_esc_closes_it(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("3", "enter")
        await c.shows("esc back")
        await c.shows("latex-01")
        await c.press("escape")
        await c.until(lambda: c.app.screen is c.app.home, "home again")


async def test_the_palette_holds_every_act(paths: Paths) -> None:
    async with console(paths) as c:
        names = {command.title.split()[0] for command in c.app.get_system_commands(c.app.screen)}
        assert {a.name for a in ACTIONS} <= names
        await c.press("ctrl+p")
        await c.until(lambda: c.app.screen is not c.app.home, "the palette")
        await c.type("faucet")
        await c.until(lambda: c.agent.calls("act"), "the act")


async def test_the_id_under_the_cursor_goes_to_the_terminals_clipboard(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("3", "y")
        await c.until(lambda: c.app.clipboard.startswith("0x"), "the id")


async def test_where_there_are_no_coins_yet_it_is_the_wallets_address(paths: Paths) -> None:
    poor = replace(busy(), wallet=replace(busy().wallet, coins=(), stakes=()))
    async with console(paths, poor) as c:
        await c.press("y")
        await c.until(lambda: c.app.clipboard == f"0x{poor.wallet.address}", "the address")


@pytest.mark.skipif(shutil.which("tmux") is None, reason="there is no tmux here")
async def test_inside_tmux_it_goes_through_tmux_as_well(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    tmux = ["tmux", "-S", str(paths.config_dir.parent / "tmux")]
    subprocess.run([*tmux, "-f", "/dev/null", "new-session", "-d", "sleep 60"], check=True)
    try:
        monkeypatch.setenv("TMUX", f"{tmux[-1]},0,0")
        async with console(paths) as c:
            await c.press("3", "y")
            await c.until(lambda: c.app.clipboard, "the id")
            show = [*tmux, "show-buffer"]
            await c.until(lambda: subprocess.run(show, capture_output=True).stdout.decode() == c.app.clipboard, "it")
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


@pytest.mark.parametrize(("chosen", "named"), [("", ""), ("ops", " --profile practice")])
async def test_q_leaves_and_says_what_goes_on(
    paths: Paths, monkeypatch: pytest.MonkeyPatch, chosen: str, named: str
) -> None:
    monkeypatch.setenv("SOMATUI_PROFILE", chosen)
    async with console(paths) as c:
        await c.press("q")
        await c.until(lambda: c.app.farewell, "the farewell")
        assert c.app.farewell.startswith(f"The agent and 2 jobs go on: {command(c.app.paths)}{named} opens here again")
