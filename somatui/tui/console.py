"""The application: one world, one link to the agent, one operator's hand; screens and panes show what these hold."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen

from somatui.domain.actions import ACTIONS, Context, by_name
from somatui.paths import Paths
from somatui.tui.acting import Operator
from somatui.tui.ending import Ending
from somatui.tui.keys import SHELL_KEYS
from somatui.tui.link import Link
from somatui.tui.screens.home import HomeScreen
from somatui.tui.state import SECTIONS, World
from somatui.tui.theme import THEMES

if TYPE_CHECKING:
    from somatui.domain.snapshot import NetworkView
    from somatui.tui.setup.walk import Walk


class SomatuiApp(App[int]):
    """The console over the agent of `paths`' profile; `first` opens the screen for a machine with nothing set up."""

    CSS_PATH: ClassVar[list[str | PurePath]] = ["theme.tcss", "panes.tcss"]
    TITLE = "somatui"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False),
    ]

    def __init__(
        self,
        paths: Paths,
        theme: str = "dark",
        *,
        network: NetworkView | None = None,
        first: bool = False,
        walk: Walk | None = None,
        driver_class: type[Driver] | None = None,
    ) -> None:
        styles = [*self.CSS_PATH, "screens/setup/setup.tcss"] if walk is not None else None
        super().__init__(driver_class=driver_class, css_path=styles, watch_css=False)
        self.animation_level = "none"
        self.paths = paths
        self.world = World(paths.profile, network=network)
        self.link = Link(paths, self)
        self.operator = Operator(self)
        self.clock: Callable[[], int] = lambda: time.time_ns() // 1_000_000
        self.farewell = ""
        self.reopen: Paths | None = None
        self._first = first or walk is not None
        self._walk = walk
        for known in THEMES.values():
            self.register_theme(known)
        self.theme = theme if theme in THEMES else "dark"

    def get_default_screen(self) -> Screen[Any]:
        """Home, or the first screen where nothing is set up, or the setup where that was asked for."""
        if self._walk is not None:
            from somatui.tui.screens.setup.screen import SetupScreen

            return SetupScreen(self._walk, alone=True)
        if self._first:
            from somatui.tui.screens.first import FirstScreen

            return FirstScreen(self.paths)
        return HomeScreen()

    def on_mount(self) -> None:
        """From the first moment: be told when to end."""
        if not self.is_headless:
            Ending(self)

    def on_ready(self) -> None:
        """Once something is painted: tidy up after the start, call the agent."""
        gc.enable()
        gc.freeze()
        if not self._first:
            self.call_agent()

    def enter_home(self) -> None:
        """From the first screen into the console, which covers it from then on."""
        self.push_screen(HomeScreen())
        self.call_agent()

    def call_agent(self) -> None:
        """Call the agent, which is started where none answers."""
        self.world.calling = True
        self.link.open()
        self._refresh(frozenset())

    def open_profile(self, paths: Paths) -> None:
        """Close, to open again on another profile."""
        self.reopen = paths
        self.exit(0)

    def now_ms(self) -> int:
        """Now, in ms since 1970."""
        return self.clock()

    @property
    def home(self) -> HomeScreen | None:
        """The home screen, wherever it is in the stack."""
        return next((s for s in self.screen_stack if isinstance(s, HomeScreen)), None)

    @property
    def _is_closing(self) -> bool:
        return self._exit or (self.home is not None and self.home._closing)

    def on_sections(self, sections: dict[str, Any]) -> None:
        """The agent has pushed sections of its picture; while the console closes there is nothing left to show it."""
        if self._is_closing:
            return
        changed = self.world.apply(sections)
        if changed:
            self._refresh(changed)

    def on_connection(self, connected: bool, trouble: str) -> None:
        """The line to the agent has come up or broken."""
        if self._is_closing:
            return
        world = self.world
        if world.connected != connected or not world.since_ms:
            world.since_ms = self.now_ms()
        first_trouble = trouble and trouble != world.trouble
        world.connected, world.trouble, world.calling = connected, trouble, False
        if first_trouble:
            self.say(trouble, "warn")
        elif connected and self.home is not None:
            self.home.forget_trouble()
        self._refresh(SECTIONS if connected else frozenset())

    def _refresh(self, changed: frozenset[str]) -> None:
        if (home := self.home) is not None and home.is_mounted:
            home.refresh_world(changed)
        for screen in self.screen_stack:
            follow = getattr(screen, "follow", None)
            if follow is not None:
                follow()

    def say(self, text: str, tone: str = "") -> None:
        """One sentence for the operator, kept on the message line until the next one or esc."""
        if (home := self.home) is not None:
            home.say(text, tone)

    def context(self, words: tuple[str, ...] = (), options: dict[str, Any] | None = None) -> Context | None:
        """Where the operator stands, or None before the first picture."""
        home, snapshot = self.home, self.world.snapshot
        if home is None or snapshot is None:
            return None
        return Context(snapshot, self.now_ms(), home.current, home.row, words, options or {})

    def action_act(self, name: str) -> None:
        """Begin the registry's act of that name."""
        action = by_name(name)
        if action is not None:
            self.operator.begin(action, self.context())

    def action_leave(self) -> None:
        """Leave; whatever runs goes on."""
        snapshot = self.world.snapshot
        running = sum(j.running for j in snapshot.jobs) if snapshot else 0
        if self.world.connected:
            from somatui.config import command_for

            line = command_for(self.paths)
            jobs = f" and {running} job{'s' if running != 1 else ''}" if running else ""
            self.farewell = (
                f"The agent{jobs} {'go' if running else 'goes'} on: {line} opens here again, {line} agent stop ends it."
            )
        self.exit(0)

    def _fatal_error(self) -> None:
        """A defect ends the console with its trace, without the values of variables: whose they are nobody knows."""
        from rich.segment import Segments
        from rich.traceback import Traceback

        trace = Traceback(show_locals=False, width=None)
        self._exit_renderables.append(Segments(self.console.render(trace, self.console.options)))
        self._close_messages_no_wait()

    async def on_unmount(self) -> None:
        """Hang up."""
        await self.link.close()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """The palette's entries: every act with its key and, where it is not possible now, why; then every move."""
        context = self.context()
        for action in ACTIONS if context else ():
            assert context is not None
            reason = action.unavailable(context)
            help_text = action.help() if reason is None else f"Not now: {reason}"
            yield SystemCommand(f"{action.name}  {action.key}", help_text, lambda n=action.name: self.action_act(n))
        for key in SHELL_KEYS:
            if key.command and key.command != "palette" and self.home is not None:
                yield SystemCommand(f"{key.command}  {key.shown}", key.help, lambda k=key: self._move(k.call))
        for name in THEMES:
            yield SystemCommand(f"theme {name}", "Other colours for now.", lambda n=name: setattr(self, "theme", n))

    def _move(self, call: str) -> None:
        self.call_later(self.run_action, call, self.home)
