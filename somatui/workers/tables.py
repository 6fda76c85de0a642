"""The tables that a score worker tells beside its numbers, and how those of several workers become one; stdlib only.

`sources`: source, given, hits, ready (read ahead), dropped {reason: count}. `near`: name, target, distance, gap (to the
threshold). `gauges`: see `gauges.row`. Others, such as `plan` (says), are lists of small objects that screens show as
they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from somatui.workers.protocol import MOST_ROWS

MISSES = 10
Tables = dict[str, list[dict[str, Any]]]


def together(told: Iterable[Mapping[str, list[dict[str, Any]]]]) -> Tables:
    """What workers that share one corpus told, as if one had: counts add up, the nearest of each target stays."""
    sources: dict[str, dict[str, Any]] = {}
    near: dict[str, dict[str, Any]] = {}
    others: Tables = {}
    for tables in told:
        for name, rows in tables.items():
            for row in rows:
                if name == "sources":
                    _add(sources, row)
                elif name == "near":
                    known = near.setdefault(row["target"], row)
                    near[row["target"]] = min(known, row, key=lambda r: float(r["distance"]))
                else:
                    others.setdefault(name, []).append(row)
    first = sorted(near.values(), key=lambda r: float(r["distance"]))[:MISSES]
    found = {"sources": list(sources.values()), "near": first} | others
    return {name: rows[:MOST_ROWS] for name, rows in found.items() if rows}


def _add(sources: dict[str, dict[str, Any]], row: dict[str, Any]) -> None:
    before = sources.get(row["source"])
    if before is None:
        sources[row["source"]] = dict(row)
        return
    before |= {what: before[what] + row[what] for what in ("given", "hits", "ready")}
    before["dropped"] = dict(Counter(before["dropped"]) + Counter(row["dropped"]))
