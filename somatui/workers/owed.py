"""Candidates that have not been through all models yet, with their bytes in a folder: whatever end a job has, it can
come back to them, also to those that came from a program or a pipe and could not be read again."""

from __future__ import annotations

import shutil
from collections import deque
from pathlib import Path

from somatui.corpora.files import Candidate
from somatui.engine.cipher import checksum

MOST = 2000
"""Candidates that are come back to for the models they lack; beyond that, new ones are worth as much."""


class Owed:
    """`names` is kept up to date for whoever writes it down: the digest in hex, and where the bytes came from."""

    def __init__(self, folder: Path, names: dict[str, str]) -> None:
        self._folder, self._names = folder, names
        self._coming = deque(names)
        if not names:
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700, exist_ok=True)

    def add(self, candidate: Candidate) -> None:
        """Come back to this one later, unless there are too many already."""
        told = candidate.digest.hex()
        if len(self._names) >= MOST or told in self._names:
            return
        # Not flushed to the disk: what a power failure spoils has another digest and is left out.
        (self._folder / told).write_bytes(candidate.data)
        self._names[told] = candidate.name
        self._coming.append(told)

    def done(self, candidate: Candidate) -> None:
        """This one lacks nothing any more."""
        self._drop(candidate.digest.hex())

    def next(self) -> Candidate | None:
        """The next one that has not been given out yet, None when there is none."""
        while self._coming:
            told = self._coming.popleft()
            try:
                data = (self._folder / told).read_bytes()
            except OSError:
                data = b""
            digest = bytes.fromhex(told)
            if checksum(data) == digest:
                return Candidate(self._names[told], data, digest)
            self._drop(told)
        return None

    def _drop(self, told: str) -> None:
        if self._names.pop(told, None) is not None:
            (self._folder / told).unlink(missing_ok=True)
