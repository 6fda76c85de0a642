"""Everything about one row, kept up to date while it is open."""

from __future__ import annotations

import textwrap
from typing import Any

from textual.content import Content

from somatui.tui.panes.base import content_of
from somatui.tui.screens.panel import Panel, rows


class DetailScreen(Panel[None]):
    """What a pane tells of the row under its cursor."""

    width = 92

    def __init__(self, pane_name: str, pane: Any) -> None:
        super().__init__()
        self.title_text = pane_name.removesuffix("s").capitalize()
        self._pane = pane

    def follow(self) -> None:
        """Ask the pane again."""
        pairs = self._pane.detail()
        wide = max((len(label) for label, _ in pairs), default=0)
        room = max(16, self.room - wide - 2)
        told = rows([(label, "\n".join(_wrapped(str(value), room)), "") for label, value in pairs])
        self.put(Content("\n").join([told, *(content_of(line) for line in self._pane.more(self.room))]))


def _wrapped(text: str, room: int) -> list[str]:
    return [line for part in text.split("\n") for line in textwrap.wrap(part, room) or [""]]
