"""A job's log is read by people: figures with their names, nothing of what only programs need."""

from __future__ import annotations

from pathlib import Path

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


def test_the_end_of_a_long_log_is_enough(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_text("".join(f"line {n}\n" for n in range(200_000)))
    assert tail(log, 2) == ["line 199998", "line 199999"]
