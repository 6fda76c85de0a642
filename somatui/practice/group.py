"""Changes of the ledger on its one thread, as many as wait by one commit: none is answered before it is on the disk."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from somatui.practice.ledger.ledger import Ledger

T = TypeVar("T")
S = TypeVar("S")
log = logging.getLogger(__name__)
MOST, SECONDS = 64, 0.010
"""So many changes at most share a commit, and none begins after so long: those that wait behind it wait little."""


@dataclass(slots=True)
class _Waiting:
    work: Callable[[Ledger], Any]
    seals: bool
    ends: bool
    answer: asyncio.Future[Any]
    found: Any = None
    sealed: Any = None
    failed: Exception | None = None


class Group(Generic[S]):
    """Takes changes in the order they come; a change that fails leaves the others of its commit as they are."""

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        ledger: Ledger,
        seal: Callable[[Ledger], S | None],
        show: Callable[[S], object] = lambda sealed: None,
        give_way: Callable[[], object] = lambda: None,
        answering: Callable[[], object] = lambda: None,
    ) -> None:
        """The first three are called on the thread: `seal` once for all changes of a commit when one of them asks for
        it, `show` with what it returned when that is on the disk, `give_way` before each change. `answering` is called
        on the loop before the answers of a commit go out.
        """
        self._answering = answering
        self._thread, self._ledger, self._seal, self._show, self._give_way = thread, ledger, seal, show, give_way
        self._waiting: deque[_Waiting] = deque()
        self._at_work = False

    async def run(self, work: Callable[[Ledger], T], *, seals: bool = False, ends: bool = False) -> tuple[T, S | None]:
        """What `work` and, if it seals, the seal returned, once it is kept; `ends` lets none into its commit behind it.

        Raises what `work` raises, or why it could not be kept.
        """
        loop = asyncio.get_running_loop()
        one = _Waiting(work, seals, ends, loop.create_future())
        self._waiting.append(one)
        if not self._at_work:
            self._begin(loop)
        found: tuple[T, S | None] = await one.answer
        return found

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._at_work = True
        made = loop.run_in_executor(self._thread, self._commit)
        made.add_done_callback(lambda done: self._answer(loop, done.result()))

    def _answer(self, loop: asyncio.AbstractEventLoop, done: list[_Waiting]) -> None:
        self._at_work = False
        self._answering()
        for one in done:
            if one.answer.done():
                continue
            if one.failed is not None:
                one.answer.set_exception(one.failed)
            else:
                one.answer.set_result((one.found, one.sealed))
        if self._waiting:
            self._begin(loop)

    def _commit(self) -> list[_Waiting]:
        taken: list[_Waiting] = []
        sealed: S | None = None
        try:
            with self._ledger.together():
                self._take(taken)
                kept = [one for one in taken if one.failed is None]
                if any(one.seals for one in kept):
                    sealed = self._seal(self._ledger)
                    for one in kept:
                        one.sealed = sealed if one.seals else None
        except Exception as why:
            for one in taken:
                one.failed = one.failed or why
            return taken
        if sealed is not None:
            try:
                self._show(sealed)
            except Exception:
                log.exception("what a commit left cannot be shown; the next commit shows it")
        return taken

    def _take(self, taken: list[_Waiting]) -> None:
        until = time.monotonic() + SECONDS
        while self._waiting and len(taken) < MOST and time.monotonic() < until:
            self._give_way()
            one = self._waiting.popleft()
            taken.append(one)
            try:
                with self._ledger.together():
                    one.found = one.work(self._ledger)
            except Exception as why:
                one.failed = why
            if one.ends:
                return
