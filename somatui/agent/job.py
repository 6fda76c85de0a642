"""One job as the agent keeps it: what it was started with, how it stands, and its card on disk."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.domain.figures import WAITING
from somatui.domain.snapshot import JobState, JobView
from somatui.workers.launch import WorkerProcess
from somatui.workers.protocol import MOST_ROWS

KEPT_LINES = 5
HISTORY = 240
TOLD = ("starting", "running", "stopping")


@dataclass(slots=True)
class Job:
    """One job as it stands. `asked` is what it was started with."""

    id: str
    kind: str
    asked: dict[str, Any]
    folder: Path
    started_at_ms: int
    updated_at_ms: int
    state: JobState = "starting"
    title: str = ""
    done: float | None = None
    error: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    result: dict[str, str] = field(default_factory=dict)
    history: deque[float] = field(default_factory=lambda: deque(maxlen=HISTORY))
    tables: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    worker: WorkerProcess | None = None
    tells: set[asyncio.Task[None]] = field(default_factory=set)
    told: set[str] = field(default_factory=set)
    """Targets that its hits are known of."""
    owes: bool = False
    """Whether hits of it wait for the vault, so that all are handed on once more at the next start."""
    stirred: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is to stop, and when its last hit is over."""

    @property
    def alive(self) -> bool:
        """Whether it has not come to its end."""
        return self.state in TOLD

    def view(self) -> JobView:
        """What screens show of it."""
        return JobView(
            id=self.id,
            kind=self.kind,
            title=self.title,
            state=self.state,
            started_at_ms=self.started_at_ms,
            updated_at_ms=self.updated_at_ms,
            done=self.done,
            metrics=self.metrics | ({WAITING: float(len(self.tells))} if self.tells else {}),
            history=tuple(self.history),
            last_lines=tuple(self.lines),
            error=self.error,
            result=dict(self.result),
            tables=dict(self.tables),
            submits=bool(self.asked.get("submit")),
        )

    def card(self) -> dict[str, Any]:
        """What is kept on disk of it."""
        names = ("id", "kind", "asked", "started_at_ms", "updated_at_ms", "state", "title", "done", "error",
                 "metrics", "result")  # fmt: skip
        owes = self.owes or bool(self.tells)
        return {name: getattr(self, name) for name in names} | {"history": list(self.history), "owes": owes}


def tables(told: Any) -> dict[str, tuple[dict[str, Any], ...]]:
    """The rows of each table, no more than screens can show; what is no table is left out."""
    return {
        name: tuple(row for row in rows[:MOST_ROWS] if isinstance(row, dict))
        for name, rows in (told.items() if isinstance(told, dict) else ())
        if isinstance(rows, list)
    }
