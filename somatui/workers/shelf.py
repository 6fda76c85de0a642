"""The folder of weights: which files are whose, who is at them, whether there is room, and what may go; no content.

Of one checksum there is at most `.safetensors` (opened) or `.sealed` (as published, its key not yet known), and while
it comes `.part` or `.sealed.part`, with the ETag that its server told beside it. When a file was last used is the time
of access of its `stamp`, or its own where it has none; both are set on purpose. Who judges weights, brings or removes
them holds their lock. The standard library alone, so that the agent can look here too.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from somatui.workers import stamp

PLAIN, SEALED, PART, LOCK = ".safetensors", ".sealed", ".part", ".lock"
SPARE = 1024**3
"""Bytes that are left free for everything else on the disk, where weights of that size come."""
RECENT_S = 2 * 86_400
"""What was used since then may be live for another profile: no limit takes it."""
LOOK_S = 0.2
_CHECKSUM = re.compile(r"[1-9A-HJ-NP-Za-km-z]{32,44}")
"""32 bytes in Base58; a file of any other name is not ours to count or remove."""


class ShelfError(ValueError):
    """There is no room, or no getting at the folder; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Standing:
    """All files of one checksum: their bytes together, and when one was last used or written (s since 1970)."""

    checksum: str
    size: int
    used_at: float


class Shelf:
    """One folder, which any number of processes share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def plain(self, checksum: str) -> Path:
        """The place of opened weights."""
        return self.folder / f"{checksum}{PLAIN}"

    def sealed(self, checksum: str) -> Path:
        """The place of weights as they were published."""
        return self.folder / f"{checksum}{SEALED}"

    def has(self, checksum: str, size: int, *, opened: bool) -> bool:
        """Whether a file of that size is there: the opened one, or either of the two; its bytes are not looked at."""
        places = (self.plain(checksum),) if opened else (self.plain(checksum), self.sealed(checksum))
        return any(_size(place) == size for place in places)

    def used(self, path: Path) -> None:
        """Note that the file is used now."""
        for one in (stamp.beside(path), path):
            with contextlib.suppress(OSError):
                os.utime(one, ns=(time.time_ns(), one.stat().st_mtime_ns))
                return

    def keep(self, live: Collection[str]) -> None:
        """Note that what is here of these is in use, so that no other profile takes it for old."""
        for checksum in live:
            for place in (self.plain(checksum), self.sealed(checksum)):
                self.used(place)

    def need(self, size: int) -> None:
        """Raise ShelfError where the disk has no room for so many bytes more."""
        free = shutil.disk_usage(self.folder).free
        wanted = size + min(size, SPARE)
        if free < wanted:
            raise ShelfError(
                f"{wanted / 1e9:.2f} GB have to be free in {self.folder} and {free / 1e9:.2f} GB are: "
                "free space, or lower weights_keep_days or weights_limit_gb"
            )

    @contextlib.contextmanager
    def held(self, checksum: str, halt: Event | None = None) -> Iterator[bool]:
        """Be the only one at these weights; whether that came true.

        With `halt` it waits for whoever is at them until halted, else it does not wait. The lock ends with the process.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self.folder / f"{checksum}{LOCK}"
        while (lock := locked(path)) is None:
            if halt is None or halt.wait(LOOK_S):
                yield False
                return
        try:
            yield True
        finally:
            path.unlink(missing_ok=True)
            os.close(lock)

    def standing(self, but: str = "") -> list[Standing]:
        """What is here, the longest unused first; `but` is an ending that does not count."""
        found: dict[str, tuple[int, float]] = {}
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.folder):
                checksum, _, ending = entry.name.partition(".")
                if not f".{ending}".startswith((PLAIN, SEALED, PART, LOCK)) or not _CHECKSUM.fullmatch(checksum):
                    continue
                if f".{ending}" == but:
                    continue
                with contextlib.suppress(FileNotFoundError):
                    told = entry.stat()
                    size, used_at = found.get(checksum, (0, 0.0))
                    found[checksum] = size + told.st_size, max(used_at, told.st_atime, told.st_mtime)
        return sorted((Standing(c, *told) for c, told in found.items()), key=lambda s: s.used_at)

    def old(self, live: Collection[str], keep_days: int, limit: int) -> list[Standing]:
        """What was not used for `keep_days` (0: for ever), and the longest unused until `limit` bytes are left.

        Never what is live, or, for the limit alone, what was used in the last two days.
        """
        found: list[Standing] = []
        standing, now = self.standing(), time.time()
        total = sum(s.size for s in standing)
        for one in standing:
            age = now - one.used_at
            due = keep_days and age > keep_days * 86_400
            if one.checksum not in live and (due or (total > limit and age > RECENT_S)):
                total -= one.size
                found.append(one)
        return found

    def prune(self, live: Collection[str], keep_days: int, limit: int) -> list[Standing]:
        """Remove what is old, unless somebody is at it; gives what went."""
        gone: list[Standing] = []
        for one in self.old(live, keep_days, limit):
            with self.held(one.checksum) as alone:
                # Since we looked somebody may have begun to use it.
                if alone and self._used_at(one.checksum) <= one.used_at:
                    self.remove(one.checksum)
                    gone.append(one)
        return gone

    def remove(self, checksum: str) -> None:
        """Remove all files of a checksum; its lock must be held."""
        for path in self.folder.glob(f"{checksum}.*"):
            if path.suffix != LOCK:
                path.unlink(missing_ok=True)

    def _used_at(self, checksum: str) -> float:
        return max((one.used_at for one in self.standing(but=LOCK) if one.checksum == checksum), default=0.0)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def locked(path: Path) -> int | None:
    """A descriptor that holds the lock, None while another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not os.fstat(descriptor).st_nlink:
        # Its last holder removed it between the two steps: another may hold a new file of this name.
        os.close(descriptor)
        return locked(path)
    return descriptor
