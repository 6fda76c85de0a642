"""A table of keyed rows that sends to the terminal only the lines that changed; what rows say is left to the panes.

Written on Textual's line API: DataTable repaints all of itself for one cell, and re-sorts by clearing.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from somatui.tui.format import TONES, Cell

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, its width in cells, and how soon it goes when there is little room.

    `rank` 0 always stays; the highest goes first. `grow` is by how many cells it may widen where there is room.
    """

    title: str
    width: int
    rank: int = 0
    right: bool = False
    grow: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a key that outlives its values, a cell for each column, and what to sort and search by.

    `order` places it in the natural order; `values` holds the raw value of each column, None sorting last.
    """

    key: str
    cells: tuple[Cell, ...]
    order: tuple[Any, ...] = ()
    values: tuple[Any, ...] = ()
    words: str = ""

    def matches(self, text: str) -> bool:
        """Whether every word of `text` is found in this row; a word behind `!` must not be."""
        return all((w[1:] not in self.words) if w[0] == "!" and w[1:] else w in self.words for w in text.split())


def fit(columns: Sequence[Column], room: int) -> tuple[tuple[int, int], ...]:
    """The columns that fit into `room` cells, as (index, width), in their own order."""
    for worst in sorted({c.rank for c in columns}, reverse=True):
        kept = [i for i, c in enumerate(columns) if c.rank <= worst]
        used = sum(columns[i].width for i in kept) + GAP * (len(kept) - 1)
        if used <= room or worst == min(c.rank for c in columns):
            break
    spare = max(0, room - used)
    widths: list[tuple[int, int]] = []
    for i in kept:
        more = min(columns[i].grow, spare)
        spare -= more
        widths.append((i, columns[i].width + more))
    return tuple(widths)


class KeyedTable(ScrollView, can_focus=True):
    """Rows by key under fixed headings. The cursor stays on its key, the rows around it stay where they are."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"table--{tone}" for tone in TONES),
        "table--heading",
        "table--cursor",
        "table--cursor-focused",
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home,g", "jump(0)", "First row", show=False),
        Binding("end,G", "jump(-1)", "Last row", show=False),
        Binding("o", "sort_next", "Sort by the next column", show=False),
        Binding("O", "sort_turn", "Turn the order", show=False),
    ]

    class Moved(Message):
        """The cursor stands on another row, or on none."""

        def __init__(self, table: KeyedTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> KeyedTable:
            """The table itself."""
            return self.table

    class Arranged(Message):
        """Sorting or filtering changed what is shown."""

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._all: tuple[Row, ...] = ()
        self._rows: list[Row] = []
        self._index: dict[str, int] = {}
        self._cursor: str | None = None
        self._filter = ""
        self._sort: tuple[int, bool] | None = None
        self._room = -1
        self._fitted: tuple[tuple[int, int], ...] = ()
        self._empty = ""
        self._empty_lines: list[str] = []

    @property
    def cursor(self) -> str | None:
        """The key of the row under the cursor."""
        return self._cursor

    @property
    def shown(self) -> tuple[str, ...]:
        """The keys of the rows that pass the filter, in the order shown."""
        return tuple(row.key for row in self._rows)

    @property
    def total(self) -> int:
        """How many rows there are, the filtered ones included."""
        return len(self._all)

    @property
    def filter_text(self) -> str:
        """What is typed into the filter."""
        return self._filter

    @property
    def sort_text(self) -> str:
        """The sorted column and its direction, or "" for the natural order."""
        if self._sort is None:
            return ""
        column, down = self._sort
        return f"{self.columns[column].title} {'↓' if down else '↑'}"

    def show_rows(self, rows: Sequence[Row], empty: str = "") -> None:
        """Show these rows, or the sentence `empty` where there are none; only lines that differ are painted."""
        if empty != self._empty:
            self._empty = empty
            self._wrap()
            if not self._rows:
                self.refresh()
        self._all = tuple(rows)
        self._arrange()

    def set_filter(self, text: str) -> None:
        """Show only rows that match; "" shows all."""
        wanted = " ".join(text.lower().split())
        if wanted != self._filter:
            self._filter = wanted
            self._arrange()
            self.post_message(self.Arranged())

    def move_to(self, key: str) -> None:
        """Put the cursor on that row, if it is shown."""
        if key in self._index:
            self._put(self._index[key])

    def _ordered(self) -> list[Row]:
        rows = [r for r in self._all if r.matches(self._filter)] if self._filter else list(self._all)
        rows.sort(key=lambda r: (*r.order, r.key))
        if self._sort is not None:
            column, down = self._sort
            rows.sort(key=lambda r: _value(r, column), reverse=down)
            rows.sort(key=lambda r: column >= len(r.values) or r.values[column] is None)
        return rows

    def _arrange(self) -> None:
        before, was_at = self._rows, self._index.get(self._cursor or "", 0)
        top = round(self.scroll_y)
        self._rows = self._ordered()
        self._index = {row.key: i for i, row in enumerate(self._rows)}
        if self._cursor not in self._index:
            self._cursor = self._rows[min(was_at, len(self._rows) - 1)].key if self._rows else None
            self.post_message(self.Moved(self))
        at = self._index.get(self._cursor or "", 0)
        if len(before) != len(self._rows):
            self.virtual_size = Size(1, len(self._rows) + 1)
        if top:
            self.scroll_to(y=top + at - was_at, animate=False)
        if bool(before) != bool(self._rows):
            self.refresh()
        elif round(self.scroll_y) == top:
            self._paint_differences(before, was_at, at)
        self._keep_in_view(at)

    def _paint_differences(self, before: list[Row], was_at: int, at: int) -> None:
        first = round(self.scroll_y)
        for i in range(first, first + self.size.height - 1):
            old = before[i] if i < len(before) else None
            new = self._rows[i] if i < len(self._rows) else None
            if self._differ(old, new) or (was_at != at and i in (was_at, at)):
                self._paint(i)

    def _differ(self, old: Row | None, new: Row | None) -> bool:
        if old is None or new is None:
            return old is not new
        return old is not new and any(old.cells[i] != new.cells[i] for i, _ in self._seen())

    def _paint(self, index: int) -> None:
        self.refresh(Region(0, index + 1 - round(self.scroll_y), self.size.width, 1))

    def _keep_in_view(self, index: int) -> None:
        page, top = max(1, self.size.height - 1), round(self.scroll_y)
        if index < top:
            self.scroll_to(y=index, animate=False)
        elif index >= top + page:
            self.scroll_to(y=index - page + 1, animate=False)

    def _put(self, index: int) -> None:
        if not self._rows:
            return
        index = min(len(self._rows) - 1, max(0, index))
        old = self._index.get(self._cursor or "", 0)
        if index == old and self._cursor is not None:
            return
        self._cursor = self._rows[index].key
        self._paint(old)
        self._paint(index)
        self._keep_in_view(index)
        self.post_message(self.Moved(self))

    def _at(self) -> int:
        return self._index.get(self._cursor or "", 0)

    def action_move(self, step: int) -> None:
        """Move the cursor by rows."""
        self._put(self._at() + step)

    def action_page(self, step: int) -> None:
        """Move the cursor by as many rows as are seen."""
        self._put(self._at() + step * max(1, self.size.height - 2))

    def action_jump(self, index: int) -> None:
        """Put the cursor on the first row (0) or the last (-1)."""
        self._put(index if index >= 0 else len(self._rows) - 1)

    def action_sort_next(self) -> None:
        """Sort by the next column that is seen; after the last one, the natural order."""
        seen = [i for i, _ in self._seen()]
        at = -1 if self._sort is None or self._sort[0] not in seen else seen.index(self._sort[0])
        self._sort_by((seen[at + 1], False) if at + 1 < len(seen) else None)

    def action_sort_turn(self) -> None:
        """Turn the sorted column's order round."""
        if self._sort is not None:
            self._sort_by((self._sort[0], not self._sort[1]))

    def _sort_by(self, sort: tuple[int, bool] | None) -> None:
        self._sort = sort
        self._arrange()
        self.refresh()
        self.post_message(self.Arranged())

    def on_click(self, event: events.Click) -> None:
        """A row is chosen, a heading sorts."""
        point = event.get_content_offset(self)
        if point is None:
            return
        if point.y > 0:
            index = point.y - 1 + round(self.scroll_y)
            if index < len(self._rows):
                self._put(index)
            return
        x = 0
        for i, width in self._seen():
            if x <= point.x < x + width + GAP:
                self._sort_by((i, self._sort == (i, False)))
            x += width + GAP

    def on_resize(self) -> None:
        """Choose the columns anew."""
        self._wrap()
        self.virtual_size = Size(1, len(self._rows) + 1)
        self._keep_in_view(self._at())
        self.refresh()

    def on_focus(self) -> None:
        """The cursor's row looks another way."""
        self._paint(self._at())

    def on_blur(self) -> None:
        """The cursor's row looks another way."""
        self._paint(self._at())

    def _wrap(self) -> None:
        self._empty_lines = textwrap.wrap(self._empty, max(10, min(72, self.size.width - 1)))

    def render_line(self, y: int) -> Strip:
        """The headings, a row, or a line of the sentence that stands for no rows."""
        width, base = self._width, self.rich_style
        if not self._rows:
            text = self._empty_lines[y] if y < len(self._empty_lines) and not self._filter else ""
            if self._filter and y == 0:
                text = f"Nothing matches “{self._filter}”: esc shows all."
            return Strip([Segment(set_cell_size(text, width), base + self._tone("muted"))], width)
        if y == 0:
            return self._heading(width, base + self.get_component_rich_style("table--heading", partial=True))
        index = y - 1 + round(self.scroll_y)
        if index >= len(self._rows):
            return Strip.blank(width, base)
        row = self._rows[index]
        on_cursor = None
        if row.key == self._cursor:
            name = "table--cursor-focused" if self.has_focus else "table--cursor"
            on_cursor = self.get_component_rich_style(name, partial=True)
        return self._line(row, width, base, on_cursor)

    @property
    def _width(self) -> int:
        return self.scrollable_content_region.width

    def _seen(self) -> tuple[tuple[int, int], ...]:
        """The columns that fit, with a cell between the last one and the scroll bar where there is one."""
        room = self._width - (1 if self.show_vertical_scrollbar else 0)
        if self._room != room:
            self._room, self._fitted = room, fit(self.columns, room)
        return self._fitted

    def _tone(self, tone: str) -> Style:
        return self.get_component_rich_style(f"table--{tone}", partial=True) if tone else Style.null()

    def _heading(self, width: int, style: Style) -> Strip:
        """The titles; an arrow that finds no room behind its own stands in the gap beside it."""
        line, x = [" "] * width, 0
        for i, room in self._seen():
            column = self.columns[i]
            arrow = "" if self._sort is None or self._sort[0] != i else "↓" if self._sort[1] else "↑"
            gap = " " if arrow and len(column.title) + 2 <= room else ""
            title = column.title + gap + arrow
            begin = max(0, x + room - len(title)) if column.right else x
            line[begin : begin + len(title)] = title
            x += room + GAP
        return Strip([Segment(set_cell_size("".join(line), width), style)], width)

    def _line(self, row: Row, width: int, base: Style, on_cursor: Style | None) -> Strip:
        segments: list[Segment] = []
        blank = base if on_cursor is None else base + on_cursor
        for n, (i, room) in enumerate(self._seen()):
            if n:
                segments.append(Segment(" " * GAP, blank))
            used = sum(cell_len(text) for text, _ in row.cells[i])
            if self.columns[i].right and used < room:
                segments.append(Segment(" " * (room - used), blank))
            for text, tone in cut(row.cells[i], room):
                style = base + self._tone(tone)
                segments.append(Segment(text, style if on_cursor is None else style + on_cursor))
            if not self.columns[i].right and used < room:
                segments.append(Segment(" " * (room - used), blank))
        return Strip(segments).adjust_cell_length(width, blank)


def _value(row: Row, column: int) -> Any:
    value = row.values[column] if column < len(row.values) else None
    return (1, "") if value is None else (0, value)


def cut(content: Cell, room: int) -> Cell:
    """A cell's spans within `room` cells, the last one ending in … where something is left out."""
    if sum(cell_len(text) for text, _ in content) <= room:
        return content
    kept: list[tuple[str, str]] = []
    left = room - 1
    for text, tone in content:
        size = cell_len(text)
        if size > left:
            kept.append((set_cell_size(text, left) + "…", tone))
            break
        kept.append((text, tone))
        left -= size
    return tuple(kept)
