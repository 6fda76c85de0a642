"""Ends the console when it is told to, or when its terminal has gone: in order if that works, and if not all the same.

Nothing is lost by an end in between: the agent acts and keeps, the console only shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
from typing import Any

from textual.app import App

PATIENCE_S = 5.0
"""How long screens may take to close; one may wait for an agent that does not answer."""
LOOK_S = 1.0
GONE = 128 + signal.SIGHUP


class Ending:
    """Watches signals and terminal for `app`; to be made once its loop runs."""

    def __init__(self, app: App[Any]) -> None:
        self._app = app
        self._told = False
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self.end, 128 + number)
        app.set_interval(LOOK_S, self._look)

    def end(self, status: int) -> None:
        """Close the console; without it, when it does not close in time."""
        if not self._told:
            self._told = True
            asyncio.get_running_loop().call_later(PATIENCE_S, self._anyway, status)
            self._app.exit(status)

    def _look(self) -> None:
        """A terminal that was closed gives no more keys, and its signal goes to one process alone."""
        if hung_up(0):
            self.end(GONE)

    def _anyway(self, status: int) -> None:
        driver = self._app._driver
        if driver is not None and not hung_up(0):
            with contextlib.suppress(Exception):
                driver.stop_application_mode()
                driver.close()
        os._exit(status)


def hung_up(descriptor: int) -> bool:
    """Whether the other end of a terminal or pipe has gone."""
    asked = select.poll()
    asked.register(descriptor, 0)
    return any(found & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, found in asked.poll(0))
