"""What the workers of one corpus tell becomes what one worker would tell: counts add up, a target is told of once."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.files import write_whole
from somatui.workers.board import BoardError, read_board
from somatui.workers.protocol import Emitter, Message
from somatui.workers.session import ParkedError
from somatui.workers.tables import Tables, together

LEAST = ("best_distance", "best_hour")
MOST = ("targets", "covered", "left_s")
MEAN = ("peak_share",)
WORST = "screen_worst"
"""How names begin whose figures are the worst difference seen."""
PASSING = ("_per_s", "_s", "_share", "under_way", "ready")
"""How names end whose figures mean nothing once a worker has ended."""
TELL_EVERY_S, SAID_S = 0.5, 10.0
TRIES = 2
"""Places at which a shard may fail before it is left for who asks again."""
_VERSION, _HITS = 1, "told.json"


@dataclass
class Part:
    """One shard: what it stands at, and what its worker told last.

    `scored` is the whole of it. A worker that begins at `cursor`, behind `kept` candidates, counts from `base` on;
    `lost` are those before that lack models, and whose bytes were with an earlier worker.
    """

    index: int
    scored: int = 0
    limit: int | None = None
    cursor: dict[str, Any] | None = None
    kept: int = 0
    base: int = 0
    failed: int = 0
    over: bool = False
    lost: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def lacks(self) -> bool:
        """Whether it may have candidates that it is to score."""
        return not self.over and (self.limit is None or self.scored < self.limit)

    @property
    def waits(self) -> bool:
        """Whether a place that is free should have it, if no other works on it."""
        return self.lacks and self.failed < TRIES


def allot(limit: int, parts: Sequence[Part]) -> None:
    """Share a limit out to shards: each keeps what it was given, unless it is over; what is left is split evenly."""
    for part in parts:
        part.limit = part.scored if part.over else max(part.scored, part.limit or 0)
    wanting = [p for p in parts if not p.over]
    left = limit - sum(p.limit or 0 for p in parts)
    for place, part in enumerate(wanting):
        part.limit = (part.limit or 0) + max(0, (left + len(wanting) - 1 - place) // len(wanting))


def figures(told: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """One set of figures out of those of several workers."""
    by_name: dict[str, list[float]] = {}
    for one in told:
        for name, value in one.items():
            by_name.setdefault(name, []).append(value)
    return {name: _one(name, values) for name, values in by_name.items()}


def _one(name: str, values: list[float]) -> float:
    if name in LEAST:
        return min(values)
    if name in MOST or name.startswith(WORST):
        return max(values)
    if name in MEAN:
        return sum(values) / len(values)
    if name == "cover_s":
        # Each alone would need so long: side by side their chances of the next hit add up.
        return 1 / sum(1 / value for value in values) if all(values) else 0.0
    return sum(values)


class Merged:
    """A job's shards as its parent sees them. How many there are, what they stand at and which targets were told of is
    kept in a file of the work folder; `count` of another number begins anew. With `remembers`, their cursors are kept
    as well, and hits, which are told again: it is for workers whose own folders may be lost."""

    def __init__(
        self, job: Mapping[str, Any], emitter: Emitter, count: int | None, default: int, *, remembers: bool = False
    ) -> None:
        self._emitter, self._path = emitter, Path(job["work_dir"]) / "shards.json"
        self._asked = {"corpus": job.get("corpus"), "limit": job.get("limit")}
        self._remembers, self._names = remembers, set[str]()
        self.most_hits, self.limit = job.get("max_hits"), job.get("limit")
        self.hits, self.reported, self.parked = 0, set[str](), list[str]()
        self._passed = set[str]()
        self._kept = dict[str, Mapping[str, Any]]()
        self.parts: list[Part] = []
        self._texts: dict[str, float] = {}
        self._told, self._news = 0.0, False
        self._read()
        wanted = count or len(self.parts) or default
        if len(self.parts) != wanted:
            if self.parts:
                self.say(f"this job stood in {len(self.parts)} shards and has {wanted} now: it is begun anew")
            self.hits, self.reported, self.parts = 0, set(), [Part(n) for n in range(wanted)]
            self._kept = {}
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.share_out()
        self.hits += len(self._kept.keys() - self.reported)
        self.reported |= self._kept.keys()
        self.save()
        for target, hit in self._kept.items():
            self._emitter.send("hit", **hit)
            self._passed.add(target)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(self._path.read_text("utf-8"))
            if (told["version"], told["corpus"]) == (_VERSION, self._asked["corpus"]):
                same = told["limit"] == self.limit
                self.parts = [
                    Part(n, int(scored), share if same else None, cursor, int(scored))
                    for n, (scored, share, cursor) in enumerate(told["parts"])
                ]
                self.hits, self.reported = int(told["hits"]), set(told["reported"])
                for part, owed in zip(self.parts, told.get("owed") or (), strict=False):
                    part.figures["owed"] = float(owed)
                if self._remembers:
                    self._kept = json.loads(self._path.with_name(_HITS).read_text("utf-8"))

    def save(self) -> None:
        """Write down what it stands at."""
        parts = [(p.kept if self._remembers else p.scored, p.limit, p.cursor) for p in self.parts]
        told = {"version": _VERSION, "hits": self.hits, "reported": sorted(self.reported), "parts": parts}
        if self._remembers:
            told["owed"] = [p.lost + p.figures.get("owed", 0) for p in self.parts]
        write_whole(self._path, json.dumps(told | self._asked).encode())

    def share_out(self) -> None:
        """Give each shard its share of the limit, if there is one."""
        if self.limit is not None:
            allot(self.limit, self.parts)

    @property
    def scored(self) -> int:
        """Candidates of all shards."""
        return sum(part.scored for part in self.parts)

    @property
    def enough(self) -> bool:
        """Whether there are all the hits that are wanted."""
        return self.most_hits is not None and self.hits >= self.most_hits

    def follow(self, board: Path) -> None:
        """Another board: targets that are no more on it, if it can be read, may be told of anew."""
        with contextlib.suppress(BoardError):
            there = {t.id for t in read_board(board).targets}
            self.reported &= there
            self._kept = {target: hit for target, hit in self._kept.items() if target in there}

    def named(self, part: Part) -> str:
        """What people call a shard."""
        return f"shard {part.index + 1} of {len(self.parts)}"

    def anew(self, part: Part) -> None:
        """Have a shard go on from its cursor with a worker that has nothing of the earlier ones."""
        part.scored = part.base = part.kept
        part.result.pop("owed", None)
        if left := int(part.figures.pop("owed", 0)):
            part.lost += left
            self.say(f"{self.named(part)}: up to {left} candidates that lacked models are not come back to")

    def hear(self, part: Part, message: Message) -> None:
        """Take in what a shard's worker told, its last message included."""
        body = message.body
        self._news = True
        match message.kind:
            case "metric":
                part.figures |= {k: float(v) for k, v in body.items() if isinstance(v, int | float)}
                part.figures = {k: v for k, v in part.figures.items() if body.get(k, v) is not None}
                part.tables = body.get("tables", part.tables)
                self._count(part, part.figures.get("scored"))
            case "hit":
                self._hit(body)
            case "checkpoint":
                self._count(part, body.get("scored"))
                if self._remembers:
                    part.cursor, part.kept = body.get("cursor"), part.scored
                self.save()
                told = {"shard": part.index, "cursor": body.get("cursor")}
                self._emitter.send("checkpoint", scored=self.scored, path=str(self._path), **told)
            case "log":
                self.say(str(body.get("text", "")), self.named(part), str(body.get("level", "info")))
            case "done":
                part.result = body.get("result") or {}
                self._count(part, part.result.get("scored"))
                part.over = part.result.get("reason") == "corpus"
                if part.over:
                    self.share_out()

    def _count(self, part: Part, scored: float | None) -> None:
        if scored is not None:
            part.scored = part.base + int(scored)

    def _hit(self, hit: Mapping[str, Any]) -> None:
        """Pass a hit on, the first of its target and as many as are wanted.

        What an earlier life has passed on is passed on once more: nobody may have heard it. Where no worker's record
        outlives it, it is written down before the cursor behind it.
        """
        target = hit["target_id"]
        if target in self._passed or (self.enough and target not in self.reported):
            return
        self._passed.add(target)
        if self._remembers:
            self._kept[target] = dict(hit)
            write_whole(self._path.with_name(_HITS), json.dumps(self._kept).encode())
        self._emitter.send("hit", **hit)
        if target not in self.reported:
            self.hits += 1
            self.reported.add(target)
            self.save()

    def say(self, text: str, who: str = "", level: str = "warn") -> None:
        """Log a text once, though several workers say it within seconds."""
        at = time.monotonic()
        self._texts = {said: when for said, when in self._texts.items() if at - when < SAID_S}
        if who and text in self._texts:
            return
        self._texts[text] = at
        self._emitter.send("log", level=level, text=f"{who}: {text}" if who else text)

    def park(self, part: Part, place: str, cause: str) -> None:
        """Note that a place is out, and that its shard waits for another."""
        part.failed += 1
        self.parked.append(f"{place}: {cause}" if self._remembers else f"{cause[:1].upper()}{cause[1:]}")
        self.say(f"{place} is parked, {self.named(part)} waits: {cause}")

    def tell(self, live: Collection[int], *, now: bool = False) -> None:
        """Send figures and tables if there is news, at most twice a second; `live` are the shards with a worker."""
        at = time.monotonic()
        if not now and (not self._news or at - self._told < TELL_EVERY_S):
            return
        self._told, self._news = at, False
        told = figures(_lasting(p.figures, p.index in live) for p in self.parts)
        told |= {"scored": self.scored, "hits": self.hits, "shards": len(self.parts), "shards_live": len(live),
                 "parked": len(self.parked)}  # fmt: skip
        gone = dict.fromkeys(self._names - set(told))
        self._names = set(told)
        self._emitter.send("metric", **told, **gone)
        if tables := together(part.tables for part in self.parts):
            self._emitter.send("metric", tables=tables)
        if self.limit:
            self._emitter.send("progress", done=min(1.0, told["scored"] / (self.limit + told.get("owed", 0))))

    def ended(self, parts: Sequence[Part], *, stopped: bool) -> dict[str, Any]:
        """Tell and write down how things stand in the end; gives the result of these shards.

        Raises ParkedError where one is left unfinished.
        """
        self.tell((), now=True)
        self.save()
        found = self.result(parts, stopped=stopped)
        if not found["reason"]:
            raise ParkedError(self.parked[-1])
        return found

    def result(self, parts: Sequence[Part], *, stopped: bool) -> dict[str, Any]:
        """What one worker would have for a result, of these shards; its reason is "" where one is left unfinished."""
        results = [part.result for part in parts]
        dropped: Counter[str] = sum((Counter(r.get("dropped") or {}) for r in results), Counter())
        near = [r["best_distance"] for r in results if r.get("best_distance") is not None]
        reason = "stopped" if stopped else "hits" if self.enough else ""
        if not reason and not any(p.lacks for p in parts):
            reason = "corpus" if all(p.over for p in parts) else "limit"
        return {
            "scored": self.scored, "hits": self.hits, "best_distance": min(near, default=None),
            "owed": sum(int(r.get("owed", 0)) for r in results) + sum(p.lost for p in parts), "shards": len(self.parts),
            "reason": reason, "dropped": dict(dropped),
        }  # fmt: skip


def _lasting(told: Mapping[str, float], live: bool) -> Mapping[str, float]:
    return told if live else {k: v for k, v in told.items() if not k.endswith(PASSING)}
