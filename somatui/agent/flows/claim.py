"""Claiming: one intent per target; what it brought is read from the coins it made (R13)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from somatui.agent.flows.base import ActFailed, ActLost, ActRefused, Flow, OutcomeUnknown, demand
from somatui.agent.journal import Intent, Money
from somatui.agent.signer import Rejected
from somatui.agent.states import DONE, LOST, PLANNED, SIGNED
from somatui.chain import build
from somatui.chain.effects import EffectsView
from somatui.chain.snapshot import marked_targets
from somatui.domain import fees, preflight
from somatui.domain.checks import Check
from somatui.domain.consequence import claim_income
from somatui.domain.ids import normalise_id, short
from somatui.domain.snapshot import Parameters, Snapshot, TargetView

One = Callable[[str, dict[str, Any], str], Awaitable[dict[str, Any]]]
GONE = "The target is gone: somebody else claimed it; its coins are counted when they are listed."
_TAKEN = frozenset({"InputObjectDeleted", "TargetNotFound", "TargetAlreadyClaimed"})


class Claim(Flow):
    """planned, signed, done."""

    action = "claim"

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """Check the claim of one target; what it holds is noted, since the chain forgets it."""
        target_id = str(args["target_id"])
        snapshot, target = await self._seen(target_id)
        if target is None:
            raise ActRefused((Check(False, GONE),), GONE)
        demand(preflight.claim(snapshot, (target,), self.ground.now_ms()))
        return self.once(target_id, _noted(target, snapshot.epoch.parameters), key)

    async def _seen(self, target_id: str) -> tuple[Snapshot, TargetView | None]:
        snapshot, _ = await self.fresh()
        found = await self.ground.chain.target(target_id, snapshot.epoch.number)
        if found is None:
            return snapshot, None
        own = frozenset(m.id for m in snapshot.models if m.mine)
        return snapshot, marked_targets((found,), self.ground.address, own)[0]

    def mine_now(self) -> list[str]:
        """Everything claimable of this wallet in the newest picture."""
        return [t.id for t in self.ground.snapshot().claimable]

    async def step(self, intent: Intent) -> Intent:
        """One state further."""
        if intent.state == SIGNED:
            return await self._ended(intent, await self.signer.settle(intent))
        snapshot, target = await self._seen(intent.subject)
        if target is None:
            return self.enter(intent, LOST, note=GONE)
        checks = preflight.claim(snapshot, (target,), self.ground.now_ms())
        if not all(c.ok for c in checks):
            return self.refused(intent, next(c.text for c in checks if not c.ok))
        filled = target.fill_epoch is not None
        need = fees.claim_fee(snapshot.epoch.parameters, target.reward_shannons, filled=filled).total_shannons
        effects = await self.signer.send(
            intent,
            SIGNED,
            lambda coin, sweep: build.claim(self.ground.address, coin, target_id=target.id, sweep=sweep),
            need,
            reserved=True,
            sweep=True,
        )
        return await self._ended(intent, effects)

    def back(self, intent: Intent, why: str) -> Intent:
        """Try again; a target that is gone ends it at the next look."""
        return self.enter(intent, PLANNED, note=why)

    def rejected(self, intent: Intent, why: Rejected) -> Intent | None:
        """Somebody was faster, or it is too early."""
        return self.enter(intent, LOST, note=GONE) if why.kind in _TAKEN else self.refused(intent, str(why))

    async def _ended(self, intent: Intent, effects: EffectsView) -> Intent:
        if not effects.success:
            return self.failed(intent, effects, lost=effects.error_kind in _TAKEN)
        brought = await self._brought(intent, effects)
        bond, returned, lost = self._bond(intent, brought)
        rows = [
            self.fee(intent, effects),
            Money(effects.digest, "earned", brought - returned, effects.epoch, intent.subject),
        ]
        if bond:
            rows.append(
                Money(effects.digest, "bond_lost" if lost else "bond_returned", bond, effects.epoch, intent.subject)
            )
        result = {
            "earned_shannons": brought - returned,
            "bond_returned_shannons": returned,
            "bond_lost_shannons": bond - returned,
            "fee_shannons": effects.fee.total,
        }
        return self.enter(intent, DONE, result=result, money=rows)

    @staticmethod
    def _bond(intent: Intent, brought: int) -> tuple[int, int, bool]:
        """The bond that lay in the target, what of it came back, and whether it is lost: reported by the validators.

        A forfeited bond takes the submitter's reward with it (R5), so what came is less than the rule by the bond at
        least.
        """
        bond, due = int(intent.args["bond_shannons"]), int(intent.args["income_shannons"])
        lost = bond > 0 and brought + bond <= due
        return bond, 0 if lost else min(bond, brought), lost

    async def _brought(self, intent: Intent, effects: EffectsView) -> int:
        """The sum of the coins it made for this wallet; by the chain's rule where they cannot be seen any more."""
        made = {c.id for c in effects.created(self.ground.address)}
        chain = self.ground.chain
        await chain.settled(effects.digest)
        listed = {c.id: c.balance_shannons for c in await chain.coins(self.ground.address)}
        if made <= listed.keys():
            return sum(listed[i] for i in made)
        return int(intent.args["income_shannons"])

    def result(self, intent: Intent) -> dict[str, Any]:
        """The target and what it brought."""
        return super().result(intent) | {"target_id": intent.subject}


def _noted(target: TargetView, parameters: Parameters) -> dict[str, Any]:
    return {
        "target_id": target.id,
        "bond_shannons": target.bond_shannons if target.mine else 0,
        "income_shannons": claim_income(parameters, target),
    }


async def claim_many(flow: Flow, one: One, args: dict[str, Any], key: str) -> dict[str, Any]:
    """Claim each of `target_ids` (None: all of this wallet that are open) by an intent of its own, side by side.

    Raises what the first of them raised when none came to a good end.
    """
    assert isinstance(flow, Claim)
    wanted = args.get("target_ids")
    try:
        ids = flow.mine_now() if wanted is None else [normalise_id(str(t)) for t in wanted]
    except ValueError as wrong:
        raise ActRefused((Check(False, str(wrong)),), str(wrong)) from wrong
    if not ids:
        text = "Nothing is claimable yet: a filled target opens two epochs after its fill."
        raise ActRefused((Check(False, text),), text)
    calls = (one("claim", {"target_id": t}, f"{key}:{t}") for t in dict.fromkeys(ids))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    done = [a for a in answers if isinstance(a, dict)]
    missed = {t: a for t, a in zip(dict.fromkeys(ids), answers, strict=True) if isinstance(a, BaseException)}
    for failure in missed.values():
        if not done or not isinstance(failure, ActRefused | ActFailed | ActLost | OutcomeUnknown):
            raise failure
    return {
        "claimed": [a["target_id"] for a in done],
        "earned_shannons": sum(a["earned_shannons"] for a in done),
        "bonds_returned_shannons": sum(a["bond_returned_shannons"] for a in done),
        "fees_shannons": sum(a["fee_shannons"] for a in done),
        "not_claimed": {short(t): str(f) for t, f in missed.items()},
    }
