"""Shards of a job at several places score together what one worker would, once each, whatever ends they have."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import psutil
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from somatui.workers import score_many
from somatui.workers.gpu import Card, Found
from somatui.workers.merging import Merged, Part, allot, figures
from somatui.workers.places import Place, Xids, places
from somatui.workers.protocol import Emitter, Message, parse_message
from somatui.workers.score_many import Many
from somatui.workers.session import JobError, Session
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
def test_shards_without_a_candidate_say_so(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=0.9)
    files(tmp_path, 0)
    (tmp_path / "sources" / "empty.py").write_text(" ")
    last = rest(start("score_many", many(tmp_path, 0)))[-1]
    assert (last.kind, last.body["error"]) == (
        "failed", "The corpus has no candidate (left out: 1 empty): name other files, fields or windows.",
    )  # fmt: skip


@pytest.mark.slow
def test_shards_score_what_one_worker_does_though_a_worker_and_their_parent_are_killed(
    board: Board, tmp_path: Path
) -> None:
    models = [board.add_model(1), board.add_model(2)]
    for number in range(8):
        board.add_target(100 + number, models if number % 2 else models[:1])
    board.write(threshold=0.9)
    files(tmp_path, 40)
    (tmp_path / "sources" / "copy.py").write_bytes((tmp_path / "sources" / "3.py").read_bytes())
    (tmp_path / "sources" / "large.py").write_bytes(b"x" * 5000)
    alone = inside.done("score", job(tmp_path, 40, work_dir=str(tmp_path / "alone")))
    process = start("score_many", many(tmp_path, 40))
    begun = through(process, "checkpoint")
    workers = psutil.Process(process.pid).children()
    assert len(workers) == 2
    workers[0].kill()
    begun += through(process, "log")
    assert "the worker died (status -9): again in 1 s" in texts(begun)[-1]
    os.kill(process.pid, signal.SIGKILL)
    begun += rest(process)
    assert psutil.wait_procs(workers, timeout=60)[1] == []
    then = rest(start("score_many", many(tmp_path, 40)))
    assert scored(tmp_path / "work") == scored(tmp_path / "alone") and set(scored(tmp_path / "work").values()) == {1}
    told = result(then)
    assert (told["scored"], told["reason"], told["shards"]) == (40, "corpus", 2)
    assert told["dropped"] == result(alone)["dropped"] == {"duplicate": 1, "size": 1}
    found = {h["target_id"]: h for h in hits(begun + then)}
    assert set(found) == {h["target_id"] for h in hits(alone)}
    for hit in found.values():
        data = Path(hit["path"]).read_bytes()
        assert (hit["winner"], hit["distance"]) == board.expected(hit["target_id"], data)[::2]
    numbers = [m.body for m in then if m.kind == "metric" and "tables" not in m.body][-1]
    assert (numbers["scored"], numbers["shards"], numbers["shards_live"], numbers["parked"]) == (40, 2, 0, 0)


@pytest.mark.slow
def test_a_board_reaches_every_worker_and_hits_are_told_once_for_a_target_until_there_are_enough(
    board: Board, tmp_path: Path
) -> None:
    model = board.add_model(1)
    board.add_target(100, [model])
    board.write(threshold=EVERYTHING)
    process = start("score_many", many(tmp_path, count=400, max_hits=2))
    first = until(process, "hit").body["target_id"]
    workers = psutil.Process(process.pid).children()
    others = [board.add_target(101 + number, [model]) for number in range(3)]
    board.write()
    tell(process, '{"cmd":"board"}')
    messages = rest(process)
    assert [h["target_id"] in others for h in hits(messages)] == [True] and first not in others
    assert (result(messages)["hits"], result(messages)["reason"]) == (2, "hits")
    assert psutil.wait_procs(workers, timeout=1)[1] == []


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine where PyTorch can use no card")
def test_a_card_that_cannot_go_on_is_parked_and_its_shard_waits_for_the_next_place_that_is_free(
    board: Board, tmp_path: Path
) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=-1.0)
    out, asked = io.StringIO(), many(tmp_path, 12, limit=6) | {"version": 1}
    session = Session(Emitter(out))
    at = [Place("card 0", "cuda", {"CUDA_VISIBLE_DEVICES": "0"}), Place("processor", "cpu")]
    told = asyncio.run(Many(asked, session, at, Merged(asked, session.emitter, 2, 2)).run())
    messages = [parse_message(line) for line in out.getvalue().splitlines()]
    assert (told["scored"], told["reason"]) == (6, "limit")
    assert [m.body["done"] for m in messages if m.kind == "progress"][-1] == 1
    assert any("card 0 is parked, shard 1 of 2 waits: No card: PyTorch can use" in text for text in texts(messages))
    assert [m.body["parked"] for m in messages if "parked" in m.body][-1] == 1
    assert (len(scored(tmp_path / "work")), set(scored(tmp_path / "work").values())) == (6, {1})


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_a_worker_on_a_card_uses_the_one_that_was_named(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=-1.0)
    messages = rest(start("score_many", many(tmp_path, 6, gpus=[0], shards=None)))
    assert (result(messages)["scored"], result(messages)["shards"]) == (6, 1)
    gauges = [m.body["tables"]["gauges"] for m in messages if "gauges" in m.body.get("tables", {})]
    assert gauges[-1][0]["index"] == 0


class Mortal:
    """In place of a worker's process: the first dies before it has dealt with anything, the second after one."""

    lines: ClassVar[list[dict[str, Any]]] = []

    async def start(self, _module: str, line: dict[str, Any], *, on_message: Any, **_: Any) -> None:
        self.lines.append(line)
        if len(self.lines) > 1:
            on_message(Message(1, 1, "metric", {"scored": 1}))
        if len(self.lines) > 2:
            on_message(Message(2, 2, "done", {"result": {"scored": 2, "reason": "limit"}}))

    async def wait(self) -> int:
        return -9


