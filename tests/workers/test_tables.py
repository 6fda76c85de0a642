"""Tables of several workers become those of one."""

from __future__ import annotations

from typing import Any

from somatui.workers.protocol import MOST_ROWS
from somatui.workers.tables import together


def source(name: str, given: int, hits: int, **dropped: int) -> dict[str, Any]:
    return {"source": name, "given": given, "hits": hits, "ready": 1, "dropped": dropped}


def miss(target: str, distance: float) -> dict[str, Any]:
    return {"name": "x", "target": target, "distance": distance, "gap": distance - 0.5}


def test_counts_add_up_the_nearest_stays_and_cards_stand_under_each_other() -> None:
    first = {"sources": [source("a", 3, 1, size=2)], "near": [miss("t", 0.7), miss("u", 0.9)], "gauges": [{"index": 0}]}
    second = {
        "sources": [source("a", 4, 0, size=1, empty=1), source("b", 1, 0)],
        "near": [miss("t", 0.6)],
        "gauges": [{"index": 1}],
    }
    assert together([first, second, {}]) == {
        "sources": [source("a", 7, 1, size=3, empty=1) | {"ready": 2}, source("b", 1, 0)],
        "near": [miss("t", 0.6), miss("u", 0.9)],
        "gauges": [{"index": 0}, {"index": 1}],
    }
    assert first["sources"][0]["given"] == 3


def test_however_many_workers_tell_a_table_stays_small() -> None:
    told = together({"sources": [source(f"{n}", 1, 0)], "near": [miss(f"{n}", n)], "plan": [{}]} for n in range(99))
    assert {name: len(rows) for name, rows in told.items()} == {"sources": MOST_ROWS, "near": 10, "plan": MOST_ROWS}
