"""The first screen of a machine with nothing set up: practice at one key, or where a real network is set up."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from somatui.paths import Paths
from somatui.tui.offer import Line, known_network, offer, room, wrapped
from somatui.tui.practice import PracticeStart, StartFailed
from somatui.tui.sized import SizedScreen

LOOK_SECONDS = 0.5
TONES = {"key": "bold $accent"}


class FirstScreen(SizedScreen[None]):
    """Offers practice or setup, shows how the start goes, and opens the console when it is done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "practice('')", show=False),
        Binding("f", "practice('free')", show=False),
        Binding("s", "setup", show=False),
        Binding("escape", "stop", show=False),
        Binding("q", "leave", show=False),
    ]

    def __init__(self, paths: Paths) -> None:
        super().__init__()
        self._paths = paths
        self._known = known_network(paths)
        self._start: PracticeStart | None = None
        self._timer: Timer | None = None
        self._said: tuple[str, str] = ("", "")
        self._failed = False

    def compose(self) -> ComposeResult:
        """One frame in the middle."""
        frame = Vertical(Static(id="offer"), Static(id="said"), id="first")
        frame.border_title = "somatui"
        yield frame

    def on_mount(self) -> None:
        """Fill it."""
        self._show()

    def on_resize(self) -> None:
        """Lines are as long as there is room."""
        self._show()

    def _show(self) -> None:
        cells = room(self.app.size.width)
        lines = offer(cells, str(self._paths.config_file), known=self._known, failed=self._failed)
        self.query_one("#offer", Static).update(_content(lines))
        text, tone = self._said
        self.query_one("#said", Static).update(_content([(), *wrapped(text, cells, tone)] if text else []))

    def _say(self, text: str, tone: str = "") -> None:
        if (text, tone) != self._said:
            self._said = (text, tone)
            self._show()

    def action_practice(self, ports: str) -> None:
        """Start the practice network, then its agent, then the console."""
        if self._start is None:
            self._start = PracticeStart(self._paths, ports)
            self._failed = False
            self._say_progress()
            self._timer = self.set_interval(LOOK_SECONDS, self._say_progress)
            self.run_worker(self._practice(self._start), exit_on_error=False)

    async def _practice(self, start: PracticeStart) -> None:
        try:
            await start.run()
        except (StartFailed, OSError) as failure:
            self._failed = True
            self._end_start()
            self._say(str(failure), "$bad")
        else:
            self._end_start()
            self._say("The practice network is up; starting the agent…", "$accent")
            self._app_of_ours.enter_home()

    def _end_start(self) -> None:
        self._start = None
        if self._timer is not None:
            self._timer.stop()

    @property
    def _app_of_ours(self) -> Any:
        return self.app

    def _say_progress(self) -> None:
        if self._start is not None:
            what = "Starting the practice network" if self._known else "Making a practice network, half a minute or so"
            told = self._start.progress()
            self._say(f"{what}…  esc takes it back." + (f"\n{told}" if told else ""), "$accent")

    def action_setup(self) -> None:
        """Open the guided setup, where it was left if it was left."""
        if self._start is None:
            from somatui.hardening import harden_process
            from somatui.tui.screens.setup.screen import SetupScreen
            from somatui.tui.setup.walk import Walk

            harden_process()
            self.app.push_screen(SetupScreen(Walk.begin(self._paths)))

    async def action_stop(self) -> None:
        """Take the start back."""
        if self._start is not None:
            await self._start.stop()

    async def action_leave(self) -> None:
        """Leave, and take back a start that is under way."""
        await self.action_stop()
        self.app.exit(0)


def _content(lines: list[Line]) -> Content:
    """Lines as Textual shows them."""
    told = (Content.assemble(*((text, TONES.get(tone, tone)) for text, tone in line)) for line in lines)
    return Content("\n").join(told)
