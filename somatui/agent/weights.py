"""Which weights are wanted on this machine, and when a job brings them by itself or takes old ones away.

How they come and go is the weights worker's affair.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from somatui.chain.snapshot import SystemView, Weights
from somatui.workers.shelf import Shelf

if TYPE_CHECKING:
    from somatui.agent.ground import Ground
    from somatui.agent.job import Job
    from somatui.agent.jobs import Jobs

log = logging.getLogger(__name__)

KIND = "weights"
LARGE = 16 * 1024 * 1024
"""Bytes below which weights come in a blink at the reveal, so that nothing need be fetched ahead."""
LOOK_MS = 2_000
AGAIN_MS = 30 * 60_000
"""After so long, what could not be had is tried again, and old weights are looked for."""


def published(system: SystemView) -> list[tuple[str, Weights]]:
    """Every model's weights, as they are worth having: first those whose key is known, of the largest stake before
    others, then those that wait for their reveal."""
    by_stake = [m.id for m in sorted(system.models, key=lambda m: -m.stake_shannons)]
    now = [(name, system.weights[name]) for name in by_stake if name in system.weights]
    return [
        *(one for one in now if one[1].key is not None),
        *((name, system.coming[name]) for name in by_stake if name in system.coming),
    ]


def wanted(system: SystemView) -> dict[str, Any]:
    """What the weights worker reads: every model whose weights can be had, and all checksums that are live."""
    return {
        "models": [
            {"id": name, "url": w.url, "checksum": w.checksum, "size": w.size, "key": w.key}
            for name, w in published(system)
        ],
        "live": sorted({w.checksum for _, w in published(system)}),
    }


class Ahead:
    """Looks at what is published, and has one quiet job fetch what this machine will need and remove what is old."""

    def __init__(self, ground: Ground, jobs: Jobs) -> None:
        self._ground, self._jobs = ground, jobs
        self._not_before = self._again_at = self._tidied_at = 0
        self._tried: frozenset[tuple[str, str, bool]] = frozenset()
        self._stopping: asyncio.Task[Job] | None = None

    def look(self, system: SystemView | None, *, away: bool = False) -> None:
        """Begin the job where something is lacking or old, stop it where scoring has ended (`weights_ahead`).

        While the network is `away` none begins, since it would fail each time.
        """
        now, ahead = self._ground.now_ms(), self._ground.settings.weights_ahead
        if system is None or now < self._not_before:
            return
        self._not_before = now + LOOK_MS
        views = self._jobs.views()
        own = [job for j in views if j.kind == KIND and (job := self._jobs.get(j.id)).asked.get("ahead")]
        fetches = ahead == "always" or (ahead == "scoring" and any(j.kind == "score" and j.running for j in views))
        for job in own:
            if job.alive and job.state != "stopping" and job.asked["ids"] and not fetches:
                self._stopping = asyncio.ensure_future(self._jobs.stop(job.id))
        if away or any(self._jobs.get(j.id).alive for j in views if j.kind == KIND):
            return
        lacking = self._lacking(system, ahead == "always") if fetches else frozenset()
        if lacking <= self._tried and now < self._again_at:
            lacking = frozenset()
        if not lacking and not self._is_untidy(system, now):
            return
        if lacking:
            self._tried, self._again_at = lacking, now + AGAIN_MS
        for job in own:
            self._jobs.forget(job.id)
        try:
            self._jobs.start(KIND, {"ids": sorted({name for name, _, _ in lacking}), "ahead": True})
        except OSError as failure:
            log.warning("no job for weights could be started: %s", failure)

    def _is_untidy(self, system: SystemView, now: int) -> bool:
        """Whether there are old weights; looked at now and then, since days make the difference. Live ones stay new."""
        if now < self._tidied_at + AGAIN_MS:
            return False
        self._tidied_at, settings = now, self._ground.settings
        shelf, live = Shelf(self._ground.paths.weights_cache), wanted(system)["live"]
        shelf.keep(live)
        return bool(shelf.old(live, settings.weights_keep_days, settings.weights_limit_gb * 10**9))

    def _lacking(self, system: SystemView, always: bool) -> frozenset[tuple[str, str, bool]]:
        """Model, checksum and whether the key is known, of weights that are not here as they could be."""
        shelf = Shelf(self._ground.paths.weights_cache)
        found = set()
        for name, one in published(system):
            opened = one.key is not None
            # Of revealed ones a score job fetches what it needs; opening what lies here sealed spares it the wait.
            due = always or (shelf.has(one.checksum, one.size, opened=False) if opened else one.size >= LARGE)
            if due and not shelf.has(one.checksum, one.size, opened=opened):
                found.add((name, one.checksum, opened))
        return frozenset(found)
