"""Candidates from several sources at once, each read ahead in a thread of its own, filtered, counted and resumed.

Which source is next is drawn by Thompson sampling of its hit rate, with a floor for each. A cursor holds where each
source stands, so nothing is given out twice and nothing is left out, whatever end a run had.
"""

from __future__ import annotations

import hashlib
import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.corpora.files import Candidate, CorpusError, Share
from somatui.corpora.filters import Near, Seen, reason, windows
from somatui.corpora.source import WHOLE, Cursor, Item, Shard, Source
from somatui.corpora.spool import MOST_FILES, Spool

AHEAD = 32
FLOOR = 0.05
"""The least share of draws of each source."""
PATIENCE_S = 0.05


@dataclass(frozen=True, slots=True)
class Rules:
    """What becomes of items: the longest candidate in bytes, window mode, and which filters are off or on."""

    max_bytes: int = 16_384
    window: str = "file"
    any_bytes: bool = False
    near: bool = False


@dataclass(frozen=True, slots=True)
class _Piece:
    name: str
    data: bytes
    path: str
    mark: dict[str, Any]
    """Where the source stands behind this piece: the cursor before its item, the item, the piece's number in it, and
    what was left out."""


@dataclass
class _Reader:
    """A source with its thread, and the part of it that is wanted; `change` guards all but these."""

    source: Source
    rules: Rules
    shard: Shard
    change: threading.Condition
    mark: dict[str, Any] = field(default_factory=lambda: {"at": None, "piece": 0, "dropped": {}})
    given: int = 0
    hits: int = 0
    repeated: Counter[str] = field(default_factory=Counter)
    ready: deque[_Piece] = field(default_factory=deque)
    over: bool = False
    late: bool = False
    """Whether it was waited for in vain: until it has something, nobody waits for it again while others have."""
    closed: bool = False
    error: CorpusError | None = None
    told: bool = False
    dropped: Counter[str] = field(default_factory=Counter)

    def start(self) -> None:
        """Read on from the mark."""
        self.dropped = Counter(self.mark["dropped"])
        threading.Thread(target=self._run, name=f"corpus {self.source.name}", daemon=True).start()

    def _run(self) -> None:
        error = None
        try:
            self._read()
        except CorpusError as failure:
            error = failure
        except Exception as failure:
            error = CorpusError(f"The source {self.source.name} cannot be read ({type(failure).__name__}: {failure}).")
        with self.change:
            self.error, self.over = error, True
            self.change.notify_all()

    def _read(self) -> None:
        before, skip = self.mark["at"], int(self.mark["piece"])
        for item, after in self.source.items(before):
            if skip and self.mark.get("item") not in (None, item.name):
                skip = 0  # what was there is gone
            if item.cut:
                self._drop(item.cut, item.name.encode(errors="surrogatepass"))
            else:
                python, number = item.name.endswith(".py"), 0
                for number, (suffix, data) in enumerate(windows(item.data, self.rules.window, python), 1):
                    if number > skip and not self._offer(item, suffix, data, before, number):
                        return
                if not number:
                    self._drop("no_window" if item.data.strip() else "empty", item.data)
            before, skip = after, 0

    def _drop(self, why: str, what: bytes) -> None:
        if self.shard.has(what):
            with self.change:
                self.dropped[why] += 1

    def _offer(self, item: Item, suffix: str, data: bytes, before: Cursor | None, number: int) -> bool:
        """Have a piece ready, or count why it is none; False when nobody wants any more."""
        why = reason(data, self.rules.max_bytes, any_bytes=self.rules.any_bytes, window=self.rules.window)
        if why:
            self._drop(why, data)
        if why or not self.shard.has(data):
            return not self.closed
        with self.change:
            while len(self.ready) >= AHEAD and not self.closed:
                self.change.wait()
            mark = {"at": before, "item": item.name, "piece": number, "dropped": dict(self.dropped)}
            whole = item.path if self.rules.window == "file" else ""
            self.ready.append(_Piece(item.name + suffix, data, whole, mark))
            self.late = False
            self.change.notify_all()
        return not self.closed

    def stand(self) -> dict[str, Any]:
        """The source's part of the cursor."""
        return self.mark | {"repeated": dict(self.repeated), "given": self.given}

    def go_on(self, told: Mapping[str, Any]) -> None:
        """Begin where a cursor says."""
        self.mark = {
            "at": told["at"], "item": told.get("item"), "piece": int(told["piece"]), "dropped": dict(told["dropped"]),
        }  # fmt: skip
        self.given, self.repeated = int(told["given"]), Counter(told["repeated"])


