"""How values look: cells of toned text, amounts, lengths of time, sizes, bars, lines; holds no state."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from typing import Any

from somatui.domain.deadline import coarse as coarse
from somatui.domain.figures import count as count
from somatui.domain.figures import many as many
from somatui.domain.ids import short
from somatui.domain.ids import tiny as tiny
from somatui.domain.money import soma
from somatui.domain.snapshot import Duty

Span = tuple[str, str]
"""A piece of text and its tone, one of `TONES` or "" for plain."""
Cell = tuple[Span, ...]

TONES = ("good", "warn", "bad", "muted", "accent", "money", "strong")
NOTHING: Cell = (("–", "muted"),)

_AMOUNT = re.compile(r"(?<=\d) (?=\d{3}\b|SOMA\b)")
_EIGHTHS = "▁▂▃▄▅▆▇█"
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def cell(text: str, tone: str = "") -> Cell:
    """One piece of text in one tone."""
    return ((text, tone),)


def wrapped(text: str, room: int, **how: Any) -> list[str]:
    """`text` in lines of at most `room` letters; an amount's groups of digits and its unit stay in one line."""
    held = _AMOUNT.sub("\u00a0", text)
    return [line.replace("\u00a0", " ") for line in textwrap.wrap(held, room, **how)]


def plain(content: Cell) -> str:
    """The text of a cell without its tones."""
    return "".join(text for text, _ in content)


def joined(parts: Iterable[Cell], gap: str = " ") -> Cell:
    """Cells one after another, the empty ones left out."""
    found: list[Span] = []
    for part in parts:
        if part:
            if found:
                found.append((gap, ""))
            found.extend(part)
    return tuple(found)


def amount(shannons: int, decimals: int = 4, *, sign: bool = False, tone: str = "") -> Cell:
    """SOMA cut at `decimals`, for a right-aligned column; nothing at all is muted."""
    return cell(soma(shannons, decimals, sign=sign).replace("-", "−"), tone if shannons else "muted")


def amount_exact(shannons: int, *, sign: bool = False, tone: str = "") -> Cell:
    """SOMA with all nine decimals, those past the fourth muted, so that amounts align and the eye finds the sum."""
    text = soma(shannons, 9, sign=sign).replace("-", "−")
    head, tail = text[:-5], text[-5:]
    return ((head, tone if shannons else "muted"), (tail, "muted" if not int(tail) or abs(shannons) >= 10**5 else tone))


def number(value: float, decimals: int = 4, *, sign: bool = False) -> str:
    """A distance, threshold or loss with fixed decimals and a true minus sign."""
    text = f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}"
    return text.replace("-", "−")


def percent(fraction: float) -> str:
    """`0.874` as `87%`, cut so that 100% means all of it."""
    return f"{int(fraction * 100 + 1e-9)}%"


def bytes_text(size: int) -> str:
    """A size in the largest unit that fits: `4.84 GB`."""
    for unit, factor in _UNITS:
        if size >= factor:
            return f"{size / factor:.{2 if size < 10 * factor else 1}f} {unit}"
    return f"{size} B"


def bar(fraction: float, width: int) -> Cell:
    """A bar that reads without colour: heavy for what is done, light for what is left."""
    full = round(min(1.0, max(0.0, fraction)) * width)
    return (("━" * full, "accent"), ("─" * (width - full), "muted"))


def sparkline(values: Iterable[float], width: int) -> str:
    """The newest `width` values as blocks between their least and greatest."""
    shown = list(values)[-width:]
    if not shown:
        return ""
    least, most = min(shown), max(shown)
    reach = (most - least) or 1.0
    return "".join(_EIGHTHS[min(7, int((v - least) / reach * 8))] for v in shown)


def due(duty: Duty) -> Cell:
    """How a duty stands: armed, by hand, or what is wrong, in the tone of its weight."""
    if duty.armed:
        return cell(f"✓ {duty.note or 'armed'}", "good")
    tone = {"bad": "bad", "warn": "warn", "info": ""}[duty.severity]
    return cell(f"! {duty.note or 'by hand'}" if tone else duty.note or "by hand", tone)


def named(identifier: str, label: str = "", *, mine: bool = False) -> Cell:
    """A model by its label, or by its short id, with a star when it is the operator's own."""
    return ((label or short(identifier), "strong" if mine else ""), *(((" ★", "accent"),) if mine else ()))