def test_a_worker_that_dies_before_it_dealt_with_anything_begins_again_where_it_was_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, session = many(tmp_path, limit=2, shards=1), Session(Emitter(io.StringIO()))
    shards = Merged(asked, session.emitter, 1, 1)
    shards.parts[0].cursor = {"position": 9}
    monkeypatch.setattr(score_many, "WorkerProcess", Mortal)
    told = asyncio.run(Many(asked, session, [Place("processor", "cpu")], shards).run())
    assert [line["cursor"] for line in Mortal.lines] == [{"position": 9}, {"position": 9}, None]
    assert (told["scored"], told["reason"]) == (2, "limit")


def test_workers_are_told_how_many_of_them_share_the_machine(tmp_path: Path) -> None:
    session, at = Session(Emitter(io.StringIO())), [Place("card 0", "cuda"), Place("card 1", "cuda")]
    for others, here, wanted in ((None, at, 2), (8, at[:1], 8)):
        asked = many(tmp_path, workers=others)
        shards = Merged(asked, session.emitter, 2, 2)
        line = Many(asked, session, here, shards)._line(shards.parts[0], at[0], tmp_path)
        assert line["workers"] == wanted


class Known:
    """What the driver says of the cards of a machine that has some."""

    def taken(self, card: str) -> int | None:
        return {"1": 79}.get(card)


def test_what_the_driver_says_of_a_card_is_its_cause(tmp_path: Path) -> None:
    asked, session = many(tmp_path), Session(Emitter(io.StringIO()))
    cards = [*places("all", None, TWO, None), *places("all", 1, TWO, "1")]
    at = Many(asked, session, cards, Merged(asked, session.emitter, 3, 3))
    at._xids = Known()  # type: ignore[assignment]
    told = [at._cause(card, "CUDA error: unspecified launch failure.") for card in cards]
    assert [t.partition(":")[0] for t in told] == ["CUDA error", "Xid 79", "CUDA error"]
    assert at._cause(cards[1], "out of memory: too large; end what else.").startswith("out of memory")


class Driver:
    """In place of NVML, which does not answer here: three cards, of which the first is lost."""

    class NVMLError(Exception):
        pass

    nvmlEventTypeXidCriticalError = 8
    events: ClassVar[list[tuple[int, int]]] = []

    def nvmlInit(self) -> None: ...

    def nvmlEventSetCreate(self) -> str:
        return "set"

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceRegisterEvents(self, handle: int, kinds: int, events: str) -> None:
        if handle == 0:
            raise self.NVMLError

    def nvmlEventSetWait_v2(self, events: str, _wait_ms: int) -> Any:
        if not self.events:
            raise self.NVMLError
        handle, number = self.events.pop(0)
        return SimpleNamespace(device=handle, eventData=number)

    def nvmlDeviceGetIndex(self, handle: int) -> int:
        if handle == 0:
            raise self.NVMLError
        return handle


