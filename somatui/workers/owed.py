"""Candidates that have not been through all models yet, with their bytes in a folder: whatever end a job has, it can
come back to them, also to those that came from a program or a pipe and could not be read again."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from somatui.corpora.files import Candidate
from somatui.engine.cipher import checksum
from somatui.workers.matching import Named
from somatui.workers.stand import Stand

MOST = 2000
"""Candidates that are come back to for the models they lack; beyond that, new ones are worth as much."""


class Owed:
    """The stand knows who they are; `add` and `done` are called within a step of it, `tidy` after one."""

    def __init__(self, folder: Path, stand: Stand) -> None:
        self._folder, self._stand = folder, stand
        self._coming = dict.fromkeys(stand.owed)
        self._first: list[str] = []
        self._given: set[str] = set()
        folder.mkdir(mode=0o700, exist_ok=True)
        self._settled = [path.name for path in folder.iterdir() if path.name not in stand.owed]
        self.tidy()

    def add(self, candidate: Candidate, more: bool = True) -> None:
        """Come back to this one later, unless there are too many already; without `more` not before `again`."""
        told = candidate.digest.hex()
        self._given.discard(told)
        if told not in self._stand.owed:
            if len(self._stand.owed) >= min(MOST, self._stand.kept):
                return
            # Not flushed to the disk: what a power failure spoils has another digest and is left out.
            (self._folder / told).write_bytes(candidate.data)
            self._stand.owe(told, candidate.name)
        if more:
            self._coming[told] = None

    def again(self, promising: Callable[[list[Named]], Collection[Named]]) -> None:
        """There is a model that they may lack: all are given out once more, those that promise something first."""
        waiting = {told: Named(name, bytes.fromhex(told)) for told, name in self._stand.owed.items()}
        self._coming = dict.fromkeys(told for told in waiting if told not in self._given)
        first = promising([waiting[told] for told in self._coming])
        self._first = [told for told in self._coming if waiting[told] in first][::-1]

    def done(self, candidate: Candidate) -> None:
        """This one lacks nothing any more."""
        self._drop(candidate.digest.hex())

    def first(self) -> Candidate | None:
        """The next of those that come before new candidates."""
        while self._first:
            if (told := self._first.pop()) in self._coming and (found := self._opened(told)) is not None:
                return found
        return None

    def next(self) -> Candidate | None:
        """The next one that has not been given out yet, None when there is none."""
        while self._coming:
            if (found := self._opened(next(iter(self._coming)))) is not None:
                return found
        return None

    def _opened(self, told: str) -> Candidate | None:
        """One of them, None if its bytes are not what they were."""
        del self._coming[told]
        try:
            data = (self._folder / told).read_bytes()
        except OSError:
            data = b""
        digest = bytes.fromhex(told)
        if checksum(data) != digest:
            self._drop(told)
            return None
        self._given.add(told)
        return Candidate(self._stand.owed[told], data, digest)

    def tidy(self) -> None:
        """Delete the bytes of those that are settled, now that this is written down."""
        while self._settled:
            (self._folder / self._settled.pop()).unlink(missing_ok=True)

    def _drop(self, told: str) -> None:
        self._coming.pop(told, None)
        self._given.discard(told)
        if told in self._stand.owed:
            self._stand.settle(told)
            self._settled.append(told)
