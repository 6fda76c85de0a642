"""What a job tells, in words and rows: the jobs pane, its detail and `somatui jobs show` say the same by it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from somatui.domain.deadline import coarse
from somatui.domain.ids import tiny
from somatui.domain.snapshot import JobView

GB = 1_000_000_000
SENT = {"done": "sent", "submitted": "sent", "lost": "lost", "failed": "failed", "refused": "refused"}
"""How submissions of a score job end; the agent counts them beside the worker's own metrics."""
WAITING = "waiting"
"""How many of them are still to be submitted."""
MOMENTARY = frozenset({
    "candidates_per_s", "chunks_per_s", "tokens_per_s", "mb_per_s", "peak_share", "ready", "under_way", "best_hour",
    "cover_s", "left_s",
})  # fmt: skip
"""Metrics that are so only while a worker tells them: the next one begins without."""
_SHOWN = frozenset({
    "candidates_per_s", "chunks_per_s", "tokens_per_s", "mb_per_s", "peak_share", "scored", "hits", "best_distance",
    "best_hour", "ready", "under_way", "owed", "targets", "covered", "cover_s", "left_s", "step", "steps", "loss",
    "dropped", "shards", "shards_live", "parked", "screen_worst_loss", "screen_worst_distance",
})  # fmt: skip
"""Metrics that a group tells; others are told by their names."""
_LEFT_OUT = "dropped_"
Texts = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under the names of columns; a name that begins with `>` is set to the right."""

    name: str
    columns: Texts
    rows: tuple[Texts, ...]


def count(value: float) -> str:
    """A whole number with its thousands apart: `61,220`."""
    return f"{value:,.0f}"


def many(value: float, what: str) -> str:
    """`1 hit`, `2 hits`."""
    return f"{count(value)} {what}{'' if value == 1 else 's'}"


def rate(value: float) -> str:
    """Something a second, with three figures or so: `24.1`, `6.1k`."""
    if value >= 999.5:
        return f"{value / 1000:,.1f}k"
    return f"{value:.{0 if value >= 99.95 else 1 if value >= 0.95 or not value else 2}f}"


def title(name: str) -> str:
    """A candidate's name for people: its file's, without the digest that ends the name of one kept by `corpora`."""
    return _flat(re.sub(r"-[0-9a-f]{24}$", "", PurePath(name).name))


def left(job: JobView) -> str | None:
    """About how long it still takes, None where nothing says so."""
    if job.state != "running" or not job.done or job.done >= 1.0:
        return None
    told = job.metrics.get("left_s")
    return None if told is None else f"{coarse(int(told * 1000))} left"


def groups(job: JobView) -> tuple[tuple[str, Texts], ...]:
    """What it tells by subject, each subject with its texts; those that have nothing to say are left out."""
    m = job.metrics
    sent = SENT | {WAITING: WAITING} if job.kind == "score" else {}
    told = (
        ("done", _texts(None if job.done is None else f"{int(job.done * 100 + 1e-9)}%", left(job))),
        ("found", found(job)),
        ("speed", speed(job)),
        ("queue", queue(job)),
        ("coverage", coverage(job)),
        ("sent", tuple(f"{count(m[name])} {word}" for name, word in sent.items() if m.get(name))),
        ("left out", _left_out({n.removeprefix(_LEFT_OUT): v for n, v in m.items() if n.startswith(_LEFT_OUT)})),
        ("shards", _shards(m)),
        ("screening", _screening(m)),
    )
    others = ((n.replace("_per_s", "/s").replace("_", " "), (f"{v:,.6g}",)) for n, v in m.items()
              if n not in _SHOWN and n not in sent and not n.startswith(_LEFT_OUT))  # fmt: skip
    return tuple((name, texts) for name, texts in (*told, *others) if texts)


def found(job: JobView) -> Texts:
    """What it has come to: steps and loss, or candidates, hits and how near they were."""
    m = job.metrics
    return _texts(
        f"step {count(m['step'])}/{count(m['steps'])}" if "step" in m and "steps" in m else None,
        f"loss {m['loss']:.4f}" if "loss" in m else None,
        f"{count(m['scored'])} scored" if "scored" in m else None,
        many(m["hits"], "hit") if "hits" in m else None,
        f"best {m['best_distance']:.4f}" if "best_distance" in m else None,
        f"this hour {m['best_hour']:.4f}" if "best_hour" in m and job.state == "running" else None,
    )


def speed(job: JobView) -> Texts:
    """How fast it is, while it is at it."""
    if job.state != "running":
        return ()
    m = job.metrics
    units = (("chunks_per_s", " chunks/s"), ("candidates_per_s", " candidates/s"), ("tokens_per_s", " tokens/s"),
             ("mb_per_s", " MB/s"))  # fmt: skip
    rates = [f"{rate(m[name])}{unit}" for name, unit in units if name in m]
    return _texts(*rates[:1], f"{m['peak_share'] * 100:.0f}% of peak" if "peak_share" in m else None, *rates[1:])


def queue(job: JobView) -> Texts:
    """Candidates that wait: read ahead, under way through the models, and those that lack models."""
    if job.state != "running" or "under_way" not in job.metrics:
        return ()
    m = job.metrics
    return (f"{count(m.get('ready', 0))} read ahead", f"{count(m['under_way'])} under way",
            f"{count(m.get('owed', 0))} to come back to")  # fmt: skip


def coverage(job: JobView) -> Texts:
    """For how many open targets a candidate is near enough, and about when nine in ten have one."""
    m = job.metrics
    if not m.get("targets"):
        return ()
    soon = f"90% in {_about(m['cover_s'])}" if "cover_s" in m and job.state == "running" else None
    return _texts(f"{count(m.get('covered', 0))} of {count(m['targets'])} targets covered", soon)


def tables(job: JobView) -> tuple[Table, ...]:
    """What it tells in rows: cards, sources, nearest misses, and whatever else its worker tells, as it is."""
    made = []
    for name in (*(n for n in _KNOWN if n in job.tables), *(n for n in job.tables if n not in _KNOWN)):
        rows = job.tables[name]
        if not rows or (name == "gauges" and job.state != "running"):
            continue
        columns, of = _KNOWN.get(name, (tuple(rows[0]), lambda row: tuple(str(v) for v in row.values())))
        try:
            made.append(Table(name, columns, tuple(of(row) for row in rows)))
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
    return tuple(made)


def _flat(text: str) -> str:
    """A name in one line, whatever it is made of."""
    return " ".join(text.split())


def _about(seconds: float) -> str:
    told = coarse(int(seconds * 1000))
    return told if told[0] == "<" else f"about {told}"


def _texts(*texts: str | None) -> Texts:
    return tuple(text for text in texts if text)


def _left_out(reasons: Mapping[str, float]) -> Texts:
    most_first = sorted(reasons.items(), key=lambda item: -item[1])
    return tuple(f"{count(n)} {why.replace('_', ' ')}" for why, n in most_first if n)


def _shards(m: Mapping[str, float]) -> Texts:
    if "shards" not in m:
        return ()
    parked = f"{count(m['parked'])} parked" if m.get("parked") else None
    return _texts(f"{count(m.get('shards_live', 0))} of {count(m['shards'])} shards at work", parked)


def _screening(m: Mapping[str, float]) -> Texts:
    return _texts(*(
        f"{what} off by {m[name]:.2g} at most" if name in m else None
        for name, what in (("screen_worst_loss", "loss"), ("screen_worst_distance", "distance"))
    ))  # fmt: skip


def _source(row: Mapping[str, Any]) -> Texts:
    given, hits = row["given"], row["hits"]
    share = 100 * hits / given if given else 0.0
    shown = f"{share:.{1 if share >= 10 else 2}f}%" if given else "–"
    return (_flat(str(row["source"])), count(given), count(hits), shown, ", ".join(_left_out(row["dropped"])) or "–")


def _miss(row: Mapping[str, Any]) -> Texts:
    return (title(str(row["name"])), f"{row['distance']:.4f}", f"{row['gap']:+.4f}", tiny(str(row["target"])))


def _card(row: Mapping[str, Any]) -> Texts:
    def told(name: str, text: str, factor: float = 1) -> str:
        return text.format(row[name] / factor) if name in row else "–"

    most = told("most_watts", "/{:.0f}")
    return (
        f"{row['card']} #{row['index']}", told("busy", "{:.0f}%"),
        f"{told('used', '{:.1f}', GB)}/{told('memory', '{:.0f} GB', GB)}", told("celsius", "{:.0f}°C"),
        f"{told('watts', '{:.0f}')}{'' if most == '–' else most} W", str(row.get("slowed") or "–"),
    )  # fmt: skip


_KNOWN: dict[str, Any] = {
    "gauges": (("card", ">busy", ">memory", ">temp", ">power", "slowed by"), _card),
    "sources": (("source", ">given", ">hits", ">hit rate", "left out"), _source),
    "near": (("nearest miss", ">distance", ">gap", "target"), _miss),
    "plan": (("screening",), lambda row: (_flat(str(row["says"])),)),
}
"""By table: its columns, and what a row says under them."""
