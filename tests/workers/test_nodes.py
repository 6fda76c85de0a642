"""Shards are dealt out to whoever has the job's key, taken back from who is lost, and counted once."""

from __future__ import annotations

import base64
import io
import json
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import base58
import pytest

from somatui.engine import cipher
from somatui.workers import nodes
from somatui.workers.mailbox import Mailbox, opened, own_key
from somatui.workers.meeting import OVER, Here, environment
from somatui.workers.merging import Merged
from somatui.workers.node import Seat
from somatui.workers.places import Place
from somatui.workers.protocol import Emitter, Message, parse_message
from somatui.workers.session import JobError, ParkedError, Session
from tests.storage import stores
from tests.workers.boards import Board
from tests.workers.test_mailbox import free_port
from tests.workers.test_score import EVERYTHING, files

KEY = bytes(range(32))


class Torchrun:
    """In place of torchrun: the places are the test's own (tests.long.many_machines has real ones)."""

    failed = 0

    def keep(self) -> str:
        return ""

    def end(self) -> None:
        pass


class Job:
    """A job of some shards with its store, and what it tells."""

    def __init__(self, folder: Path, shards: int, **more: Any) -> None:
        (folder / "board.json").write_text('{"epoch":1,"threshold":0.5,"targets":[],"models":[]}')
        self.out, self.store = io.StringIO(), opened("127.0.0.1", free_port(), serve=True)
        job = {
            "version": 1,
            "board": str(folder / "board.json"),
            "work_dir": str(folder / "work"),
            "weights_dir": "/w",
            "corpus": {},
        }
        self.session = Session(Emitter(self.out))
        self.merged = Merged(job | more, self.session.emitter, shards, shards, remembers=True)
        own: Any = Torchrun()
        self.nodes = nodes.Nodes(job | more, self.session, Mailbox(self.store, KEY, begins=True), self.merged, own)
        self.step = self.nodes._step

    def told(self, kind: str) -> list[Message]:
        return [m for m in map(parse_message, self.out.getvalue().splitlines()) if m.kind == kind]

    def texts(self) -> list[str]:
        return [m.body["text"] for m in self.told("log")]


class At:
    """A process at a place, by its box."""

    def __init__(self, job: Job, name: str, seat: str = "", key: bytes = KEY) -> None:
        self.mailbox, self.name = Mailbox(job.store, key), name
        self.say("hello", seat=seat or name, name=name)
        self.mailbox.knock(name)

    def say(self, kind: str, **body: Any) -> None:
        self.mailbox.put(f"out/{self.name}", {"seq": 1, "at": 1, "kind": kind} | body)

    def heard(self) -> list[dict[str, Any]]:
        return list(self.mailbox.taken(f"in/{self.name}"))


def test_a_place_has_one_shard_at_a_time_and_the_next_when_it_is_over(tmp_path: Path) -> None:
    job = Job(tmp_path, 3)
    one, other = At(job, "one"), At(job, "other")
    job.step()
    (first,), (second,) = one.heard(), other.heard()
    assert (first["part"], second["part"], first["count"]) == (0, 1, 3)
    assert first["job"] == {"version": 1, "corpus": {}} and json.loads(first["board"])["epoch"] == 1
    one.say("done", result={"scored": 4, "reason": "corpus", "best_distance": 0.7})
    job.step()
    assert [t["part"] for t in one.heard()] == [2] and other.heard() == []
    for place in (one, other):
        place.say("done", result={"scored": 3, "reason": "corpus", "best_distance": 0.6})
    job.step()
    assert not job.nodes._working() and not job.nodes._waiting()
    told = job.merged.result(job.merged.parts, stopped=False)
    assert (told["scored"], told["reason"], told["best_distance"]) == (10, "corpus", 0.6)


