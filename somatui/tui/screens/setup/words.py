"""A new wallet's words, once, on a screen with nothing else; then two of them are asked back."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from somatui.domain.setup.steps import Field
from somatui.tui.screens.setup.entries import Entry, row
from somatui.tui.sized import SizedScreen

COLUMNS = 3
Choose = Callable[[int], tuple[int, int]]


def two_places(count: int) -> tuple[int, int]:
    """Which two words are asked back, counted from 0, the lower one first."""
    low, high = sorted(random.SystemRandom().sample(range(count), 2))
    return low, high


class WordsScreen(ModalScreen[bool], SizedScreen[bool]):
    """Closes with True when two words were typed back, with False when the operator has turned away."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False, priority=True),
        Binding("enter", "on", show=False, priority=True),
    ]

    def __init__(self, mnemonic: str, choose: Choose = two_places) -> None:
        super().__init__()
        self._words = mnemonic.split()
        self._asked = choose(len(self._words))
        self._asking = False

    def compose(self) -> ComposeResult:
        """One frame: the text, and room for the two questions."""
        frame = Vertical(Static(id="words-text"), Vertical(id="asking"), Static(id="words-said"), id="words")
        frame.border_title = "The wallet's words, shown once"
        yield frame

    async def on_mount(self) -> None:
        """Begin with the words."""
        await self._show_words()

    async def _show_words(self) -> None:
        self._asking = False
        rows = -(-len(self._words) // COLUMNS)
        lines = ["Whoever has these words has the coins. Write them on paper, in order.", ""]
        for line in range(rows):
            cells = [(n, self._words[n]) for n in range(line, len(self._words), rows)]
            lines.append("".join(f"{n + 1:>4}  {word:<16}" for n, word in cells))
        await self._put("\n".join(lines), "enter  I have written them down     esc  not now", ())
        self.set_focus(None)

    async def _ask(self) -> None:
        self._asking = True
        first, second = (n + 1 for n in self._asked)
        wanted = tuple(Field(f"word-{n + 1}", f"word {n + 1}") for n in self._asked)
        text = f"Which are word {first} and word {second}? Enter after each."
        await self._put(text, "enter  go on     esc  see the words again", wanted)
        self.set_focus(self.query(Entry).first())

    async def _put(self, text: str, keys: str, wanted: tuple[Field, ...]) -> None:
        self.query_one("#words-text", Static).update(Content(text))
        self._say("")
        self.query_one("#words").border_subtitle = keys
        asking = self.query_one("#asking")
        await asking.remove_children()
        if wanted:
            await asking.mount_all([row(Entry(field)) for field in wanted])

    def _say(self, text: str) -> None:
        self.query_one("#words-said", Static).update(Content.assemble((text, "bold $bad")))

    async def action_on(self) -> None:
        """From the words to the questions, from the first to the second, from that to the end."""
        if not self._asking:
            await self._ask()
            return
        first, second = self.query(Entry)
        if self.focused is first:
            self.set_focus(second)
        else:
            second.call_later(self.call_later, self._compare)

    async def action_back(self) -> None:
        """From the questions to the words, from the words away."""
        if self._asking:
            await self._show_words()
        else:
            self.dismiss(False)

    def _compare(self) -> None:
        """The end, when both words are right; nothing where the questions have gone meanwhile."""
        if not self._asking:
            return
        for place, entry in zip(self._asked, self.query(Entry), strict=True):
            if entry.value.strip().lower() != self._words[place]:
                self._say(f"Word {place + 1} is another one. Type it again, or esc shows the words.")
                self.set_focus(entry)
                return
        self.dismiss(True)
