"""Worker that scores one corpus at several places at once: `python -m somatui.workers.score_many`.

Job: that of a score worker, with {"gpus": "all" | [card] | "none" | null, "shards": n | null}. Each shard of the corpus
has a score worker and a folder of its own (`shards/N` of the work folder), each card one worker at a time. What they
tell goes on as if one worker told it, and `limit` and `max_hits` hold for all together.

A worker that dies is started again from its own record. A card that cannot go on is parked with the cause, the others
go on, and its shard waits for a place that becomes free. The number of shards stays what it was when the job began.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from somatui.corpora.files import CorpusError
from somatui.workers import trouble
from somatui.workers.board import BoardError
from somatui.workers.gpu import look
from somatui.workers.launch import WorkerProcess
from somatui.workers.merging import Merged, Part
from somatui.workers.places import Place, Xids, places, visible
from somatui.workers.protocol import Message
from somatui.workers.session import JobError, Session, run

RESTARTS = 3
"""A worker that dies without having dealt with a candidate is started again so often, after 1, 2 and 4 seconds."""
TICK_S, GRACE_S = 0.1, 3.0


class Many:
    """One job at several places; `only` are the shards that are worked on here, all of them unless it is given."""

    def __init__(
        self, job: dict[str, Any], session: Session, at: list[Place], merged: Merged, only: Sequence[int] = ()
    ):
        self._job, self._session, self._free, self._merged = job, session, list(at), merged
        self._folder = Path(job["work_dir"])
        self._parts = [merged.parts[index] for index in only] or merged.parts
        beside = min(len(at), len(self._parts))
        self._threads = max(1, int(job.get("threads") or 1) // beside)
        # Where other processes of a machine do the same, the job says how many there are of them.
        self._beside = max(beside, int(job.get("workers") or 1))
        self._running: dict[asyncio.Task[Message | None], tuple[Place, Part]] = {}
        self._workers: dict[int, WorkerProcess] = {}
        self._end, self._xids = asyncio.Event(), Xids()

    async def run(self) -> dict[str, Any]:
        """Score until the limit, enough hits, the corpus's end or a stop. Raises JobError, ParkedError."""
        try:
            while not self._end.is_set() and self._fill():
                done, _ = await asyncio.wait(self._running, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                await self._follow()
                for task in done:
                    self._ended(*self._running.pop(task), task.result())
        finally:
            await self._stop()
        return self._merged.ended(self._parts, stopped=self._session.stopping.is_set())

    def _fill(self) -> bool:
        """Start workers where there is a place and a shard for it; whether any is at work."""
        busy = {part.index for _, part in self._running.values()}
        waiting = [p for p in self._parts if p.waits and p.index not in busy]
        for part, place in zip(waiting, list(self._free), strict=False):
            self._free.remove(place)
            self._running[asyncio.create_task(self._live(part, place))] = (place, part)
        return bool(self._running)

    async def _follow(self) -> None:
        """Hand on what the parent said, and tell it how things stand."""
        if self._session.stopping.is_set() or self._merged.enough:
            self._end.set()
        if self._session.board_changed.is_set():
            self._session.board_changed.clear()
            self._merged.follow(Path(self._job["board"]))
            for worker in tuple(self._workers.values()):
                await worker.board()
        self._merged.tell({part.index for _, part in self._running.values()})

    async def _stop(self) -> None:
        """Have every worker save its work, and take in what it says of it."""
        self._end.set()
        await asyncio.gather(*(worker.stop(GRACE_S) for worker in self._workers.values()))
        await asyncio.gather(*self._running)
        self._running.clear()

    async def _live(self, part: Part, place: Place) -> Message | None:
        """A shard's worker at a place, started again when it dies; its last message, None when it had none."""
        folder = self._folder / "shards" / str(part.index)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log, deaths = folder / "worker.log", 0
        ended: list[Message] = []

        def hear(message: Message) -> None:
            self._merged.hear(part, message)
            if message.kind in ("done", "failed"):
                ended.append(message)

        while True:
            before, worker = part.scored, WorkerProcess()
            await worker.start(
                "somatui.workers.score", self._line(part, place, folder), secrets=dict(self._session.secrets) or None,
                stderr_path=log, on_message=hear, env=place.env,
            )  # fmt: skip
            self._workers[part.index] = worker
            status = await (worker.stop(GRACE_S) if self._end.is_set() else worker.wait())
            del self._workers[part.index]
            if ended or self._end.is_set():
                return ended[-1] if ended else None
            deaths = 1 if part.scored > before else deaths + 1
            if deaths > RESTARTS:
                return Message(0, 0, "failed", {"error": trouble.of_status(status, deaths, log), "parked": True})
            wait_s = 2 ** (deaths - 1)
            who = f"{self._merged.named(part)}, {place.name}"
            self._merged.say(f"{who}: the worker died (status {status}): again in {wait_s} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._end.wait(), wait_s)
            if self._end.is_set():
                return None

    def _line(self, part: Part, place: Place, folder: Path) -> dict[str, Any]:
        own = {k: v for k, v in self._job.items() if k not in ("gpus", "shards", "secrets_fd")}
        # Once it has dealt with something its own record knows better.
        cursor = part.cursor if part.scored == part.base else None
        return own | {
            "job": "score", "shard": [part.index, len(self._merged.parts)], "device": place.device,
            "work_dir": str(folder), "limit": None if part.limit is None else part.limit - part.base,
            "threads": self._threads, "workers": self._beside, "cursor": cursor,
        }  # fmt: skip

    def _ended(self, place: Place, part: Part, last: Message | None) -> None:
        """What a worker's end means for its place and its shard. Raises JobError for what is wrong with the job."""
        if last is None or last.kind != "failed":
            self._free.append(place)
            return
        told = str(last.body.get("error") or "The worker failed.")
        if not last.body.get("parked"):
            raise JobError(told)
        self._merged.park(part, place.name, self._cause(place, told))

    def _cause(self, place: Place, told: str) -> str:
        """What the driver says of the card, where it says something; its numbers are those of the bus."""
        number = self._xids.taken(place.env["CUDA_VISIBLE_DEVICES"]) if "CUDA_DEVICE_ORDER" in place.env else None
        if told.startswith("out of memory"):  # of which the driver says nothing: its number is of something earlier
            return told
        return told if number is None else trouble.of_xid(number)


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job. Raises CorpusError when no shard had a candidate."""
    at = places(job.get("gpus"), job.get("shards"), look(), visible())
    merged = Merged(job, session.emitter, job.get("shards"), len(at))
    found = asyncio.run(Many(job, session, at, merged).run())
    if found["reason"] == "corpus" and not found["scored"]:
        raise CorpusError.of_nothing(found["dropped"])
    return found


if __name__ == "__main__":
    sys.exit(run("score", work, BoardError, CorpusError))
