"""Brings a model's weights into the shelf, known by the checksum of what was published: opened, or sealed as they are.

What is under way is a `.part` that grows in order, so that its length says where to go on after any end.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import base58

from somatui.engine import header
from somatui.engine.cipher import Pass
from somatui.workers import stamp
from somatui.workers.ranges import PAUSE_S, TRIES, Changed, Download, Halt, Unreachable
from somatui.workers.ranges import FetchError as FetchError
from somatui.workers.ranges import Stopped as Stopped
from somatui.workers.session import Session
from somatui.workers.shelf import PART, PLAIN, Shelf, ShelfError

PIECE = 4 * 1024 * 1024
LARGEST = 6 * 1024**3
"""Bytes of the largest file taken: the full architecture has 4.84 GB."""
LARGE = 64 * 1024 * 1024
TURN_S, LEAST = 600.0, 64 * 1024
"""Weights that come more slowly, in bytes a second, give others their turn after so long, and go on later."""
SAY_EVERY_S = 10.0
"""So often a worker that waits for large weights says how far they are."""
Came = Callable[[int], None]
"""Told how many bytes are there now."""


class Published(Protocol):
    """What a model's manifest says of its weights; `key` is 32 bytes, or none before the reveal."""

    @property
    def id(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def checksum(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def key(self) -> bytes: ...


def weights_file(model: Published, folder: Path, session: Session, came: Came | None = None) -> Path:
    """Plain safetensors of the model, out of the folder or over HTTP into it; who comes second waits for the first.

    What is in the folder is checked as well: encrypted again, it has the published checksum or is fetched anew.
    Raises FetchError and, for a key of another size and for what is no safetensors, WeightsError.
    """
    shelf = Shelf(folder)
    Pass(model.key)
    return _there(model, shelf, shelf.plain(model.checksum), session, came or _Saying(model, session).came)


def sealed_file(model: Published, folder: Path, session: Session, came: Came) -> Path:
    """The same for the weights as they were published, of a model whose key is not known yet. Raises FetchError."""
    shelf = Shelf(folder)
    return _there(model, shelf, shelf.sealed(model.checksum), session, came)


def _there(model: Published, shelf: Shelf, place: Path, session: Session, came: Came) -> Path:
    _judge(model)
    try:
        with shelf.held(model.checksum, session.stopping) as alone:
            if not alone:
                raise Stopped("the worker was stopped")
            if not _is_whole(place, model, session.stopping):
                _bring(model, shelf, place, session, came)
            shelf.used(place)
    except ShelfError as full:
        raise FetchError(str(full)) from None
    except OSError as failure:
        # Where nothing can be written no lock can be had either; what lies there may still be read.
        if not _is_whole(place, model, session.stopping):
            why = f"{shelf.folder} cannot be written ({failure.strerror}): free space, or mend it"
            raise FetchError(why) from failure
    return place


def _judge(model: Published) -> None:
    """Raise FetchError for a manifest that cannot be one of a model."""
    try:
        checksum = base58.b58decode(model.checksum[:64])
    except ValueError:
        checksum = b""
    if len(checksum) != 32 or base58.b58encode(checksum).decode() != model.checksum:
        raise FetchError("its checksum is not 32 bytes in Base58")
    if not 0 < model.size <= LARGEST:
        raise FetchError(f"a model of this network has at most {LARGEST / 1e9:.1f} GB, not {model.size / 1e9:.6g}")


class _Saying:
    """Lines in a job's log about weights large enough to be waited for."""

    def __init__(self, model: Published, session: Session) -> None:
        self._model, self._session, self._said = model, session, time.monotonic()

    def came(self, size: int) -> None:
        """So many bytes are there."""
        now = time.monotonic()
        if self._model.size >= LARGE and (now - self._said >= SAY_EVERY_S or size == self._model.size):
            self._said = now
            text = f"weights of model {self._model.id}: {size / 1e9:.2f} of {self._model.size / 1e9:.2f} GB are here"
            self._session.say("info", text)


def _is_whole(place: Path, model: Published, halt: Halt) -> bool:
    try:
        looked = place.stat()
        if looked.st_size != model.size:
            return False
        if stamp.holds(place, _what(model, place)):
            return True
        told = _pass(model, place)
        _hashed(place, told, halt)
    except OSError:
        return False
    if told.checksum() != base58.b58decode(model.checksum):
        return False
    stamp.note(place, _what(model, place), looked)
    return True


def _what(model: Published, place: Path) -> str:
    """What a place holds, in a word: opened with another key it is something else."""
    key = model.key if place.suffix == PLAIN else b""
    return hashlib.blake2b(base58.b58decode(model.checksum) + key, digest_size=32).hexdigest()


def _pass(model: Published, place: Path) -> Pass:
    """The way of the published bytes to this place: opened, or as they are."""
    return Pass(model.key if place.suffix == PLAIN else None)


def _hashed(path: Path, told: Pass, halt: Halt) -> int:
    """Hash what lies there as it was published, encrypted again where it is opened; how many bytes there are."""
    size, told.sealing = 0, True
    for piece in _read(path):
        if halt.is_set():
            raise Stopped("the worker was stopped")
        size += sum(map(len, told.steps(piece)))
    told.sealing = False
    return size


def _read(path: Path) -> Iterator[memoryview]:
    """A file's bytes; each piece is over with the next."""
    buffer = memoryview(bytearray(PIECE))
    with path.open("rb", buffering=0) as file:
        while size := file.readinto(buffer):
            yield buffer[:size]


def _bring(model: Published, shelf: Shelf, place: Path, session: Session, came: Came) -> None:
    """Put the file in place: out of what was fetched sealed, else from where it lies, going on with what has come."""
    sealed = shelf.sealed(model.checksum)
    if place != sealed and (sealed.exists() or part_of(sealed).exists()):
        if not sealed.exists():
            _download(model, shelf, sealed, session, came)
        shelf.need(model.size)
        if _unsealed(model, sealed, place, session, came):
            return
    _download(model, shelf, place, session, came)


def _unsealed(model: Published, sealed: Path, place: Path, session: Session, came: Came) -> bool:
    """Open what was fetched before its key was known; whether it still was what was published."""
    try:
        with _Part(model, place, came, session.stopping, anew=True) as part:
            for piece in _read(sealed):
                if session.stopping.is_set():
                    raise Stopped("the worker was stopped")
                part.add(piece)
            part.finish()
    except _Others:
        stamp.drop(sealed)
        return False
    stamp.drop(sealed)
    return True


def _download(model: Published, shelf: Shelf, place: Path, session: Session, came: Came) -> None:
    heeds = True
    for left in reversed(range(TRIES)):
        try:
            with _Part(model, place, came, session.stopping) as part:
                if (begun := part.size) < model.size:
                    shelf.need(model.size - begun)
                    began = time.monotonic()
                    line = Download(model.url, model.size, session.stopping, heed_tags=heeds)
                    with contextlib.closing(line.pieces(begun, part.tag)) as pieces:
                        for piece in pieces:
                            part.add(piece, line.tag)
                            age, lacks = time.monotonic() - began, part.size < model.size
                            if lacks and age > TURN_S and part.size - begun < age * LEAST:
                                raise Unreachable(f"less than {LEAST} bytes a second came")
                part.finish()
            return
        except Unreachable as failure:
            heeds = heeds and not isinstance(failure, Changed)
            if not left or session.stopping.wait(PAUSE_S):
                raise


def part_of(place: Path) -> Path:
    """Where a file of the shelf is while it comes."""
    return place.with_name(f"{place.name.removesuffix(PLAIN)}{PART}")


class _Others(FetchError):
    """The bytes are not those that were published."""


class _Part:
    """What has come of a file, hashed and, unless its place is that of sealed weights, opened in the same pass.

    Left because the rest could not be had, it stays to be gone on with; left because of what is in it, it is removed.
    """

    def __init__(self, model: Published, place: Path, came: Came, halt: Halt, *, anew: bool = False) -> None:
        self._model, self._place, self._came, self._path = model, place, came, part_of(place)
        self._tag_file = self._path.with_name(f"{self._path.name}.tag")
        self._pass = _pass(model, place)
        self._judged = place.suffix != PLAIN
        self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b")
        with contextlib.ExitStack() as opened:
            opened.callback(self._file.close)
            if anew or os.fstat(self._file.fileno()).st_size > model.size:
                self._file.truncate()
            self.size = self._begun = _hashed(self._path, self._pass, halt)
            self._file.seek(self.size)
            tagged = self._begun and self._tag_file.exists()
            self.tag = self._tag_file.read_text("utf-8", "replace") if tagged else ""
            opened.pop_all()

    def __enter__(self) -> _Part:
        return self

    def __exit__(self, _kind: object, failure: BaseException | None, _trace: object) -> None:
        stays = isinstance(failure, FetchError) and not isinstance(failure, Changed | _Others)
        if isinstance(failure, Exception) and not (stays and self.size):
            self._path.unlink(missing_ok=True)
            self._tag_file.unlink(missing_ok=True)
            # What is still held back need not be written, and might fail to be.
            with contextlib.suppress(OSError):
                self._file.close()
        self._file.close()

    def add(self, piece: bytearray | memoryview, tag: str = "") -> None:
        """The next bytes, of an object with this ETag. Raises WeightsError as soon as they cannot be a model's."""
        if tag != self.tag:
            self._tag_file.write_text(tag, "utf-8")
            self.tag = tag
        for step in self._pass.steps(piece):
            self._file.write(step)
        self.size += len(piece)
        if not self._judged and self.size >= min(header.HEAD, self._model.size):
            self._judge()
        self._came(self.size)

    def _judge(self) -> None:
        self._file.flush()
        header.check(os.pread(self._file.fileno(), header.HEAD, 0), self._model.size)
        self._judged = True

    def finish(self) -> None:
        """Put it in place. Raises FetchError when the bytes are not those that were published."""
        if self.size != self._model.size or self._pass.checksum() != base58.b58decode(self._model.checksum):
            if self._begun:
                raise Changed("what had come of it was of something else")
            raise _Others("the bytes at its address are not those that were published")
        if not self._judged:
            self._judge()
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self._path, self._place)
        self._tag_file.unlink(missing_ok=True)
        stamp.note(self._place, _what(self._model, self._place))
