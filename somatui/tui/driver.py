"""Textual's terminal driver, for a screen that is open already and for a terminal that goes away at any moment."""

from __future__ import annotations

import contextlib

from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver

OPEN = "\x1b[?1049h"


class Writer(WriterThread):
    """Writes to the terminal until it has gone, and takes what is written after that: who writes never waits for it."""

    def run(self) -> None:
        """Write what comes, flush when nothing more is waiting."""
        gone = False
        while (text := self._queue.get()) is not None:
            if gone:
                continue
            try:
                self._file.write(text)
                if self._queue.empty():
                    self._file.flush()
            except OSError:
                gone = True
        with contextlib.suppress(OSError):
            self._file.flush()


class Terminal(LinuxDriver):
    """The driver with that writer."""

    _writer: Writer | None = None

    @property
    def _writer_thread(self) -> WriterThread | None:
        return self._writer

    @_writer_thread.setter
    def _writer_thread(self, made: WriterThread | None) -> None:
        self._writer = Writer(made._file) if made is not None else None


class KeptScreen(Terminal):
    """Leaves the alternate screen as it finds it, the first time it starts: taking a frame over must not blank it."""

    kept = True

    def write(self, data: str) -> None:
        """Write, but do not open the screen a second time."""
        if self.kept and data == OPEN:
            self.kept = False
            return
        super().write(data)
