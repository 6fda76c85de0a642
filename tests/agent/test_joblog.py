"""A job's log is read by people: figures with their names, nothing of what only programs need."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.agent import joblog
from somatui.agent.joblog import readable, tail
from somatui.workers.protocol import Message


def line(kind: str, **body: object) -> str:
    return Message(1, 0, kind, body).to_line()  # type: ignore[arg-type]


def test_an_event_is_a_time_a_kind_and_its_figures() -> None:
    said = readable(line("metric", step=40, loss=4.76789, tokens_per_s=7_937.2))
    assert said is not None and said.endswith("metric      step 40  loss 4.768  tokens_per_s 7,937")
    hit = readable(line("hit", target_id="0x" + "7c" * 32, distance=0.5, embedding="A" * 90, models=[{"id": "0x1"}]))
    assert hit is not None and "AAAA" not in hit and "…" in hit and "distance 0.5" in hit
    assert (readable(line("failed", error="There is no corpus.")) or "").endswith("There is no corpus.")


def test_what_says_nothing_is_left_out_and_what_is_no_event_stays() -> None:
    assert readable(line("progress", done=0.5)) is None and readable(line("checkpoint", path="x")) is None
    assert readable("Traceback (most recent call last):") == "Traceback (most recent call last):"


def test_a_job_s_events_stay_within_bounds_and_its_hits_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblog, "MOST_KEPT", 5_000)
    for number in range(500):
        joblog.note(tmp_path, Message(number, 0, "metric", {"step": number}))
        joblog.note(tmp_path, Message(number, 0, "checkpoint", {"path": "x"}))
        if number % 100 == 0:
            joblog.note(tmp_path, Message(number, 0, "hit", {"target_id": f"0x{number}"}))
    assert [hit["target_id"] for hit in joblog.told_hits(tmp_path)] == [f"0x{n}" for n in range(0, 500, 100)]
    assert [line.split()[-1] for line in joblog.said(tmp_path, 80)] == [str(n) for n in range(420, 500)]
    assert sum(f.stat().st_size for f in tmp_path.glob("events*")) < 11_000


def test_what_a_worker_writes_to_standard_error_is_cut_to_its_end_while_it_writes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblog, "MOST_KEPT", 5_000)
    monkeypatch.setattr(joblog, "MOST_READ", 1_000)
    joblog.trim(tmp_path)
    with (tmp_path / "worker.log").open("ab", buffering=0) as written:
        for number in range(2_000):
            written.write(b"line %d\n" % number)
            joblog.trim(tmp_path)
    assert (tmp_path / "worker.log").stat().st_size < 6_000
    assert joblog.said(tmp_path, 2) == ["line 1998", "line 1999"]


def test_the_log_of_each_shard_s_worker_stays_within_the_same_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblog, "MOST_KEPT", 5_000)
    monkeypatch.setattr(joblog, "MOST_READ", 1_000)
    logs = [tmp_path / where / "worker.log" for where in ("shards/0", "shards/11", "node/1/0-of-2/shards/0")]
    for log in logs:
        log.parent.mkdir(parents=True)
        log.write_bytes(b"x" * 6_000 + b"the end\n")
    joblog.trim(tmp_path)
    assert [log.stat().st_size for log in logs] == [1_000] * 3
    assert all(log.read_bytes().endswith(b"xthe end\n") for log in logs)


def test_the_end_of_a_long_log_is_enough(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_text("".join(f"line {n}\n" for n in range(200_000)))
    assert tail(log, 2) == ["line 199998", "line 199999"]
