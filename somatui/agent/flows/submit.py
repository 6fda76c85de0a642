"""Submitting a hit: upload, one last look at its target, bond and fee from one coin (R5–R9)."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from somatui.agent.flows.base import ActRefused, Flow, demand
from somatui.agent.flows.hit import Hit, checks
from somatui.agent.flows.publish import checksum_of
from somatui.agent.ground import Ground, UploadFailed
from somatui.agent.journal import Intent, Money
from somatui.agent.signer import Rejected, Signer
from somatui.agent.states import DONE, LOST, PLANNED, REFUSED, SIGNED, UPLOADED
from somatui.chain import build
from somatui.chain.effects import EffectsView
from somatui.chain.errors import Timeout, Unreachable
from somatui.domain import fees
from somatui.domain.checks import Check, refusal
from somatui.domain.snapshot import CoinView, TargetView
from somatui.vault.base import VaultLocked
from somatui.wire.text import b58encode
from somatui.wire.transaction import TransactionData

MINUTE_MS = 60_000
_TAKEN = "TargetNotOpen"
_OVER = frozenset({"TargetNotOpen", "TargetExpired", "TargetNotFound", "InputObjectDeleted"})


class Pace:
    """At most so many submissions in any sixty seconds, those of earlier processes counted."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        now, wall = ground.steady_ms(), ground.now_ms()
        signed = ground.journal.signed_since("submit", wall - MINUTE_MS)
        self._sent = deque(now - max(wall - at, 0) for at in signed)
        self._turn = asyncio.Lock()
        self._given_back = asyncio.Event()

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[Callable[[], None]]:
        """Wait until one more may be sent. What is given is to be called when it is; else the turn is given back."""
        mine, used = await self._take(), False

        def use() -> None:
            nonlocal used
            used = True

        try:
            yield use
        finally:
            if not used and mine in self._sent:
                self._sent.remove(mine)
                self._given_back.set()

    async def _take(self) -> int:
        async with self._turn:
            while True:
                now = self._ground.steady_ms()
                while self._sent and self._sent[0] <= now - MINUTE_MS:
                    self._sent.popleft()
                if len(self._sent) < self._ground.settings.fill_pace_per_minute:
                    self._sent.append(now)
                    return now
                self._given_back.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(max(self._sent[0] + MINUTE_MS - now, 1) / 1_000):
                        await self._given_back.wait()


class NotNow(Exception):
    """The last look found that it must not be signed; `state` is how that ends it."""

    def __init__(self, state: str, text: str) -> None:
        super().__init__(text)
        self.state = state


class Submit(Flow):
    """planned, uploaded, signed, done."""

    action = "submit"

    def __init__(self, ground: Ground, signer: Signer) -> None:
        super().__init__(ground, signer)
        self._pace = Pace(ground)

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """Check the hit against the chain as it is now; one intent per target."""
        try:
            hit = Hit.read(args.get("hit") or {})
        except ValueError as wrong:
            raise ActRefused((Check(False, str(wrong)),), str(wrong)) from wrong
        if self.ground.journal.done(self.action, hit.target_id) is not None:
            text = "This wallet has filled that target already."
            raise ActRefused((Check(False, text),), text)
        found, _ = await self._checked(hit)
        demand(found)
        return self.once(hit.target_id, {"hit": args["hit"]}, key)

    async def _checked(self, hit: Hit) -> tuple[tuple[Check, ...], TargetView | None]:
        snapshot, system = await self.fresh()
        target = await self.ground.chain.target(hit.target_id, system.epoch.number)
        return checks(hit, target, snapshot, self.ground.settings), target

    async def step(self, intent: Intent) -> Intent:
        """One state further."""
        try:
            return await self._further(intent)
        except NotNow as late:
            return self.enter(intent, late.state, note=str(late))

    async def _further(self, intent: Intent) -> Intent:
        hit = Hit.read(intent.args["hit"])
        if intent.state == PLANNED:
            if intent.note:
                await self._last_look(hit)
            return await self._upload(intent, hit)
        if intent.state == SIGNED:
            effects = await self.signer.settle(intent, int(intent.result["bond_shannons"]))
            return self._ended(intent, hit, effects)
        async with self._pace.turn() as sent:
            return await self._send(intent, hit, sent)

    def back(self, intent: Intent, why: str) -> Intent:
        """The bytes are in the store: sign anew, if the target is still open."""
        return self.enter(intent, UPLOADED, note=why)

    def waits(self, why: Exception) -> bool:
        """Network and store come back, a vault is unlocked; the looks at the target end what is too late by then."""
        return isinstance(why, Unreachable | Timeout | UploadFailed | VaultLocked)

    def rejected(self, intent: Intent, why: Rejected) -> Intent | None:
        """Somebody was faster, or the node knows better; nothing was paid."""
        return self.enter(intent, LOST if why.kind == _TAKEN else REFUSED, note=str(why))

    async def _upload(self, intent: Intent, hit: Hit) -> Intent:
        source = Path(hit.path)
        if await asyncio.to_thread(checksum_of, source) != hit.checksum:
            return self.refused(intent, f"The bytes of {source.name} are gone or have changed since they were scored.")
        stored = await self.ground.upload(source, f"data/{hit.checksum}")
        if (stored.checksum, stored.size) != (hit.checksum, hit.size):
            return self.refused(intent, "The store holds other bytes than those that were scored: check the store.")
        return self.enter(intent, UPLOADED, result={"url": stored.url})

    async def _last_look(self, hit: Hit) -> None:
        found, target = await self._checked(hit)
        why, vault = refusal(found), self.ground.vault
        if why is not None and target is not None and target.status == "open" and vault is not None and vault.locked:
            raise VaultLocked(why)
        if why is not None:
            raise NotNow(LOST if target is not None and target.status in ("filled", "claimable") else REFUSED, why)

    async def _send(self, intent: Intent, hit: Hit, sent: Callable[[], None]) -> Intent:
        snapshot, _ = await self.fresh()
        p = snapshot.epoch.parameters
        bond = fees.bond(p, hit.size)

        def make(coin: CoinView, sweep: tuple[CoinView, ...]) -> TransactionData:
            return build.submit(
                self.ground.address,
                coin,
                target_id=hit.target_id,
                model_id=hit.model_id,
                url=intent.result["url"],
                checksum=hit.checksum,
                size=hit.size,
                embedding=hit.embedding,
                distance=hit.distance,
                losses=(hit.loss,),
                sweep=sweep,
            )

        def facts(data: TransactionData) -> dict[str, Any]:
            sent()
            return {"bond_shannons": bond, "digest": b58encode(data.digest)}

        effects = await self.signer.send(
            intent,
            SIGNED,
            make,
            bond + fees.submit_fee(p, separate_bond_coin=False).total_shannons,
            sweep=True,
            spends_shannons=bond,
            facts=facts,
            last_look=lambda: self._last_look(hit),
        )
        return self._ended(intent, hit, effects)

    def _ended(self, intent: Intent, hit: Hit, effects: EffectsView) -> Intent:
        if not effects.success:
            return self.failed(intent, effects, lost=effects.error_kind in _OVER)
        bond = int(self.ground.journal.get(intent.id).result["bond_shannons"])
        rows = (self.fee(intent, effects), Money(effects.digest, "bond", bond, effects.epoch, hit.target_id))
        return self.enter(intent, DONE, result={"fee_shannons": effects.fee.total, "epoch": effects.epoch}, money=rows)

    def result(self, intent: Intent) -> dict[str, Any]:
        """The target, the transaction, bond and fee."""
        return super().result(intent) | {"target_id": intent.subject}
