"""Everything about one row, kept up to date while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from somatui.tui.format import Cell, cell, wrapped
from somatui.tui.panes.base import Detail, Line
from somatui.tui.screens.panel import Panel


class DetailScreen(Panel[None]):
    """What a pane tells of the row under its cursor."""

    width = 92

    def __init__(self, pane_name: str, pane: Any) -> None:
        super().__init__()
        self.title_text = pane_name.removesuffix("s").capitalize()
        self._pane = pane
        self._foot = self.foot_text

    def text(self) -> Line:
        """Lines that are painted one by one: a job tells something new twice a second."""
        return Line(id="text")

    def follow(self) -> None:
        """Ask the pane again."""
        told = self._pane.detail()
        for text in self.query("#text").results(Line):
            if told:
                text.say(*_lines(told, self.room), *self._pane.more(self.room))
        foot = self.foot_text if told else f"gone meanwhile: this was told last   {self.foot_text}"
        if foot != self._foot:
            self._foot = self.query_one("#frame").border_subtitle = foot


def _lines(pairs: Detail, room: int) -> Iterator[Cell]:
    """Names and values under each other; what does not fit beside its name goes on below itself."""
    wide = max((len(label) for label, _ in pairs), default=0)
    for label, value in pairs:
        first, *more = _wrapped(str(value), max(16, room - wide - 2))
        yield ((f"{label:<{wide}}  ", "muted"), (first, ""))
        yield from (cell(" " * (wide + 2) + line) for line in more)


def _wrapped(text: str, room: int) -> list[str]:
    return [line for part in text.split("\n") for line in wrapped(part, room) or [""]]
