"""The recordings of the real node played on the practice network: equal, and able to tell when they are not."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import pytest

from tests.practice import replay
from tests.practice.replaying.tape import METHODS
from tests.recordings import NODE

EXECUTE = "/soma.rpc.TransactionExecutionService/ExecuteTransaction"


def _copy(name: str, to: Path, change: bool) -> None:
    """The first part of a recording; with `change` one shannon more of the first fee."""
    answer = METHODS[EXECUTE].response
    with gzip.open(NODE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines, gzip.open(to, "wt") as out:
        for number, line in enumerate(lines):
            if number > 150:
                return
            found = json.loads(line)
            if change and found.get("rpc") == EXECUTE and "response" in found:
                told = answer.FromString(base64.b64decode(found["response"]))
                told.transaction.effects.fee.base_fee += 1
                found["response"] = base64.b64encode(told.SerializeToString()).decode()
                change = False
            out.write(json.dumps(found) + "\n")


def test_a_recording_with_one_changed_fee_fails_and_the_same_without_does_not(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.jsonl.gz", tmp_path / "bad.jsonl.gz"
    _copy("lanes", good, change=False)
    _copy("lanes", bad, change=True)
    assert replay.main([str(good)]) == 0
    outcome = replay.replay(bad)
    assert sum(t.unintended for t in outcome.tallies.values()) == 1
    assert "fee.base_fee: ours 1000, recorded 1001" in outcome.found[0]
    assert replay.report(outcome) == 1


def test_epochs_that_end_by_the_clock_are_equal() -> None:
    outcome = replay.replay(NODE / "clock.jsonl.gz")
    assert outcome.found == []
    assert outcome.tallies["ExecuteTransaction"].compared == 13


@pytest.mark.slow
def test_every_recording_is_equal_but_for_what_is_meant(capsys: pytest.CaptureFixture[str]) -> None:
    assert replay.main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "unintended=0"
