"""What all panes share: a frame with a title, lines of text, one table; what they show is left to each of them."""

from __future__ import annotations

from typing import ClassVar, Self

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from somatui.domain.snapshot import Snapshot
from somatui.tui.format import Cell
from somatui.tui.table import Column, KeyedTable, Row

Detail = list[tuple[str, str]]
"""What `enter` shows of a row: names and values, in order; a row with an empty name is free text."""

UNKNOWN: Cell = (("  not known yet", "muted"),)
"""What a title says before the network has answered for the first time."""

_STYLES = {
    "": "",
    "good": "$good",
    "warn": "$warn",
    "bad": "$bad",
    "muted": "$muted",
    "accent": "$primary",
    "money": "$money",
    "strong": "bold",
}


def content_of(said: Cell) -> Content:
    """Toned text as Textual renders it, in the theme's own colours."""
    return Content.assemble(*((text, _STYLES[tone]) for text, tone in said))


class Line(Widget):
    """One or more lines of toned text, each painted only when it says something else."""

    DEFAULT_CSS = "Line { height: auto; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._said: tuple[Cell, ...] = ()

    @property
    def said(self) -> str:
        """The text without its tones."""
        return "\n".join("".join(text for text, _ in line) for line in self._said)

    def say(self, *lines: Cell) -> None:
        """Show these lines; nothing happens when they are shown already."""
        if lines == self._said:
            return
        before, self._said = self._said, lines
        # A line that goes on below itself, for want of room, moves those after it: then none stands in its own place.
        if len(lines) != len(before) or self.size.height != len(before):
            self.refresh(layout=True)
            return
        changed = (y for y, (old, new) in enumerate(zip(before, lines, strict=True)) if old != new)
        self.refresh(*(Region(0, y, self.size.width, 1) for y in changed))

    def render(self) -> Content:
        """The lines in the theme's colours."""
        return Content("\n").join(content_of(line) for line in self._said)


class Pane(Vertical, can_focus=False):
    """One part of the Snapshot on the screen: a few lines, and a table whose cursor says what an act is about."""

    NAME: ClassVar[str]
    NUMBER: ClassVar[int]
    COLUMNS: ClassVar[tuple[Column, ...]]

    class RowChanged(Message):
        """The cursor of a pane stands on another row."""

        def __init__(self, pane: Pane) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self) -> None:
        super().__init__(name=self.NAME, id=f"pane-{self.NAME}", classes="pane")
        self.table = KeyedTable(self.COLUMNS)
        self.snapshot: Snapshot | None = None
        self.now_ms = 0
        self._title: Cell = ()

    def compose(self) -> ComposeResult:
        """The lines above the table, the table, the lines below it."""
        yield from self.above()
        yield self.table
        yield from self.below()

    def above(self) -> list[Widget]:
        """Widgets above the table."""
        return []

    def below(self) -> list[Widget]:
        """Widgets below the table."""
        return []

    @property
    def row(self) -> str | None:
        """The id of what the cursor stands on, as actions understand it."""
        return self.table.cursor

    def show(self, snapshot: Snapshot, now_ms: int, changed: frozenset[str] = frozenset()) -> None:
        """Show this picture; what it says already is left alone. `changed` is a hint and may be empty."""
        self.snapshot, self.now_ms = snapshot, now_ms
        self.table.show_rows(self.rows(snapshot, now_ms), self.empty(snapshot, now_ms))
        self.tell(snapshot, now_ms)
        self._frame()

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """The table's rows."""
        raise NotImplementedError

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """What to do when there are no rows, in one sentence with its key."""
        raise NotImplementedError

    def tell(self, snapshot: Snapshot, now_ms: int) -> None:
        """Say what stands outside the table."""

    def title(self, snapshot: Snapshot) -> Cell:
        """What stands in the frame behind the pane's name: what is the same for all rows."""
        return ()

    def detail(self) -> Detail:
        """Everything about the row under the cursor; [] when there is none."""
        return []

    def more(self, width: int) -> list[Cell]:
        """Lines of at most `width` cells that follow the detail."""
        return []

    def filter(self, text: str) -> None:
        """Show only rows that match."""
        self.table.set_filter(text)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Give the focus to the table."""
        self.table.focus(scroll_visible)
        return self

    def on_keyed_table_moved(self, event: KeyedTable.Moved) -> None:
        """Pass on that another row is meant."""
        event.stop()
        self.row_moved()
        self.post_message(self.RowChanged(self))

    def on_keyed_table_arranged(self, event: KeyedTable.Arranged) -> None:
        """Say in the frame how many rows are left."""
        event.stop()
        self._frame()

    def tighten(self, lines: int) -> None:
        """Leave out the blank line under `lines` others where it would cost a row of the table."""
        self.set_class(self.size.height < lines + 2 + len(self.table.shown), "-tight")

    def row_moved(self) -> None:
        """Show anew what depends on the cursor."""

    def _frame(self) -> None:
        if self.snapshot is None:
            return
        title = ((f"{self.NUMBER} {self.NAME.capitalize()}", "strong"), *self.title(self.snapshot))
        if title != self._title:
            self._title = title
            self.border_title = content_of(title).markup
        told = []
        if self.table.sort_text:
            told.append(f"sort {self.table.sort_text}")
        if self.table.filter_text:
            told.append(f"{len(self.table.shown)} of {self.table.total}  /{self.table.filter_text}")
        subtitle = Content("  ".join(told)).markup
        if subtitle != (self.border_subtitle or ""):
            self.border_subtitle = subtitle
