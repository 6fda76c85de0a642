"""What all acts share: how they begin once, look at the chain afresh, move from state to state and say how they ended.

A flow's `step` brings an intent from its state to the next; what may interrupt it is handled in `run`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, ClassVar

from somatui.agent.ground import Ground
from somatui.agent.journal import Intent, Money
from somatui.agent.signer import Rejected, Signer
from somatui.agent.states import FAILED, LOST, REFUSED
from somatui.chain.effects import EffectsView
from somatui.chain.snapshot import SystemView, marked_models
from somatui.domain.checks import Check, refusal
from somatui.domain.secret_names import MODEL_KEY
from somatui.domain.snapshot import Snapshot


class ActRefused(Exception):
    """Nothing was sent; the text is the first check that failed, `checks` are all of them."""

    def __init__(self, checks: tuple[Check, ...], text: str) -> None:
        super().__init__(text)
        self.checks = checks


class ActFailed(Exception):
    """It went wrong for good; the text is one sentence."""


class ActLost(ActFailed):
    """Somebody else was faster; at most a fee was paid."""


class OutcomeUnknown(Exception):
    """It may land or have landed, and is being looked for; `digest` is its transaction's."""

    def __init__(self, digest: str, text: str) -> None:
        super().__init__(text)
        self.digest = digest


class Hindered(Exception):
    """It cannot go on now and will be tried again; the text is one sentence."""


class Flow:
    """One act. `begin` makes its intent, `step` carries it on; both may raise what `run` knows."""

    action: ClassVar[str]

    def __init__(self, ground: Ground, signer: Signer) -> None:
        self.ground = ground
        self.signer = signer

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """Check the act and write its intent. Raises ActRefused, ChainError."""
        raise NotImplementedError

    async def step(self, intent: Intent) -> Intent:
        """One state further."""
        raise NotImplementedError

    def back(self, intent: Intent, why: str) -> Intent:
        """The state before what was signed and not taken."""
        raise NotImplementedError

    def stubborn(self, intent: Intent) -> bool:
        """Whether giving up would cost money, so that it is tried until it works or `step` ends it."""
        return False

    def waits(self, why: Exception) -> bool:
        """Whether what hinders a step is waited for, since `step` knows when it is too late."""
        return False

    def rejected(self, intent: Intent, why: Rejected) -> Intent | None:
        """The end that a failed trial means; None when it may be tried again."""
        return None

    def result(self, intent: Intent) -> dict[str, Any]:
        """What `act` answers for an intent that is done."""
        return {"intent": intent.id, "digest": intent.digest} | intent.result

    def once(self, subject: str, args: dict[str, Any], key: str) -> Intent:
        """The intent under way for the same subject, else a new one; nothing may be awaited between check and this."""
        for intent in self.ground.journal.unfinished():
            if intent.action == self.action and intent.subject == subject:
                return intent
        made = self.ground.journal.begin(self.action, subject, args, key, self.ground.now_ms())
        self.ground.changed()
        return made

    def enter(
        self,
        intent: Intent,
        state: str,
        *,
        result: dict[str, Any] | None = None,
        note: str | None = None,
        money: Iterable[Money] = (),
    ) -> Intent:
        """Journal a state and say that something has changed."""
        moved = self.ground.journal.enter(intent.id, state, self.ground.now_ms(), result=result, note=note, money=money)
        self.ground.changed()
        return moved

    def refused(self, intent: Intent, why: str) -> Intent:
        """End it before anything was sent."""
        return self.enter(intent, REFUSED, note=why)

    def failed(self, intent: Intent, effects: EffectsView, *, lost: bool = False) -> Intent:
        """End it with what the chain said and the fee it took."""
        note = effects.error_text or "The network failed it."
        return self.enter(intent, LOST if lost else FAILED, note=note, money=(self.fee(intent, effects),))

    @staticmethod
    def fee(intent: Intent, effects: EffectsView) -> Money:
        """The fee of a transaction, which also says that the transaction is accounted for."""
        return Money(effects.digest, "fee", effects.fee.total, effects.epoch, intent.subject)

    async def fresh(self) -> tuple[Snapshot, SystemView]:
        """The picture with epoch, models and wallet as the chain has them now. Raises ChainError."""
        ground = self.ground
        system = await ground.chain.system()
        await self.signer.ready()
        seen = ground.snapshot()
        locked = ground.vault is None or ground.vault.locked
        at_hand = set(seen_keys(ground))
        models = tuple(replace(m, key_at_hand=m.id in at_hand) for m in marked_models(system.models, ground.address))
        now = replace(
            seen,
            network=replace(seen.network, reachable=True, safe_mode=system.safe_mode, error=None),
            epoch=system.epoch,
            models=models,
            wallet=replace(
                seen.wallet,
                address=ground.address,
                unlocked=not locked,
                coins=self.signer.coins,
                watch_only=ground.watch_only,
            ),
        )
        return now, system


def seen_keys(ground: Ground) -> set[str]:
    """Ids of the models whose key this vault holds; while it is locked, what the journal says of it."""
    published = {i.id: str(i.result.get("model_id", "")) for i in ground.journal.intents("publish")}
    names = ground.secret_names()
    if names is not None:
        published = {i: m for i, m in published.items() if key_name(i) in names}
    return {model for model in published.values() if model}


def key_name(intent_id: str) -> str:
    """Where the vault keeps the key of what a publish intent has published."""
    return MODEL_KEY + intent_id


def demand(checks: tuple[Check, ...]) -> None:
    """Raise ActRefused unless all checks hold."""
    why = refusal(checks)
    if why is not None:
        raise ActRefused(checks, why)