def test_each_card_has_its_own_numbers_and_the_cause_counts_more_than_what_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Driver())
    xids = Xids()
    Driver.events += [(0, 79), (1, 45), (2, 31), (1, 48), (1, 45), (1, 154)]
    assert [xids.taken(card) for card in ("0", "2", "1", "1")] == [None, 31, 48, None]
    Driver.events += [(2, 45)]
    assert xids.taken("2") == 45


def merged(folder: Path, out: io.StringIO, count: int | None = None, **more: Any) -> Merged:
    return Merged({"work_dir": str(folder), "corpus": {"seed": 1}} | more, Emitter(out), count, 2, remembers=True)


def test_the_number_of_shards_stays_unless_another_is_asked_for_which_begins_anew(tmp_path: Path) -> None:
    out = io.StringIO()
    first = merged(tmp_path, out)
    first.hear(first.parts[1], Message(1, 1, "checkpoint", {"scored": 5, "cursor": {"position": 7}}))
    first.hear(first.parts[0], Message(1, 1, "hit", {"target_id": "0x1"}))
    again = merged(tmp_path, out)
    # At once, since no worker comes by it again: it lies before the cursor.
    assert out.getvalue().count('"kind":"hit"') == 2
    assert [(p.scored, p.kept, p.cursor) for p in again.parts] == [(0, 0, None), (5, 5, {"position": 7})]
    for _ in range(2):
        again.hear(again.parts[1], Message(1, 1, "hit", {"target_id": "0x1"}))
    # Told again once in each life, since nobody may have heard it, and counted once.
    assert (again.hits, again.reported, out.getvalue().count('"kind":"hit"')) == (1, {"0x1"}, 2)
    anew = merged(tmp_path, out, 3)
    assert [(p.scored, p.cursor) for p in anew.parts] == [(0, None)] * 3 and not anew.reported
    assert "stood in 2 shards and has 3 now: it is begun anew" in out.getvalue()


def test_what_a_worker_says_that_others_said_too_is_logged_once_and_what_nobody_knows_is_taken_back(
    tmp_path: Path,
) -> None:
    out = io.StringIO()
    told = merged(tmp_path, out)
    for part in told.parts:
        told.hear(part, Message(1, 1, "log", {"text": "model 0x1 is left out", "level": "warn"}))
        told.hear(part, Message(1, 1, "metric", {"scored": 2, "left_s": 9.0}))
    told.tell({0, 1}, now=True)
    told.hear(told.parts[0], Message(1, 1, "metric", {"left_s": None}))
    told.tell({0}, now=True)
    told.tell({0}, now=True)
    lines = [parse_message(line) for line in out.getvalue().splitlines()]
    assert texts(lines) == ["shard 1 of 2: model 0x1 is left out"]
    assert [m.body.get("left_s", "") for m in lines if m.kind == "metric"] == [9.0, None, ""]
    assert [m.body["scored"] for m in lines if m.kind == "metric"] == [4, 4, 4]


def test_places_are_the_cards_that_are_asked_for_or_shares_of_the_processor() -> None:
    bus = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    cards = [Place(f"card {n}", "cuda", {"CUDA_VISIBLE_DEVICES": str(n)} | bus) for n in range(2)]
    assert places("all", None, TWO, None) == places(None, None, TWO, None) == places([0, 1], 9, TWO, None) == cards
    assert places([1, 1], None, TWO, None) == cards[1:] and places("all", 1, TWO, None) == cards[:1]
    named = places("all", None, TWO, "GPU-a,GPU-b")
    assert [p.env for p in named] == [{"CUDA_VISIBLE_DEVICES": "GPU-a"}, {"CUDA_VISIBLE_DEVICES": "GPU-b"}]
    for shares in (places("none", 3, TWO, None), places(None, 3, Found(), None), places(None, 3, TWO, ""),
                   places(None, 3, TWO, "-1")):  # fmt: skip
        assert [(p.device, p.env) for p in shares] == [("cpu", {"CUDA_VISIBLE_DEVICES": ""})] * 3
    assert [p.name for p in places("none", None, TWO, None)] == ["processor"]
    assert [p.env for p in places("all", None, TWO, "1,-1,0")] == [{"CUDA_VISIBLE_DEVICES": "1"}]


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
