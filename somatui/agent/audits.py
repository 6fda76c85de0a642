"""Looks from outside at what others must be able to fetch, and puts back what is gone (R5c, R14).

That is what was submitted, until its audit is over, and the weights of own models for as long as they are not inactive.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from somatui.agent.flows.base import key_name
from somatui.agent.flows.hit import Hit
from somatui.agent.flows.publish import checksum_of
from somatui.agent.ground import Ground, UploadFailed, run_worker
from somatui.domain.ids import short
from somatui.domain.money import soma
from somatui.domain.snapshot import Alert, ModelView, Snapshot, TargetView
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


@dataclass(frozen=True, slots=True)
class Kept:
    """An object that must stay: whose it is and what is lost with it, in words, and where its copy on this machine is.

    `checksum` (Base58) is empty for weights, which are too large to be read whole each time; `source_checksum` is that
    of the copy at `path`, empty where there is none; `key` names the vault's key that encrypts it on its way.
    """

    about: str
    what: str
    loss: str
    url: str
    size: int
    object_key: str = ""
    path: str = ""
    source_checksum: str = ""
    checksum: str = ""
    key: str = ""


@dataclass(slots=True)
class Watched:
    """How an object was found when it was last looked at."""

    kept: Kept
    seen_ms: int = 0
    silent: int = 0
    """Rounds in a row in which nobody answered."""
    dead: str = ""
    """Why others cannot fetch it; empty where they can."""
    gone: bool = False
    """Whether the store has said that it has no such object; silence says nothing of it."""
    hindered: str = ""
    """Why it could not be put back; until that has been tried nobody is alarmed."""
    returned: bool = False
    """Whether it was gone and is there again, in this epoch."""

    def judge(self, line: dict[str, Any], now_ms: int) -> None:
        """Take over what a look has found. Silence counts from the second round on: it may be this machine's own."""
        self.seen_ms, status = now_ms, line.get("status", "warn")
        self.silent = self.silent + 1 if status == "warn" else 0
        if status == "bad" or self.silent > 1:
            self.dead, self.gone = str(line.get("detail") or "nobody answers"), self.gone or status == "bad"
            log.warning("%s cannot be fetched: %s", self.kept.url, self.dead)
        elif status == "ok":
            self.is_there()

    def is_there(self) -> None:
        """It is as it should be."""
        self.returned, self.gone = self.returned or self.gone, False
        self.dead, self.hindered, self.silent = "", "", 0

    def alert(self) -> Alert:
        """What is to be said of it."""
        kept = self.kept
        if not self.hindered:
            text = f"{kept.what} were gone from the store and have been put back: find out what deletes them{kept.loss}"
            return Alert("warn", text, about=f"{kept.about}#back")
        text = (
            f"{kept.what} cannot be fetched ({self.dead}) and could not be put back, since {self.hindered}: put those "
            f"{kept.size:,} bytes back at {kept.url}{kept.loss}"
        )
        return Alert("bad", text, about=kept.about)


