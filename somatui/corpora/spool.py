"""Bytes of candidates that are no file of their own, kept to be scored again; bounded, oldest out first."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from pathlib import Path

MOST_BYTES, MOST_FILES = 512 * 1024 * 1024, 40_000


class Spool:
    """One file for each candidate, named by where it came from and its digest, as `domain.figures.title` knows."""

    def __init__(self, folder: Path, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES) -> None:
        self._folder, self._most, self._most_files, self._held = folder, most_bytes, most_files, 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.scandir(folder) as entries:
            found = sorted((e.stat().st_mtime_ns, e.path, e.stat().st_size) for e in entries)
        self._order: deque[tuple[str, int]] = deque()
        for _, path, size in found:
            self._count(path, size)

    def keep(self, name: str, data: bytes, digest: bytes) -> str:
        """The path under which the bytes are from now on."""
        told = re.sub(r"[^\w.#-]+", "-", name)[-80:]
        path = self._folder / f"{told}-{digest.hex()[:24]}"
        with contextlib.suppress(OSError):
            # One of another length was left by a worker that was killed while it wrote.
            if path.stat().st_size == len(data):
                return str(path)
        path.write_bytes(data)
        self._count(str(path), len(data))
        return str(path)

    def _count(self, path: str, size: int) -> None:
        self._order.append((path, size))
        self._held += size
        while (self._held > self._most or len(self._order) > self._most_files) and len(self._order) > 1:
            oldest, size = self._order.popleft()
            self._held -= size
            with contextlib.suppress(OSError):
                os.unlink(oldest)
