"""The jobs pane: what runs, how far it is, how fast, and the course of the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual.widget import Widget

from somatui.domain.deadline import span
from somatui.domain.snapshot import JobView, Snapshot
from somatui.tui.chart import curve, smoothed
from somatui.tui.format import NOTHING, Cell, bar, cell, coarse, count, number, percent, sparkline
from somatui.tui.panes.base import Detail, Line, Pane
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
_SENT = {"done": "sent", "lost": "lost", "failed": "failed", "refused": "refused"}
"""How submissions of a score job end; the agent counts them beside the worker's own metrics."""


class JobsPane(Pane):
    """Jobs, those that run first; below them the course and the last words of the one under the cursor."""

    NAME: ClassVar[str] = "jobs"
    NUMBER: ClassVar[int] = 5
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("STATE", 10),
        Column("JOB", 21, grow=23),
        Column("PROGRESS", 11),
        Column("RATE", 11, rank=1, right=True),
        Column("RESULT", 14),
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
        failed = sum(j.state == "failed" for j in snapshot.jobs)
        return (
            (f"  {alive} running" if alive else "  none running", ""),
            (f"  {len(snapshot.jobs) - alive} ended" if snapshot.jobs else "", "muted"),
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
        self.course.say(*_course(job, self.size.width - 1, room))

    def detail(self) -> Detail:
        """The whole job under the cursor, its last lines at the end."""
        job = self._job()
        if job is None:
            return []
        told: Detail = [
            ("job", job.id),
            ("kind", job.kind),
            ("title", job.title),
            ("state", job.state),
            ("ran for", span(job.updated_at_ms - job.started_at_ms)),
        ]
        if job.done is not None:
            told.append(("progress", percent(job.done)))
        told += [(name.replace("_per_s", "/s").replace("_", " "), f"{v:,.6g}") for name, v in job.metrics.items()]
        told += [(name, value if len(value) <= 100 else value[:99] + "…") for name, value in job.result.items()]
        if job.error:
            told.append(("error", job.error))
        return told + [("", line) for line in job.last_lines]

    def _job(self) -> JobView | None:
        jobs = self.snapshot.jobs if self.snapshot else ()
        return next((j for j in jobs if j.id == self.row), None)


def _metric(job: JobView, *names: str) -> float | None:
    return next((job.metrics[n] for n in names if n in job.metrics), None)


def _rate(job: JobView) -> tuple[Cell, float | None]:
    for name, unit in (("tokens_per_s", "tok/s"), ("candidates_per_s", "/s"), ("chunks_per_s", "chunks/s")):
        value = job.metrics.get(name)
        if value is not None:
            shown = f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.1f}"
            return cell(f"{shown} {unit}" if unit[0] != "/" else f"{shown}{unit}"), value
    return NOTHING, None


def _found(job: JobView) -> Cell:
    """What the job has come to, in a few words."""
    loss = _metric(job, "loss")
    if job.kind == "train" and loss is not None:
        return (("loss ", "muted"), (number(loss, 3), ""))
    hits, best = _metric(job, "hits"), _metric(job, "best_distance", "best")
    parts: Cell = ()
    if hits is not None:
        parts += ((f"{count(hits)} hits", "good" if hits else ""),)
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
            rate if alive else NOTHING,
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


def _course(job: JobView, width: int, room: int) -> list[Cell]:
    """At most `room` lines: a rule with numbers, the curve, the last words."""
    told = [_heading(job, width)]
    words = [cell(f"✗ {job.error}", "bad")] if job.error else []
    words += [cell(f"  {line}", "muted") for line in job.last_lines]
    high = max(0, min(6, room - 1 - min(len(words), 5)))
    if len(job.history) > 1 and high >= 2:
        course = smoothed(job.history) if job.kind == "train" else job.history
        told += curve(course, min(width, 120), high, 3 if job.kind == "train" else 4)
    left = room - len(told)
    return told + (words[:1] + words[1:][-(left - 1) :] if job.error and left > 1 else words[-left:] if left else [])


def _heading(job: JobView, width: int) -> Cell:
    parts: list[tuple[str, str]] = [("── ", "muted"), (job.title or job.id, "strong")]
    for text in _numbers(job):
        parts += [("  ", ""), (text, "")]
    used = sum(len(text) for text, _ in parts)
    return (*parts, (f" {'─' * max(0, width - used - 1)}", "muted"))


def _numbers(job: JobView) -> list[str]:
    step, steps, scored = _metric(job, "step"), _metric(job, "steps"), _metric(job, "scored", "candidates")
    told = []
    if step is not None and steps is not None:
        told.append(f"step {count(step)}/{count(steps)}")
    if scored is not None:
        told.append(f"{count(scored)} scored")
    best = _metric(job, "best_distance")
    if best is not None:
        told.append(f"best {number(best)}")
    sent = [f"{count(job.metrics[name])} {word}" for name, word in _SENT.items() if job.metrics.get(name)]
    told += sent
    if job.state == "running" and job.done and 0.02 < job.done < 1.0:
        told.append(f"{coarse(int((job.updated_at_ms - job.started_at_ms) * (1 / job.done - 1)))} left")
    return told
