"""The ledger behind one door: every call on its own thread, one at a time, checkpoints told to whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import Refused

T = TypeVar("T")
log = logging.getLogger(__name__)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Desk:
    """Runs calls on the ledger in the order they come, so that neither the loop nor a caller waits inside another."""

    def __init__(self, open_ledger: Callable[[], Ledger]) -> None:
        """Open the ledger; raises what `open_ledger` raises."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._listeners: set[asyncio.Queue[int]] = set()
        try:
            self._ledger = self._thread.submit(open_ledger).result()
        except BaseException:
            self._thread.shutdown()
            raise

    async def ask(self, work: Callable[[Ledger], T]) -> T:
        """Read. Raises Refused."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._guarded, work)

    async def change(self, work: Callable[[Ledger], T]) -> T:
        """Execute, seal a checkpoint at once and tell the listeners. Raises Refused."""

        def sealed(ledger: Ledger) -> tuple[T, int | None]:
            answer = work(ledger)
            try:
                made = ledger.seal_checkpoint(now_ms())
            except sqlite3.Error as why:
                log.error("A checkpoint could not be written (%s); the next one will hold its transactions.", why)
                return answer, None
            return answer, made.sequence if made else None

        answer, sequence = await self.ask(sealed)
        if sequence is not None:
            for queue in self._listeners:
                queue.put_nowait(sequence)
        return answer

    def _guarded(self, work: Callable[[Ledger], T]) -> T:
        try:
            return work(self._ledger)
        except sqlite3.OperationalError as why:
            if why.sqlite_errorcode == sqlite3.SQLITE_FULL:
                text = "The practice network's disk is full: free some space and send it again; nothing was executed"
                raise Refused("RESOURCE_EXHAUSTED", text) from None
            raise

    @contextlib.contextmanager
    def listening(self) -> Iterator[asyncio.Queue[int]]:
        """A queue of the numbers of checkpoints sealed from now on."""
        queue: asyncio.Queue[int] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    def close(self) -> None:
        """Finish what runs and close the ledger."""
        self._thread.submit(self._ledger.close).result()
        self._thread.shutdown()
