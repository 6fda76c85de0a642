"""The screen of the guided setup: one step at a time, its words, its form, what the checks found, and the way on.

What the answers mean and who tries them is `tui.setup`'s affair.
"""

from __future__ import annotations

import asyncio
import textwrap
import time
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import Worker

from somatui.domain.report import Report
from somatui.domain.setup.after import summary, what_next
from somatui.domain.setup.state import Setup, SetupError
from somatui.domain.setup.steps import shown
from somatui.paths import command
from somatui.tui.screens.panel import rows
from somatui.tui.screens.setup.entries import Entry, Pick, row
from somatui.tui.screens.setup.told import told
from somatui.tui.screens.setup.words import WordsScreen
from somatui.tui.setup.walk import Walk
from somatui.tui.sized import SizedScreen

if TYPE_CHECKING:
    from somatui.tui.console import SomatuiApp

BY_ITSELF = frozenset({"network", "extras", "summary"})
"""Steps that look without being asked."""
WIDTH = 92
ROOM_FOR_WHY = 30
"""Cells beside a command that its reason needs."""
LEFT = "somatui setup goes on here."


class SetupScreen(SizedScreen[None]):
    """Walks the operator through `walk`; leaves with the console of the profile that was set up."""

    CSS_PATH = "setup.tcss"
    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", show=False, priority=True),
        Binding("f5", "retry", show=False, priority=True),
        Binding("f8", "skip", show=False, priority=True),
        Binding("enter", "next", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("down", "move(1)", show=False, priority=True),
        Binding("tab", "app.focus_next", show=False, priority=True),
        Binding("shift+tab", "app.focus_previous", show=False, priority=True),
    ]
    # With priority, so that each key meets the field that has the focus when its turn comes: what is typed faster than
    # it is read would else go all to the same one.

    def __init__(self, walk: Walk, *, alone: bool = False) -> None:
        super().__init__()
        self.walk = walk
        self._alone = alone
        self._report: Report | None = None
        self._entered: dict[str, str] = {}
        self._mnemonic = ""
        self._note = ""
        self._skip_said = False
        self._doing: Worker[None] | None = None
        self._all: list[Pick | Entry] = []
        self._waits_for, self._since = "", 0.0
        self._timer: Timer | None = None
        self._opening = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """The frame with its three parts."""
        found = VerticalScroll(Static(id="told"), id="found", can_focus=False)
        yield Vertical(Static(id="about"), Vertical(id="form"), found, id="setup")

    async def on_mount(self) -> None:
        """Begin, or go on where it broke off."""
        self._note = "Going on where it broke off." if self.walk.resumed else ""
        if trouble := await self.walk.catch_up():
            self._note = trouble
        await self._open()

    def on_resize(self) -> None:
        """Lines are as long as there is room."""
        self._show()

    @property
    def room(self) -> int:
        """Cells a line of text has inside the frame."""
        return max(24, min(self.app.size.width, WIDTH) - 6)

    async def _open(self) -> None:
        """Show the step that is on, with its form; one after the other, as a key may come while one is being made."""
        async with self._opening:
            await self._make_form()
        if self.walk.setup.at in BY_ITSELF or not self.walk.fields:
            self._perform()

    async def _make_form(self) -> None:
        self._report, self._entered, self._mnemonic, self._skip_said = None, {}, "", False
        form = self.query_one("#form")
        await form.remove_children()
        self._all = [Pick(field) if field.choices else Entry(field) for field in self.walk.fields]
        form.display = bool(self._all)
        await form.mount_all([row(widget) for widget in self._all])
        self._fit()
        self._show()
        first = next((w for w in self._fields() if not (w.only if isinstance(w, Pick) else w.value)), None)
        self.set_focus(first or next(iter(self._fields()), None))

    def _fields(self) -> list[Pick | Entry]:
        """The fields that are asked now."""
        return [w for w in self._all if _asked(w)]

    def _values(self) -> dict[str, str]:
        return {w.field.name: w.value for w in self._fields()}

    def _fit(self) -> None:
        """Show those fields that go with what is chosen."""
        everything = {w.field.name: w.value for w in self._all}
        wanted = {f.name for f in shown(self.walk.fields, everything)}
        for line in self.query(".asked"):
            line.display = (line.name or "") in wanted

    def _show(self) -> None:
        """Say it all."""
        if not self.is_mounted:
            return
        setup, frame = self.walk.setup, self.query_one("#setup")
        frame.border_title = title(setup, self.walk.colour).markup
        *others, last = self._keys()
        ready = self._report is not None and self._report.ok
        keys = Content.assemble(("".join(f"{key}   " for key in others), ""), (last, "bold $accent" if ready else ""))
        frame.border_subtitle = keys.markup
        self._put("#about", Content("\n".join(textwrap.wrap(setup.step.about, self.room))))
        self._put("#told", Content("\n").join(self._lines()))

    def _put(self, where: str, text: Content) -> None:
        """Show a text whole: a height of auto is one line where the text comes before the screen's first layout."""
        text_of = self.query_one(where, Static)
        text_of.styles.height = text.plain.count("\n") + 1
        text_of.update(text)

    def _keys(self) -> list[str]:
        setup, busy = self.walk.setup, self._doing is not None
        keys = ["↑↓ choose"] if any(isinstance(w, Pick) for w in self._all) and not busy else []
        keys += ["esc " + ("give up" if busy else "leave" if setup.number == 1 else "back")]
        if not busy:
            keys += ["F5 retry"] if setup.step.checks and self._report and not self._mnemonic else []
            keys += ["F8 skip"] if setup.step.skip else []
            keys.append("enter " + ("open the console" if setup.step is setup.steps[-1] else "next"))
        return keys

    def _lines(self) -> list[Content]:
        lines: list[Content] = []
        for text in textwrap.wrap(self._note, self.room):
            lines.append(Content.assemble((text, "$accent")))
        if self._doing is not None:
            seconds = int(time.monotonic() - self._since)
            lines.append(Content.assemble((f"… {self._waits_for}" + (f", {seconds} s" if seconds else ""), "$accent")))
        if self._report is not None:
            lines += told(self._report, self.room)
            if self._report.ok and self.walk.setup.step is self.walk.setup.steps[-1]:
                lines += self._end()
        return lines

    def _end(self) -> list[Content]:
        said = summary(self.walk.setup, self.walk.known.backend)
        wide = self.room - 17
        pairs = [(n, "\n".join(textwrap.wrap(v, wide)), f"${t}" if t else "") for n, v, t in said]
        head = Content.assemble(("What next", "bold"))
        return [Content(""), rows(pairs), Content(""), head, *self._next()]

    def _next(self) -> list[Content]:
        """Commands beside their reasons; above them where the program's name is too long for that."""
        after = what_next(self.walk.setup, command(self.walk.paths))
        wide = self.room - 3 - max(len(line) for line, _ in after)
        if wide < ROOM_FOR_WHY:
            return [Content.assemble((line, "$muted"), f"\n  {why}") for line, why in after]
        return [rows([(line, "\n".join(textwrap.wrap(why, wide)), "") for line, why in after])]

    def _perform(self) -> None:
        """Try what is entered."""
        if self._doing is None:
            self._entered, self._report, self._note = self._values(), None, ""
            self._since = time.monotonic()
            self._waits_for = "one moment"
            self._timer = self.set_interval(1.0, self._show)
            self._doing = self.run_worker(self._try(dict(self._entered)), exit_on_error=False)
            self._show()

    def _say(self, text: str) -> None:
        self._waits_for = text
        self._show()

    async def _try(self, entered: dict[str, str]) -> None:
        try:
            report = await self.walk.perform(entered, self._say)
            await self._ask_more()
            self._report, self._mnemonic = report, str(report.facts.get("mnemonic") or "")
        finally:
            self._quiet()
        if self._mnemonic:
            self._show_words()
        elif report.ok and self.walk.setup.at == "purpose":
            await self._accept()

    async def _ask_more(self) -> None:
        """What the check has found to be asked too."""
        known = {widget.field.name: widget.field.choices for widget in self._all}
        form = self.query_one("#form")
        for field in self.walk.fields:
            if field.choices and field.only and known.get(field.name) != field.choices:
                self._all = [w for w in self._all if w.field.name != field.name]
                await form.query(f"#field-{field.name}").remove()
                pick = Pick(field)
                self._all.append(pick)
                await form.mount(row(pick))
                self._fit()
                self.set_focus(pick)

    def _quiet(self) -> None:
        self._doing = None
        if self._timer is not None:
            self._timer.stop()
        if self.is_mounted:
            self._show()

    def _show_words(self) -> None:
        def closed(written: bool | None) -> None:
            if written:
                self._mnemonic = ""
                self.run_worker(self._accept())
            else:
                self._note = "Press enter to see the words again: two of them are asked before it goes on."
                self._show()

        self.app.push_screen(WordsScreen(self._mnemonic), closed)

    async def _accept(self) -> None:
        self.walk.accept()
        if self.walk.setup.finished:
            await self.walk.close()
            cast("SomatuiApp", self.app).open_profile(self.walk.paths)
        else:
            await self._open()

    async def action_next(self) -> None:
        """On: to the next field, to the check, or to the next step when what is entered has been found good."""
        asked, focused = self._fields(), cast("Any", self.focused)
        if self._doing is not None:
            return
        if self._report is None and focused in asked[:-1]:
            self.set_focus(asked[asked.index(focused) + 1])
        else:
            (focused or self).call_later(self.call_later, self._on)

    async def _on(self) -> None:
        """What was typed before has been read: check it, or go on."""
        if self._doing is not None:
            return
        if self._report is None or not self._report.ok or self._entered != self._values():
            self._perform()
        elif self._mnemonic:
            self._show_words()
        else:
            await self._accept()

    def on_pick_changed(self) -> None:
        """Another choice asks other things, and what was wrong with the one before is no longer said."""
        self._fit()
        if self._report is not None and not self._report.ok:
            self._report = None
            self._show()

    def action_retry(self) -> None:
        """Check again."""
        if not self._mnemonic:
            self._perform()

    async def action_skip(self) -> None:
        """Leave the step out; the first time it says what that costs."""
        if self._doing is not None or not self.walk.setup.step.skip:
            return
        if not self._skip_said:
            self._skip_said = True
            skip = self.walk.setup.step.skip
            self._note = f"{skip[0].upper()}{skip[1:]}. F8 again skips it; somatui setup asks again."
            self._report = None
            self._show()
            return
        try:
            self.walk.skip()
        except SetupError as no:
            self._note = str(no)
            self._show()
            return
        self._note = ""
        await self._open()

    async def action_back(self) -> None:
        """Give up a check, or go a step back, or leave at the first one."""
        if self._doing is not None:
            self._doing.cancel()
        elif self.walk.setup.number > 1:
            self._note = ""
            self.walk.back()
            await self._open()
        else:
            await self.walk.close()
            if self._alone:
                self.app.exit(0)
            else:
                self.app.pop_screen()

    def action_move(self, step: int) -> None:
        """Choose in a list, go from field to field, or scroll what was found."""
        asked, focused = self._fields(), cast("Any", self.focused)
        if isinstance(focused, Pick) and focused.move(step):
            self._fit()
        elif focused in asked and 0 <= asked.index(focused) + step < len(asked):
            self.set_focus(asked[asked.index(focused) + step])
        else:
            self.query_one("#found").scroll_relative(y=step, animate=False)


def title(setup: Setup, colour: str) -> Content:
    """Which step it is, and whose profile, in its colour; that it is for the main network is said in words as well."""
    told = f"Setup  {setup.number} of {len(setup.steps)}  {setup.step.title}"
    name = f"MAIN {setup.answers.name}" if colour == "main" else setup.answers.name
    whose = (f"  ·  {name}", f"bold $network-{colour}") if setup.number > 1 else ""
    return Content.assemble(told, whose)


def _asked(widget: Pick | Entry) -> bool:
    return widget.parent is not None and bool(getattr(widget.parent, "display", True))
