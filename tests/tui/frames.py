"""A bare application around panes or a table, which notes what it would have sent to a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widget import Widget

import somatui.tui
from somatui.tui.theme import THEMES

STYLES = Path(somatui.tui.__file__).with_name("panes.tcss")


class Frame(App[None]):
    """Shows widgets one below the other; `painted` collects the screen lines of each update sent."""

    CSS_PATH = STYLES

    def __init__(self, widgets: Iterable[Widget], theme: str = "dark") -> None:
        super().__init__()
        for each in THEMES.values():
            self.register_theme(each)
        self.theme = theme
        self._widgets = tuple(widgets)
        self.painted: list[set[int]] = []
        self.heard: list[object] = []

    def compose(self) -> ComposeResult:
        yield from self._widgets

    def on_pane_row_changed(self, event: Any) -> None:
        self.heard.append(event.pane.row)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if renderable is not None:
            spans = getattr(renderable, "spans", None)
            self.painted.append(set(range(self.size.height)) if spans is None else {y for y, _, _ in spans})
        super()._display(screen, renderable)

    def text(self) -> str:
        """What stands on the screen, without the blanks at the ends of lines."""
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)


@asynccontextmanager
async def framed(*widgets: Widget, width: int = 80, height: int = 24, theme: str = "dark") -> AsyncIterator[Any]:
    """Run the frame; gives the pilot, whose `app` is a Frame."""
    app = Frame(widgets, theme)
    async with app.run_test(size=(width, height)) as pilot:
        await pilot.pause()
        yield pilot


async def settle(pilot: Pilot[Any]) -> set[int]:
    """Wait until nothing is sent any more for three refreshes; gives the screen lines sent until then."""
    lines: set[int] = set()
    quiet = 0
    while quiet < 3:
        pilot.app.painted.clear()
        await pilot.pause(1 / 50)
        quiet = 0 if pilot.app.painted else quiet + 1
        lines.update(*pilot.app.painted)
    return lines


async def lines_painted(pilot: Pilot[Any], act: Callable[[], object]) -> set[int]:
    """Which screen lines are sent because of `act()`."""
    await settle(pilot)
    act()
    return await settle(pilot)
