"""Reads an object of known size over HTTP, its bytes in order: by ranges side by side where the server has them.

What becomes of the bytes, and whether they are the right ones, is left to whoever asked.
"""

from __future__ import annotations

import contextlib
import http.client
import re
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from somatui.workers.line import Line

RANGE, SIDE_BY_SIDE = 16 * 1024 * 1024, 8
"""Bytes of one request, and how many are under way: one line is slow where it is long or has a share of its own."""
PIECE = 1024 * 1024
SILENCE_S = 30
"""The longest silence of a server."""
SLOWEST, PATIENCE_S = 8192, 60
"""Bytes a second below which a line that is older than this is given up."""
TRIES, PAUSE_S = 3, 1.0
LOOK_S = 0.2
_PASSING = frozenset({408, 425, 429})
T = TypeVar("T")
Pieces = list[bytearray]


class FetchError(ValueError):
    """The weights are not to be had; the text is one sentence."""


class Unreachable(FetchError):
    """Worth another try."""


class Changed(Unreachable):
    """What lies there is another object than the one that was begun with."""


class Stopped(FetchError):
    """The worker was told to stop."""


class Halt(Protocol):
    """A `threading.Event`, or what is as good."""

    def is_set(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...


class Download:
    """One object of `size` bytes at an address. `tag` is the ETag that the server has told, empty for none.

    Another ETag than before is a Changed, unless they are not heeded: servers of one object may not agree on it.
    """

    def __init__(self, url: str, size: int, halt: Halt, *, heed_tags: bool = True) -> None:
        with _named():
            if urlsplit(url).scheme not in ("http", "https"):
                raise FetchError("its address is no http address")
        self._url, self._size, self._halt, self._heeds = url, size, halt, heed_tags
        self._over = threading.Event()
        self.tag = ""

    def pieces(self, start: int = 0, tag: str = "") -> Generator[bytearray, None, None]:
        """The bytes from `start` to the end, of an object that had this ETag before.

        Raises Changed, Unreachable for what may pass, else FetchError, also for an object of another size.
        """
        self.tag = tag
        opening = aside(lambda: self._open(start, min(start + RANGE, self._size)))
        try:
            answer = self._awaited(opening)
        except Stopped:
            opening.add_done_callback(_close)
            raise
        if answer.status != 206:
            yield from self._one_stream(answer, start)
            return
        starts = iter(range(start + RANGE, self._size, RANGE))
        under_way = deque([aside(lambda: self._rest(answer, start))])
        try:
            while under_way:
                while len(under_way) < SIDE_BY_SIDE and (at := next(starts, None)) is not None:
                    under_way.append(aside(lambda at=at: self._rest(None, at)))  # type: ignore[misc]
                yield from self._awaited(under_way.popleft())
        finally:
            self._over.set()

    def _awaited(self, coming: Future[T]) -> T:
        while not wait((coming,), LOOK_S).done:
            if self._halt.is_set():
                raise Stopped("the worker was stopped")
        return coming.result()

    def _rest(self, answer: Line | None, start: int) -> Pieces:
        """The pieces of the range that begins at `start`; a line that breaks is opened anew where it broke."""
        stop, found, got = min(start + RANGE, self._size), Pieces(), 0
        for left in reversed(range(TRIES)):
            try:
                answer = answer or self._open(start + got, stop)
                if answer.status != 206:
                    answer.close()
                    raise Unreachable("its server answers ranges at times only")
                for piece in self._read(answer, stop - start - got):
                    found.append(piece)
                    got += len(piece)
                if got < stop - start:
                    raise Unreachable("the line broke")
                return found
            except Changed:
                raise
            except Unreachable:
                if not left or self._halt.wait(PAUSE_S):
                    raise
                answer = None
        raise AssertionError("the last try returns or raises")

    def _one_stream(self, answer: Line, start: int) -> Iterator[bytearray]:
        """The bytes from `start` on of a server that knows no ranges."""
        at = 0
        for piece in self._read(answer, self._size + 1):
            fresh = piece[max(0, start - at) :]
            at += len(piece)
            if at > self._size:
                raise FetchError(f"more bytes came than the {self._size} that were published")
            if fresh:
                yield fresh
        if at < self._size:
            raise Unreachable(f"{at} bytes came, not {self._size}")

    def _open(self, start: int, stop: int) -> Line:
        """The answer to a request for a range; its status is 206 where the server has them."""
        headers = {"User-Agent": "somatui", "Range": f"bytes={start}-{stop - 1}"}
        with _named():
            answer = Line(urllib.request.Request(self._url, headers=headers), SILENCE_S)
        told = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range") or "")
        whole = answer.headers.get("Content-Length") if answer.status != 206 else told[2] if told else None
        tag = answer.headers.get("ETag") or ""
        try:
            if whole not in (None, "*", str(self._size)):
                raise FetchError(f"{whole} bytes lie at its address, not {self._size}")
            if answer.status == 206 and (told is None or told[1] != str(start)):
                raise FetchError("its server answers another range than it was asked for")
            if self._heeds and self.tag and tag and tag != self.tag:
                raise Changed("what lies at its address has changed meanwhile")
        except FetchError:
            answer.close()
            raise
        self.tag = tag or self.tag
        return answer

    def _read(self, answer: Line, most: int) -> Iterator[bytearray]:
        """At most so many bytes of an answer, and its end."""
        began, got, held = time.monotonic(), 0, bytearray()
        with contextlib.closing(answer), _named():
            while got < most and (some := answer.read(min(PIECE, most - got))):
                got += len(some)
                held += some
                if self._halt.is_set() or self._over.is_set():
                    raise Stopped("the worker was stopped")
                if (age := time.monotonic() - began) > PATIENCE_S and got < age * SLOWEST:
                    raise Unreachable(f"less than {SLOWEST} bytes a second came")
                if len(held) >= PIECE:
                    yield held
                    held = bytearray()
        if held:
            yield held


def _close(opened: Future[Line]) -> None:
    if opened.exception() is None:
        opened.result().close()


class _named:
    """What goes wrong on the way, as FetchError."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        match failure:
            case urllib.error.HTTPError():
                failure.close()
                passing = failure.code >= 500 or failure.code in _PASSING
                raise (Unreachable if passing else FetchError)(
                    f"the answer is {failure.code} {failure.reason}"
                ) from None
            case FetchError():
                return
            case http.client.InvalidURL() | ValueError():
                raise FetchError("its address cannot be read") from None
            case urllib.error.URLError() | OSError() | http.client.HTTPException():
                reason = getattr(failure, "reason", None) or type(failure).__name__
                raise Unreachable(f"no answer ({reason})") from None


def aside(doing: Callable[[], T]) -> Future[T]:
    """Do it in a thread that nobody waits for at the end of the process."""
    coming: Future[T] = Future()

    def done() -> None:
        try:
            coming.set_result(doing())
        except BaseException as failure:
            coming.set_exception(failure)

    threading.Thread(target=done, name="range", daemon=True).start()
    return coming