@pytest.mark.parametrize("end", ["silence", "started again", "bye"])
def test_a_lost_place_s_shard_goes_on_elsewhere_from_its_last_checkpoint_and_counts_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    job = Job(tmp_path, 1, limit=20)
    lost = At(job, "lost", "seat")
    job.step()
    assert lost.heard()[0]["limit"] == 20
    lost.say("checkpoint", scored=6, cursor={"position": 9})
    lost.say("metric", scored=8)
    job.step()
    assert job.merged.scored == 8
    if end == "bye":
        lost.say("bye")
    monkeypatch.setattr(nodes, "SILENCE_S", -1.0 if end == "silence" else 20.0)
    if end != "started again":
        job.step()
        assert job.nodes._waiting()
    assert [told["cmd"] for told in lost.heard()] == (["leave"] if end == "silence" else [])
    monkeypatch.setattr(nodes, "SILENCE_S", 20.0)
    late = At(job, "late", "seat")
    job.step()
    job.step()
    (task,) = late.heard()
    assert (task["part"], task["cursor"], task["limit"], job.merged.scored) == (0, {"position": 9}, 14, 6)
    lost.say("metric", scored=11)
    late.say("done", result={"scored": 14, "reason": "limit"})
    job.step()
    assert job.merged.result(job.merged.parts, stopped=False) | {"scored": 20, "reason": "limit"} == job.merged.result(
        job.merged.parts, stopped=False
    )
    assert any("shard 1 of 1 goes on elsewhere" in text for text in job.texts()) == (end != "bye")


def test_a_hit_s_bytes_are_written_here_and_a_hit_with_other_bytes_is_none(tmp_path: Path) -> None:
    job, data = Job(tmp_path, 1), b"print()\n"
    place = At(job, "one")
    job.step()
    hit = {"target_id": "0x1", "checksum": base58.b58encode(cipher.checksum(data)).decode(), "path": "/elsewhere"}
    place.say("hit", **hit | {"data": base64.b64encode(b"other").decode()})
    place.say("hit", **hit | {"data": base64.b64encode(data).decode()})
    job.step()
    (told,) = job.told("hit")
    assert Path(told.body["path"]).read_bytes() == data and told.body["path"].startswith(
        str(tmp_path / "work" / "hits")
    )
    assert "data" not in told.body


def test_who_has_another_key_takes_no_part_and_is_told_of(tmp_path: Path) -> None:
    job = Job(tmp_path, 1)
    stranger = At(job, "stranger", key=bytes(32))
    job.step()
    assert not job.nodes._working() and stranger.heard() == []
    assert any("does not have this job's key" in text for text in job.texts())


def test_a_card_that_is_out_is_given_nothing_more_and_what_is_wrong_with_the_job_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "BYE_S", 0.1)
    job = Job(tmp_path, 2)
    dead, fine = At(job, "dead"), At(job, "fine")
    job.step()
    dead.say("failed", error="ECC: the card's memory has wrong bits.", parked=True)
    fine.say("done", result={"scored": 1, "reason": "corpus"})
    job.step()
    assert [t["part"] for t in dead.heard()] == [0] and [t["part"] for t in fine.heard()] == [1, 0]
    assert any("dead is parked, shard 1 of 2 waits: ECC" in text for text in job.texts())
    fine.say("failed", error="/corpus is no file or folder: name one that exists.")
    with pytest.raises(JobError, match="^fine: /corpus is no file"):
        job.step()
    job.nodes._dismiss()
    assert dead.heard() == fine.heard() == [{"cmd": "stop"}]


def test_a_job_whose_places_are_all_parked_waits_a_while_for_a_machine_to_join_and_fails_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "BYE_S", 0.1)
    monkeypatch.setattr(nodes, "TICK_S", 0.01)
    monkeypatch.setattr(nodes, "ALONE_S", 60.0)
    job = Job(tmp_path, 2)
    one, other = At(job, "one"), At(job, "other")
    job.step()
    one.say("failed", error="out of memory: end what else uses the card.", parked=True)
    job.step()
    assert not job.nodes._is_alone()
    other.say("failed", error="Xid 79: the card has fallen off the bus; restart this machine.", parked=True)
    job.step()
    assert not job.nodes._is_alone() and not job.nodes._is_alone()
    assert sum("every place is parked: a machine may join within 60 s" in text for text in job.texts()) == 1
    late = At(job, "late")
    job.step()
    assert [told["part"] for told in late.heard()] == [0] and not job.nodes._is_alone()
    late.say("failed", error="ECC: wrong bits.", parked=True)
    job.step()
    assert not job.nodes._is_alone()
    monkeypatch.setattr(nodes, "ALONE_S", 0.0)
    with pytest.raises(ParkedError, match=r"^late: ECC: wrong bits\.$"):
        job.nodes.run()
    assert [place.heard()[-1] for place in (one, other, late)] == [{"cmd": "stop"}] * 3


def test_a_parked_place_is_still_parked_when_torchrun_starts_its_process_again(tmp_path: Path) -> None:
    job = Job(tmp_path, 1)
    dead = At(job, "dead", "seat")
    job.step()
    dead.say("failed", error="ECC: wrong bits.", parked=True)
    job.step()
    again = At(job, "again", "seat")
    job.step()
    job.step()
    assert again.heard() == [] and job.nodes._waiting()
    fine = At(job, "fine")
    job.step()
    assert [told["part"] for told in fine.heard()] == [0]


