"""A score job's record: a step is whole or not there, what was dealt with is there once, and its file stays small."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from somatui.corpora.files import Candidate
from somatui.engine import cipher
from somatui.engine.contract import Score
from somatui.workers import record
from somatui.workers.board import Board, BoardModel, BoardTarget
from somatui.workers.hits import Hits
from somatui.workers.protocol import Emitter, parse_message
from somatui.workers.session import JobError, Session
from somatui.workers.stand import Stand


def a_candidate(number: int, source: str = "a") -> Candidate:
    data = b"%d" % number
    return Candidate(f"line {number}", data, cipher.checksum(data), source)


def rows(folder: Path) -> list[sqlite3.Row]:
    with contextlib.closing(sqlite3.connect(folder / "record.sqlite3")) as found:
        return found.execute("SELECT n, digest, losses, hits FROM scored ORDER BY n").fetchall()


def deal_on(folder: Path, told: int) -> None:
    """Deal with one candidate after the other and say so of each, until killed."""
    stand = Stand.of({"work_dir": str(folder)})
    while True:
        number = stand.scored + 1
        with stand.step():
            stand.deal(a_candidate(number), {"m": number / 2}, {"position": number})
            stand.owe(a_candidate(number).digest.hex(), "")
            stand.hit(f"target {number}", a_candidate(number).digest, {})
        os.write(told, b".")


def test_a_worker_killed_at_any_moment_has_dealt_with_each_candidate_once_or_not_at_all(tmp_path: Path) -> None:
    before = 0
    for kill in range(1, 9):
        heard, told = os.pipe()
        worker = os.fork()
        if worker == 0:
            deal_on(tmp_path, told)
        os.close(told)
        with os.fdopen(heard, "rb") as words:
            acknowledged = len(words.read(20 * kill))
            os.kill(worker, signal.SIGKILL)
            os.waitpid(worker, 0)
            acknowledged += len(words.read())
        assert acknowledged >= 20 * kill, "it ended by itself"
        with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as stand:
            assert 0 <= stand.scored - before - acknowledged <= 1
            before = stand.scored
            assert (stand.cursor, stand.hits) == ({"position": before}, before)
            assert len(stand.owed) == len(stand.reported) == before
    assert [(n, digest, json.loads(losses)["m"], hits) for n, digest, losses, hits in rows(tmp_path)] == [
        (n, a_candidate(n).digest, n / 2, 1) for n in range(1, before + 1)
    ]


@pytest.mark.slow
def test_workers_killed_every_second_score_each_candidate_once() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.long.score_kill", "--short"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole: " in done.stdout


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as stand:
        with stand.step():
            stand.deal(a_candidate(1), {"m": float("nan")}, {"position": 1})
        with pytest.raises(TypeError), stand.step():
            stand.deal(a_candidate(2), {}, {"position": object()})
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as again:
        assert (again.scored, again.cursor) == (1, {"position": 1})
    assert [(n, losses) for n, _, losses, _ in rows(tmp_path)] == [(1, '{"m": null}')]


def test_what_a_candidate_gets_later_is_added_to_its_row(tmp_path: Path) -> None:
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as stand, stand.step():
        stand.deal(a_candidate(1), {"m": 1.5}, {"position": 1})
        stand.deal(a_candidate(1), {"m": float("nan"), "n": 2.5}, None)
        assert stand.scored == 1
    assert [json.loads(losses) for _, _, losses, _ in rows(tmp_path)] == [{"m": 1.5, "n": 2.5}]


def test_the_record_of_another_corpus_or_of_another_share_of_it_is_begun_anew_and_told_of(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"work_dir": str(tmp_path), "corpus": {"paths": ["a"]}}
    for other in (asked, asked | {"corpus": {"paths": ["b"]}}, asked | {"shard": [1, 2]}, asked | {"shard": [1, 3]}):
        told: list[str] = []
        with contextlib.closing(Stand.of(other, told.append)) as stand:
            assert (stand.scored, stand.cursor, ["begun anew" in t for t in told]) == (
                0,
                None,
                [True] * (other != asked),
            )
            with stand.step():
                stand.deal(a_candidate(1), {}, {"position": 1})
        with contextlib.closing(Stand.of(other)) as stand:
            assert stand.scored == 1
    assert len(rows(tmp_path)) == 1


def test_the_newest_rows_are_kept(tmp_path: Path) -> None:
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path), "kept": 5})) as stand:
        for number in range(1, 96):
            with stand.step():
                stand.deal(a_candidate(number), {}, {"position": number})
    assert [n for n, *_ in rows(tmp_path)] == list(range(71, 96))


def test_a_record_that_is_held_or_broken_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "_BUSY_S", 0.0)
    held = Stand.of({"work_dir": str(tmp_path)})
    with pytest.raises(JobError, match="Stop the other worker of this folder"):
        Stand.of({"work_dir": str(tmp_path)})
    held.close()
    (tmp_path / "record.sqlite3").write_bytes(b"something else " * 100)
    with pytest.raises(JobError, match="Move it away"):
        Stand.of({"work_dir": str(tmp_path)})


def test_the_first_hit_of_a_candidate_counts_for_its_source_whenever_it_comes(tmp_path: Path) -> None:
    along, across = [1.0, 1.0], [1.0, -1.0]
    model = BoardModel("m", "", "", 0, b"")

    def a_board(**targets: list[float]) -> Board:
        listed = tuple(BoardTarget(name, np.array(v, dtype=np.float32), ("m",)) for name, v in targets.items())
        return Board(1, 0.5, listed, {"m": model})

    sources = [{"kind": "lines", "path": str(tmp_path / name)} for name in ("a.txt", "b.txt")]
    for source in sources:
        Path(source["path"]).touch()
    asked = {"work_dir": str(tmp_path / "work"), "corpus": {"sources": sources}}
    out, learnt = io.StringIO(), list[str]()
    session = Session(Emitter(out))
    with contextlib.closing(Stand.of(asked)) as stand:
        hits = Hits(tmp_path / "work", session, stand, None, 1, learnt.append)
        with stand.step():
            hits.follow(a_board(first=along), {"m": "m"}, {"m": 2})
        for number, source, vector in ((1, "a.txt", along), (2, "b.txt", across)):
            path = tmp_path / f"{number}"
            path.write_bytes(a_candidate(number).data)
            candidate = Candidate(str(path), path.read_bytes(), a_candidate(number).digest, source)
            with stand.step():
                stand.deal(candidate, {"m": 1.0}, {"position": number})
                hits.deal(candidate, {"m": Score(1.0, np.array(vector, dtype=np.float32))})
        assert learnt == ["a.txt"]
        with stand.step():
            hits.follow(a_board(first=along, again=along, other=across), {"m": "m"}, {"m": 2})
        assert (stand.hits, learnt) == (3, ["a.txt", "b.txt"])
    assert [parse_message(line).body["target_id"] for line in out.getvalue().splitlines()] == [
        "first",
        "again",
        "other",
    ]
    with contextlib.closing(Stand.of(asked)) as stand:
        stand.cursor = None
        with contextlib.closing(stand.corpus(session)) as corpus:
            assert {name: share.hits for name, share in corpus.shares().items()} == {"a.txt": 1, "b.txt": 1}
