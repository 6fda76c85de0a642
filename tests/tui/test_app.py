"""The frame: it fits every terminal, says where the operator stands, looks the same before and after Textual loads."""

from __future__ import annotations

from dataclasses import replace

import pyte
import pytest
from textual.geometry import Size

from somatui.domain.actions import PANES
from somatui.domain.snapshot import Alert, EpochView, Snapshot
from somatui.paths import Paths
from somatui.tui import early
from somatui.tui.colours import TABLES
from somatui.tui.console import SomatuiApp
from somatui.tui.footer import message
from somatui.tui.header import bar, header, minutes, tabs
from somatui.tui.offer import offer, room
from somatui.tui.state import World
from tests.domain.worlds import NOW_MS
from tests.tui.consoles import console, screen_of
from tests.tui.serve import HOUR_MS, busy

GRID_FROM = early.GRID_FROM
FRAME = set("╭╮╰╯")


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def seen(snapshot: Snapshot | None, *, connected: bool = True, since_ms: int = 0) -> World:
    return World("practice", snapshot, connected, since_ms)


@pytest.mark.parametrize("width", [72, 80, 100, 120, 160, 240])
@pytest.mark.parametrize("connected", [True, False])
def test_the_header_fits_and_says_network_epoch_money_and_alerts(width: int, connected: bool) -> None:
    line = header(seen(busy(), connected=connected, since_ms=NOW_MS - 120_000), NOW_MS, width).plain
    assert len(line) <= width
    for fact in (" PRACTICE ", "epoch 412", "9h 59m", "2.5000 SOMA", "▲ 1 alert"):
        assert fact in line
    assert ("2 jobs" in line) == connected
    assert ("agent ○ away 2m" in line) == (not connected)


def test_a_wallet_named_in_wide_letters_pushes_nothing_out_of_the_header() -> None:
    world = replace(busy(), wallet=replace(busy().wallet, label="钱包" * 9))
    for width in (100, 120, 160):
        line = header(seen(world), NOW_MS, width)
        assert line.cell_length <= width
        assert "▲ 1 alert" in line.plain


def test_a_long_sentence_ends_in_an_ellipsis_after_three_lines() -> None:
    said = message("The store refuses it. " * 30, "bad", 80).plain.split("\n")
    assert len(said) == 3 and said[-1].endswith("…") and all(len(line) <= 78 for line in said)
    assert message("All is well.", "", 80).plain == "All is well."


def test_the_header_speaks_in_minutes_so_that_it_changes_once_a_minute() -> None:
    assert [minutes(ms) for ms in (0, 59_999, 60_000, 9 * HOUR_MS + 5 * 60_000, 50 * HOUR_MS)] == [
        "<1m", "<1m", "1m", "9h 05m", "2d 2h",
    ]  # fmt: skip
    assert header(seen(busy()), NOW_MS, 80).plain == header(seen(busy()), NOW_MS + 20_000, 80).plain
    late = replace(busy().epoch, duration_ms=1)
    assert "time is up" in header(seen(replace(busy(), epoch=late)), NOW_MS, 80).plain
    assert bar(late, NOW_MS) == "█" * 14


def test_before_the_network_has_answered_no_epoch_and_no_balance_are_claimed() -> None:
    world = replace(busy(), epoch=EpochView(), wallet=replace(busy().wallet, coins=()))
    for width in (80, 160):
        line = header(seen(world), NOW_MS, width).plain
        assert "epoch –" in line and "– SOMA" in line
        assert "time is up" not in line and "0.0000" not in line


def test_a_named_network_shows_kind_and_name_and_a_locked_wallet_says_so() -> None:
    world = busy()
    there = replace(world.network, kind="testnet", name="ops")
    locked = replace(world.wallet, unlocked=False)
    line = header(seen(replace(world, network=there, wallet=locked)), NOW_MS, 160).plain
    assert " TESTNET ops " in line
    assert "ops-1 locked" in line


def test_the_tabs_fit_eighty_cells() -> None:
    assert len(tabs("wallet", 80).plain) <= 80


@pytest.mark.parametrize("theme", sorted(TABLES))
async def test_every_theme_opens_every_pane_and_panel(paths: Paths, theme: str) -> None:
    async with console(paths, theme=theme) as c:
        for number in "12345":
            await c.press(number)
        await c.press("question_mark")
        await c.shows("Help: jobs")
        await c.press("escape", "c")
        await c.shows("Claim 2 targets")
        await c.press("escape")
        await c.shows("not done")