class MixedCorpus:
    """Sources under distinct names; `folder` keeps what is noted of the candidates that were given out.

    Of several shards, each gives its own part of a source that gives all, and one has those that are read once.
    """

    def __init__(
        self, sources: Sequence[Source], rules: Rules, folder: Path, seed: int = 0,
        cursor: Mapping[str, Any] | None = None, tell: Callable[[str], None] = lambda text: None,
        shard: Shard = WHOLE, spooled: int = MOST_FILES,
    ) -> None:  # fmt: skip
        self._change, self._tell, self._seed = threading.Condition(), tell, seed
        if len({s.name for s in sources}) < len(sources):
            raise CorpusError("Two sources have the same name: give each once.")
        mine = [s for n, s in enumerate(sources) if s.gives != "once" or n % shard.count == shard.index]
        parts = {"all": shard, "part": WHOLE, "once": WHOLE}
        self._readers = {s.name: _Reader(s, rules, parts[s.gives], self._change) for s in mine}
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        counts = cursor["noted"] if cursor is not None else {}
        seen = Seen(folder / "seen.bin", int(counts.get("duplicate", 0)))
        self._filters: dict[str, Seen | Near] = {"duplicate": seen}
        if rules.near:
            self._filters["near_duplicate"] = Near(folder / "near.bin", int(counts.get("near_duplicate", 0)))
        self._spool = Spool(folder / "candidates", most_files=spooled)
        for name, told in (cursor["sources"] if cursor is not None else {}).items():
            if name in self._readers:
                self._readers[name].go_on(told)
        self._given, self._whole = sum(r.given for r in self._readers.values()), shard.count == 1
        self._chance = random.Random(f"{seed}:{self._given}")
        for reader in self._readers.values():
            reader.start()

    @property
    def over(self) -> bool:
        """Whether every source has given all it has, and `take` has nothing to complain of."""
        with self._change:
            return self._is_over and self._failure is None and not self._untold

    @property
    def dropped(self) -> Counter[str]:
        """What was left out so far, by reason, of all sources."""
        with self._change:
            return self._left_out

    @property
    def _left_out(self) -> Counter[str]:
        return sum((r.dropped + r.repeated for r in self._readers.values()), Counter())

    def take(self) -> Candidate | None:
        """The next candidate; None when there is none yet, or no more.

        Raises CorpusError when every source has failed, and when none has had a candidate.
        """
        self._complain()
        while (found := self._next()) is not None:
            reader, piece = found
            reader.mark = piece.mark
            digest = hashlib.blake2b(piece.data, digest_size=32).digest()
            why = next((why for why, known in self._filters.items() if known.drop(piece.data, digest)), "")
            if why:
                with self._change:
                    reader.repeated[why] += 1
                continue
            reader.given += 1
            self._given += 1
            source = reader.source.name
            told = piece.name if piece.name.startswith(source) else f"{source}-{piece.name}"
            name = piece.path or self._spool.keep(told, piece.data, digest)
            return Candidate(name, piece.data, digest, source)
        self._complain()
        return None

    def learn(self, source: str, hits: int = 1) -> None:
        """Note that so many more candidates of this source hit."""
        if source in self._readers:
            self._readers[source].hits += hits

    def shares(self) -> dict[str, Share]:
        """By source, what it has given."""
        with self._change:
            return {
                name: Share(r.given, r.hits, len(r.ready), dict(r.dropped + r.repeated))
                for name, r in self._readers.items()
            }

    def cursor(self) -> dict[str, Any]:
        """Where the run stands behind the last candidate given out, as JSON."""
        noted = {why: known.count for why, known in self._filters.items()}
        return {"seed": self._seed, "noted": noted, "sources": {n: r.stand() for n, r in self._readers.items()}}

    def close(self) -> None:
        """End the threads, and programs with them."""
        with self._change:
            for reader in self._readers.values():
                reader.closed = True
            self._change.notify_all()
        for reader in self._readers.values():
            reader.source.close()
        for known in self._filters.values():
            known.close()

    def _next(self) -> tuple[_Reader, _Piece] | None:
        with self._change:
            live = [r for r in self._readers.values() if not r.over or r.ready]
            if not live:
                return None
            chosen = self._drawn(live)
            self._change.wait_for(
                lambda: chosen.ready or chosen.over or (chosen.late and any(r.ready for r in live)), PATIENCE_S
            )
            chosen.late = not chosen.ready
            reader = chosen if chosen.ready else next((r for r in live if r.ready), None)
            if reader is None:
                return None
            piece = reader.ready.popleft()
            self._change.notify_all()
            return reader, piece

    def _drawn(self, live: list[_Reader]) -> _Reader:
        """One of them: each with the floor's chance, else the one whose drawn hit rate is the highest."""
        if len(live) == 1:
            return live[0]
        if self._chance.random() < FLOOR * len(live):
            return self._chance.choice(live)
        return max(live, key=lambda r: self._chance.betavariate(1 + r.hits, 1 + max(0, r.given - r.hits)))

    @property
    def _is_over(self) -> bool:
        return all(r.over and not r.ready for r in self._readers.values())

    @property
    def _failure(self) -> CorpusError | None:
        """Why the corpus, once it is over, is no good: all sources failed, or none of them had a candidate, which may
        well be so of one shard's part."""
        errors = [r.error for r in self._readers.values() if r.error is not None]
        nothing = self._whole and not self._given
        if errors and (nothing or len(errors) == len(self._readers)):
            return errors[0]
        return CorpusError.of_nothing(self._left_out) if nothing else None

    @property
    def _untold(self) -> list[_Reader]:
        """Sources that have failed while others have not, and of which nobody knows yet."""
        failed = [r for r in self._readers.values() if r.error is not None]
        return [r for r in failed if not r.told] if len(failed) < len(self._readers) else []

    def _complain(self) -> None:
        """Tell of sources that have failed, each once, while others go on."""
        with self._change:
            if self._is_over and (failure := self._failure) is not None:
                raise failure
            fresh = self._untold
            for reader in fresh:
                reader.told = True
        for reader in fresh:
            self._tell(str(reader.error))
