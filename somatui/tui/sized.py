"""A screen as large as the terminal is now, whatever sizes it was told on the way."""

from __future__ import annotations

from textual.geometry import Size
from textual.screen import Screen, ScreenResultType


class SizedScreen(Screen[ScreenResultType]):
    """Passes over a size that is not the terminal's any more.

    A screen tells itself each size that it takes; of two that come close together each would undo the other for ever.
    """

    def _screen_resized(self, size: Size) -> None:
        if size == self.app.size:
            super()._screen_resized(size)