async def test_behind_an_open_detail_nothing_is_painted_and_afterwards_everything_is_new(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("5")
        await c.shows("score stdlib")
        assert c.app.home is not None
        c.app.home._panes["jobs"].table.move_to("job-8")
        await c.press("enter")
        await c.shows("state running for 5m 00s")
        world = c.app.world.snapshot
        assert world is not None
        jobs = tuple(replace(j, title="score more", metrics=j.metrics | {"scored": 777.0}) for j in world.jobs)
        c.agent.show(replace(world, jobs=jobs))
        await c.shows("777 scored")
        rows = [row.words for row in c.app.home._panes["jobs"].table._rows]
        assert not any("score more" in words for words in rows)
        c.agent.show(replace(world, jobs=()))
        await c.shows("gone meanwhile: this was told last")
        await c.shows("777 scored")
        c.agent.show(replace(world, jobs=jobs))
        await c.until(lambda: "gone meanwhile" not in c.flat, "it is there again")
        await c.press("escape")
        await c.until(lambda: "▶ running score more" in c.flat and "777 scored" in c.flat, "what is new")


def test_every_theme_has_every_colour() -> None:
    dark, *others = (set(table) for table in TABLES.values())
    for other in others:
        assert dark <= other


@pytest.mark.parametrize("size", [(80, 24), (119, 40), (120, 36), (160, 48), (200, 60)])
async def test_the_early_frame_stands_where_the_real_one_does(paths: Paths, size: tuple[int, int]) -> None:
    screen = pyte.Screen(*size)
    pyte.Stream(screen).feed(early.frame("PRACTICE", "practice", "dark", *size))
    async with console(paths, size=size) as c:
        await c.until(lambda: c.screen.count("╭") == (5 if size >= GRID_FROM else 1), "the panes")
        corners = _corners(c.screen)
    assert _corners("\n".join(screen.display)) == corners
    assert tuple(pane.capitalize() for pane in PANES) == early.PANES


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (60, 40)])
async def test_the_first_screen_is_painted_early_as_it_is_later(paths: Paths, size: tuple[int, int]) -> None:
    screen = pyte.Screen(*size)
    offered = offer(room(size[0]), str(paths.config_file))
    pyte.Stream(screen).feed(early.first_frame("dark", offered, *size))
    app = SomatuiApp(paths, first=True)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown = screen_of(app)
    assert [line.rstrip() for line in screen.display] == [line.rstrip() for line in shown.split("\n")]


def _corners(text: str) -> set[tuple[int, int, str]]:
    return {(x, y, ch) for y, line in enumerate(text.splitlines()) for x, ch in enumerate(line) if ch in FRAME}


@pytest.mark.parametrize("size", [(40, 10), (20, 6), (80, 24)])
async def test_a_small_terminal_does_no_harm(paths: Paths, size: tuple[int, int]) -> None:
    early.frame("PRACTICE", "practice", "dark", *size)
    async with console(paths, size=size) as c:
        await c.press("2", "3", "question_mark", "escape", "c")
        await c.until(lambda: c.agent.calls("preview"), "the panel")


async def test_it_follows_the_terminals_size(paths: Paths) -> None:
    async with console(paths) as c:
        assert c.screen.count("╭") == 1
        await c.pilot.resize_terminal(160, 48)
        await c.until(lambda: c.screen.count("╭") == 5, "all panes side by side")
        await c.pilot.resize_terminal(80, 24)
        await c.until(lambda: c.screen.count("╭") == 1, "one pane")
        assert c.app.size == Size(80, 24)


async def test_alerts_are_read_on_the_message_line_until_something_else_is_said(paths: Paths) -> None:
    async with console(paths) as c:
        await c.shows("▲ latex-01 is revealed in this epoch")
        await c.press("t")
        await c.shows("train: A train job runs already")
        await c.press("escape")
        await c.shows("▲ latex-01 is revealed in this epoch")


async def test_of_several_alerts_the_worst_is_said_and_all_are_read_with_a_key(paths: Paths) -> None:
    told = ("The store is away.", "latex-01 burns half of its stake.", "Coins are low.")
    alerts = tuple(Alert(s, text) for s, text in zip(("warn", "bad", "warn"), told, strict=True))  # type: ignore[arg-type]
    async with console(paths, replace(busy(), alerts=alerts)) as c:
        await c.shows("▲ latex-01 burns half of its stake. (2 more: !)")
        await c.press("exclamation_mark")
        await c.shows("▲ latex-01 burns half of its stake. ▲ The store is away. ▲ Coins are low.")
        c.agent.show(replace(busy(), alerts=()))
        await c.shows("Nothing wants to be read.")
        await c.press("escape")
        await c.until(lambda: c.app.screen is c.app.home, "home again")


async def test_the_agents_unreadable_future_does_not_end_the_console(paths: Paths) -> None:
    async with console(paths) as c:
        c.agent._server.publish({"weather": "fine", "epoch": {"number": "many"}})
        await c.press("2")
        await c.shows("2 Targets")
