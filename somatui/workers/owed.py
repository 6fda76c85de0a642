"""Candidates that have not been through all models yet, with their bytes in a folder: whatever end a job has, it can
come back to them, also to those that came from a program or a pipe and could not be read again."""

from __future__ import annotations

from collections import deque
from pathlib import Path

from somatui.corpora.files import Candidate
from somatui.engine.cipher import checksum
from somatui.workers.stand import Stand

MOST = 2000
"""Candidates that are come back to for the models they lack; beyond that, new ones are worth as much."""


class Owed:
    """The stand knows who they are; `add` and `done` are called within a step of it, `tidy` after one."""

    def __init__(self, folder: Path, stand: Stand) -> None:
        self._folder, self._stand = folder, stand
        self._coming = deque(stand.owed)
        folder.mkdir(mode=0o700, exist_ok=True)
        self._settled = [path.name for path in folder.iterdir() if path.name not in stand.owed]
        self.tidy()

    def add(self, candidate: Candidate) -> None:
        """Come back to this one later, unless there are too many already."""
        told = candidate.digest.hex()
        if len(self._stand.owed) >= min(MOST, self._stand.kept) or told in self._stand.owed:
            return
        # Not flushed to the disk: what a power failure spoils has another digest and is left out.
        (self._folder / told).write_bytes(candidate.data)
        self._stand.owe(told, candidate.name)
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
                return Candidate(self._stand.owed[told], data, digest)
            self._drop(told)
        return None

    def tidy(self) -> None:
        """Delete the bytes of those that are settled, now that this is written down."""
        while self._settled:
            (self._folder / self._settled.pop()).unlink(missing_ok=True)

    def _drop(self, told: str) -> None:
        if told in self._stand.owed:
            self._stand.settle(told)
            self._settled.append(told)
