"""Textual's terminal driver for a screen that is open already: taking the frame over must not blank it."""

from __future__ import annotations

from textual.drivers.linux_driver import LinuxDriver

OPEN = "\x1b[?1049h"


class KeptScreen(LinuxDriver):
    """Leaves the alternate screen as it finds it, the first time it starts."""

    kept = True

    def write(self, data: str) -> None:
        """Write, but do not open the screen a second time."""
        if self.kept and data == OPEN:
            self.kept = False
            return
        super().write(data)
