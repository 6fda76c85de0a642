"""One job drawn in lines: its figures, its tables and its course, as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest

from rich.cells import cell_len

from somatui.domain import figures
from somatui.domain.figures import Table
from somatui.domain.snapshot import JobView
from somatui.tui.chart import curve, smoothed
from somatui.tui.format import Cell, cell
from somatui.tui.table import GAP, Column, cut, fit

_SHAPES = {
    "sources": (
        Column("SOURCE", 9, grow=15), Column("GIVEN", 7, right=True), Column("HITS", 4, right=True),
        Column("HIT RATE", 8, right=True), Column("LEFT OUT", 8, rank=1, grow=42),
    ),
    "near": (
        Column("NEAREST MISS", 12, grow=28), Column("DISTANCE", 8, right=True), Column("GAP", 7, right=True),
        Column("TARGET", 6, rank=1),
    ),
    "gauges": (
        Column("CARD", 10, grow=10), Column("BUSY", 4, right=True), Column("MEMORY", 12, right=True),
        Column("TEMP", 5, right=True), Column("POWER", 9, right=True), Column("SLOWED BY", 9, rank=1, grow=30),
    ),
}  # fmt: skip
"""How wide the known tables are: fixed, so that a number that grows moves nothing."""
_TONES = {"left out": "muted", "target": "muted", ">gap": "muted"}
_BESIDE = 92
"""Cells from which sources and nearest misses stand side by side."""
_BETWEEN = 3
_CARDS = 2
_CURVE, _WORDS = 6, 2
_TITLE = 16
"""Cells that a job's title has at least."""


