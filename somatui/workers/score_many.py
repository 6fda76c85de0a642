"""Worker that scores one corpus at several places at once: `python -m somatui.workers.score_many`.

Job: that of a score worker, with {"gpus": "all" | [card] | "none" | null, "shards": n | null}. Each shard of the corpus
has a score worker and a folder of its own (`shards/N` of the work folder), each card one worker at a time. What they
tell goes on as if one worker told it: counts add up, a target is told once, `limit` and `max_hits` hold for all.

A worker that dies is started again from its own record. A card that cannot go on is parked with the cause, the others
go on, and its shard waits for a place that becomes free. The number of shards stays what it was when the job began.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.files import write_whole
from somatui.workers import trouble
from somatui.workers.board import BoardError, read_board
from somatui.workers.gpu import look
from somatui.workers.launch import WorkerProcess
from somatui.workers.merging import figures
from somatui.workers.places import Place, Xids, places, visible
from somatui.workers.protocol import Message
from somatui.workers.session import JobError, ParkedError, Session, run
from somatui.workers.tables import Tables, together

RESTARTS = 3
"""A worker that dies without having dealt with a candidate is started again so often, after 1, 2 and 4 seconds."""
TRIES = 2
"""Places at which a shard may fail before it is left for who asks again."""
TICK_S, TELL_EVERY_S, GRACE_S = 0.1, 0.5, 3.0
SAID_S = 10.0
_VERSION = 1


@dataclass
class Part:
    """One shard: what its worker told last, and how it ended, None while it has not."""

    index: int
    scored: int = 0
    limit: int | None = None
    failed: int = 0
    over: bool = False
    figures: dict[str, float] = field(default_factory=dict)
    tables: Tables = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    ended: Message | None = None
    worker: WorkerProcess | None = None

    @property
    def lacks(self) -> bool:
        """Whether it may have candidates that it is to score."""
        return not self.over and (self.limit is None or self.scored < self.limit)


class Kept:
    """What all shards together stand at, in a file of the work folder: their number, counts, and targets told of."""

    def __init__(self, path: Path, corpus: object, limit: int | None) -> None:
        self._path, self._corpus, self._limit = path, corpus, limit
        self.count, self.hits, self.parts = 0, 0, list[Part]()
        self.reported: set[str] = set()
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(path.read_text("utf-8"))
            if (told["version"], told["corpus"]) == (_VERSION, corpus):
                self.count, self.hits, self.reported = int(told["count"]), int(told["hits"]), set(told["reported"])
                same = told["limit"] == limit
                self.parts = [
                    Part(n, scored, share if same else None) for n, (scored, share) in enumerate(told["parts"])
                ]

    def begin(self, count: int) -> None:
        """Stand at the beginning of so many shards."""
        self.count, self.hits, self.parts, self.reported = count, 0, [Part(n) for n in range(count)], set()

    def save(self) -> None:
        """Write it beside the file and put it in place."""
        told = {
            "version": _VERSION, "corpus": self._corpus, "limit": self._limit, "count": self.count, "hits": self.hits,
            "parts": [(p.scored, p.limit) for p in self.parts], "reported": sorted(self.reported),
        }  # fmt: skip
        write_whole(self._path, json.dumps(told).encode())


def allot(limit: int, parts: Sequence[Part]) -> None:
    """Share a limit out to shards: each keeps what it was given, unless it is over; what is left is split evenly."""
    for part in parts:
        part.limit = part.scored if part.over else max(part.scored, part.limit or 0)
    wanting = [p for p in parts if not p.over]
    left = limit - sum(p.limit or 0 for p in parts)
    for place, part in enumerate(wanting):
        part.limit = (part.limit or 0) + max(0, (left + len(wanting) - 1 - place) // len(wanting))


class Many:
    """One job at several places; `only` are the shards that are worked on here, all of them unless it is given."""

    def __init__(self, job: dict[str, Any], session: Session, at: list[Place], only: Sequence[int] = ()) -> None:
        self._job, self._session, self._free = job, session, list(at)
        self._folder, self._texts = Path(job["work_dir"]), dict[str, float]()
        self._most_hits, self._limit = job.get("max_hits"), job.get("limit")
        self._kept = kept = Kept(self._folder / "many.json", job.get("corpus"), self._limit)
        count = job.get("shards") or kept.count or len(at)
        if kept.count != count:
            if kept.count:
                self._say(f"this job stood in {kept.count} shards and has {count} now: it is begun anew")
            kept.begin(count)
        self._threads = max(1, int(job.get("threads") or 1) // min(len(at), count))
        self._parts = [kept.parts[index] for index in only or range(count)]
        self._running: dict[asyncio.Task[Message | None], tuple[Place, Part]] = {}
        self._parked: list[str] = []
        self._end, self._told, self._news, self._xids = asyncio.Event(), 0.0, False, Xids()

    async def run(self) -> dict[str, Any]:
        """Score until the limit, enough hits, the corpus's end or a stop. Raises JobError, ParkedError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._kept.save()
        if self._limit is not None:
            allot(self._limit, self._parts)
        try:
            while not self._end.is_set() and (self._fill() or self._running):
                done, _ = await asyncio.wait(self._running, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                await self._follow()
                for task in done:
                    self._ended(*self._running.pop(task), task.result())
        finally:
            await self._stop()
        self._tell(now=True)
        self._kept.save()
        return self._result()

    def _fill(self) -> bool:
        """Start workers where there is a place and a shard for it; whether any was started."""
        busy = {part.index for _, part in self._running.values()}
        waiting = [p for p in self._parts if p.lacks and p.failed < TRIES and p.index not in busy]
        for part, place in zip(waiting, list(self._free), strict=False):
            self._free.remove(place)
            self._running[asyncio.create_task(self._live(part, place))] = (place, part)
        return bool(self._running)

    async def _follow(self) -> None:
        """Hand on what the parent said, and tell it how things stand."""
        if self._session.stopping.is_set() or self._has_enough():
            self._end.set()
        if self._session.board_changed.is_set():
            self._session.board_changed.clear()
            with contextlib.suppress(BoardError):
                self._kept.reported &= {t.id for t in read_board(Path(self._job["board"])).targets}
            for _, part in self._running.values():
                if part.worker is not None:
                    await part.worker.board()
        self._tell()

    def _has_enough(self) -> bool:
        return self._most_hits is not None and self._kept.hits >= self._most_hits

    async def _stop(self) -> None:
        """Have every worker save its work, and take in what it says of it."""
        self._end.set()
        workers = [part.worker for _, part in self._running.values() if part.worker is not None]
        await asyncio.gather(*(worker.stop(GRACE_S) for worker in workers))
        lasts = await asyncio.gather(*self._running)
        for (_, part), last in zip(self._running.values(), lasts, strict=True):
            if last is not None:
                self._take_in(part, last)
        self._running.clear()

    async def _live(self, part: Part, place: Place) -> Message | None:
        """A shard's worker at a place, started again when it dies; its last message, None when it had none."""
        folder = self._folder / "shards" / str(part.index)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        deaths, part.ended = 0, None
        while True:
            before, worker = part.scored, WorkerProcess()
            await worker.start(
                "somatui.workers.score", self._line(part, place, folder), secrets=dict(self._session.secrets) or None,
                stderr_path=folder / "worker.log", on_message=lambda m: self._hear(part, m), env=place.env,
            )  # fmt: skip
            part.worker = worker
            status = await (worker.stop(GRACE_S) if self._end.is_set() else worker.wait())
            part.worker = None
            if part.ended is not None or self._end.is_set():
                return part.ended
            deaths = 1 if part.scored > before else deaths + 1
            if deaths > RESTARTS:
                return Message(0, 0, "failed", {"error": trouble.of_status(status, deaths), "parked": True})
            wait_s = 2 ** (deaths - 1)
            self._say(f"{self._named(part)}, {place.name}: the worker died (status {status}): again in {wait_s} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), wait_s)
            if self._end.is_set():
                return None

    def _line(self, part: Part, place: Place, folder: Path) -> dict[str, Any]:
        left_out = ("gpus", "shards", "secrets_fd")
        return {k: v for k, v in self._job.items() if k not in left_out} | {
            "job": "score", "shard": [part.index, self._kept.count], "device": place.device, "work_dir": str(folder),
            "limit": part.limit, "threads": self._threads, "cursor": None,
        }  # fmt: skip

    def _hear(self, part: Part, message: Message) -> None:
        body = message.body
        match message.kind:
            case "metric":
                part.figures |= {k: float(v) for k, v in body.items() if isinstance(v, int | float)}
                part.tables = body.get("tables", part.tables)
                self._count(part, part.figures.get("scored"))
            case "hit":
                self._hit(body)
            case "checkpoint":
                self._count(part, body.get("scored"))
                self._kept.save()
                self._session.emitter.send("checkpoint", scored=self._scored(), path=str(self._folder))
            case "log":
                self._say(str(body.get("text", "")), self._named(part), str(body.get("level", "info")))
            case "done" | "failed":
                part.ended = message

    def _count(self, part: Part, scored: float | None) -> None:
        self._news = True
        if scored is not None:
            part.scored = int(scored)

    def _hit(self, hit: Mapping[str, Any]) -> None:
        """Pass a hit on, the first of its target and as many as are wanted."""
        if hit["target_id"] in self._kept.reported or self._has_enough():
            return
        self._session.emitter.send("hit", **hit)
        self._kept.hits += 1
        self._kept.reported.add(hit["target_id"])
        self._kept.save()

    def _ended(self, place: Place, part: Part, last: Message | None) -> None:
        """What a worker's end means for its place and its shard. Raises JobError for what is wrong with the job."""
        body = last.body if last is not None else {}
        if last is not None and last.kind == "failed":
            told = self._cause(place, str(body.get("error") or "The worker failed."))
            if not body.get("parked"):
                raise JobError(told)
            part.failed += 1
            self._parked.append(f"{told[:1].upper()}{told[1:]}")
            self._say(f"{place.name} is parked, {self._named(part)} waits: {told}")
            return
        self._free.append(place)
        if last is not None:
            self._take_in(part, last)
        if self._limit is not None and part.over:
            allot(self._limit, self._parts)

    def _take_in(self, part: Part, last: Message) -> None:
        part.result = last.body.get("result") or {}
        self._count(part, part.result.get("scored"))
        part.over = part.result.get("reason") == "corpus"

    def _cause(self, place: Place, told: str) -> str:
        """What a worker told, in the driver's words where it has a number for what happened to the card."""
        number = self._xids.taken().get(place.env.get("CUDA_VISIBLE_DEVICES", ""))
        return trouble.of_xid(number) if number is not None and "CUDA_DEVICE_ORDER" in place.env else told

    def _scored(self) -> int:
        return sum(part.scored for part in self._kept.parts)

    def _named(self, part: Part) -> str:
        return f"shard {part.index + 1} of {self._kept.count}"

    def _say(self, text: str, who: str = "", level: str = "warn") -> None:
        """Log a text once, though several workers say it within seconds."""
        at = time.monotonic()
        self._texts = {said: when for said, when in self._texts.items() if at - when < SAID_S}
        if who and text in self._texts:
            return
        self._texts[text] = at
        self._session.emitter.send("log", level=level, text=f"{who}: {text}" if who else text)

    def _tell(self, *, now: bool = False) -> None:
        at = time.monotonic()
        if not now and (not self._news or at - self._told < TELL_EVERY_S):
            return
        self._told, self._news = at, False
        live = [part for _, part in self._running.values()]
        told = figures(self._of(part, part in live) for part in self._parts)
        told |= {"scored": self._scored(), "hits": self._kept.hits, "shards": self._kept.count,
                 "shards_live": len(live), "parked": len(self._parked)}  # fmt: skip
        self._session.emitter.send("metric", **told)
        if tables := together(part.tables for part in self._parts):
            self._session.emitter.send("metric", tables=tables)
        if self._limit:
            done = told["scored"] / (self._limit + told.get("owed", 0))
            self._session.emitter.send("progress", done=min(1.0, done))

    @staticmethod
    def _of(part: Part, live: bool) -> dict[str, float]:
        """A shard's figures; one without a worker has no rates, whatever it told last."""
        passing = ("_per_s", "_s", "_share", "under_way", "ready")
        return part.figures if live else {k: v for k, v in part.figures.items() if not k.endswith(passing)}

    def _result(self) -> dict[str, Any]:
        results = [part.result for part in self._parts]
        dropped: Counter[str] = sum((Counter(r.get("dropped") or {}) for r in results), Counter())
        near = [r["best_distance"] for r in results if r.get("best_distance") is not None]
        if self._session.stopping.is_set() or self._has_enough():
            reason = "stopped" if self._session.stopping.is_set() else "hits"
        elif any(p.lacks for p in self._parts):
            raise ParkedError(self._parked[-1])
        else:
            reason = "corpus" if all(p.over for p in self._parts) else "limit"
        return {
            "scored": self._scored(), "hits": self._kept.hits, "best_distance": min(near, default=None),
            "owed": sum(int(r.get("owed", 0)) for r in results), "shards": self._kept.count,
            "reason": reason, "dropped": dict(dropped),
        }  # fmt: skip


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job."""
    at = places(job.get("gpus"), job.get("shards"), look(), visible())
    return asyncio.run(Many(job, session, at).run())


if __name__ == "__main__":
    sys.exit(run("score", work, BoardError))