def test_candidates_that_lacked_models_at_a_lost_place_are_told_of_and_counted_as_owed(tmp_path: Path) -> None:
    job = Job(tmp_path, 1, limit=20)
    lost = At(job, "lost", "seat")
    job.step()
    lost.say("metric", scored=6, owed=4)
    lost.say("checkpoint", scored=6, cursor={"position": 9})
    job.step()
    again = Merged({"work_dir": str(tmp_path / "work"), "corpus": {}, "limit": 20}, Emitter(io.StringIO()), None, 1,
                   remembers=True)  # fmt: skip
    late = At(job, "late", "seat")
    for _ in range(2):
        job.step()
    said = "shard 1 of 1: up to 4 candidates that lacked models are not come back to"
    assert job.texts().count(said) == 1
    late.say("metric", scored=14, owed=0)
    late.say("done", result={"scored": 14, "reason": "limit", "owed": 0})
    job.step()
    assert job.merged.result(job.merged.parts, stopped=False)["owed"] == 4
    # So they are when the agent was what died.
    again.anew(again.parts[0])
    assert again.result(again.parts, stopped=False)["owed"] == 4


def test_torchrun_is_started_again_when_it_ends_and_given_up_when_nobody_ever_takes_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "AGAIN_S", 0.0)
    monkeypatch.setattr(nodes, "torchrun", lambda places: [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"])
    own, said = nodes.Own(Here("a:1", "", str(tmp_path), ""), 2), Counter[str]()

    def kept() -> None:
        while True:
            said[own.keep()] += 1

    with pytest.raises(JobError, match=r"torchrun ended here \(status 3\) 6 times"):
        kept()
    assert said["torchrun ended here (status 3): again in 0 s"] == nodes.RESTARTS
    own.end()


def test_a_seat_that_was_taken_for_lost_ends_so_that_torchrun_starts_it_again(tmp_path: Path) -> None:
    job, here = Job(tmp_path, 1), Here("", "", str(tmp_path / "node"), "/w")
    seat = Seat(here, Place("processor", "cpu"), Mailbox(job.store, KEY), "0", 1)
    Mailbox(job.store, KEY).put(f"in/{seat._name}", {"cmd": "leave"})
    seat.run()
    assert seat.left and not (tmp_path / "node" / OVER).exists()


def test_an_address_that_an_earlier_worker_still_holds_is_waited_for_and_another_s_is_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session, port = Session(Emitter(io.StringIO())), free_port()
    held = socket.create_server(("127.0.0.1", port))
    monkeypatch.setattr(nodes, "TICK_S", 0.01)
    monkeypatch.setattr(nodes, "HELD_S", 0.1)
    with pytest.raises(OSError, match="in use"):
        nodes.served("127.0.0.1", port, session)
    monkeypatch.setattr(nodes, "HELD_S", 60.0)
    tries: list[float] = []

    def wait(seconds: float) -> bool:
        tries.append(seconds)
        if len(tries) == 3:
            held.close()
        return False

    monkeypatch.setattr(session.stopping, "wait", wait)
    assert nodes.served("127.0.0.1", port, session).check(["anything"]) is False and len(tries) == 3


@pytest.mark.parametrize(("said", "over"), [("stop", True), ("pause", False), (None, False)])
def test_a_machine_leaves_for_good_when_the_job_is_stopped_and_comes_again_when_the_agent_was_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str | None, over: bool
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"cmd": said}) + "\n" if said else ""))
    monkeypatch.setattr("os._exit", lambda status: None)
    job, here = Job(tmp_path, 1), Here("", "", str(tmp_path / "node"), "/w")
    job.session._orphan_s = 0.0
    seat = Seat(here, Place("processor", "cpu"), Mailbox(job.store, KEY), "0", 1)
    seat._mailbox.put(f"out/{seat._name}", seat._hello)
    seat._mailbox.knock(seat._name)
    job.step()
    job.session._follow()
    monkeypatch.setattr(nodes, "BYE_S", 0.0)
    job.nodes._dismiss()
    seat._folder.mkdir(parents=True)
    for told in seat._mailbox.taken(f"in/{seat._name}"):
        seat._told(told)
    assert (seat._session.stopping.is_set(), (tmp_path / "node" / OVER).exists()) == (True, over)