def below(job: JobView, width: int, room: int) -> list[Cell]:
    """At most `room` lines: a rule with what it has found, how fast it is, its tables, its course, its last words."""
    tables = figures.tables(job)
    told = [_heading(job, width), *_live(job, tables, width)][:room]
    words = [cell(f"✗ {job.error}", "bad")] if job.error else []
    words += [cell(f"  {line}", "muted") for line in job.last_lines]
    rest = [t for t in tables if t.name != "gauges"]
    if rest:
        left = room - len(told)
        spoken = max(min(len(words), _WORDS, (left - 3) // 2), min(1, left) if job.error else 0)
        told += _blocks(rest, width, left - spoken)
    high = min(_CURVE, room - len(told) - min(len(words), 5))
    if len(job.history) > 1 and high >= 2:
        training = job.kind == "train"
        told += curve(smoothed(job.history) if training else job.history, min(width, 120), high, 3 if training else 4)
    left = room - len(told)
    shown = words[:1] + words[1:][-(left - 1) :] if job.error and left > 1 else words[-left:] if left else []
    return told + [cut(line, width) for line in shown]


def whole(job: JobView, width: int) -> list[Cell]:
    """Every table and the last words."""
    told: list[Cell] = []
    for table in figures.tables(job):
        told += [(), *_drawn(table, width, len(table.rows))]
    return told + ([(), *(cell(line, "muted") for line in job.last_lines)] if job.last_lines else [])


def _heading(job: JobView, width: int) -> Cell:
    texts = figures.found(job) if job.kind != "train" else figures.found(job)[:1]
    if job.kind == "train" and (left := figures.left(job)):
        texts += (left,)
    while texts and width - 4 - sum(len(text) + 2 for text in texts) < _TITLE:
        texts = texts[:-1]
    said, used = _said(texts), sum(len(text) + 2 for text in texts)
    title = cut(cell(job.title or job.id, "strong"), max(_TITLE, width - 4 - used))
    rule = "─" * max(0, width - 4 - sum(cell_len(t) for t, _ in title) - used)
    return (("── ", "muted"), *title, ("  " if texts else "", ""), *said, (f" {rule}", "muted"))


def _said(texts: Iterable[str]) -> Cell:
    """Figures in a line: numbers plain, the words beside them muted."""
    words = "  ".join(texts).split(" ")
    return tuple(
        (f"{' ' if n else ''}{w}", "" if any(c.isdigit() for c in w) else "muted") for n, w in enumerate(words)
    )


def _within(texts: tuple[str, ...], width: int) -> Cell:
    """As many of the figures as fit whole, and … for the others."""
    shown = texts
    for kept in range(len(texts) - 1, 0, -1):
        if len("  ".join(shown)) <= width:
            break
        shown = (*texts[:kept], "…")
    return cut(_said(shown), width)


def _live(job: JobView, tables: tuple[Table, ...], width: int) -> list[Cell]:
    """Speed and queue, what is left and coverage, shards, cards: a line each where there is something to say."""
    if job.kind == "train":
        return []
    groups = dict(figures.groups(job))
    first = (*(t for t in figures.speed(job) if "candidates" not in t), *figures.queue(job))
    left = figures.left(job)
    second = (*((left,) if left else ()), *groups.get("coverage", ()), *groups.get("sent", ()))
    lines = [_within(texts, width) for texts in (first, second, groups.get("shards", ())) if texts]
    for table in tables:
        if table.name == "gauges":
            lines += [_card(row, width) for row in table.rows[:_CARDS]]
            if (more := len(table.rows) - _CARDS) > 0:
                lines.append(cell(f"and {more} more cards: enter shows them", "muted"))
    return lines


def _card(row: tuple[str, ...], width: int) -> Cell:
    *told, slowed = row
    warning = (("  slowed by ", "warn"), (slowed, "warn")) if slowed != "–" else ()
    return cut((("  ".join(told), ""), *warning), width)


def _blocks(tables: list[Table], width: int, room: int) -> list[Cell]:
    """Sources and nearest misses side by side where there is room, else one below the other."""
    if room < 2:
        return []
    names = [table.name for table in tables]
    if width >= _BESIDE and names[:2] == ["sources", "near"]:
        first = (width - _BETWEEN) * 53 // 100
        one = _drawn(tables[0], first, room - 1)
        other = _drawn(tables[1], width - _BETWEEN - first, room - 1)
        told = [_beside(a, b, first) for a, b in zip_longest(one, other, fillvalue=())]
        return told + _blocks(tables[2:], width, room - len(told)) if tables[2:] else told
    told = []
    for number, table in enumerate(tables):
        left, after = room - len(told), tables[number + 1 :]
        kept = sum(min(1 + len(t.rows), left // (len(after) + 1)) for t in after) if left >= 2 * len(after) + 2 else 0
        told += _drawn(table, width, left - kept - 1) if left - kept > 1 else []
    return told


def _beside(one: Cell, other: Cell, width: int) -> Cell:
    used = sum(cell_len(text) for text, _ in one)
    return (*one, (" " * (width - used + _BETWEEN), ""), *other)


def _drawn(table: Table, width: int, most: int) -> list[Cell]:
    """The headings and at most so many rows."""
    columns = _SHAPES.get(table.name) or _shape(table)
    seen = fit(columns, width)
    tones = [_TONES.get(name, "") for name in table.columns]
    heads = [cell(c.title, "muted") for c in columns]
    rows = [[cell(text, _tone(name, text, tone)) for name, text, tone in zip(table.columns, row, tones, strict=False)]
            for row in table.rows[:most]]  # fmt: skip
    return [_row(line, columns, seen, width) for line in (heads, *rows)]


def _tone(name: str, text: str, tone: str) -> str:
    if name == ">hits" and text != "0":
        return "good"
    return "warn" if name == "slowed by" and text != "–" else tone


def _shape(table: Table) -> tuple[Column, ...]:
    texts = zip(table.columns, *table.rows, strict=False)
    return tuple(Column(name.lstrip(">").upper(), max(len(t) for t in (name, *rows)), right=name[0] == ">")
                 for name, *rows in texts)  # fmt: skip


def _row(cells: list[Cell], columns: tuple[Column, ...], seen: tuple[tuple[int, int], ...], width: int) -> Cell:
    parts: list[tuple[str, str]] = []
    for number, (i, room) in enumerate(seen):
        shown = cut(cells[i], room)
        blank = " " * (room - sum(cell_len(text) for text, _ in shown))
        gap = ((" " * GAP, ""),) if number else ()
        parts += (*gap, (blank, ""), *shown) if columns[i].right else (*gap, *shown, (blank, ""))
    return cut(tuple(parts), width)
