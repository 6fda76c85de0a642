"""The jobs pane: what runs, how far it is, how fast, and the course of the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual.widget import Widget

from somatui.domain import figures
from somatui.domain.deadline import span
from somatui.domain.snapshot import JobView, Snapshot
from somatui.tui.format import NOTHING, Cell, bar, cell, coarse, count, many, number, percent, sparkline
from somatui.tui.panes.base import Detail, Line, Pane
from somatui.tui.panes.jobview import below, whole
from somatui.tui.table import Column, Row

_STATES: dict[str, Cell] = {
    "starting": cell("◌ starting", "accent"),
    "running": cell("▶ running", "accent"),
    "stopping": cell("◼ stopping", "warn"),
    "stopped": cell("■ stopped", "muted"),
    "done": cell("✓ done", "good"),
    "failed": cell("✗ failed", "bad"),
}
_ALIVE = ("starting", "running", "stopping")


class JobsPane(Pane):
    """Jobs, those that run first; below them the course and the last words of the one under the cursor."""

    NAME: ClassVar[str] = "jobs"
    NUMBER: ClassVar[int] = 5
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("STATE", 10),
        Column("JOB", 19, grow=25),
        Column("PROGRESS", 11),
        Column("RATE", 11, rank=1, right=True),
        Column("RESULT", 16),
        Column("COURSE", 16, rank=2),
        Column("RAN FOR", 8, rank=3, right=True),
        Column("ID", 14, rank=4),
    )

    def below(self) -> list[Widget]:
        """The job under the cursor."""
        self.course = Line(classes="course")
        return [self.course]

    def on_resize(self) -> None:
        """The course is as high and wide as there is room."""
        self.row_moved()

    def title(self, snapshot: Snapshot) -> Cell:
        """How many run."""
        alive = sum(j.state in _ALIVE for j in snapshot.jobs)
        ended = len(snapshot.jobs) - alive
        failed = sum(j.state == "failed" for j in snapshot.jobs)
        return (
            (f"  {alive} running" if alive else "  none running", ""),
            (f"  {ended} ended" if ended else "", "muted"),
            (f"  {failed} failed" if failed else "", "bad"),
        )

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """How a job is started."""
        return "No jobs yet. Press t to train a model, or s to score files against the open targets."

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """One row a job."""
        return [_row(job) for job in snapshot.jobs]

    def tell(self, snapshot: Snapshot, now_ms: int) -> None:
        """The job under the cursor."""
        self.row_moved()

    def row_moved(self) -> None:
        """Draw the course of the job under the cursor."""
        job = self._job()
        room = self.size.height - min(len(self.table.shown) + 1, max(3, self.size.height // 2))
        if job is None or room < 2:
            self.course.display = False
            return
        self.course.display = True
        self.course.say(*below(job, self.size.width - 1, room))

    def detail(self) -> Detail:
        """The whole job under the cursor."""
        job = self._job()
        if job is None:
            return []
        took = job.updated_at_ms - job.started_at_ms
        told: Detail = [
            ("job", job.id),
            ("what", job.title or job.kind),
            ("state", f"{job.state}{'' if job.state in _ALIVE else ', ran'} for {span(took)}"),
        ]
        told += [(name, "  ".join(texts)) for name, texts in figures.groups(job)]
        told += [(name, value if len(value) <= 100 else value[:99] + "…") for name, value in job.result.items()]
        return [*told, ("error", job.error)] if job.error else told

    def more(self, width: int) -> list[Cell]:
        """Its tables and last lines."""
        job = self._job()
        return whole(job, width) if job is not None else []

    def _job(self) -> JobView | None:
        jobs = self.snapshot.jobs if self.snapshot else ()
        return next((j for j in jobs if j.id == self.row), None)


def _metric(job: JobView, *names: str) -> float | None:
    return next((job.metrics[n] for n in names if n in job.metrics), None)


def _rate(job: JobView) -> tuple[Cell, float | None]:
    for name, unit in (("tokens_per_s", " tok/s"), ("candidates_per_s", " cand/s"), ("mb_per_s", " MB/s")):
        if (value := job.metrics.get(name)) is not None:
            return cell(f"{figures.rate(value)}{unit}"), value
    return NOTHING, None


def _found(job: JobView) -> Cell:
    """What the job has come to, in a few words."""
    loss = _metric(job, "loss")
    if job.kind == "train" and loss is not None:
        return (("loss ", "muted"), (number(loss, 3), ""))
    fetched, failed = _metric(job, "fetched"), _metric(job, "failed")
    if job.kind == "weights" and fetched is not None:
        if failed:
            return cell(f"{count(fetched)} of {count(fetched + failed)} fetched", "bad")
        return cell(f"{count(fetched)} fetched", "good" if fetched else "")
    hits, best = _metric(job, "hits"), _metric(job, "best_distance", "best")
    parts: Cell = ()
    if hits is not None:
        parts += ((many(hits, "hit"), "good" if hits else ""),)
    if best is not None:
        parts += (("  " if parts else "", ""), (number(best), "muted"))
    return parts or NOTHING


def _progress(job: JobView, width: int) -> Cell:
    if job.done is None:
        return NOTHING
    return (*bar(job.done, width), (f" {percent(job.done):>4}", ""))


def _row(job: JobView) -> Row:
    rate, raw = _rate(job)
    alive = job.state in _ALIVE
    return Row(
        key=job.id,
        cells=(
            _STATES[job.state],
            cell(job.title or job.id, "strong" if alive else ""),
            _progress(job, 6),
            rate if job.state == "running" else NOTHING,
            _found(job),
            cell(sparkline(job.history, 16), "accent" if alive else "muted"),
            cell(coarse(job.updated_at_ms - job.started_at_ms), "muted"),
            cell(job.id, "muted"),
        ),
        order=(not alive, -job.started_at_ms),
        values=(
            job.state,
            job.title,
            job.done,
            raw,
            _metric(job, "loss", "hits"),
            len(job.history),
            job.updated_at_ms - job.started_at_ms,
            job.id,
        ),
        words=f"{job.id} {job.kind} {job.title} {job.state}".lower(),
    )
