"""Candidates from local files and folders, in an order fixed by a seed; resumes where its cursor points."""

from __future__ import annotations

import bisect
import hashlib
import os
import stat
import sysconfig
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.corpora.filters import reason
from somatui.corpora.source import WHOLE, Shard

LEFT_OUT = frozenset({"__pycache__", "site-packages", ".git", "node_modules"})


class CorpusError(ValueError):
    """A corpus that cannot be read; the text is one sentence with the cure."""

    @classmethod
    def of_nothing(cls, dropped: Mapping[str, int]) -> CorpusError:
        """There is no candidate, after so many were left out."""
        told = ", ".join(f"{count} {why}" for why, count in sorted(dropped.items()))
        return cls(
            f"The corpus has no candidate{told and f' (left out: {told})'}: name other files, fields or windows."
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """Bytes that may be scored: the file that holds them, their Blake2b-256 digest (32 bytes), the source's name."""

    name: str
    data: bytes
    digest: bytes
    source: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """What one source has given so far: candidates, those of them that hit, those that wait to be taken, and by reason
    what was left out."""

    given: int
    hits: int
    ready: int
    dropped: Mapping[str, int]


def is_text(name: str) -> bool:
    """Whether a name is text: other bytes are a file's name too, but nothing writes them down or shows them."""
    return name.encode(errors="replace").decode() == name


def standard_library() -> Path:
    """The corpus that is always there: the sources of the running interpreter."""
    return Path(sysconfig.get_path("stdlib"))


def listed(paths: Sequence[Path], suffixes: tuple[str, ...], seed: int) -> list[str]:
    """Files of some files and folders (the standard library when there are none), in the seed's order.

    Raises CorpusError for a path that is not there.
    """

    return sorted(_found(paths, suffixes), key=lambda name: _place(name, seed))


def behind(files: Sequence[str], seed: int, cursor: Mapping[str, Any]) -> int:
    """How many of the listed files lie before a cursor, whatever came or went since that was taken."""
    last = cursor.get("last")
    if not isinstance(last, str):
        return int(cursor["position"])
    return bisect.bisect_right(files, _place(last, seed), key=lambda name: _place(name, seed))


def _place(name: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}:{name}".encode(errors="surrogatepass")).digest()


def _found(paths: Sequence[Path], suffixes: tuple[str, ...]) -> Iterator[str]:
    for root in paths or (standard_library(),):
        if root.is_file():
            yield str(root)
            continue
        if not root.is_dir():
            raise CorpusError(f"{root} is no file or folder: name one that exists.")
        for folder, inner, names in os.walk(root):
            inner[:] = [name for name in inner if name not in LEFT_OUT]
            yield from (os.path.join(folder, n) for n in names if not suffixes or n.endswith(suffixes))


@dataclass
class FileCorpus:
    """Files of some folders, those of one shard; `dropped` counts by reason what was left out.

    Without folders it is the standard library, of which the sources alone are read. `picky` leaves out what a machine
    wrote and what says next to nothing as well, and complains where there is no candidate at all.
    """

    paths: tuple[Path, ...] = ()
    max_bytes: int = 16_384
    seed: int = 0
    suffixes: tuple[str, ...] | None = None
    position: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    shard: Shard = WHOLE
    picky: bool = False
    last: str | None = None

    def __post_init__(self) -> None:
        if self.suffixes is None:
            self.suffixes = () if self.paths else (".py",)
        self._files = listed(self.paths, self.suffixes, self.seed)
        self._seen: set[bytes] = set()
        before = behind(self._files, self.seed, {"position": self.position, "last": self.last})
        self.position, counts = 0, self.dropped
        self.dropped = Counter()
        for _ in range(before):
            self._read()
        if before:
            self.dropped = counts

    def __iter__(self) -> Iterator[Candidate]:
        while (candidate := self.take()) is not None:
            yield candidate

    @property
    def over(self) -> bool:
        """Whether every file has been read."""
        return self.position >= len(self._files) and not self._nothing

    @property
    def _nothing(self) -> bool:
        return self.picky and self.shard.count == 1 and not self._seen

    def take(self) -> Candidate | None:
        """The next candidate, None when there is no more. Raises CorpusError where a picky one had none at all."""
        while self.position < len(self._files):
            if (candidate := self._read()) is not None:
                return candidate
        if self._nothing:
            raise CorpusError.of_nothing(self.dropped)
        return None

    def learn(self, source: str, hits: int = 1) -> None:
        """Nothing: there is one source alone."""

    def shares(self) -> dict[str, Share]:
        """Nothing, for the same reason."""
        return {}

    def close(self) -> None:
        """Nothing is held."""

    def _read(self) -> Candidate | None:
        """Read the next file, or count why it is left out."""
        name = self._files[self.position]
        self.position += 1
        try:
            about = os.stat(name)
            if not (is_text(name) and stat.S_ISREG(about.st_mode)):
                self._drop("unreadable", name)
                return None
            if about.st_size > self.max_bytes:
                self._drop("size", name)
                return None
            with open(name, "rb") as file:
                data = file.read(self.max_bytes + 1)
        except OSError:
            self._drop("unreadable", name)
            return None
        if why := self._why(data):
            self._drop(why, name)
            return None
        if not self.shard.has(data):
            return None
        digest = hashlib.blake2b(data, digest_size=32).digest()
        if digest in self._seen:
            self.dropped["duplicate"] += 1
            return None
        self._seen.add(digest)
        return Candidate(name, data, digest)

    def _why(self, data: bytes) -> str:
        """Why these bytes are no candidate."""
        why = reason(data, self.max_bytes)
        return why if self.picky or why not in ("generated", "filler") else ""

    def _drop(self, why: str, name: str) -> None:
        """Count what is left out, in one of the shards."""
        if self.shard.has(os.fsencode(name)):
            self.dropped[why] += 1

    def cursor(self) -> dict[str, Any]:
        """Where the run stands, as JSON; what was given out before it is not given out again."""
        return {
            "position": self.position, "seed": self.seed, "dropped": dict(self.dropped), "suffixes": self.suffixes,
            "last": self._files[self.position - 1] if self.position else None,
        }  # fmt: skip

    @classmethod
    def resumed(
        cls, cursor: dict[str, Any], paths: tuple[Path, ...] = (), max_bytes: int = 16_384, shard: Shard = WHOLE,
        picky: bool = False,
    ) -> FileCorpus:  # fmt: skip
        """The corpus at a cursor; files before it are read again for their digests alone."""
        return cls(
            paths, max_bytes, int(cursor["seed"]), tuple(cursor.get("suffixes", (".py",))),
            position=int(cursor["position"]), dropped=Counter(cursor["dropped"]), shard=shard, picky=picky,
            last=cursor.get("last"),
        )  # fmt: skip
