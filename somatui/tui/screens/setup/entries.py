"""What a step asks, as widgets: a list of which one is chosen, and a line that shows nothing of a secret."""

from __future__ import annotations

from textual import events
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from somatui.domain.setup.steps import Choices, Field


class Pick(Static, can_focus=True):
    """A list of which exactly one is chosen."""

    class Changed(Message):
        """Another one is chosen."""

    def __init__(self, field: Field) -> None:
        super().__init__(id=f"field-{field.name}")
        self.field = field
        names = [name for name, _ in field.choices]
        self._at = names.index(field.value) if field.value in names else 0

    @property
    def value(self) -> str:
        """The name of what is chosen."""
        return self.field.choices[self._at][0]

    @property
    def only(self) -> bool:
        """Whether there is nothing to choose."""
        return len(self.field.choices) == 1

    def on_mount(self) -> None:
        """Show the list."""
        self._show()

    def on_focus(self) -> None:
        """The chosen line is lit, once the focus is really here."""
        self.call_later(self._show)

    def on_blur(self) -> None:
        """Another field is lit."""
        self.call_later(self._show)

    def move(self, step: int) -> bool:
        """Choose the next one; False where the list ends."""
        wanted = self._at + step
        if not 0 <= wanted < len(self.field.choices):
            return False
        self._at = wanted
        self._show()
        self.post_message(self.Changed())
        return True

    def on_click(self, event: events.Click) -> None:
        """Choose with the mouse."""
        if 0 <= event.y < len(self.field.choices):
            self._at = event.y
            self._show()
            self.post_message(self.Changed())

    def _show(self) -> None:
        self.update(Content("\n").join(self._line(n) for n in range(len(self.field.choices))))

    def _line(self, number: int) -> Content:
        chosen = number == self._at
        name, text = self.field.choices[number]
        wide = _widest(self.field.choices)
        tone = ("bold $accent" if self.has_focus else "bold") if chosen else ""
        word = f"{name:<{wide}}  " if wide else ""
        dot = ("● ", tone) if chosen else ("○ ", "$muted")
        return Content.assemble(dot, (word, tone), (text, "" if word else tone))


def _widest(choices: Choices) -> int:
    """Cells for the names; none where they are addresses, which say nothing to a reader."""
    longest = max(len(name) for name, _ in choices)
    return longest if longest <= 12 else 0


class Entry(Input):
    """One line of text."""

    def __init__(self, field: Field) -> None:
        super().__init__(
            field.value, placeholder=field.hint or " ", password=field.secret, compact=True, id=f"field-{field.name}"
        )
        self.field = field
        self.cursor_blink = False


def row(widget: Pick | Entry) -> Horizontal:
    """The widget with its label before it."""
    label = Static(widget.field.label, classes="label", markup=False)
    return Horizontal(label, widget, classes="asked", name=widget.field.name)
