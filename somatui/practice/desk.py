"""The ledger behind two doors: execution on one thread, reads of the newest checkpoint on another (protocol.md 8).

Seals a checkpoint when what was executed has waited long enough, and one each period when nothing happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from somatui.practice.codec.network import portrait
from somatui.practice.group import Group
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.quiet import PERIOD_MS
from somatui.practice.ledger.shown import Shown
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Refused

T = TypeVar("T")
Shot = tuple[SystemState, int, int]
"""What a seal left: the state, the newest checkpoint's number, the number of the last change in it."""
Headers = tuple[tuple[str, str], ...]
log = logging.getLogger(__name__)

LAG_MS = 265
"""How long others wait for what was executed on the real node (protocol.md 9.4)."""
SHOWN_S = 5.0
"""No answer waits longer than this for readers, such as on a full disk."""
GIVE_WAY_S = 0.003
"""So long at most a change waits for the reads that were asked before it; they are short and take turns with it."""
LISTENER_MS = 2
"""Idle checkpoints come later where more listeners than one each so many milliseconds would drown everything else."""


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Desk:
    """Executes in the order calls come, and shows it to readers checkpoint by checkpoint."""

    def __init__(
        self, path: Path, lag_ms: int = LAG_MS, describe: Callable[[Ledger], Headers] = lambda ledger: ()
    ) -> None:
        """Open the ledger; with a lag of 0 every change is sealed before its answer. Raises LedgerError.

        `describe` makes `headers` anew of every checkpoint shown.
        """
        self.lag_ms = lag_ms
        self.listeners = 0
        self._describe = describe
        self._head = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._reads = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._wake, self._told = asyncio.Event(), asyncio.Event()
        self._due: float | None = None
        self._changes = self._visible = self._asked = 0
        self._unasked = threading.Event()
        self._unasked.set()
        try:
            self._ledger, self._shown = self._head.submit(self._open, path).result()
        except BaseException:
            self._head.shutdown()
            self._reads.shutdown()
            raise
        self._group = Group(
            self._head,
            self._ledger,
            lambda ledger: self._seal(ledger, False),
            self._reveal,
            self._give_way,
            self._answering,
        )
        self._executed = self._answered = self._head.submit(lambda: self._ledger.executed).result()
        self.newest = self._ledger.newest
        self.headers = describe(self._shown)

    @staticmethod
    def _open(path: Path) -> tuple[Ledger, Shown]:
        ledger = Ledger.open(path, portrait)
        try:
            ledger.seal_checkpoint(now_ms())
            return ledger, Shown(path, ledger)
        except BaseException:
            ledger.close()
            raise

    async def ask(self, work: Callable[[Ledger], T]) -> T:
        """Read what the newest checkpoint shows. Raises Refused."""
        self._asked += 1
        self._unasked.clear()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._reads, _guarded, self._shown.read, work)
        finally:
            self._asked -= 1
            if not self._asked:
                self._unasked.set()

    def _give_way(self) -> None:
        """Called by the ledger's thread between changes."""
        self._unasked.wait(GIVE_WAY_S)

    async def change(self, work: Callable[[Ledger], T], *, shown: bool = False, at_once: bool = False) -> T:
        """Execute; `at_once` seals now, `shown` answers when readers see it. Raises Refused."""
        now, answered = at_once or self.lag_ms == 0, self._answered

        def run(ledger: Ledger) -> tuple[T, int]:
            ledger.answered = answered
            answer = work(ledger)
            self._executed = ledger.executed
            self._changes += 1
            return answer, self._changes

        loop = asyncio.get_running_loop()
        with _refusing():
            (answer, number), shot = await self._group.run(run, seals=now, ends=at_once)
        if shot is not None:
            self._tell(shot)
        elif self._due is None:
            self._due = loop.time() + self.lag_ms / 1000
            self._wake.set()
        if shown:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._until_visible(number), self.lag_ms / 1000 + SHOWN_S)
        return answer

    def _answering(self) -> None:
        """Called before the answers of a commit go out."""
        self._answered = self._executed

    async def _until_visible(self, number: int) -> None:
        while self._visible < number:
            await self._told.wait()

    def _seal(self, ledger: Ledger, idle: bool) -> Shot | None:
        try:
            made = ledger.seal_checkpoint(now_ms(), idle=idle)
        except sqlite3.Error as why:
            log.error("A checkpoint could not be written (%s); the next one will hold its transactions.", why)
            return None
        return (ledger.state, ledger.newest, self._changes) if made else None

    def _seal_now(self, idle: bool) -> Shot | None:
        """Seal and let readers see it; on the ledger's thread."""
        shot = self._seal(self._ledger, idle)
        if shot is not None:
            self._reveal(shot)
        return shot

    def _reveal(self, shot: Shot) -> None:
        """Let readers see what a seal left; on the ledger's thread, before anything else is executed."""
        state, newest, _ = shot
        try:
            self._shown.refresh(state, newest)
            self.headers = self._shown.read(self._describe)
            self._shown.shorten_log(self._ledger)
        except sqlite3.Error as why:
            log.error("A checkpoint cannot be shown (%s); the next one will be.", why)

    def _tell(self, shot: Shot) -> None:
        """Wake those who wait for what a seal left."""
        _, newest, changes = shot
        if newest <= self.newest:
            return
        self.newest, self._visible = newest, max(self._visible, changes)
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def seal_forever(self) -> None:
        """Seal what is due, and an idle checkpoint each period; ends by being cancelled."""
        loop = asyncio.get_running_loop()
        idle = loop.time() + self._period()
        while True:
            until = idle if self._due is None else self._due
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), max(until - loop.time(), 0))
                continue
            was_due, self._due = self._due is not None, None
            seen = self.newest
            try:
                shot = await loop.run_in_executor(self._head, self._seal_now, not was_due)
                if shot is not None:
                    self._tell(shot)
            except sqlite3.Error as why:
                log.error("Checkpoints cannot be shown (%s); trying again.", why)
            period = self._period()
            if was_due or self.newest == seen or idle + period < loop.time():
                idle = loop.time() + period
            else:
                idle += period

    def _period(self) -> float:
        return max(PERIOD_MS, LISTENER_MS * self.listeners) / 1000

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Counts one listener."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def after(self, sequence: int) -> None:
        """Wait until a checkpoint behind this number is shown."""
        while self.newest <= sequence:
            await self._told.wait()

    def close(self) -> None:
        """Finish what runs, seal what waits and close the ledger."""
        self._reads.submit(self._shown.close).result()
        self._reads.shutdown()
        with contextlib.suppress(sqlite3.Error):
            self._head.submit(self._ledger.seal_checkpoint, now_ms()).result()
        self._head.submit(self._ledger.close).result()
        self._head.shutdown()


def _guarded(read: Callable[[Callable[[Ledger], T]], T], work: Callable[[Ledger], T]) -> T:
    with _refusing():
        return read(work)


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as why:
        if why.sqlite_errorcode == sqlite3.SQLITE_FULL:
            text = "The practice network's disk is full: free some space and send it again; nothing was executed"
            raise Refused("RESOURCE_EXHAUSTED", text) from None
        raise
