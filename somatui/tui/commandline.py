"""The `:` line and the `/` line: one entry at the foot of the screen, and the words typed into it taken apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.suggester import SuggestFromList
from textual.widgets import Input, Static

from somatui.domain.actions import ACTIONS, Action, by_name
from somatui.domain.money import parse_amount
from somatui.tui.keys import SHELL_KEYS, ShellKey

YES_AND_NO = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
NAMES = tuple(a.name for a in ACTIONS) + tuple(k.command for k in SHELL_KEYS if k.command)


class Unreadable(ValueError):
    """A line that names nothing here; the text is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Typed:
    """A line taken apart: the act or the move it names, its words, and options written as name=value."""

    what: Action | ShellKey
    words: tuple[str, ...] = ()
    options: tuple[tuple[str, Any], ...] = ()


def parse(line: str) -> Typed:
    """Take a line apart; a beginning that fits one name only is enough, and so are the words of the command line.

    Raises:
        Unreadable: nothing or more than one thing is named so, or it takes no such word or option.
        AmountError: an option in SOMA that is no amount.
    """
    name, *rest = line.split()
    spoken = next((a for a in ACTIONS if rest and a.verb == f"{name} {rest[0]}"), None)
    if spoken is not None:
        name, rest = spoken.name, rest[1:]
    found = by_name(name) if len(name) > 1 else None
    if found is None:
        known = sorted({n for n in NAMES if n == name} or {n for n in NAMES if n.startswith(name)})
        if len(known) != 1:
            hint = f"it may be {', '.join(known)}" if known else f"there are {', '.join(NAMES)}"
            raise Unreadable(f"Nothing here is called {name}: {hint}.")
        found = by_name(known[0])
    move = next((k for k in SHELL_KEYS if k.command and k.command.startswith(name)), None)
    what: Action | ShellKey | None = found or move
    assert what is not None, "every name of NAMES is an act or a move"
    if not isinstance(what, Action):
        return Typed(what)
    words = tuple(w for w in rest if "=" not in w)
    for word in words if not what.takes else ():
        raise Unreadable(f"“{word}” does not fit: {what.name} takes {_taken(what)}.")
    return Typed(what, words, tuple(_option(what, *w.split("=", 1)) for w in rest if "=" in w))


def _taken(act: Action) -> str:
    return ", ".join([act.takes] * bool(act.takes) + [f"{name}=" for name in act.options]) or "nothing"


def _option(act: Action, name: str, text: str) -> tuple[str, Any]:
    name = name.lstrip("-").replace("_", "-")
    if name not in act.options:
        raise Unreadable(f"“{name}=” does not fit: {act.name} takes {_taken(act)}.")
    name = act.options[name]
    if name.endswith("_shannons"):
        return name, parse_amount(text)
    if text in YES_AND_NO:
        return name, YES_AND_NO[text]
    for kind in (int, float):
        try:
            return name, kind(text)
        except ValueError:
            continue
    return name, text


class Entry(Horizontal):
    """The line itself. It says what was typed and leaves the meaning to the screen."""

    class Said(Message):
        """Enter was pressed; `mark` tells which line it was."""

        def __init__(self, mark: str, text: str) -> None:
            super().__init__()
            self.mark = mark
            self.text = text

    class Typing(Message):
        """The text changed."""

        def __init__(self, mark: str, text: str) -> None:
            super().__init__()
            self.mark = mark
            self.text = text

    BINDINGS = [
        Binding("up", "earlier(-1)", show=False),
        Binding("down", "earlier(1)", show=False),
        Binding("tab", "complete", show=False, priority=True),
    ]

    def __init__(self, mark: str, text: str, history: list[str]) -> None:
        super().__init__(id="entry")
        self.mark = mark
        self._text = text
        self._history = history
        self._at = len(history)

    def compose(self) -> ComposeResult:
        """The mark and what is typed behind it."""
        yield Static(self.mark, id="mark")
        names = SuggestFromList(NAMES, case_sensitive=False) if self.mark == ":" else None
        typed = Input(self._text, compact=True, suggester=names, select_on_focus=False)
        typed.cursor_blink = False
        yield typed

    @property
    def input(self) -> Input:
        """Where it is typed."""
        return self.query_one(Input)

    def action_complete(self) -> None:
        """Take the suggestion."""
        self.input.action_cursor_right()

    def action_earlier(self, step: int) -> None:
        """Go back and forth in what was typed before."""
        if self._history:
            self._at = min(max(0, self._at + step), len(self._history))
            self.input.value = self._history[self._at] if self._at < len(self._history) else ""
            self.input.cursor_position = len(self.input.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Pass on each change."""
        event.stop()
        self.post_message(self.Typing(self.mark, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Pass on the whole line."""
        event.stop()
        self.post_message(self.Said(self.mark, event.value.strip()))
