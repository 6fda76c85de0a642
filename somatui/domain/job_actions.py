"""The acts that start and stop jobs of the agent: scoring, training, fetching weights."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import Any

from somatui.domain import consequence
from somatui.domain.action import Action, Context
from somatui.domain.checks import Check, Consequence, check
from somatui.domain.ids import resolve
from somatui.domain.preflight import answers
from somatui.domain.snapshot import JobView, Snapshot
from somatui.domain.versions import fits


def _none_runs(kind: str, snapshot: Snapshot) -> Check:
    runs = any(j.kind == kind and j.running for j in snapshot.jobs)
    return check(not runs, f"no {kind} job runs", f"A {kind} job runs already: stop it with x in the jobs pane.")


def _can_submit(snapshot: Snapshot) -> tuple[Check, ...]:
    """Whether a hit could be signed, paid for and put where others find it."""
    wallet = snapshot.wallet
    return (
        check(
            bool(wallet.address),
            "there is a wallet",
            "This profile has no wallet: make or import one, or score without submitting.",
        ),
        check(
            not wallet.watch_only,
            "the wallet can sign",
            "This wallet is watch-only and cannot submit: import its key, or score without submitting.",
        ),
        check(
            wallet.unlocked,
            "the key is unlocked",
            "The key is locked, so hits would be lost: somatui vault unlock, or score without submitting.",
        ),
        check(
            bool(wallet.coins),
            "there are coins for fees and bonds",
            "There are no coins for fees and bonds: fund the wallet, or score without submitting.",
        ),
        check(
            snapshot.network.has_store,
            "there is a store for what hits",
            "This profile has no storage for what hits: somatui setup tries one, or score without submitting.",
        ),
    )


class Score(Action):
    """Score files against the open targets and submit what hits."""

    name, verb, key = "score", "score run", "s"
    options = MappingProxyType({name: name.replace("-", "_") for name in ("limit", "max-hits", "submit", "shards")})
    example = "somatui score run --limit 200"
    confirms = True

    def asks(self, context: Context) -> bool:
        return bool(context.options.get("submit", True))

    def checks(self, context: Context) -> tuple[Check, ...]:
        snapshot = context.snapshot
        submits = self.asks(context)
        return (
            answers(snapshot),
            *(_can_submit(snapshot) if submits else ()),
            _none_runs("score", snapshot),
            check(
                any(t.status == "open" for t in snapshot.targets),
                "there are open targets",
                "No open targets yet: they appear when the epoch turns, once a model is active.",
            ),
        )

    def meaning(self, context: Context) -> Consequence | None:
        if not self.asks(context):
            return None
        corpus = context.options.get("corpus") or {}
        named = corpus.get("paths") or corpus.get("sources")
        what = "what the sources give" if named else "files of Python's standard library"
        return consequence.score(context.snapshot, what, context.options.get("max_hits"))

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.start", {"kind": "score", "args": {"submit": True} | context.options}


class Train(Action):
    """Train a model of the network's architecture on local files."""

    name, verb, key = "train", "train run", "t"
    options = MappingProxyType({name: name for name in ("steps", "seed", "lr")})
    example = "somatui train run --steps 200"

    def checks(self, context: Context) -> tuple[Check, ...]:
        return (fits(context.snapshot.epoch.parameters), _none_runs("train", context.snapshot))

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.start", {"kind": "train", "args": dict(context.options)}


class StopJob(Action):
    """Stop the job under the cursor; it can be resumed."""

    name, verb, key, takes = "stop", "jobs stop", "x", "a job"
    example = "somatui jobs stop JOB"
    panes = ("jobs",)

    def checks(self, context: Context) -> tuple[Check, ...]:
        wanted = context.words[0] if context.words else context.row
        alive = any(j.id == wanted and j.running for j in context.snapshot.jobs)
        return (check(alive, "it runs", "No running job under the cursor."),)

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.stop", {"job_id": context.words[0] if context.words else context.row}


class RestartJob(Action):
    """Start the job under the cursor again, which failed or was stopped; it goes on where it stood."""

    name, verb, key, takes = "restart", "jobs restart", "b", "a job"
    example = "somatui jobs restart JOB"
    panes = ("jobs",)
    confirms = True

    def _job(self, context: Context) -> JobView | None:
        wanted = context.words[0] if context.words else context.row
        return next((j for j in context.snapshot.jobs if j.id == wanted), None)

    def asks(self, context: Context) -> bool:
        job = self._job(context)
        return job is not None and job.kind == "score" and job.submits

    def checks(self, context: Context) -> tuple[Check, ...]:
        job = self._job(context)
        if job is None or job.state not in ("failed", "stopped"):
            return (Check(False, "No job under the cursor that failed or was stopped."),)
        if job.kind != "score":
            return (_none_runs(job.kind, context.snapshot),)
        return Score().checks(replace(context, options={"submit": job.submits}))

    def meaning(self, context: Context) -> Consequence | None:
        left = "what the job's sources still give"
        return consequence.score(context.snapshot, left, None) if self.asks(context) else None

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.restart", {"job_id": context.words[0] if context.words else context.row}


class FetchWeights(Action):
    """Fetch weights before a job needs them: of the model under the cursor, of those named, or of all that are live."""

    name, verb, key, takes = "weights", "models fetch", "d", "all, or models"
    word = "fetch"
    example = "somatui models fetch 7c1f"
    panes = ("models",)

    def _chosen(self, context: Context) -> list[str]:
        words = context.words or tuple(context.options.get("ids") or ())
        live = [m.id for m in context.snapshot.models if m.state in ("pending", "active") and m.url]
        if words == ("all",):
            return live
        wanted = {resolve(word, (m.id for m in context.snapshot.models), "model") for word in words}
        return [m for m in live if m in wanted or (not words and m == context.row)]

    def checks(self, context: Context) -> tuple[Check, ...]:
        count = len(self._chosen(context))
        none = (
            "No weights to fetch here, only committed and active models have them: name one, or all of them with all."
        )
        return (check(count > 0, f"weights of {count} models are published", none),)

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.start", {"kind": self.name, "args": {"ids": self._chosen(context)}}
