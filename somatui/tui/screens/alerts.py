"""Every alert in full, the worst first: header and message line have room for how many and for one."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.content import Content

from somatui.tui.format import wrapped
from somatui.tui.screens.panel import Panel

if TYPE_CHECKING:
    from somatui.tui.console import SomatuiApp

WORST_FIRST = ("bad", "warn", "info")


class AlertsScreen(Panel[None]):
    """What the operator should read."""

    title_text = "Alerts"
    foot_text = "↑↓ scroll   esc back"

    def follow(self) -> None:
        """Say it anew: alerts come and go."""
        snapshot = cast("SomatuiApp", self.app).world.snapshot
        alerts = sorted(snapshot.alerts if snapshot else (), key=lambda a: WORST_FIRST.index(a.severity))
        lines: list[Content] = []
        for alert in alerts:
            tone = f"${alert.severity}" if alert.severity != "info" else "$muted"
            for number, text in enumerate(wrapped(alert.text, self.room - 2)):
                lines.append(Content.assemble(("  " if number else "▲ ", tone), (text, tone)))
        self.put(Content("\n").join(lines) if lines else Content("Nothing wants to be read."))
