"""Publishing: key into the vault, encrypted upload, create, commit, in that order, and no way out between the last two.

Half the stake burns at every epoch boundary that finds a created model uncommitted (R3): the commit is never given up.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import os
import struct
from pathlib import Path
from typing import Any

from somatui.agent.flows.base import ActRefused, Flow, Hindered, demand, key_name
from somatui.agent.journal import Intent, Money
from somatui.agent.signer import Rejected
from somatui.agent.states import (
    COMMIT_SIGNED,
    CREATE_SIGNED,
    CREATED,
    DONE,
    FAILED,
    KEYED,
    UPLOADED,
)
from somatui.chain import build
from somatui.chain.effects import EffectsView
from somatui.domain import fees, preflight
from somatui.domain.checks import Check
from somatui.domain.snapshot import CoinView
from somatui.domain.versions import ARCHITECTURE
from somatui.vault.base import VaultLocked
from somatui.wire.hashes import blake2b256
from somatui.wire.text import b58encode
from somatui.wire.transaction import TransactionData
from somatui.wire.values import Tensor

KEY_BYTES = 32


class Publish(Flow):
    """planned, keyed, uploaded, create_signed, created, commit_signed, done."""

    action = "publish"

    async def begin(self, args: dict[str, Any], key: str) -> Intent:
        """Check stake, commission and the model's own embedding; `weights` is the path of plain safetensors."""
        weights = Path(str(args.get("weights") or ""))
        if not weights.is_file():
            text = "The weights to publish are not there: train a model first, or name its file."
            raise ActRefused((Check(False, text),), text)
        snapshot, _ = await self.fresh()
        try:
            stake = int(args.get("stake_shannons") or snapshot.epoch.parameters.model_min_stake_shannons)
            commission = int(args.get("commission_bps", 1_000))
        except (TypeError, ValueError):
            text = "Stake and commission must be whole numbers, of shannons and of basis points."
            raise ActRefused((Check(False, text),), text) from None
        kept = {
            "weights": str(weights.resolve()),
            "embedding": str(args.get("embedding") or ""),
            "commission_bps": commission,
            "stake_shannons": stake,
            "label": str(args.get("label") or ""),
        }
        demand(preflight.publish(snapshot, stake, commission, embedding_of(kept)))
        under_way = [i for i in self.ground.journal.unfinished() if i.key != key]
        if any(i.args.get("weights") == kept["weights"] for i in under_way):
            text = "These weights are being published already, with a stake of their own: wait until they are."
            raise ActRefused((Check(False, text),), text)
        subject = kept["label"] or weights.name
        made = self.ground.journal.begin(self.action, str(subject), kept, key, self.ground.now_ms())
        self.ground.changed()
        return made

    async def step(self, intent: Intent) -> Intent:
        """One state further."""
        match intent.state:
            case "planned":
                return await self._make_key(intent)
            case "keyed":
                return await self._upload(intent)
            case "uploaded":
                return await self._create(intent)
            case "create_signed":
                stake = int(intent.args["stake_shannons"])
                return self._created(intent, await self.signer.settle(intent, stake))
            case "created":
                return await self._commit(intent)
            case _:
                return self._committed(intent, await self.signer.settle(intent))

    def back(self, intent: Intent, why: str) -> Intent:
        """Create or commit was refused for good: the state before it, where the next try makes a new one."""
        return self.enter(intent, CREATED if intent.state == COMMIT_SIGNED else UPLOADED, note=why)

    def stubborn(self, intent: Intent) -> bool:
        """From the moment a model exists that must be committed."""
        return intent.state in (CREATE_SIGNED, CREATED, COMMIT_SIGNED)

    def rejected(self, intent: Intent, why: Rejected) -> Intent | None:
        """A create that would fail is given up, a commit never is."""
        return None if intent.state == CREATED else self.refused(intent, str(why))

    async def _make_key(self, intent: Intent) -> Intent:
        """A fresh key for this intent and no other (R16), on disk before anything is uploaded or sent."""
        checksum = await asyncio.to_thread(checksum_of, Path(intent.args["weights"]))
        if checksum is None:
            return self.refused(intent, f"The weights {intent.args['weights']} cannot be read: name them again.")
        await asyncio.to_thread(self._keep_key, intent.id)
        return self.enter(intent, KEYED, result={"source_checksum": checksum})

    def _keep_key(self, intent_id: str) -> None:
        vault = self.ground.vault
        if vault is None:
            raise VaultLocked("This profile has no vault to keep the model's key in: set up a wallet first.")
        if key_name(intent_id) not in vault.names():
            vault.set(key_name(intent_id), os.urandom(KEY_BYTES))

    def _key(self, intent: Intent) -> bytes:
        vault = self.ground.vault
        if vault is None:
            raise VaultLocked("This profile has no vault: the model's key is out of reach.")
        try:
            return vault.get(key_name(intent.id))
        except KeyError:
            raise Hindered("The model's key is not in this vault: restore the vault that made it.") from None

    async def _upload(self, intent: Intent) -> Intent:
        """Encrypted by the worker; the plain bytes must still be those the key was made for."""
        source = Path(intent.args["weights"])
        if await asyncio.to_thread(checksum_of, source) != intent.result["source_checksum"]:
            return self.refused(intent, f"The weights {source} are gone or have changed: publish them again.")
        key = self._key(intent)
        stored = await self.ground.upload(source, f"weights/{intent.id}", encrypt_key=key)
        result = {
            "url": stored.url,
            "checksum": stored.checksum,
            "size": stored.size,
            "key_commitment": b58encode(blake2b256(key)),
            "embedding_commitment": b58encode(Tensor.of(embedding_of(intent.args)).commitment),
        }
        return self.enter(intent, UPLOADED, result=result)

    async def _create(self, intent: Intent) -> Intent:
        """Register the model with its stake, once it is sure that the commit can be made."""
        snapshot, _ = await self.fresh()
        stake, commission = int(intent.args["stake_shannons"]), int(intent.args["commission_bps"])
        checks = preflight.publish(snapshot, stake, commission, embedding_of(intent.args))
        if not all(c.ok for c in checks):
            return self.refused(intent, next(c.text for c in checks if not c.ok))
        p = snapshot.epoch.parameters
        need = stake + fees.create_fee(p, stake).total_shannons + fees.state_fee(p).total_shannons

        def make(coin: CoinView, _: tuple[CoinView, ...]) -> TransactionData:
            self._commit_of(intent, "0x" + "0" * 64, coin)
            return build.create_model(
                self.ground.address,
                coin,
                stake_shannons=stake,
                commission_bps=commission,
                architecture_version=ARCHITECTURE,
            )

        effects = await self.signer.send(
            intent,
            CREATE_SIGNED,
            make,
            need,
            spends_shannons=stake,
            facts=lambda data: {"model_id": build.new_model_id(data), "create_digest": b58encode(data.digest)},
        )
        return self._created(intent, effects)

    def _created(self, intent: Intent, effects: EffectsView) -> Intent:
        if not effects.success:
            return self.failed(intent, effects)
        stake = int(intent.args["stake_shannons"])
        rows = (self.fee(intent, effects), Money(effects.digest, "staked", stake, effects.epoch, intent.subject))
        known = {"create_epoch": effects.epoch, "create_fee_shannons": effects.fee.total}
        return self.enter(intent, CREATED, result=known, money=rows)

    def _commit_of(self, intent: Intent, model_id: str, coin: CoinView) -> TransactionData:
        known = intent.result
        return build.commit_model(
            self.ground.address,
            coin,
            model_id=model_id,
            url=known["url"],
            checksum=known["checksum"],
            size=known["size"],
            embedding=embedding_of(intent.args),
            key=self._key(intent),
        )

    async def _commit(self, intent: Intent) -> Intent:
        snapshot, _ = await self.fresh()
        model_id = str(intent.result["model_id"])
        model = next((m for m in snapshot.models if m.id == model_id), None)
        if model is None:
            raise Hindered("The new model is not listed by the network yet.")
        if model.state == "inactive":
            return self.enter(intent, FAILED, note="The model is inactive: it was not committed in time.")
        if model.state != "created":
            return self.enter(
                intent, DONE, result={"commit_epoch": model.commit_epoch}, note="It was committed before."
            )
        effects = await self.signer.send(
            intent,
            COMMIT_SIGNED,
            lambda coin, _: self._commit_of(intent, model_id, coin),
            fees.state_fee(snapshot.epoch.parameters).total_shannons,
            reserved=True,
            facts=lambda data: {"commit_digest": b58encode(data.digest)},
        )
        return self._committed(intent, effects)

    def _committed(self, intent: Intent, effects: EffectsView) -> Intent:
        fee = self.fee(intent, effects)
        if not effects.success:
            return self.enter(intent, CREATED, note=effects.error_text, money=(fee,))
        known = {"commit_epoch": effects.epoch, "commit_fee_shannons": effects.fee.total}
        return self.enter(intent, DONE, result=known, money=(fee,))

    def result(self, intent: Intent) -> dict[str, Any]:
        """Model, its label, where its weights lie, and the transactions."""
        known = intent.result
        names = ("model_id", "url", "size", "create_digest", "commit_digest", "commit_epoch")
        return (
            {"intent": intent.id, "label": intent.args.get("label", "")}
            | {n: known.get(n) for n in names}
            | {
                "staked_shannons": int(intent.args["stake_shannons"]),
                "fees_shannons": int(known["create_fee_shannons"]) + int(known.get("commit_fee_shannons", 0)),
            }
        )


def embedding_of(args: dict[str, Any]) -> tuple[float, ...]:
    """The exact f32 numbers of a publish intent; () when they cannot be read."""
    try:
        data = base64.b64decode(args["embedding"], validate=True)
        return struct.unpack(f"<{len(data) // 4}f", data)
    except (KeyError, ValueError, binascii.Error, struct.error):
        return ()


def checksum_of(path: Path) -> str | None:
    """Base58 of the file's Blake2b-256, None when it cannot be read. Runs in a thread: weights have gigabytes."""
    try:
        with path.open("rb") as file:
            return b58encode(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).digest())
    except OSError:
        return None
