"""Curves in text: a course of numbers as an area of block characters, eight steps a line; holds no state.

Blocks and not braille dots: every terminal font has them, and eight steps a line show what a flat end still does.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from somatui.tui.format import Cell, number

_STEPS = " ▁▂▃▄▅▆▇█"
_BODY = "░"


def resample(values: Sequence[float], points: int) -> list[float]:
    """At most `points` values: each the mean of its share, so that no part of the course is left out."""
    if len(values) <= points:
        return list(values)
    edges = [i * len(values) // points for i in range(points + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:], strict=False)]


def smoothed(values: Sequence[float], most: int = 12) -> list[float]:
    """Each value as the mean of itself and those just before it: an eighth of the course, `most` values at most."""
    window = max(1, min(most, len(values) // 8))
    spans = [values[max(0, i + 1 - window) : i + 1] for i in range(len(values))]
    return [sum(span) / len(span) for span in spans]


def area(values: Sequence[float], width: int, height: int) -> list[str]:
    """`height` lines of `width` cells, one value a cell: a crest of blocks over a shaded body.

    The least is one step high; a short course fills its part of the width.
    """
    if not values or width < 1 or height < 1:
        return [" " * max(0, width)] * max(0, height)
    points = resample(values, width)
    least, reach = min(points), max(points) - min(points)
    levels = [1 + round((p - least) / reach * (8 * height - 1)) if reach else 4 * height for p in points]
    lines = ["".join(_step(level - 8 * row) for level in levels) for row in range(height)]
    return [line.ljust(width) for line in reversed(lines)]


def _step(left: int) -> str:
    return _BODY if left > 8 else _STEPS[max(0, left)]


def _toned(line: str) -> Cell:
    parts = groupby(line, key=lambda character: character == _BODY)
    return tuple(("".join(run), "muted" if body else "accent") for body, run in parts)


def curve(values: Sequence[float], width: int, height: int, decimals: int = 3) -> tuple[Cell, ...]:
    """The course with its greatest value beside the top line and its least beside the bottom one."""
    if not values or height < 2:
        return ()
    marks = [number(max(values), decimals), *[""] * (height - 2), number(min(values), decimals)]
    room = max(len(m) for m in marks)
    lines = area(values, width - room - 2, height)
    return tuple(
        ((f"{mark:>{room}} {'┤' if mark else '│'}", "muted"), *_toned(line))
        for mark, line in zip(marks, lines, strict=True)
    )
