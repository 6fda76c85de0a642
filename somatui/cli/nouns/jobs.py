"""`somatui jobs`: what the agent's workers do and have done."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from somatui.cli import live
from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, at_least, clock_ms
from somatui.cli.output import Answer, fields, table
from somatui.cli.problem import USAGE, Problem
from somatui.domain import figures
from somatui.domain.deadline import span
from somatui.domain.snapshot import JobView


def find(jobs: Sequence[JobView], text: str) -> JobView:
    """The one job whose id begins with `text`. Raises Problem."""
    found = [j for j in jobs if j.id == text] or [j for j in jobs if text and j.id.startswith(text)]
    if len(found) != 1:
        what = "No job begins" if not found else f"{len(found)} jobs begin"
        raise Problem(f"{what} with “{text}”: somatui jobs list shows the ids.", USAGE)
    return found[0]


def listing(args: Arguments) -> Answer:
    """All jobs, the newest last."""
    found = live.snapshot(args).jobs
    rows = [
        (
            j.id,
            j.kind,
            j.state,
            f"{j.done * 100:.0f} %" if j.done is not None else "",
            span((clock_ms() if j.state == "running" else j.updated_at_ms) - j.started_at_ms),
            j.title,
        )
        for j in found
    ]
    return Answer({"jobs": found}, table("job kind state >done >took title", rows))


def _job_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", help="the job, or the beginning of its id")


def show(args: Arguments) -> Answer:
    """One job with its last figures and tables."""
    job = find(live.snapshot(args).jobs, args.job)
    text = fields(
        [
            ("job", job.id),
            ("what", job.title or job.kind),
            ("state", job.state),
            *((name, "  ".join(texts)) for name, texts in figures.groups(job)),
            *((f"{k}", v) for k, v in job.result.items()),
            ("error", job.error or ""),
        ]
    )
    tables = [table(" ".join(c.replace(" ", "_") for c in t.columns), t.rows) for t in figures.tables(job)]
    return Answer(job, "\n\n".join([text, *tables]))


def _log_options(parser: argparse.ArgumentParser) -> None:
    _job_option(parser)
    parser.add_argument(
        "--lines", metavar="N", type=at_least(1), default=100, help="how many of the last (default 100)"
    )


def log(args: Arguments) -> Answer:
    """The last lines of a job's log."""
    job = find(live.snapshot(args).jobs, args.job)
    found: Any = live.call(args, "job.log", job_id=job.id, lines=args.lines)
    lines = found.get("lines", []) if isinstance(found, dict) else list(found)
    return Answer({"job_id": job.id, "lines": lines}, "\n".join(str(line) for line in lines))


def stop(args: Arguments) -> Answer:
    """Stop a running job; it can be resumed."""
    return perform(args, "stop", words=(find(live.snapshot(args).jobs, args.job).id,))


def restart(args: Arguments) -> Answer:
    """Start a job again that failed or was stopped; it goes on where it stood."""
    return perform(args, "restart", words=(find(live.snapshot(args).jobs, args.job).id,))


VERBS = (
    Verb("list", "List jobs.", "somatui jobs list", listing),
    Verb("show", "Show one job.", "somatui jobs show JOB", show, _job_option),
    Verb("log", "Print the last lines of a job's log.", "somatui jobs log JOB --lines 20", log, _log_options),
    Verb("stop", "Stop a running job; it can be resumed.", "somatui jobs stop JOB", stop, _job_option, acts=True),
    Verb(
        "restart",
        "Start a job again that failed or was stopped; it goes on where it stood.",
        "somatui jobs restart JOB",
        restart,
        _job_option,
        acts=True,
    ),
)
