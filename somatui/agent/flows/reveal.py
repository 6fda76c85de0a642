"""Revealing: in the one epoch that accepts it, with the journal's exact embedding and the vault's key (R1, R4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from somatui.agent.flows.base import ActRefused, Flow, Hindered, demand, key_name, seen_keys
from somatui.agent.flows.publish import embedding_of
from somatui.agent.journal import Intent
from somatui.agent.states import DONE, FAILED, PLANNED, SIGNED
from somatui.chain import build
from somatui.chain.effects import EffectsView
from somatui.domain import fees, preflight
from somatui.domain.checks import Check
from somatui.domain.deadline import reveal_window
from somatui.domain.ids import normalise_id, short
from somatui.domain.snapshot import CoinView, ModelView, Snapshot
from somatui.vault.base import VaultLocked
from somatui.wire.hashes import blake2b256
from somatui.wire.text import b58encode
from somatui.wire.transaction import TransactionData
from somatui.wire.values import Tensor

MISMATCH = "ModelRevealEpochMismatch"


class Reveal(Flow):
    """planned, signed, done."""

    action = "reveal"

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """Check window, owner and key of `model_id` on the chain as it is now."""
        try:
            model_id = normalise_id(str(args.get("model_id") or ""))
        except ValueError as wrong:
            raise ActRefused((Check(False, str(wrong)),), str(wrong)) from wrong
        snapshot, _ = await self.fresh()
        model = _model(snapshot, model_id)
        if model is None:
            text = f"The network knows no model {short(model_id)}: check its id."
            raise ActRefused((Check(False, text),), text)
        at_hand = replace(model, key_at_hand=model_id in seen_keys(self.ground))
        demand(preflight.reveal(snapshot, at_hand, self.ground.now_ms()))
        return self.once(model_id, {"model_id": model_id}, key)

    async def step(self, intent: Intent) -> Intent:
        """One state further."""
        if intent.state == SIGNED:
            return self._ended(intent, await self.signer.settle(intent))
        snapshot, _ = await self.fresh()
        model = _model(snapshot, intent.subject)
        window = reveal_window(model) if model else None
        if model is None or window is None:
            state = model.state if model else "unknown to the network"
            return self.refused(intent, f"Nothing waits to be revealed any more: the model is {state}.")
        if snapshot.epoch.number < window.first:
            raise Hindered(f"Reveal opens in epoch {window.first}.")
        if not window.contains(snapshot.epoch.number):
            return self.enter(intent, FAILED, note=f"Epoch {window.first} was the only one that accepted this reveal.")
        published = self._published(model)
        if published is None:
            return self.refused(intent, "What was committed is not in this journal: restore the one that committed it.")
        embedding = embedding_of(published.args)
        if not self._fits(published, embedding):
            return self.refused(
                intent, "Key or embedding are not those that were committed: restore vault and journal."
            )

        def make(coin: CoinView, _: tuple[CoinView, ...]) -> TransactionData:
            key = self._key(published)
            return build.reveal_model(self.ground.address, coin, model_id=model.id, key=key, embedding=embedding)

        need = fees.state_fee(snapshot.epoch.parameters).total_shannons
        return self._ended(intent, await self.signer.send(intent, SIGNED, make, need, reserved=True))

    def back(self, intent: Intent, why: str) -> Intent:
        """Try again, as long as the epoch accepts it."""
        return self.enter(intent, PLANNED, note=why)

    def stubborn(self, intent: Intent) -> bool:
        """Until its epoch is over, which `step` notices."""
        return True

    def _published(self, model: ModelView) -> Intent | None:
        """The publish intent whose weights the chain waits for."""
        for intent in reversed(self.ground.journal.intents("publish")):
            if intent.result.get("model_id") == model.id:
                return intent
        return None

    def _key(self, published: Intent) -> bytes:
        if self.ground.vault is None:
            raise VaultLocked("This profile has no vault: the model's key is out of reach.")
        try:
            return self.ground.vault.get(key_name(published.id))
        except KeyError:
            raise Hindered("The model's key is not in this vault: restore the vault that made it.") from None

    def _fits(self, published: Intent, embedding: tuple[float, ...]) -> bool:
        """Whether vault and journal hold what the commitments were made of (R4)."""
        key_fits = b58encode(blake2b256(self._key(published))) == published.result.get("key_commitment")
        said = published.result.get("embedding_commitment")
        return key_fits and b58encode(Tensor.of(embedding).commitment) == said

    def _ended(self, intent: Intent, effects: EffectsView) -> Intent:
        fee = self.fee(intent, effects)
        if effects.success:
            return self.enter(intent, DONE, result={"fee_shannons": effects.fee.total}, money=(fee,))
        if effects.error_kind == MISMATCH:
            return self.failed(intent, effects)
        return self.enter(intent, PLANNED, note=effects.error_text, money=(fee,))

    def result(self, intent: Intent) -> dict[str, Any]:
        """The model and the transaction."""
        return super().result(intent) | {"model_id": intent.subject}


def _model(snapshot: Snapshot, model_id: str) -> ModelView | None:
    return next((m for m in snapshot.models if m.id == model_id), None)
