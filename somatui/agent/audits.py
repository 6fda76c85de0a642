"""Looks from outside at what was submitted until its audit is over, and puts back what is gone (R5c).

Data that cannot be fetched while they are audited count as fraud: bond and reward are lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from somatui.agent.flows.hit import Hit
from somatui.agent.flows.publish import checksum_of
from somatui.agent.ground import Ground, UploadFailed, run_worker
from somatui.domain.ids import short
from somatui.domain.money import soma
from somatui.domain.snapshot import Alert, Snapshot, TargetView
from somatui.domain.stored import in_audit
from somatui.vault.base import VaultError
from somatui.workers.protocol import VERSION

log = logging.getLogger(__name__)

AGAIN_MS = 60_000
"""After this something that was not seen is looked at once more."""
MOST_PAUSE_MS = 3_600_000
LOOKS_AN_EPOCH = 24
MOST_OBJECTS = 200
"""In one round; those that were looked at longest ago come first."""


@dataclass(slots=True)
class Watched:
    """What was submitted for one target, where it is, and how it was found when it was last looked at."""

    target: TargetView
    hit: Hit
    seen_ms: int = 0
    silent: int = 0
    """Rounds in a row in which nobody answered."""
    dead: str = ""
    """Why validators cannot fetch it; empty where they can."""
    hindered: str = ""
    """Why it could not be put back; until that has been tried nobody is alarmed."""
    returned: bool = False
    """Whether it was gone and is there again."""


class Audits:
    """The keeper of what was submitted. `changed` is called when its alerts have."""

    def __init__(self, ground: Ground, changed: Callable[[], None]) -> None:
        self._ground = ground
        self._changed = changed
        self._watched: dict[str, Watched] = {}
        self._round: asyncio.Task[None] | None = None
        self._epoch = -1
        self._next_ms = 0

    def look(self, snapshot: Snapshot) -> None:
        """Begin a round where one is due: when an epoch begins, so often in it, sooner where something is gone."""
        if self._round is not None or not snapshot.network.reachable or not snapshot.wallet.address:
            return
        now, epoch = self._ground.now_ms(), snapshot.epoch
        wanted = {t.id: t for t in snapshot.targets if t.mine and t.data_url and in_audit(t, epoch.number)}
        gone = self._watched.keys() - wanted.keys()
        for name in gone:
            del self._watched[name]
        if gone:
            self._changed()
        if now < self._next_ms and epoch.number == self._epoch:
            return
        self._epoch = epoch.number
        self._next_ms = now + max(AGAIN_MS, min(MOST_PAUSE_MS, epoch.duration_ms // LOOKS_AN_EPOCH))
        for target in wanted.values():
            self._watch(target)
        if self._watched:
            self._round = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)

    def alerts(self) -> tuple[Alert, ...]:
        """What is gone, and what was and has been put back."""
        return tuple(_alert(w) for w in self._watched.values() if w.hindered or w.returned)

    def _watch(self, target: TargetView) -> None:
        """Remember a target that this journal has filled; what another machine submitted is known to that one."""
        known = self._watched.get(target.id)
        if known is not None:
            known.target = target
        elif (intent := self._ground.journal.done("submit", target.id)) is not None:
            self._watched[target.id] = Watched(target, Hit.read(intent.args["hit"]))

    async def _look(self) -> None:
        """One round: look at all, put back what is gone, and come back soon where that was of no use."""
        try:
            round_ = sorted(self._watched.values(), key=lambda w: (not w.dead, w.seen_ms))[:MOST_OBJECTS]
            found = await self._seen(round_)
            for watched in round_:
                self._judge(watched, found.get(watched.target.id, {}))
            for watched in [w for w in round_ if w.dead]:
                await self._put_back(watched)
            if any(w.dead or w.silent for w in round_):
                self._next_ms = min(self._next_ms, self._ground.now_ms() + AGAIN_MS)
        except (UploadFailed, OSError, LookupError) as failure:
            log.warning("submitted data were not looked at: %s", failure)
        finally:
            self._round = None
        self._changed()

    async def _seen(self, round_: list[Watched]) -> dict[str, dict[str, Any]]:
        """The worker's lines by target. Raises UploadFailed, OSError."""
        objects = [
            {"name": w.target.id, "url": w.target.data_url, "checksum": w.hit.checksum, "size": w.hit.size}
            for w in round_
        ]
        job = {"job": "check", "version": VERSION, "what": "outside", "objects": objects}
        told = await run_worker("somatui.workers.probe", job, None, self._ground.paths.jobs_dir / "probe.log")
        return {line["name"]: line for line in told["lines"]}

    def _judge(self, watched: Watched, line: dict[str, Any]) -> None:
        """Silence counts from the second round on: it may be this machine's own."""
        watched.seen_ms = self._ground.now_ms()
        status = line.get("status", "warn")
        watched.silent = watched.silent + 1 if status == "warn" else 0
        if status == "bad" or watched.silent > 1:
            watched.dead = str(line.get("detail") or "nobody answers")
            log.warning("the data of target %s cannot be fetched: %s", watched.target.id, watched.dead)
        elif status == "ok":
            watched.returned, watched.dead, watched.hindered = watched.returned or bool(watched.dead), "", ""

    async def _put_back(self, watched: Watched) -> None:
        """Upload it again to the same address, from the copy that this machine has kept."""
        hit = watched.hit
        if await asyncio.to_thread(checksum_of, Path(hit.path)) != hit.checksum:
            watched.hindered = f"its copy {hit.path} is gone too"
            return
        try:
            stored = await self._ground.upload(Path(hit.path), f"data/{hit.checksum}")
        except (UploadFailed, VaultError, OSError) as failure:
            watched.hindered = str(failure).rstrip(".")
            return
        if stored.url != watched.target.data_url:
            watched.hindered = f"the store's address is now {stored.url}"
            return
        watched.dead, watched.hindered, watched.silent, watched.returned = "", "", 0, True
        log.info("the data of target %s are back", watched.target.id)


def _alert(watched: Watched) -> Alert:
    target, about = watched.target, f"data:{watched.target.id}"
    if not watched.hindered:
        text = (
            f"The data that filled target {short(target.id)} were gone from the store and have been put back: find out "
            "what deletes them, they are needed until their audit is over (R5c)."
        )
        return Alert("warn", text, about=f"{about}#back")
    last = target.fill_epoch + 1 if target.fill_epoch is not None else "of its audit"
    text = (
        f"The data that filled target {short(target.id)} cannot be fetched ({watched.dead}) and could not be put back, "
        f"since {watched.hindered}: put those {watched.hit.size:,} bytes back at {target.data_url} before epoch {last} "
        f"ends, or the bond of {soma(target.bond_shannons, 6)} SOMA and the reward are lost (R5c)."
    )
    return Alert("bad", text, about=about)
