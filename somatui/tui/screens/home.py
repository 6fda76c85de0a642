"""The console's home: header, tabs, the panes, the message line and the footer, and the keys that move among them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from asyncio.subprocess import DEVNULL, PIPE
from importlib import import_module
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget

from somatui.domain.actions import ACTIONS, PANES
from somatui.domain.money import AmountError
from somatui.tui.early import GRID_FROM
from somatui.tui.footer import footer, message, silent
from somatui.tui.header import OneLine, header, tabs
from somatui.tui.keys import SHELL_KEYS, ShellKey
from somatui.tui.sized import SizedScreen
from somatui.tui.state import SECTIONS

PANE_TYPES = {pane: (f"somatui.tui.panes.{pane}", f"{pane.capitalize()}Pane") for pane in PANES}
GRID_ORDER = ("wallet", "targets", "models", "jobs", "epochs")
MINUTE_MS = 60_000
CLOCK = frozenset({"clock"})
STARTING = "Starting the agent…"
MOVES_THE_FOCUS = ("command", "filter", "pane", "step")
"""Done before the next key is looked at: what a fast hand or a slow line sends after it is meant for where it leads."""


async def _to_tmux(text: str) -> None:
    """Have tmux pass `text` on: as it is usually set, it keeps to itself what a program sends to the clipboard."""
    with contextlib.suppress(OSError):
        tmux = await asyncio.create_subprocess_exec(
            "tmux", "load-buffer", "-w", "-", stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL
        )
        await tmux.communicate(text.encode())


def make_pane(name: str) -> Any:
    """The pane of that name; its module is imported only now."""
    module, kind = PANE_TYPES[name]
    return getattr(import_module(module), kind)()


class HomeScreen(SizedScreen[None]):
    """Panes over one world. Only what is visible is mounted and told."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(a.key, f"app.act('{a.name}')", a.name, id=f"act.{a.name}") for a in ACTIONS if a.key),
        *(Binding(k.key, k.call, k.command, id=f"shell.{k.command or k.key}",
                  priority=k.call.partition("(")[0] in MOVES_THE_FOCUS)
          for k in SHELL_KEYS if not k.key.startswith("ctrl")),
    ]  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.current = PANES[0]
        self._panes: dict[str, Any] = {}
        self._owed: dict[str, frozenset[str]] = dict.fromkeys(PANES, SECTIONS)
        self._minute = 0
        self._said: tuple[str, str] = ("", "")
        self._history: list[str] = []
        self._before = ""

    @property
    def somatui(self) -> Any:
        """The application, with what it knows."""
        return self.app

    def compose(self) -> ComposeResult:
        """Header, tabs, one place for each pane, message line, footer."""
        yield OneLine(id="header")
        yield OneLine(id="tabs")
        with Container(id="panes"):
            for name in GRID_ORDER:
                current = name == self.current
                with Container(id=f"slot-{name}", classes="slot -current" if current else "slot"):
                    if current:
                        self._panes[name] = pane = make_pane(name)
                        yield pane
        yield OneLine(id="message")
        yield OneLine(id="footer")

    def on_mount(self) -> None:
        """The visible pane first; the others, where there is room for them, after the first paint."""
        self._lay_out()
        self._panes[self.current].focus()
        self.refresh_world(frozenset())
        self.call_after_refresh(self._mount_rest)
        self.set_interval(15, self._tick)

    @property
    def in_grid(self) -> bool:
        """Whether all panes are shown side by side."""
        return self.has_class("-grid")

    def _lay_out(self) -> None:
        size = self.app.size
        self.set_class(size.width >= GRID_FROM[0] and size.height >= GRID_FROM[1], "-grid")
        for name in PANES:
            self.query_one(f"#slot-{name}").set_class(name == self.current, "-current")

    async def on_resize(self, _event: events.Resize) -> None:
        """Side by side or one at a time, as there is room."""
        self._lay_out()
        self._say_lines()
        self.call_after_refresh(self._mount_rest)

    async def _mount_rest(self) -> None:
        if self.in_grid:
            for name in GRID_ORDER:
                await self._mount_pane(name)
            self._tell_panes()

    async def _mount_pane(self, name: str) -> None:
        if name not in self._panes:
            self._panes[name] = pane = make_pane(name)
            await self.query_one(f"#slot-{name}").mount(pane)

    @property
    def row(self) -> str | None:
        """The id under the current pane's cursor."""
        pane = self._panes.get(self.current)
        found: str | None = pane.row if pane is not None else None
        return found

    def refresh_world(self, changed: frozenset[str]) -> None:
        """Show what has changed, in one repaint; `changed` may be empty when only the connection is another."""
        for name in PANES:
            self._owed[name] |= changed
        with self.app.batch_update():
            world = self.somatui.world
            self.set_class(world.snapshot is not None and not world.connected, "-away")
            self._tell_panes()
            self._say_lines()

    def _tell_panes(self) -> None:
        """Show the panes what they are owed; behind a panel they know it and paint nothing, since Textual paints all
        of the terminal for whatever changes behind one."""
        snapshot, now_ms = self.somatui.world.snapshot, self.somatui.now_ms()
        if snapshot is None:
            return
        for name, pane in self._panes.items():
            if not self._owed[name] or not pane.is_mounted or not (self.in_grid or name == self.current):
                continue
            if self.app.screen is not self:
                pane.snapshot, pane.now_ms = snapshot, now_ms
                continue
            owed, self._owed[name] = self._owed[name], frozenset()
            pane.show(snapshot, now_ms, owed)

    def on_screen_resume(self) -> None:
        """A panel has gone: show what has changed meanwhile."""
        if self.is_mounted:
            self.refresh_world(frozenset())

    def _tick(self) -> None:
        minute = self.somatui.now_ms() // MINUTE_MS
        if minute != self._minute:
            self._minute = minute
            self.refresh_world(CLOCK)

    def _say_lines(self) -> None:
        width, world, now_ms = self.app.size.width, self.somatui.world, self.somatui.now_ms()
        self.query_one("#header", OneLine).put(header(world, now_ms, width))
        self.query_one("#tabs", OneLine).put(tabs(self.current, width))
        self.query_one("#message", OneLine).put(message(*self._message(), width))
        away = not (world.connected or world.calling)
        self.query_one("#footer", OneLine).put(footer(self.somatui.context(), width, away=away))

    def _message(self) -> tuple[str, str]:
        if self._said[0]:
            return self._said
        snapshot = self.somatui.world.snapshot
        loud = [a for a in snapshot.alerts if a.severity != "info"] if snapshot else []
        if not loud:
            return "", ""
        first = next((a for a in loud if a.severity == "bad"), loud[0])
        more = f"  ({len(loud) - 1} more: !)" if len(loud) > 1 else ""
        return f"▲ {first.text}{more}", first.severity

    def say(self, text: str, tone: str = "") -> None:
        """One sentence on the message line."""
        self._said = (text, tone)
        if self.is_mounted:
            self._say_lines()

    def forget_trouble(self) -> None:
        """The connection is back: take down what was said of it, and that it is being made."""
        if self._said[1] == "warn" or self._said[0] == STARTING:
            self.say("")

    def on_pane_row_changed(self) -> None:
        """Another row: other acts may be possible."""
        self._say_lines()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A click into another pane makes it the current one."""
        for node in event.widget.ancestors_with_self:
            if isinstance(node, Widget) and node.id and node.id.startswith("slot-"):
                name = node.id.removeprefix("slot-")
                if name != self.current:
                    self.current = name
                    self._lay_out()
                    self._say_lines()

    async def action_pane(self, name: str) -> None:
        """Make this pane the current one."""
        self.current = name
        self._lay_out()
        await self._mount_pane(name)
        self._tell_panes()
        self.set_focus(self._panes[name].table)
        self._say_lines()

    async def action_step(self, by: int) -> None:
        """The next pane, or the one before."""
        await self.action_pane(PANES[(PANES.index(self.current) + by) % len(PANES)])

    def action_detail(self) -> None:
        """Open what is under the cursor."""
        from somatui.tui.screens.detail import DetailScreen

        pane = self._panes.get(self.current)
        if pane is not None and pane.detail():
            self.app.push_screen(DetailScreen(self.current, pane))
        else:
            self.say("Nothing is under the cursor here.", "muted")

    def action_qr(self) -> None:
        """Show the wallet's address as a QR code."""
        world = self.somatui.world
        if world.snapshot is None or not world.snapshot.wallet.address:
            self.say("This profile has no wallet yet, so there is no address to show.", "muted")
            return
        from somatui.tui.screens.qr import QrScreen

        self.app.push_screen(QrScreen(world.snapshot.wallet))

    def action_unlock(self) -> None:
        """Open the vault."""
        world = self.somatui.world
        if not world.connected or world.snapshot is None:
            self.say(world.trouble or "Not connected to the agent yet.", "warn")
            return
        if world.snapshot.wallet.unlocked:
            self.say("The vault is open already.", "muted")
            return
        from somatui.tui.screens.unlock import UnlockScreen

        self.app.push_screen(UnlockScreen(self.somatui.link), self._unlocked)

    def _unlocked(self, opened: bool | None) -> None:
        if opened:
            self.say("The vault is open: the agent can sign.", "good")

    def action_help(self) -> None:
        """Say what can be done here."""
        from somatui.tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self.current, self._panes.get(self.current)))

    def action_alerts(self) -> None:
        """Read every alert."""
        from somatui.tui.screens.alerts import AlertsScreen

        self.app.push_screen(AlertsScreen())

    async def action_filter(self) -> None:
        """Open the `/` line on this pane's filter."""
        await self._open_entry("/", getattr(self._panes[self.current].table, "filter_text", ""))

    async def action_command(self) -> None:
        """Open the `:` line."""
        await self._open_entry(":", "")

    async def _open_entry(self, mark: str, text: str) -> None:
        from somatui.tui.commandline import Entry

        self._before = text
        entry = Entry(mark, text, self._history if mark == ":" else [])
        self.query_one("#message").display = False
        await self.mount(entry, before="#footer")
        self.set_focus(entry.input)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A line that is open takes `:`, `/`, digits and tab as what is typed."""
        return not (action in MOVES_THE_FOCUS and self.query("#entry"))

    async def _close_entry(self) -> None:
        # The focus first: what has it when it is removed hands it to its neighbour, which would be another pane.
        self.set_focus(self._panes[self.current].table)
        for entry in self.query("#entry"):
            await entry.remove()
        self.query_one("#message").display = True

    def on_entry_typing(self, event: Any) -> None:
        """Filter while typing."""
        if event.mark == "/":
            self._panes[self.current].filter(event.text)

    async def on_entry_said(self, event: Any) -> None:
        """A whole line was typed: leave the line and do what it says."""
        await self._close_entry()
        if event.mark == ":" and event.text:
            self._history.append(event.text)
            await self._obey(event.text)

    async def _obey(self, line: str) -> None:
        from somatui.tui.commandline import Unreadable, parse

        try:
            typed = parse(line)
        except (Unreadable, AmountError) as wrong:
            self.say(str(wrong), "warn")
            return
        if isinstance(typed.what, ShellKey):
            await self.run_action(typed.what.call)
        else:
            self.somatui.operator.begin(typed.what, self.somatui.context(typed.words, dict(typed.options)))

    async def action_back(self) -> None:
        """Leave the line, else clear the message, else the filter."""
        if self.query("#entry"):
            entry_is_filter = self.query_one("#entry #mark").render().plain == "/"  # type: ignore[union-attr]
            await self._close_entry()
            if entry_is_filter:
                self._panes[self.current].filter(self._before)
        elif self._said[0]:
            self.say("")
        else:
            self._panes[self.current].filter("")

    def action_copy_row(self) -> None:
        """Send the row's id, or the address of a wallet that has no coins yet, to the terminal's clipboard."""
        snapshot = self.somatui.world.snapshot
        text = self.row or ""
        if not text and self.current == "wallet" and snapshot is not None and snapshot.wallet.address:
            text = f"0x{snapshot.wallet.address}"
        if not text:
            self.say("Nothing is under the cursor here.", "muted")
            return
        self.app.copy_to_clipboard(text)
        if os.environ.get("TMUX"):
            self.run_worker(_to_tmux(text), group="copy")
        self.say(f"Sent to the terminal: {text}", "muted")

    def action_wake(self) -> None:
        """Start what has gone away: the agent, or the practice network behind it."""
        world = self.somatui.world
        if not world.connected:
            self.say(STARTING, "accent")
            self.somatui.call_agent()
        elif world.snapshot is not None and silent(world.snapshot):
            self.say("Starting the practice network…", "accent")
            self.run_worker(self._wake_network(), exclusive=True, group="network")
        else:
            self.say("The agent is there already.", "muted")

    async def _wake_network(self) -> None:
        from somatui.tui.practice import PracticeStart, StartFailed

        try:
            await PracticeStart(self.somatui.paths).run()
            await self.somatui.link.call("refresh")
        except (StartFailed, ConnectionError) as failed:
            self.say(str(failed), "bad")
        else:
            self.say("The practice network is there again.", "good")

    def action_leave(self) -> None:
        """Leave the console."""
        self.somatui.action_leave()

    def action_command_palette(self) -> None:
        """Open the palette."""
        self.app.action_command_palette()
