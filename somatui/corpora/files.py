"""Candidates from local files and folders, in an order fixed by a seed; resumes where its cursor points."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LEFT_OUT = frozenset({"__pycache__", "site-packages", ".git", "node_modules"})


class CorpusError(ValueError):
    """A corpus that cannot be read; the text is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Bytes that may be scored: where they come from, and their Blake2b-256 digest (32 bytes)."""

    name: str
    data: bytes
    digest: bytes


def standard_library() -> Path:
    """The corpus that is always there: the sources of the running interpreter."""
    return Path(sysconfig.get_path("stdlib"))


@dataclass
class FileCorpus:
    """Files of some folders; `dropped` counts by reason what was left out."""

    paths: tuple[Path, ...] = ()
    max_bytes: int = 16_384
    seed: int = 0
    suffixes: tuple[str, ...] = (".py",)
    position: int = 0
    dropped: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._files = sorted(self._found(), key=lambda name: hashlib.blake2b(f"{self.seed}:{name}".encode()).digest())
        self._seen: set[bytes] = set()
        behind, self.position, counts = self.position, 0, self.dropped
        self.dropped = Counter()
        for _ in range(behind):
            self._take()
        if behind:
            self.dropped = counts

    def _found(self) -> Iterator[str]:
        for root in self.paths or (standard_library(),):
            if root.is_file():
                yield str(root)
                continue
            if not root.is_dir():
                raise CorpusError(f"{root} is no file or folder: name one that exists.")
            for folder, inner, names in os.walk(root):
                inner[:] = [name for name in inner if name not in LEFT_OUT]
                yield from (os.path.join(folder, n) for n in names if not self.suffixes or n.endswith(self.suffixes))

    def __iter__(self) -> Iterator[Candidate]:
        while self.position < len(self._files):
            candidate = self._take()
            if candidate is not None:
                yield candidate

    def _take(self) -> Candidate | None:
        """Read the next file, or count why it is left out."""
        name = self._files[self.position]
        self.position += 1
        try:
            if os.path.getsize(name) > self.max_bytes:
                self.dropped["size"] += 1
                return None
            data = Path(name).read_bytes()
        except OSError:
            self.dropped["unreadable"] += 1
            return None
        if not data.strip():
            self.dropped["empty"] += 1
            return None
        try:
            data.decode()
        except UnicodeDecodeError:
            self.dropped["undecodable"] += 1
            return None
        digest = hashlib.blake2b(data, digest_size=32).digest()
        if digest in self._seen:
            self.dropped["duplicate"] += 1
            return None
        self._seen.add(digest)
        return Candidate(name, data, digest)

    def cursor(self) -> dict[str, Any]:
        """Where the run stands, as JSON; what was given out before it is not given out again."""
        return {"position": self.position, "seed": self.seed, "dropped": dict(self.dropped)}

    @classmethod
    def resumed(cls, cursor: dict[str, Any], paths: tuple[Path, ...] = (), max_bytes: int = 16_384) -> FileCorpus:
        """The corpus at a cursor; files before it are read again for their digests alone."""
        return cls(
            paths, max_bytes, int(cursor["seed"]), position=int(cursor["position"]), dropped=Counter(cursor["dropped"])
        )
