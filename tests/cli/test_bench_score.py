"""The bench of scoring, cut short: gates come first, every figure is there, and a wrong number voids its speed."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from somatui.cli.nouns import bench
from somatui.engine.bench.measure import Findings, in_turn, ratio

RATIOS = {
    "score.reload", "score.reload_same", "score.lazy", "score.resident_f32", "score.compose", "score.pad_tail",
    "score.pad_tail_exact", "sigreg", "load", "tokenise",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_bench_of_scoring_tells_gates_and_figures() -> None:
    words = [sys.executable, "-m", "somatui", "bench", "score", "--short", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert all(gate["passed"] for gate in document["gates"])
    found = {one["name"]: one for one in document["results"]}
    assert found.keys() == RATIOS | {
        "score.resident", "score.reload_same_bf16", "score.card", "sigreg.memory", "decrypt", "decrypt.checked",
    }  # fmt: skip
    assert all(found[name]["ratio"] > 0 and found[name]["gate"] for name in RATIOS)
    assert found["decrypt"]["unit"] == "GB/s"
    for name in ("score.resident", "score.reload_same_bf16"):
        assert "ratio" in found[name] or "bf16" in found[name]["skipped"]
    assert "value" in found["score.card"] or "no card" in found["score.card"]["skipped"]
    assert "same work ×" in found["score.reload"]["note"]
    assert document["model"]["rounds"] == document["machine"]["threads"] == 1
    assert not any("met" in one for one in found.values()), "a quick look judges nothing"


def test_a_speed_without_its_gate_is_void() -> None:
    found = Findings()
    found.gate("gate.right", off=(0.1, 0.2))
    found.gate("gate.wrong", off=(0.3, 0.2))
    found.gate("gate.lost", off=(float("nan"), 0.2))
    for gate in ("gate.right", "gate.wrong", "gate.lost", "gate.never", "gate.right gate.wrong"):
        found.figure(gate, gate, 12.345678, goal=10)
    right, *others = found.results
    assert (right["ratio"], right["met"]) == (12.35, True)
    assert all("void" in one and "ratio" not in one and "met" not in one for one in others)


def test_both_ways_take_turns_after_one_that_does_not_count() -> None:
    order: list[str] = []
    spent = in_turn({"a": lambda: order.append("a"), "b": lambda: order.append("b")}, 3)
    assert order == ["a", "b"] * 4
    assert {name: len(times) for name, times in spent.items()} == {"a": 3, "b": 3}
    assert ratio({"a": [2.0, 3.0, 9.0], "b": [1.0, 1.0, 1.0]}, "a", "b") == 3.0


def test_the_markdown_table_says_what_was_found_its_goal_and_whether_that_is_met(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = Findings()
    found.gate("gate.right", off=(0.1, 0.2))
    found.gate("gate.wrong", off=(0.3, 0.2))
    found.figure("compose", "gate.right", 38_041.2, goal=10_000, note="files")
    found.figure("card", "gate.right", 230.44, "chunks/s", goal=250)
    found.figure("plain", "gate.right", 6.7654)
    found.figure("spoilt", "gate.wrong", 9.9, goal=1)
    document = {"machine": {"cpus": 2}, "model": {"dim": 64}, "gates": found.gates, "results": found.results}
    monkeypatch.setattr(bench, "worker", lambda *_: document)
    answer = bench.score(argparse.Namespace(short=False, rounds=None, markdown=True))
    assert answer.text.splitlines() == [
        "| figure | beside the published packages | goal | met | what |",
        "|---|--:|--:|---|---|",
        "| compose | × 38,040 | ≥ 10,000 | met | files |",
        "| card | 230.4 chunks/s | ≥ 250 | NOT met |  |",
        "| plain | × 6.765 |  |  |  |",
        "| spoilt | – |  |  | void: gate.wrong has not passed |",
        "",
        "- machine: cpus 2",
        "- model: dim 64",
        "- gates: not passed: gate.wrong",
    ]
    assert (
        "38,040  ≥ 10,000: met  files" in bench.score(argparse.Namespace(short=False, rounds=None, markdown=False)).text
    )
