"""Shards of a job at several places score together what one worker would, once each, whatever ends they have."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from somatui.workers.gpu import Card, Found
from somatui.workers.merging import Part, allot, figures
from somatui.workers.places import Place, places
from somatui.workers.protocol import Message
from somatui.workers.session import JobError
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board
from tests.workers.processes import rest, start, tell, through, until
from tests.workers.test_score import EVERYTHING, files, hits, job, result

TWO = Found((Card("H100", 80, 80), Card("H100", 80, 80)), "570", (12, 8))


def many(folder: Path, count: int = 12, **more: Any) -> dict[str, Any]:
    return job(folder, count) | {"job": "score", "gpus": "none", "shards": 2, "threads": 2} | more


def scored(work: Path) -> Counter[bytes]:
    """The digests of what was scored, by the records of a work folder."""
    found: Counter[bytes] = Counter()
    for file in work.rglob("record.sqlite3"):
        with contextlib.closing(sqlite3.connect(file)) as record:
            found.update(row[0] for row in record.execute("SELECT digest FROM scored"))
    return found


def texts(messages: list[Message]) -> list[str]:
    return [m.body["text"] for m in messages if m.kind == "log"]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with stores.running(tmp_path / "store") as store:
        yield Board(store, tmp_path / "board.json")


@pytest.mark.slow
def test_shards_score_what_one_worker_does_and_a_limit_holds_for_all_of_them(board: Board, tmp_path: Path) -> None:
    models = [board.add_model(1), board.add_model(2)]
    for number in range(8):
        board.add_target(100 + number, models if number % 2 else models[:1])
    board.write(threshold=0.9)
    files(tmp_path, 12)
    (tmp_path / "sources" / "copy.py").write_bytes((tmp_path / "sources" / "3.py").read_bytes())
    (tmp_path / "sources" / "large.py").write_bytes(b"x" * 5000)
    alone = inside.done("score", job(tmp_path, 12, work_dir=str(tmp_path / "alone")))
    first = rest(start("score_many", many(tmp_path, limit=7)))
    told = result(first)
    assert (told["scored"], told["reason"], told["shards"]) == (7, "limit", 2)
    assert sum(scored(tmp_path / "work").values()) == 7
    assert [m.body["done"] for m in first if m.kind == "progress"][-1] == 1
    then = rest(start("score_many", many(tmp_path, shards=None)))
    assert scored(tmp_path / "work") == scored(tmp_path / "alone") and set(scored(tmp_path / "work").values()) == {1}
    told = result(then)
    assert (told["scored"], told["reason"], told["shards"]) == (12, "corpus", 2)
    assert told["dropped"] == result(alone)["dropped"] == {"duplicate": 1, "size": 1}
    assert {h["target_id"] for h in hits(first + then)} == {h["target_id"] for h in hits(alone)}
    assert len(hits(first + then)) == told["hits"] == result(alone)["hits"]
    for hit in hits(first + then):
        data = Path(hit["path"]).read_bytes()
        assert (hit["winner"], hit["distance"]) == board.expected(hit["target_id"], data)[::2]
    numbers = [m.body for m in then if m.kind == "metric" and "tables" not in m.body][-1]
    assert (numbers["scored"], numbers["shards"], numbers["shards_live"], numbers["parked"]) == (12, 2, 0, 0)
    anew = rest(start("score_many", many(tmp_path, shards=3, limit=1)))
    assert "this job stood in 2 shards and has 3 now: it is begun anew" in texts(anew)
    assert result(anew)["scored"] == 1


@pytest.mark.slow
def test_a_killed_worker_is_started_again_and_a_killed_parent_takes_its_workers_along(
    board: Board, tmp_path: Path
) -> None:
    for number in range(3):
        board.add_target(100 + number, [board.add_model(1)] if not number else [board.told["models"][0]["id"]])
    board.write(threshold=-1.0)
    process = start("score_many", many(tmp_path, count=60))
    until(process, "checkpoint")
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    workers[0].kill()
    begun = through(process, "log")
    assert "the worker died (status -9): again in 1 s" in texts(begun)[-1]
    os.kill(process.pid, signal.SIGKILL)
    rest(process)
    assert psutil.wait_procs(workers, timeout=20)[1] == []
    messages = rest(start("score_many", many(tmp_path, count=60)))
    assert (result(messages)["scored"], result(messages)["reason"]) == (60, "corpus")
    assert (len(scored(tmp_path / "work")), set(scored(tmp_path / "work").values())) == (60, {1})


@pytest.mark.slow
def test_hits_are_told_once_for_a_target_until_there_are_enough_and_a_stop_and_a_board_reach_every_worker(
    board: Board, tmp_path: Path
) -> None:
    model = board.add_model(1)
    board.add_target(100, [model])
    board.write(threshold=EVERYTHING)
    process = start("score_many", many(tmp_path, count=400, max_hits=3))
    first = until(process, "hit").body["target_id"]
    second = board.add_target(101, [model])
    board.write()
    tell(process, '{"cmd":"board"}')
    assert until(process, "hit").body["target_id"] == second != first
    workers = psutil.Process(process.pid).children()
    tell(process, '{"cmd":"stop"}')
    messages = rest(process)
    told = result(messages)
    assert (hits(messages), told["hits"], told["reason"]) == ([], 2, "stopped")
    assert psutil.wait_procs(workers, timeout=1)[1] == []
    for number in range(4):
        board.add_target(102 + number, [model])
    board.write()
    messages = rest(start("score_many", many(tmp_path, count=400, max_hits=3)))
    assert (len(hits(messages)), result(messages)["hits"], result(messages)["reason"]) == (1, 3, "hits")


def test_places_are_the_cards_that_are_asked_for_or_shares_of_the_processor() -> None:
    bus = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    cards = [Place(f"card {n}", "cuda", {"CUDA_VISIBLE_DEVICES": str(n)} | bus) for n in range(2)]
    assert places("all", None, TWO, None) == places(None, None, TWO, None) == places([0, 1], 9, TWO, None) == cards
    assert places([1, 1], None, TWO, None) == cards[1:] and places("all", 1, TWO, None) == cards[:1]
    named = places("all", None, TWO, "GPU-a,GPU-b")
    assert [p.env for p in named] == [{"CUDA_VISIBLE_DEVICES": "GPU-a"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}]
    for shares in (places("none", 3, TWO, None), places(None, 3, Found(), None), places(None, 3, TWO, "")):
        assert [(p.device, p.env) for p in shares] == [("cpu", {"CUDA_VISIBLE_DEVICES": ""})] * 3
    assert [p.name for p in places("none", None, TWO, None)] == ["processor"]


@pytest.mark.parametrize(
    ("gpus", "found", "visible", "says"),
    [
        ("all", Found(error="LibraryNotFound"), None, r"no card here \(LibraryNotFound\): .* --gpus none"),
        ([0], TWO, "", r"no card here \(CUDA_VISIBLE_DEVICES is empty\)"),
        ([0, 2], TWO, None, "no card 2: there are 2, numbered from 0"),
        ("0", TWO, None, "all, none, or a list"), ([True], TWO, None, "all, none, or a list"),
    ],
)  # fmt: skip
def test_cards_that_are_not_there_are_refused(gpus: Any, found: Found, visible: str | None, says: str) -> None:
    with pytest.raises(JobError, match=says):
        places(gpus, None, found, visible)


@given(st.integers(1, 200), st.lists(st.integers(0, 60), min_size=1, max_size=6))
def test_a_limit_is_met_exactly_while_there_are_candidates_enough(limit: int, sizes: list[int]) -> None:
    parts = [Part(n) for n in range(len(sizes))]
    allot(limit, parts)
    while lacking := [p for p in parts if p.lacks]:
        part = lacking[0]
        wanted = part.limit or 0
        part.scored = min(wanted, sizes[part.index])
        if part.scored < wanted:
            part.over = True
            allot(limit, parts)
    assert sum(p.scored for p in parts) == min(limit, sum(sizes))


def test_figures_of_several_workers_add_up_and_the_nearest_counts() -> None:
    one = {"scored": 3.0, "chunks_per_s": 2.0, "best_distance": 0.5, "peak_share": 0.4, "cover_s": 100.0, "left_s": 9.0}
    other = {"scored": 4.0, "chunks_per_s": 1.0, "best_distance": 0.7, "peak_share": 0.6, "cover_s": 100.0, "hits": 1.0}
    assert figures([one, other, {}]) == {
        "scored": 7.0, "chunks_per_s": 3.0, "best_distance": 0.5, "peak_share": 0.5, "cover_s": 50.0, "left_s": 9.0,
        "hits": 1.0,
    }  # fmt: skip
    assert figures([{"screen_worst_loss": 0.1}, {"screen_worst_loss": 0.3}]) == {"screen_worst_loss": 0.3}
