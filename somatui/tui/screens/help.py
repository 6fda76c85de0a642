"""What can be done here: the acts of this pane with their reasons, the keys that move about, the same as verbs."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any, cast

from textual.content import Content

from somatui.domain.actions import ACTIONS, PANES
from somatui.tui.keys import SHELL_KEYS, TABLE_KEYS
from somatui.tui.screens.panel import Panel, Part

if TYPE_CHECKING:
    from somatui.tui.console import SomatuiApp

WISHES = (
    ("start from nothing, or set up this machine", "somatui setup, somatui doctor"),
    ("submit data", "s here; somatui score run"),
    ("train a model and publish it", "t and p here; somatui train run, somatui models publish"),
    ("claim what was earned", "c here; somatui targets claim --all"),
    ("see how things stand", "4 here; somatui status --watch"),
    ("learn how money is lost, with play money", "somatui practice rehearse --list"),
    ("write scripts", "every line with --json"),
)
"""What brings people here, and the way; the same words as in the guided setup (newcomer.md)."""

HANG = 18
NAME = 10


class HelpScreen(Panel[None]):
    """Made from the registry and the shell's keys; nothing is written twice."""

    foot_text = "↑↓ scroll   esc back"

    def __init__(self, pane: str, widget: Any) -> None:
        super().__init__()
        self.title_text = f"Help: {pane}"
        self._pane = pane
        self._about = (type(widget).__doc__ or "").strip().split("\n")[0] if widget is not None else ""

    def follow(self) -> None:
        """Say it anew: reasons change with the world."""
        lines: list[Content] = [Content.assemble((self._about, "")), Content("")] if self._about else []
        context = cast("SomatuiApp", self.app).context()
        lines.append(Content.assemble(("What can be done here", "bold")))
        for action in sorted(ACTIONS, key=lambda a: a.panes == PANES):
            if self._pane not in action.panes:
                continue
            reason = action.unavailable(context) if context else None
            lines += self._entry(action.key, action.name, action.help(), reason or "", action.example)
        lines += [Content(""), Content.assemble(("Moving about", "bold"))]
        for key in SHELL_KEYS:
            if key.shown:
                lines += self._entry(key.shown, key.command, key.help, "", "")
        for shown, name, text in TABLE_KEYS:
            lines += self._entry(shown, name, text, "", "")
        lines += [Content(""), Content.assemble(("What do you want to do?", "bold"))]
        for wish, way in WISHES:
            lines += self._entry("", "", wish, "", way)
        lines += [Content(""), Content.assemble(("Shift and drag selects text with the mouse.", "$muted"))]
        self.put(Content("\n").join(lines))

    def _entry(self, key: str, name: str, text: str, reason: str, example: str) -> list[Content]:
        told: list[Part] = [(line, "") for line in textwrap.wrap(text, self.room - HANG)]
        told += [(line, "$warn") for line in textwrap.wrap(f"Not now: {reason}", self.room - HANG) if reason]
        told += [(line, "$muted") for line in textwrap.wrap(example, self.room - HANG)]
        first, *rest = told
        lit = not reason
        return [
            Content.assemble(
                (f"{key:<{HANG - NAME}}", "bold $footer-key-foreground" if lit else "$muted"),
                (f"{name:<{NAME}}", "bold" if lit else "$muted"),
                first,
            ),
            *(Content.assemble((" " * HANG, ""), line) for line in rest),
        ]