class Gone(io.StringIO):
    """The pipe to an agent that was killed."""

    def flush(self) -> None:
        raise BrokenPipeError


def test_an_agent_that_is_killed_finds_what_was_told_last_when_it_comes_back_hits_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "BYE_S", 0.3)
    job, data = Job(tmp_path, 1, limit=20), b"print()\n"
    place = At(job, "one")
    job.step()
    place.say("hit", target_id="0x1", checksum=base58.b58encode(cipher.checksum(data)).decode(), path="/elsewhere",
              data=base64.b64encode(data).decode())  # fmt: skip
    place.say("checkpoint", scored=6, cursor={"position": 9})
    job.session.emitter._out = Gone()
    with pytest.raises(BrokenPipeError):
        job.nodes.run()
    assert [told["cmd"] for told in place.heard()][-1] == "pause"
    out = io.StringIO()
    again = Merged({"work_dir": str(tmp_path / "work"), "corpus": {}, "limit": 20}, Emitter(out), None, 1,
                   remembers=True)  # fmt: skip
    (hit,) = [m.body for m in map(parse_message, out.getvalue().splitlines()) if m.kind == "hit"]
    assert Path(hit["path"]).read_bytes() == data
    assert (again.hits, again.scored, again.parts[0].cursor) == (1, 6, {"position": 9})


def test_machines_of_one_name_with_the_same_folders_have_places_of_their_own(tmp_path: Path) -> None:
    job, at = Job(tmp_path, 2), Place("processor", "cpu")
    machines = [Here("", "", str(tmp_path / "node"), "/w") for _ in range(2)]
    seats = [Seat(here, at, Mailbox(job.store, KEY), "0", 1) for here in (*machines, machines[0])]
    for seat in seats[:2]:
        seat._mailbox.put(f"out/{seat._name}", seat._hello)
        seat._mailbox.knock(seat._name)
        job.step()
    assert job.nodes._working() == {0, 1} and "was started again" not in " ".join(job.texts())
    seats[2]._mailbox.put(f"out/{seats[2]._name}", seats[2]._hello)
    seats[2]._mailbox.knock(seats[2]._name)
    job.step()
    assert any("was started again: shard 1 of 2 goes on elsewhere" in text for text in job.texts())


@pytest.mark.slow
def test_a_process_that_does_not_reach_the_store_ends_and_leaves_it_to_who_started_torchrun(tmp_path: Path) -> None:
    own_key(tmp_path / "nodes.key")
    here = Here(f"127.0.0.1:{free_port()}", str(tmp_path / "nodes.key"), str(tmp_path / "node"), "/w", "none")
    quick = (
        "from datetime import timedelta as t; from somatui.workers import mailbox, node; mailbox._REACH = t(seconds=1)"
    )
    line = [sys.executable, "-c", f"{quick}; raise SystemExit(node.main())"]
    ended = subprocess.run(
        line, env=environment(here) | {"LOCAL_RANK": "0"}, capture_output=True, text=True, timeout=60
    )
    assert (ended.returncode, "RuntimeError" in ended.stderr or "DistNetworkError" in ended.stderr) == (0, True)


@pytest.mark.slow
def test_a_seat_scores_the_shards_it_is_given_and_a_hit_s_bytes_come_home(tmp_path: Path) -> None:
    with stores.running(tmp_path / "store") as kept:
        board = Board(kept, tmp_path / "board.json")
        target = board.add_target(100, [board.add_model(1)])
        corpus = {"paths": files(tmp_path, 6), "max_bytes": 4096, "seed": 5}
        job = Job(tmp_path, 2, corpus=corpus, limit=5, hits_each=None, max_hits=None)
        board.write(threshold=EVERYTHING)
        here = Here("", "", str(tmp_path / "node"), str(tmp_path / "weights"))
        seat = Seat(here, Place("processor", "cpu"), Mailbox(job.store, KEY), "0", 1)
        sits = threading.Thread(target=seat.run)
        sits.start()
        try:
            told = job.nodes.run()
        finally:
            seat.end()
            sits.join(30)
    assert (told["scored"], told["reason"], told["hits"]) == (5, "limit", 1)
    (hit,) = job.told("hit")
    path = Path(hit.body["path"])
    assert hit.body["target_id"] == target and path.parent == tmp_path / "work" / "hits"
    assert path.read_bytes() == Path(hit.body["name"]).read_bytes()
    assert (tmp_path / "node" / OVER).exists() and not sits.is_alive()
