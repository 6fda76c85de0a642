"""Measuring: processor time of two ways in turn, the median of their ratios, and memory that a call adds."""

from __future__ import annotations

import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Way = Callable[[], object]


@dataclass(slots=True)
class Findings:
    """Gates and figures by name, in the shape that every bench prints."""

    gates: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)

    def gate(self, name: str, **differences: tuple[float, float]) -> None:
        """Keep a gate: what differs, by how much, and by how much it may; not a number is out of bounds."""
        passed = all(found <= most for found, most in differences.values())
        told = {what: {"found": found, "most": most} for what, (found, most) in differences.items()}
        self.gates.append({"name": name, "passed": passed} | told)

    def figure(
        self, name: str, gate: str, value: float, unit: str = "", goal: float | None = None, note: str = ""
    ) -> None:
        """Keep a figure, a ratio if it has no unit; it is void unless its gate, or each of several, has passed."""
        passed = all(any(g["name"] == one and g["passed"] for g in self.gates) for one in gate.split())
        told: dict[str, Any] = {"name": name, "gate": gate}
        if not passed:
            told["void"] = f"{gate} has not passed"
        elif unit:
            told |= {"value": _rounded(value), "unit": unit}
        else:
            told["ratio"] = _rounded(value)
        if passed and goal is not None:
            told |= {"goal": goal, "met": value >= goal}
        self.results.append(told | ({"note": note} if note else {}))

    def unjudged(self) -> None:
        """Forget the goals: what was measured in a hurry meets none and misses none."""
        for one in self.results:
            one.pop("goal", None)
            one.pop("met", None)

    def skip(self, name: str, why: str) -> None:
        """Keep the reason why a figure is missing."""
        self.results.append({"name": name, "skipped": why})


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def in_turn(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each way in each round, once through all of them a round, after one that does not count.

    Processor time of all threads, not the clock's: what else runs on the machine then matters little. A single round
    is a quick look and counts as it is.
    """
    for way in ways.values() if rounds > 1 else ():
        way()
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()
            began = time.process_time()
            way()
            spent[name].append(max(time.process_time() - began, 1e-9))
    return spent


def ratio(spent: Mapping[str, list[float]], theirs: str, ours: str) -> float:
    """The median over rounds of how many times as long theirs takes."""
    return statistics.median(t / o for t, o in zip(spent[theirs], spent[ours], strict=True))


def peak_bytes(way: Way) -> int | None:
    """The most memory that a call adds to the process while it runs; None where the system does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if sys.platform != "linux":
        return None
    way()
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    try:
        reset.write_text("5")
        before = _kilobytes(status, "VmRSS")
        way()
        return 1024 * max(0, _kilobytes(status, "VmHWM") - before)
    except OSError:
        return None


def _kilobytes(status: Path, name: str) -> int:
    line = next(line for line in status.read_text().splitlines() if line.startswith(name + ":"))
    return int(line.split()[1])
