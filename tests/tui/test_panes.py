"""Each pane against literal pictures: what it says, in what order, at 80 columns and wide, and what it leaves alone."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest

from somatui.domain.snapshot import JobView, Snapshot
from somatui.tui.format import plain
from somatui.tui.panes.base import Pane
from somatui.tui.panes.epochs import EpochsPane
from somatui.tui.panes.jobs import JobsPane
from somatui.tui.panes.jobview import below, whole
from somatui.tui.panes.models import ModelsPane
from somatui.tui.panes.targets import TargetsPane
from somatui.tui.panes.wallet import WalletPane
from somatui.tui.screens.detail import DetailScreen
from tests.tui import pictures as p
from tests.tui.frames import framed, lines_painted

ALL = (WalletPane, TargetsPane, ModelsPane, EpochsPane, JobsPane)
PICTURES = (p.nothing, p.fresh, p.middle, p.alarmed)


async def seen(pane: Pane, snapshot: Snapshot, width: int = 80, height: int = 24, theme: str = "dark") -> str:
    async with framed(pane, width=width, height=height, theme=theme) as pilot:
        pane.show(snapshot, p.NOW_MS)
        pane.focus()
        await pilot.pause()
        text: str = pilot.app.text()
        return text


async def test_the_targets_pane_at_eighty_columns() -> None:
    day = p.middle()
    text = await seen(TargetsPane(), replace(day, targets=day.targets[12:17]), height=8)
    assert text.split("\n") == [
        "╭─ 2 Targets  1 open  2 to claim  threshold 0.9780  reward 0.0126 SOMA ────────╮",
        "│ ID         STATE          MODELS                      BEST      GAP    CLAIM │",
        "│ 122c…5426  ● claimable ★  1ea7 rust-net★ a25c       0.9583  −0.0197      now │",
        "│ e930…ca32  ● claimable ★  rust-net★ a25c 7ce5       0.9593  −0.0187      now │",
        "│ 005f…d1d5  ↑ uploading    a25c 7ce5 1ea7                 –        –        – │",
        "│ 4114…2cc5  ◐ filled ★     7ce5 1ea7 rust-net★       0.9583  −0.0197   ep 414 │",
        "│ 725f…dff1  ◐ filled ★     a25c 7ce5 1ea7            0.9573  −0.0207   ep 414 │",
        "╰──────────────────────────────────────────────────────────────────────────────╯",
    ]


async def test_the_wallet_pane_in_a_corner_of_the_home_screen() -> None:
    text = await seen(WalletPane(), p.middle(), width=64, height=16)
    assert text.split("\n") == [
        "╭─ 1 Wallet ───────────────────────────────────────────────────╮",
        "│ practice  2744…b2e0  ✓ key at hand                           │",
        "│ free       412.883113300  4 coins                            │",
        "│ staked      13.000000000  2 stakes                           │",
        "│ bonded       0.032575654  5 targets                          │",
        "│ claimable   +0.038668701  press c                            │",
        "│                                                              │",
        "│ ID         KIND                   SOMA  WHAT FOR             │",
        "│ dd5a…da88  ● working     402.883104200  fees and bonds       │",
        "│ 1636…c7c4  ● working       9.980000000  fees and bonds       │",
        "│ c0d0…5bab  ◆ reserved      0.020000000  kept for reveals     │",
        "│ 77e9…28de  · dust          0.000009100  swept up later       │",
        "│ 6944…222f  ▲ staked       12.000000000  in rust-net          │",
        "│ 8f1a…ae4f  ▲ staked        1.000000000  in latex-01          │",
        "│ next  reveal latex-01 now  ✓ armed  and 1 more: key 4        │",
        "╰──────────────────────────────────────────────────────────────╯",
    ]


async def test_the_models_pane_shows_mine_first_with_what_they_need() -> None:
    text = await seen(ModelsPane(), p.alarmed(), height=9)
    assert (
        text.split("\n")
        == [
            "╭─ 3 Models  4 of 6 active  3 mine ────────────────────────────────────────────╮",
            "│ MODEL             STATE             STAKE  TARGETS  KEY  DUTY               │",
            "│ css-02 ★          ○ created        1.0000        –   ✗   ! commit now, cre…  │",
        ][:1]
        + text.split("\n")[1:]
    )


async def test_the_epochs_pane_tells_clock_difficulty_and_duties() -> None:
    text = await seen(EpochsPane(), p.middle(), height=14)
    assert text.split("\n") == [
        "╭─ 4 Epochs  2 due  2 now ─────────────────────────────────────────────────────╮",
        "│ epoch      412    ━━━━━━━━━━━━━━━─────────  61%  9h 12m left at the earliest │",
        "│ hits       61,220 ━━━━━━━━━━━━━━━━━───────  70%  of 86,400 wanted            │",
        "│ threshold  0.9780   reward  0.012 685 185 SOMA a target                      │",
        "│ emission   1,096 SOMA an epoch   1,000,000 left   61,302 targets so far      │",
        "│ mine       11 hits   6 claims   1 reveal   earned +1.204311 SOMA             │",
        "│                                                                              │",
        "│ DUTY                 OPENS   CLOSES       LOST OTHERWISE                     │",
        "│ ● reveal latex-01    now     end of 412           0.5000  ✓ armed            │",
        "│ ● claim 3 targets    now     –                   nothing  +0.0386 SOMA       │",
        "│                                                                              │",
        "│                                                                              │",
        "│                                                                              │",
        "╰──────────────────────────────────────────────────────────────────────────────╯",
    ]


async def test_the_jobs_pane_draws_the_course_of_the_job_under_the_cursor() -> None:
    pane = JobsPane()
    async with framed(pane, height=16) as pilot:
        pane.show(p.middle(), p.NOW_MS)
        pane.focus()
        await pilot.pause()
        first = pilot.app.text()
        assert "▶ running" in first.split("\n")[2] and "━━────  31%" in first.split("\n")[2]
        assert "7 hits  0.9553" in first
        await pilot.press("down")
        await pilot.pause()
        second = pilot.app.text()
        assert "── train 500 steps on latex  step 412/500" in second
        assert "5.500 ┤█" in second
        assert "step 412  loss 2.183" in second


async def test_a_scoring_tells_its_speed_queue_coverage_card_sources_and_nearest_misses() -> None:
    lines = (await seen(JobsPane(), p.middle(), width=96, height=17)).split("\n")
    assert lines[6:15] == [
        "│ ── score 2000 of Python's standard libr…  620 scored  7 hits  best 0.9553  this hour 0.9601  │",
        "│ 61.8 chunks/s  86% of peak  64 read ahead  3 under way  12 to come back to                   │",
        "│ 12m left  31 of 87 targets covered  90% in about 2h 05m  5 sent  1 lost                      │",
        "│ H100 80GB HBM3 #0  97%  18.3/86 GB  71°C  612/700 W  slowed by power cap                     │",
        "│ SOURCE          GIVEN  HITS  HIT RATE  LEFT OUT   NEAREST MISS     DISTANCE      GAP  TARGET │",
        "│ the-stack-v2      400     6     1.50%  12 size    argparse.py        0.9812  +0.0032  e754   │",
        "│ gen.py            219     1     0.46%  3 near …   a-function-wit…    0.9834  +0.0054  fc24   │",
        "│ notes.jsonl         1     0     0.00%  –          main.rs#4          0.9841  +0.0061  d171   │",
        "│                                                   gen-000213         0.9902  +0.0122  c1f3   │",
    ]


@pytest.mark.parametrize(("width", "height"), [(80, 20), (160, 40), (48, 14), (30, 9)])
async def test_sources_and_misses_stand_below_each_other_where_it_is_narrow(width: int, height: int) -> None:
    text = await seen(JobsPane(), p.middle(), width=width, height=height)
    lines = text.split("\n")
    assert [len(line) for line in lines] == [width] * height
    together = [line for line in lines if "SOURCE" in line and "NEAREST MISS" in line]
    assert len(together) == (width >= 96)


async def test_a_figure_that_changes_paints_its_own_line_alone() -> None:
    pane, before = JobsPane(), p.middle()
    job = next(j for j in before.jobs if j.id == "score-3")
    async with framed(pane, width=96, height=17) as pilot:
        pane.show(before, p.NOW_MS)
        await pilot.pause()
        pilot.app.painted.clear()
        faster = replace(job, metrics=job.metrics | {"chunks_per_s": 70.0})
        pane.show(replace(before, jobs=(faster, *(j for j in before.jobs if j is not job))), p.NOW_MS)
        await pilot.pause()
        assert "70.0 chunks/s" in pilot.app.text()
        assert set().union(*pilot.app.painted) == {7}


async def test_the_open_detail_follows_the_job_and_paints_what_changed_alone() -> None:
    pane, before = JobsPane(), p.middle()
    job = next(j for j in before.jobs if j.id == "score-3")
    async with framed(pane) as pilot:
        pane.show(before, p.NOW_MS)
        detail = DetailScreen("jobs", pane)
        await pilot.app.push_screen(detail)
        await pilot.pause()
        lines = pilot.app.text().split("\n")
        tables = [n for n, line in enumerate(lines) if "SLOWED BY" in line or "LEFT OUT" in line]
        assert len(tables) == 2
        assert "speed     61.8 chunks/s  86% of peak  24.1 candidates/s" in pilot.app.text()
        pilot.app.painted.clear()
        faster = replace(job, metrics=job.metrics | {"chunks_per_s": 70.0})
        pane.snapshot = replace(before, jobs=(faster, *(j for j in before.jobs if j is not job)))
        detail.follow()
        await pilot.pause()
        assert "speed     70.0 chunks/s" in pilot.app.text()
        assert set().union(*pilot.app.painted) == {next(n for n, line in enumerate(lines) if "61.8" in line)}


async def test_below_a_line_that_goes_on_beneath_itself_the_open_detail_is_painted_in_its_place() -> None:
    pane, before = JobsPane(), p.middle()

    def told(last: str) -> Snapshot:
        jobs = (replace(j, last_lines=("a word " * 20, last)) if j.id == "score-3" else j for j in before.jobs)
        return replace(before, jobs=tuple(jobs))

    async with framed(pane, height=40) as pilot:
        pane.show(told("one"), p.NOW_MS)
        detail = DetailScreen("jobs", pane)
        await pilot.app.push_screen(detail)
        await pilot.pause()
        place = pilot.app.text().split("\n").index("one")
        pilot.app.painted.clear()
        pane.snapshot = told("two")
        detail.follow()
        await pilot.pause()
        assert pilot.app.text().split("\n").index("two") == place
        assert place in set().union(*pilot.app.painted)


async def test_a_job_that_fetches_weights_says_how_many_came() -> None:
    job = JobView("weights-1", "weights", "weights of 3 models", "done", 1, 2, 1.0, {"fetched": 2.0, "failed": 1.0})
    pane = JobsPane()
    async with framed(pane) as pilot:
        pane.show(replace(p.middle(), jobs=(job,)), p.NOW_MS)
        await pilot.pause()
        assert "2 of 3 fetched" in pilot.app.text()


async def test_many_jobs_at_eighty_columns_keep_their_rate_beside_the_scroll_bar() -> None:
    pane = JobsPane()
    jobs = p.middle().jobs
    async with framed(pane) as pilot:
        pane.show(
            replace(p.middle(), jobs=(*jobs, *(replace(jobs[-1], id=f"score-x{n}") for n in range(99)))), p.NOW_MS
        )
        await pilot.pause()
        assert "24.1 cand/s" in pilot.app.text() and " RATE " in pilot.app.text()


async def test_names_of_any_making_stand_in_one_line_and_where_room_is_short_the_first_table_is_shown() -> None:
    (job,) = (j for j in p.middle().jobs if "sources" in j.tables)
    rows = ({"source": "two\nlines\tand a tab", "given": 3, "hits": 1, "ready": 0, "dropped": {}},)
    job = replace(job, tables=job.tables | {"sources": rows, "plan": ({"says": "8 models"},)}, last_lines=("last",))
    assert all(len(below(job, 76, room)) <= room for room in range(1, 24))
    assert "two lines and a tab" in plain(below(job, 76, 7)[5])
    tall = [plain(line) for line in below(job, 76, 20)]
    assert [sum(name in line for line in tall) for name in ("SOURCE", "NEAREST", "SCREENING")] == [1, 1, 1]
    assert not any("\n" in plain(line) for line in whole(job, 76))
    narrow = [plain(line) for line in below(job, 64, 20)]
    assert narrow[0].split("  ")[-1].startswith("best 0.9553 ") and "this hour" not in narrow[0]
    assert narrow[1:3] == [
        "61.8 chunks/s  86% of peak  64 read ahead  3 under way  …",
        "12m left  31 of 87 targets covered  90% in about 2h 05m  …",
    ]
    parked = replace(job, metrics=job.metrics | {"shards": 4.0, "shards_live": 3.0, "parked": 1.0, "waiting": 12_345.0})
    assert plain(below(parked, 76, 20)[3]) == "3 of 4 shards at work  1 parked"


async def test_a_failed_job_says_why() -> None:
    pane = JobsPane()
    async with framed(pane) as pilot:
        pane.show(p.middle(), p.NOW_MS)
        pane.table.move_to("score-2")
        await pilot.pause()
        assert "✗ The folder to score is not there any more: choose another one." in pilot.app.text()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(("width", "height"), [(80, 24), (160, 48), (48, 11), (72, 11), (40, 8)])
async def test_no_line_is_wider_than_the_pane_in_any_size(kind: type[Pane], width: int, height: int) -> None:
    pane = kind()
    async with framed(pane, width=width, height=height) as pilot:
        for picture in PICTURES:
            pane.show(picture(), p.NOW_MS)
            await pilot.pause()
            lines = pilot.app.text().split("\n")
            assert len(lines) == height
            assert lines[0].endswith("╮") and lines[-1].endswith("╯"), picture.__name__
            assert all(line[0] == line[-1] == "│" and len(line) == width for line in lines[1:-1]), picture.__name__


@pytest.mark.parametrize("kind", ALL)
async def test_the_same_picture_again_paints_nothing(kind: type[Pane]) -> None:
    pane = kind()
    async with framed(pane) as pilot:
        pane.show(p.middle(), p.NOW_MS)
        later = p.NOW_MS + 900
        assert await lines_painted(pilot, lambda: pane.show(p.middle(), later)) == set()


@pytest.mark.parametrize("kind", ALL)
async def test_an_empty_pane_says_what_to_do(kind: type[Pane]) -> None:
    pane = kind()
    text = await seen(pane, replace(p.fresh(), wallet=replace(p.fresh().wallet, coins=())))
    words = " ".join(text.replace("│", " ").split())
    assert {
        "wallet": "Press f to ask the faucet",
        "targets": "models pane, key 3",
        "models": "Press t to train one, then p to publish it.",
        "epochs": "Nothing is due.",
        "jobs": "Press t to train a model, or s to score files",
    }[pane.NAME] in words


@pytest.mark.parametrize("kind", ALL)
async def test_without_the_network_no_pane_claims_that_there_is_nothing(kind: type[Pane]) -> None:
    pane = kind()
    wallet = replace(p.nothing().wallet, address=p.ME)
    words = " ".join((await seen(pane, replace(p.nothing(), wallet=wallet))).replace("│", " ").split())
    if pane.NAME in ("wallet", "targets", "models"):
        assert "The network does not answer" in words
        assert not re.search(r"(?:0 open|0 of 0|(?:free|staked|bonded|claimable) +[0-9])", words)


async def test_moving_the_cursor_tells_the_shell_which_row_is_meant() -> None:
    pane = ModelsPane()
    async with framed(pane) as pilot:
        pane.show(p.middle(), p.NOW_MS)
        pane.focus()
        await pilot.pause()
        pilot.app.heard.clear()
        await pilot.press("down")
        assert pilot.app.heard == [p.an_id("own")]
        assert pane.row == p.an_id("own")


async def test_the_row_of_a_duty_is_the_model_it_is_about() -> None:
    pane = EpochsPane()
    async with framed(pane):
        pane.show(p.middle(), p.NOW_MS)
        assert pane.row == p.an_id("pending")


async def test_the_frame_says_how_much_the_filter_leaves_and_how_it_is_sorted() -> None:
    pane = TargetsPane()
    async with framed(pane) as pilot:
        pane.show(p.middle(), p.NOW_MS)
        pane.focus()
        pane.filter("mine")
        await pilot.press("o")
        await pilot.pause()
        assert pilot.app.text().split("\n")[-1].rstrip("─╯ ").endswith("sort ID ↑  5 of 21  /mine")
        pane.filter("")
        await pilot.pause()
        assert "/mine" not in pilot.app.text()


DETAILS: dict[type[Pane], tuple[str, str]] = {
    WalletPane: ("address", "0x" + p.ME),
    TargetsPane: ("target", p.an_id("target 30")),
    ModelsPane: ("model", p.an_id("pending")),
    EpochsPane: ("duty", "reveal latex-01"),
    JobsPane: ("job", "score-3"),
}


@pytest.mark.parametrize("kind", ALL)
async def test_the_detail_of_a_row_is_in_full(kind: type[Pane]) -> None:
    pane = kind()
    async with framed(pane):
        assert pane.detail() == []
        pane.show(p.middle(), p.NOW_MS)
        if kind is TargetsPane:
            pane.table.move_to(p.an_id("target 30"))
        assert DETAILS[kind] in pane.detail()


async def test_a_job_s_last_lines_end_its_detail() -> None:
    pane = JobsPane()
    async with framed(pane):
        pane.show(p.middle(), p.NOW_MS)
        assert "".join(text for text, _ in pane.more(70)[-1]) == "hit  typing.py  distance 0.9712  target 02ee"


@pytest.mark.parametrize("theme", ["dark", "light", "ansi"])
async def test_every_state_is_told_by_a_glyph_and_a_word_in_every_theme(theme: str) -> None:
    text = await seen(TargetsPane(), p.middle(), height=26, theme=theme)
    for state in ("● claimable ★", "↑ uploading", "◐ filled ★", "◆ hit", "○ open", "✗ expired"):
        assert state in text


async def test_two_thousand_targets_take_a_blink_when_twenty_change(capsys: Any) -> None:
    pane, big = TargetsPane(), p.big()
    changed = tuple(
        replace(t, best_distance=0.5 + n / 1000) if n % 100 == 50 else replace(t) for n, t in enumerate(big.targets)
    )
    async with framed(pane, width=160, height=48) as pilot:
        took = []
        for targets in (big.targets, changed, big.targets, changed, big.targets, changed):
            start = time.perf_counter()
            pane.show(replace(big, targets=targets), p.NOW_MS)
            took.append(1000 * (time.perf_counter() - start))
            await pilot.pause()
        with capsys.disabled():
            print(f" [2,000 targets: first {took[0]:.0f} ms, 20 changed {min(took[1:]):.1f} ms]", end="")
        assert pane.table.total == 2_000
        assert min(took[1:]) < 50


async def test_a_change_far_below_does_not_touch_the_terminal() -> None:
    pane, big = TargetsPane(), p.big()
    last = max(big.targets, key=lambda t: (t.best_distance or 0, t.id))
    changed = tuple(replace(t, best_distance=9.0) if t is last else t for t in big.targets)
    async with framed(pane) as pilot:
        pane.show(big, p.NOW_MS)
        assert await lines_painted(pilot, lambda: pane.show(replace(big, targets=changed), p.NOW_MS)) == set()
