"""The console's empty frame, painted before Textual is loaded, so that the terminal answers at once.

Standard library only. What it paints stands where the real screen paints the same a moment later.
"""

from __future__ import annotations

import contextlib
import os
import sys
import termios
from typing import Any

from somatui.tui.colours import TABLES
from somatui.tui.offer import WIDTH, Line

GRID_FROM = (120, 36)
SETUP_SIZE = (92, 30)
UNKNOWN = (80, 24)
"""What a terminal that does not tell its size is taken for."""
PANES = ("Wallet", "Targets", "Models", "Epochs", "Jobs")
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l\x1b[2J", "\x1b[?1049l\x1b[?25h\x1b[0m"
Box = tuple[int, int, int, int, str]


class Frame:
    """The frame on the terminal, and the terminal as it was. Use `end` when the console has closed, however it did."""

    def __init__(
        self,
        words: str,
        network: str,
        theme: str,
        offered: list[Line] | None = None,
        *,
        setup: bool = False,
    ) -> None:
        self._file = sys.__stderr__
        self._before: list[Any] | None = None
        self.painted = False
        if self._file is None or not os.isatty(self._file.fileno()) or not os.isatty(0):
            return
        with contextlib.suppress(OSError, termios.error):
            size = os.get_terminal_size(self._file.fileno())
            columns, rows = size.columns or UNKNOWN[0], size.lines or UNKNOWN[1]
            self._hush()
            if setup:
                text = setup_frame(theme, columns, rows)
            elif offered is None:
                text = frame(words, network, theme, columns, rows)
            else:
                text = first_frame(theme, offered, columns, rows)
            self._file.write(ENTER + text)
            self._file.flush()
            self.painted = True

    def _hush(self) -> None:
        """Keep keys typed meanwhile for the console instead of showing them."""
        self._before = termios.tcgetattr(0)
        quiet = termios.tcgetattr(0)
        quiet[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(0, termios.TCSANOW, quiet)

    def end(self, *, crashed: bool) -> None:
        """Give the terminal back as it was."""
        if self._file is not None and self.painted and crashed:
            self._file.write(LEAVE)
            self._file.flush()
        if self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(0, termios.TCSADRAIN, self._before)


def boxes(columns: int, rows: int) -> list[Box]:
    """Where the panes' frames stand: x, y, width, height, title; all five side by side where there is room."""
    if columns < GRID_FROM[0] or rows < GRID_FROM[1]:
        return [(0, 2, columns, rows - 4, "1 Wallet")]
    height, left = rows - 3, columns * 2 // 5
    upper, lower = height * 5 // 14, height * 10 // 14
    return [
        (0, 1, left, upper, "1 Wallet"),
        (left, 1, columns - left, upper, "2 Targets"),
        (0, 1 + upper, left, lower - upper, "3 Models"),
        (left, 1 + upper, columns - left, lower - upper, "5 Jobs"),
        (0, 1 + lower, columns, height - lower, "4 Epochs"),
    ]


def frame(words: str, network: str, theme: str, columns: int, rows: int) -> str:
    """The frame as a terminal takes it: `words` on the colour named `network`, and the whole bar red on a main one."""
    pen = Pen(theme)
    name = pen.ink("on-network", f"network-{network}", bold=True) + f" {words} "
    on = ("on-network", "network-main") if network == "main" else ("foreground", "panel")
    bar = pen.ink(*on, bold=True) + " somatui ".ljust(columns)
    parts = [pen.at(0, 0) + bar + pen.at(9, 0) + name]
    plain = pen.ink("foreground", "background")
    parts += [pen.at(0, y) + plain + " " * columns for y in range(1, rows - 1)]
    found = boxes(columns, rows)
    if len(found) == 1:
        tabs = "   ".join(f"{n} {name}" for n, name in enumerate(PANES, 1))
        parts.append(pen.at(1, 1) + pen.ink("muted", "background") + tabs[: columns - 2])
    for number, (x, y, width, height, title) in enumerate(found):
        parts.append(pen.ink("primary" if number == 0 else "border-blurred", "background"))
        top = f"╭─ {title} ".ljust(width - 1, "─") + "╮"
        bottom = "╰" + "─" * (width - 2) + "╯"
        sides = [pen.at(x, y + n) + "│" + pen.at(x + width - 1, y + n) + "│" for n in range(1, height - 1)]
        parts += [pen.at(x, y), top, *sides, pen.at(x, y + height - 1), bottom]
    keys = " / filter  : act  ? help  q quit"
    parts.append(pen.at(0, rows - 1) + pen.ink("foreground", "panel") + keys[:columns].ljust(columns))
    return "".join(parts) + "\x1b[0m"


def first_frame(theme: str, offered: list[Line], columns: int, rows: int) -> str:
    """The first screen with its words, in the middle, as a terminal takes it."""
    pen = Pen(theme)
    plain, line = pen.ink("foreground", "background"), pen.ink("primary", "background")
    tones = {"": plain, "bold": pen.ink("foreground", "background", bold=True)}
    tones["key"] = pen.ink("primary", "background", bold=True)
    width, height = min(columns, WIDTH), len(offered) + 5
    x, y = (columns - width) // 2, max(0, (rows - height) // 2)
    parts = [pen.at(0, n) + plain + " " * columns for n in range(rows)]
    parts += [pen.at(x, y), line, "╭─ somatui ".ljust(width - 1, "─") + "╮"]
    for n in range(1, min(height, rows) - 1):
        parts += [pen.at(x, y + n), line, "│", pen.at(x + width - 1, y + n), "│"]
    parts += [pen.at(x, y + height - 1), "╰" + "─" * (width - 2) + "╯"] if height <= rows else []
    for n, pieces in enumerate(offered[: max(0, rows - 3)]):
        parts += [pen.at(x + 3, y + 2 + n), *(tones[tone] + text for text, tone in pieces)]
    return "".join(parts) + "\x1b[0m"


def setup_frame(theme: str, columns: int, rows: int) -> str:
    """The guided setup's frame, still empty, as a terminal takes it."""
    pen = Pen(theme)
    plain, line = pen.ink("foreground", "background"), pen.ink("primary", "background")
    width, height = min(columns, SETUP_SIZE[0]), min(rows, SETUP_SIZE[1])
    x, y = (columns - width) // 2, (rows - height) // 2
    parts = [pen.at(0, n) + plain + " " * columns for n in range(rows)]
    parts += [pen.at(x, y), line, "╭─ Setup ".ljust(width - 1, "─") + "╮"]
    parts += [pen.at(x, y + n) + "│" + pen.at(x + width - 1, y + n) + "│" for n in range(1, height - 1)]
    parts += [pen.at(x, y + height - 1), "╰" + "─" * (width - 2) + "╯"]
    return "".join(parts) + "\x1b[0m"


class Pen:
    """Colours as escape codes; none where the terminal or the operator wants none, so that only the words remain."""

    def __init__(self, theme: str) -> None:
        self._colours = TABLES.get(theme, TABLES["dark"])
        rich = os.environ.get("COLORTERM", "").lower() in ("truecolor", "24bit")
        self._plain = theme == "ansi" or not rich or bool(os.environ.get("NO_COLOR"))

    def at(self, x: int, y: int) -> str:
        """Move to a cell, counted from 0."""
        return f"\x1b[{y + 1};{x + 1}H"

    def ink(self, front: str, back: str, *, bold: bool = False) -> str:
        """Write in these colours from here on."""
        strong = "\x1b[0;1m" if bold else "\x1b[0m"
        if self._plain:
            return strong
        return strong + self._code(38, front) + self._code(48, back)

    def _code(self, kind: int, name: str) -> str:
        digits = self._colours.get(name, self._colours["foreground"])[1:]
        red, green, blue = (int(digits[n : n + 2], 16) for n in (0, 2, 4))
        return f"\x1b[{kind};2;{red};{green};{blue}m"