class Audits:
    """The keeper of what lies in the store. `changed` is called when its alerts have."""

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
        now, epoch = self._ground.steady_ms(), snapshot.epoch
        targets = [t for t in snapshot.targets if t.mine and t.data_url and in_audit(t, epoch.number)]
        models = [m for m in snapshot.models if m.mine and m.url and m.size_bytes and m.state in ("active", "pending")]
        self._forget({*(f"data:{t.id}" for t in targets), *(f"weights:{m.id}:{m.url}" for m in models)})
        if now < self._next_ms and epoch.number == self._epoch:
            return
        if epoch.number != self._epoch:
            self._new_epoch(epoch.number)
        self._next_ms = now + max(AGAIN_MS, min(MOST_PAUSE_MS, epoch.duration_ms // LOOKS_AN_EPOCH))
        for kept in (*map(self._data, targets), *map(self._weights, models)):
            if kept is not None:
                self._watched.setdefault(kept.about, Watched(kept))
        if self._watched:
            self._round = asyncio.get_running_loop().create_task(self._look())

    async def close(self) -> None:
        """Look no more."""
        if self._round is not None:
            self._round.cancel()
            await asyncio.gather(self._round, return_exceptions=True)

    def alerts(self) -> tuple[Alert, ...]:
        """What is gone, and what was and has been put back."""
        return tuple(w.alert() for w in self._watched.values() if w.hindered or w.returned)

    def _new_epoch(self, number: int) -> None:
        """What was put back in the last one is not news any more."""
        self._epoch = number
        for watched in self._watched.values():
            watched.returned = False

    def _forget(self, wanted: set[str]) -> None:
        """Watch nothing that nobody needs any more."""
        over = self._watched.keys() - wanted
        for about in over:
            del self._watched[about]
        if over:
            self._changed()

    def _data(self, target: TargetView) -> Kept | None:
        """What this journal has submitted for a target; what another machine submitted is known to that one."""
        intent = self._ground.journal.done("submit", target.id)
        if intent is None or target.data_url is None or target.fill_epoch is None:
            return None
        hit = Hit.read(intent.args["hit"])
        loss = (
            f" before epoch {target.fill_epoch + 1} ends, or the bond of {soma(target.bond_shannons, 6)} SOMA and the "
            "reward are lost (R5c)."
        )
        what = f"The data that filled target {short(target.id)}"
        key = f"data/{hit.checksum}"
        return Kept(
            f"data:{target.id}", what, loss, target.data_url, hit.size, key, hit.path, hit.checksum, hit.checksum
        )

    def _weights(self, model: ModelView) -> Kept | None:
        """The weights of an own model; where this journal has not published them there is no copy to put back."""
        if model.url is None or model.size_bytes is None:
            return None
        loss = ", or validators may report the model, which costs 95 % of its stake (R14)."
        what, about = f"The weights of model {model.label or short(model.id)}", f"weights:{model.id}:{model.url}"
        kept = Kept(about, what, loss, model.url, model.size_bytes)
        for intent in self._ground.journal.intents("publish"):
            if intent.result.get("model_id") == model.id and intent.result.get("url") == model.url:
                source = str(intent.result.get("source_checksum", ""))
                return replace(kept, object_key=f"weights/{intent.id}", path=str(intent.args["weights"]),
                               source_checksum=source, key=key_name(intent.id))  # fmt: skip
        return kept

    async def _look(self) -> None:
        """One round: look at all, put back what is gone, and come back soon where that was of no use."""
        try:
            round_ = sorted(self._watched.values(), key=lambda w: (not w.dead, w.seen_ms))[:MOST_OBJECTS]
            found = await self._seen(round_)
            for watched in round_:
                watched.judge(found.get(watched.kept.about, {}), self._ground.steady_ms())
            for watched in [w for w in round_ if w.dead]:
                await self._put_back(watched)
            if any(w.dead or w.silent for w in round_):
                self._next_ms = min(self._next_ms, self._ground.steady_ms() + AGAIN_MS)
        except (UploadFailed, OSError, LookupError) as failure:
            log.warning("what lies in the store was not looked at: %s", failure)
        except Exception:
            log.exception("what lies in the store was not looked at")
        finally:
            self._round = None
        self._changed()

    async def _seen(self, round_: list[Watched]) -> dict[str, dict[str, Any]]:
        """The worker's lines by name. Raises UploadFailed, OSError."""
        objects = [
            {"name": k.about, "url": k.url, "checksum": k.checksum, "size": k.size} for k in (w.kept for w in round_)
        ]
        job = {"job": "check", "version": VERSION, "what": "outside", "objects": objects}
        told = await run_worker("somatui.workers.probe", job, None, self._ground.paths.jobs_dir / "probe.log")
        return {line["name"]: line for line in told["lines"]}

    async def _put_back(self, watched: Watched) -> None:
        """Upload it again to the same address, from the copy that this machine has kept."""
        kept = watched.kept
        try:
            watched.hindered = await self._hindrance(kept)
        except (UploadFailed, VaultError, OSError) as failure:
            watched.hindered = str(failure).rstrip(".")
        if not watched.hindered:
            watched.is_there()
            log.info("%s is back", kept.url)

    async def _hindrance(self, kept: Kept) -> str:
        """Upload it; why it is not where it was all the same, empty where it is. Raises UploadFailed, VaultError."""
        copy, vault = Path(kept.path), self._ground.vault
        if not kept.source_checksum:
            return "they were not published from this journal"
        if await asyncio.to_thread(checksum_of, copy) != kept.source_checksum:
            return f"the copy {copy} is gone too"
        try:
            key = vault.get(kept.key) if vault is not None and kept.key else None
        except KeyError:
            key = None
        if kept.key and key is None:
            return "the vault does not have their key"
        stored = await self._ground.upload(copy, kept.object_key, encrypt_key=key)
        return "" if stored.url == kept.url else f"the store's address is now {stored.url}"
