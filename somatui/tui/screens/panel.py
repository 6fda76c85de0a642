"""A panel above the console: a frame in the middle that scrolls when it is taller than the terminal; esc closes it."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, ScreenResultType
from textual.widget import Widget
from textual.widgets import Static

from somatui.tui.sized import SizedScreen

Part = tuple[str, str]
F = TypeVar("F", bound=Widget)


def rows(pairs: list[tuple[str, str, str]]) -> Content:
    """Labels and values under each other, each value in its tone; a line of a value hangs under the first."""
    lines: list[Content] = []
    wide = max((len(label) for label, _, _ in pairs), default=0)
    for label, value, tone in pairs:
        first, *more = value.split("\n")
        lines.append(Content.assemble((f"{label:<{wide}}  ", "$muted"), (first, tone)))
        lines += [Content.assemble((" " * (wide + 2), ""), (line, tone)) for line in more]
    return Content("\n").join(lines)


class Panel(ModalScreen[ScreenResultType], SizedScreen[ScreenResultType]):
    """The frame; subclasses say what stands in it."""

    AUTO_FOCUS = "#frame"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False),
        Binding("q", "close", show=False),
    ]

    width = 76
    title_text = ""
    foot_text = "esc back"

    def compose(self) -> ComposeResult:
        """One scrolling frame with one text."""
        yield self.titled(VerticalScroll(self.text(), id="frame"))

    def titled(self, frame: F) -> F:
        """The frame with its title above and its keys below."""
        frame.border_title = Content(self.title_text).markup
        frame.border_subtitle = Content(self.foot_text).markup
        return frame

    def text(self) -> Widget:
        """What stands in the frame."""
        return Static(id="text")

    @property
    def room(self) -> int:
        """Cells a line of text has inside the frame."""
        return max(20, min(self.app.size.width, self.width) - 7)

    def on_mount(self) -> None:
        """Fill the frame."""
        self.follow()

    def on_resize(self) -> None:
        """Lines are as long as there is room."""
        self.follow()

    def put(self, content: Content) -> None:
        """Show `content` where it says something else than before."""
        for text in self.query("#text").results(Static):
            shown = text.content
            if not isinstance(shown, Content) or shown.plain != content.plain or shown.spans != content.spans:
                text.update(content)

    def follow(self) -> None:
        """The world has changed: say it anew."""

    def action_close(self) -> None:
        """Close the panel."""
        self.dismiss(None)
