"""The agent's jobs: starts their workers, keeps what they say, restarts those that die, hands hits to the signer.

A job's folder holds its card (what was asked and how it ended), its newest events, its hits, and the worker's own log.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import secrets
import shutil
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from somatui.agent import joblog
from somatui.agent.flows.base import OutcomeUnknown
from somatui.agent.ground import Ground
from somatui.agent.job import HISTORY, Job, tables
from somatui.agent.kinds import KINDS, Kind, KindError
from somatui.chain.errors import ChainError, Timeout, Unreachable
from somatui.domain.figures import MOMENTARY, SENT, title
from somatui.domain.ids import short
from somatui.domain.snapshot import JobState, JobView
from somatui.files import write_whole
from somatui.vault.base import VaultLocked
from somatui.workers.launch import WorkerProcess
from somatui.workers.protocol import Message

log = logging.getLogger(__name__)

RESTARTS = 3
"""A worker that dies is started again so often, after 1, 2 and 4 seconds, from its own checkpoint; then it is left."""
STEADY_S = 60.0
"""One that lived so long before it died is counted anew: it can begin."""
AWAY_S = 30
"""The longest pause between two tries while the network does not answer; those are not counted."""
AT_ONCE = 8
"""Hits that are submitted side by side. The others wait: those whose targets are over by then end with one look at the
chain, before anything is uploaded."""
OnHit = Callable[[str, dict[str, Any]], Awaitable[str]]


class JobsError(Exception):
    """A job cannot be started, found or stopped; the text is one sentence."""


class Jobs:
    """All jobs of a profile. `on_hit` submits a hit and says in a word how it ended; `on_change` is told of news."""

    def __init__(self, ground: Ground, on_hit: OnHit, on_change: Callable[[], None]) -> None:
        self._ground = ground
        self._on_hit, self._turns = on_hit, asyncio.Semaphore(AT_ONCE)
        self._on_change = on_change
        self._jobs: dict[str, Job] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._closing = False
        self._load()

    def views(self) -> tuple[JobView, ...]:
        """Every job, the oldest first."""
        return tuple(job.view() for job in sorted(self._jobs.values(), key=lambda j: (j.started_at_ms, j.id)))

    def get(self, job_id: str) -> Job:
        """The job of that id. Raises JobsError."""
        if job_id not in self._jobs:
            raise JobsError(f"There is no job {job_id}: the jobs pane and somatui jobs list show those there are.")
        return self._jobs[job_id]

    def start(self, kind: str, args: dict[str, Any]) -> Job:
        """Begin a job. Raises JobsError for a kind that is not known or arguments that make no sense."""
        known = KINDS.get(kind)
        if known is None:
            raise JobsError(f"There are no {kind} jobs: there are {', '.join(sorted(KINDS))}.")
        try:
            title = known.title(args)
        except KindError as wrong:
            raise JobsError(str(wrong)) from None
        now = self._ground.now_ms()
        name = f"{kind}-{secrets.token_hex(3)}"
        job = Job(name, kind, args, self._ground.paths.jobs_dir / name, now, now, title=title)
        job.folder.mkdir(mode=0o700, parents=True)
        self._jobs[name] = job
        self._keep(job)
        self._launch(job)
        return job

    def resume(self) -> None:
        """Go on with what was running when the last agent ended, and with the hits of what has ended before them."""
        for job in self._jobs.values():
            if job.alive and job.id not in self._tasks:
                self._launch(job)
            elif not job.owes:
                continue
            try:
                self._tell_again(job)
            except Exception:
                log.exception("not all hits of job %s are handed on", job.id)

    def _tell_again(self, job: Job) -> None:
        """Hand on once more the hits that it was told of; how they end is counted anew.

        One that has been submitted is known by its key and is not submitted again.
        """
        for telling in job.tells:
            telling.cancel()
        job.metrics = {name: value for name, value in job.metrics.items() if name not in SENT}
        job.owes = False
        for hit in joblog.told_hits(job.folder):
            self._hit(job, hit)

    @property
    def telling(self) -> bool:
        """Whether hits wait to be submitted, or are being."""
        return any(job.tells for job in self._jobs.values())

    async def stop(self, job_id: str) -> Job:
        """Stop a job and wait until its worker is gone; its hits go on being submitted. Raises JobsError."""
        job = self.get(job_id)
        if not job.alive:
            raise JobsError(f"Job {job_id} is not running: it is {job.state}.")
        self._into(job, "stopping")
        job.stirred.set()
        if job.worker is not None:
            await job.worker.stop()
        await asyncio.wait({self._tasks[job.id]})
        return job

    def restart(self, job_id: str) -> Job:
        """Begin again what failed or was stopped: it goes on where its folder says, hits as in `resume`.

        Raises JobsError.
        """
        job = self.get(job_id)
        if job.state not in ("failed", "stopped"):
            raise JobsError(f"Job {job_id} is {job.state}: only one that failed or was stopped can be started again.")
        job.error = None
        self._into(job, "starting")
        self._launch(job)
        self._tell_again(job)
        return job

    def forget(self, job_id: str) -> None:
        """Take an ended job and its folder away. Raises JobsError."""
        job = self.get(job_id)
        if job.alive or job.tells:
            raise JobsError(f"Job {job_id} is {job.state}: stop it first, and wait for its hits.")
        del self._jobs[job_id]
        shutil.rmtree(job.folder, ignore_errors=True)
        self._on_change()

    async def close(self) -> None:
        """End all workers; their jobs go on when the agent is started again."""
        self._closing = True
        workers = [j.worker for j in self._jobs.values() if j.worker]
        await asyncio.gather(*(w.stop(cmd="pause") for w in workers), return_exceptions=True)
        # Hits that wait to be submitted are told again at the next start.
        telling = [task for job in self._jobs.values() for task in job.tells]
        tasks = [t for t in (*self._tasks.values(), *telling) if not t.done()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def log(self, job_id: str, lines: int) -> list[str]:
        """The last lines of what a job's worker said and logged. Raises JobsError."""
        return joblog.said(self.get(job_id).folder, lines)

    async def board_changed(self) -> None:
        """Have running jobs that score against the board read the new one."""
        for job in tuple(self._jobs.values()):
            kind = KINDS[job.kind]
            if kind.follows_board and job.state == "running" and job.worker is not None:
                await kind.prepare(self._ground, job.folder)
                await job.worker.board()

    def _launch(self, job: Job) -> None:
        self._tasks[job.id] = asyncio.get_running_loop().create_task(self._run(job))

    async def _run(self, job: Job) -> None:
        try:
            await self._live(job)
        except Exception as defect:
            log.exception("job %s met something unforeseen", job.id)
            why = defect.strerror if isinstance(defect, OSError) else type(defect).__name__
            with contextlib.suppress(OSError):
                self._end(job, "failed", f"The agent met something unforeseen ({why}): see agent.log.")
            self._touch(job)

    async def _live(self, job: Job) -> None:
        """Its worker's lives, one after another, and its end."""
        kind, deaths, pause = KINDS[job.kind], 0, 1
        while job.state in ("starting", "running") and not self._closing:
            began = time.monotonic()
            try:
                status = await self._once(job, kind)
            except ChainError as failure:
                self._say(job, f"tried again in {pause} s: {failure}")
                await self._pause(job, pause)
                pause = min(2 * pause, AWAY_S)
                continue
            if job.state not in ("starting", "running") or self._closing:
                break
            deaths, pause = (0 if time.monotonic() - began >= STEADY_S else deaths), 1
            if deaths == RESTARTS:
                self._end(job, "failed", f"The worker died {RESTARTS + 1} times (status {status}): see its log.")
                break
            self._say(job, f"the worker died (status {status}): started again in {2**deaths} s")
            await self._pause(job, 2**deaths)
            deaths += 1
        if job.state == "stopping" and not self._closing:
            self._end(job, "stopped")

    async def _pause(self, job: Job, seconds: float) -> None:
        """Wait so long, but not once it is to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while job.state != "stopping":
                    job.stirred.clear()
                    await job.stirred.wait()

    async def _once(self, job: Job, kind: Kind) -> int:
        """One life of the worker; the exit status. Raises ChainError before it has begun."""
        ended: list[Message] = []

        def hear(message: Message) -> None:
            self._hear(job, message)
            if message.kind in ("done", "failed"):
                ended.append(message)

        worker = WorkerProcess()
        try:
            await kind.prepare(self._ground, job.folder)
            line = kind.line(job.asked, job.folder, self._ground)
            secret, log = kind.secrets(job.asked, self._ground.vault), job.folder / joblog.STDERR
            await worker.start(kind.worker(job.asked), line, secrets=secret, stderr_path=log, on_message=hear)
            job.worker = worker
            status = await (worker.stop() if job.state == "stopping" else worker.wait())
        except (KindError, OSError) as failure:
            self._end(job, "failed", str(failure))
            return 1
        finally:
            job.worker = None
        if ended and job.state != "failed":
            await self._finish(job, ended[-1])
        return status

    async def _finish(self, job: Job, last: Message) -> None:
        """The worker has come to an end of its own; the job has when its hits have too, or when it is to stop."""
        stopped = job.state == "stopping"
        while job.tells and job.state != "stopping":
            job.stirred.clear()
            await job.stirred.wait()
        if last.kind == "failed":
            self._end(job, "failed", str(last.body.get("error") or "The worker failed."))
        elif not stopped and not self._closing:
            result = last.body.get("result") or {}
            figures = {k: float(v) for k, v in result.items() if k in job.metrics and isinstance(v, (int, float))}
            job.metrics |= figures
            job.result |= {
                k: str(v) for k, v in result.items() if k not in figures and isinstance(v, (str, int, float))
            }
            job.done = 1.0
            self._end(job, "done")

    def _hear(self, job: Job, message: Message) -> None:
        if message.kind == "metric" and "tables" in message.body:
            job.tables = tables(message.body["tables"])
            self._touch(job)
            return
        body = message.body
        # A worker that is started again tells all that its earlier lives have told.
        if message.kind == "hit" and body.get("target_id") in job.told:
            return
        try:
            joblog.note(job.folder, message)
        except OSError as failure:
            log.warning("what job %s says is not written down: %s", job.id, failure)
        if message.kind == "hello":
            job.metrics = {name: value for name, value in job.metrics.items() if name not in MOMENTARY}
            if job.state == "starting":
                self._into(job, "running")
        elif message.kind == "progress" and isinstance(body.get("done"), (int, float)):
            job.done = float(body["done"])
        elif message.kind == "metric":
            job.metrics |= {k: float(v) for k, v in body.items() if isinstance(v, (int, float)) and v is not True}
            for name in (k for k, v in body.items() if v is None):
                job.metrics.pop(name, None)
            drawn = KINDS[job.kind].drawn
            if isinstance(body.get(drawn), (int, float)):
                job.history.append(float(body[drawn]))
        elif message.kind == "checkpoint":
            joblog.trim(job.folder)
            self._keep(job)
        elif message.kind == "log":
            self._say(job, str(body.get("text", "")))
        elif message.kind == "hit":
            self._hit(job, body)
        self._touch(job)

    def _hit(self, job: Job, hit: dict[str, Any]) -> None:
        target = str(hit.get("target_id", ""))
        job.told.add(target)
        name = f"{title(str(hit.get('name', '')))} → {short(target)}"
        distance = hit.get("distance")
        self._say(job, f"hit {name} distance {distance:.4f}" if isinstance(distance, float) else f"hit {name}")
        if job.asked.get("submit"):
            task = asyncio.get_running_loop().create_task(self._tell(job, name, hit))
            job.tells.add(task)
            task.add_done_callback(lambda over: self._told(job, over))

    def _told(self, job: Job, task: asyncio.Task[None]) -> None:
        job.tells.discard(task)
        if self._closing:
            return
        if not job.tells:
            job.stirred.set()
            if not job.alive:
                self._keep(job)
        self._touch(job)

    async def _tell(self, job: Job, name: str, hit: dict[str, Any]) -> None:
        ended, pause = "", 1
        while not ended:
            try:
                async with self._turns:
                    ended = await self._on_hit(job.id, hit)
            except Exception as failure:
                if isinstance(failure, OutcomeUnknown) or isinstance(failure.__cause__, Unreachable | Timeout):
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, AWAY_S)
                    continue
                job.owes = job.owes or isinstance(failure, VaultLocked)
                log.warning("a hit of %s was not submitted: %s", job.id, failure)
                self._say(job, f"{name}: {failure}")
                ended = "failed"
        job.metrics[ended] = job.metrics.get(ended, 0.0) + 1
        self._touch(job)

    def _say(self, job: Job, text: str) -> None:
        job.lines.append(text)
        self._touch(job)

    def _into(self, job: Job, state: JobState) -> None:
        job.state = state
        self._keep(job)
        self._touch(job)

    def _end(self, job: Job, state: JobState, error: str | None = None) -> None:
        job.error = error
        job.tables.pop("gauges", None)
        if job.tells:
            self._say(job, f"{len(job.tells)} of its hits wait: they go on being submitted")
        self._into(job, state)

    def _touch(self, job: Job) -> None:
        job.updated_at_ms = self._ground.now_ms()
        self._on_change()

    def _keep(self, job: Job) -> None:
        write_whole(job.folder / "job.json", json.dumps(job.card()).encode())

    def _load(self) -> None:
        for file in sorted(self._ground.paths.jobs_dir.glob("*/job.json")):
            try:
                card = json.loads(file.read_bytes())
                history = deque((float(v) for v in card.pop("history", [])), maxlen=HISTORY)
                job = Job(**card, folder=file.parent, history=history)
            except (OSError, ValueError, TypeError) as failure:
                log.warning("the card %s cannot be read, its job is left out: %s", file, failure)
                continue
            if job.kind in KINDS:
                if job.alive:
                    job.owes = job.owes or job.state == "stopping"
                    job.state = "stopped" if job.state == "stopping" else "starting"
                self._jobs[job.id] = job
