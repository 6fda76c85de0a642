"""Signs and sends, one transaction at a time per coin, and never lets go of one before its outcome is known.

What is sent, and what its effects mean, is for the flows; which coin pays is decided here and in the purse.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from soma_sdk import Keypair

from somatui.agent.belonging import belongs
from somatui.agent.books import Books
from somatui.agent.ground import Ground
from somatui.agent.journal import Intent
from somatui.agent.purse import Held, Purse
from somatui.chain.effects import EffectsView
from somatui.chain.errors import ChainError, NotFound, Refused, Timeout
from somatui.chain.identity import OtherChain
from somatui.domain.deadline import pause_s
from somatui.domain.snapshot import CoinView
from somatui.wire.text import b58encode, hex_id, parse_address
from somatui.wire.transaction import SignedTransaction, TransactionData

log = logging.getLogger(__name__)

Build = Callable[[CoinView, tuple[CoinView, ...]], TransactionData]
Facts = Callable[[TransactionData], dict[str, Any]]
Look = Callable[[], Awaitable[None]]

FIRST_PAUSE_S, MOST_PAUSE_S = 0.25, 15.0
LOOKS_AFTER_REFUSAL = 6
"""How often the digest of refused bytes is looked for before they count as not taken; a checkpoint takes 0.3 s."""
REFUSALS = 4
"""How often the node must refuse the same bytes for a reason that is not known before it is believed."""
DOUBT_S = 120.0
"""So long after a try whose outcome is not known no such refusal is believed: that try may still land."""
SETTLE_LIMIT_S = 15.0
_NEVER = frozenset({"missing", "wrong_owner", "wrong_digest"})
"""Reasons after which the node gave up waiting and that no waiting cures (protocol.md 8, item 3)."""


class Rejected(Exception):
    """The node tried the unsigned transaction and it would fail; nothing was signed. `kind` as in EffectsView."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class NotTaken(Exception):
    """The node refused signed bytes and they cannot land any more; nothing was executed. `reason` says why."""

    def __init__(self, reason: ChainError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class Signer:
    """The one who signs for a wallet."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.turn = asyncio.Lock()
        """Whoever holds it keeps the wallet from being read."""
        self._freed = asyncio.Event()
        self._busy = 0
        self.forget()

    def forget(self) -> None:
        """Begin with the wallet that is in use now: nothing is known of it but what its journal has in flight."""
        self.books = Books(self.ground)
        self._purse = Purse()
        self._listed = False
        for intent in self.ground.journal.unfinished():
            if intent.in_flight and intent.signed:
                self._purse.hold(_coins_of(intent.signed))

    @property
    def coins(self) -> tuple[CoinView, ...]:
        """The wallet's coins, roles assigned, at the versions that the next transactions will spend."""
        snapshot = self.ground.snapshot()
        return self._purse.coins(snapshot.epoch.parameters, reveal_pending=self._reveal_pending())

    @property
    def idle(self) -> bool:
        """Whether no transaction is on its way."""
        return self._busy == 0

    def _reveal_pending(self) -> bool:
        waiting = any(
            m.mine and (m.state in ("created", "pending") or m.update_commit_epoch is not None)
            for m in self.ground.snapshot().models
        )
        return waiting or any(i.action == "publish" for i in self.ground.journal.unfinished())

    async def refresh(self) -> None:
        """Take the chain's listing over, money that came from elsewhere into the books first. Raises ChainError."""
        await belongs(self.ground, reading=True)
        async with self.turn:
            books, purse = self.books, self._purse
            began = purse.begin_listing()
            listed = await self.ground.chain.coins_and_origins(self.ground.address)
            admitted = await books.admit(listed, purse.knows)
            if books is self.books:
                purse.listed(admitted, began, self.ground.snapshot().epoch.number)
                self._listed = True
        self._freed.set()

    async def send(
        self,
        intent: Intent,
        state: str,
        build: Build,
        need_shannons: int,
        *,
        reserved: bool = False,
        sweep: bool = False,
        spends_shannons: int = 0,
        facts: Facts | None = None,
        last_look: Look | None = None,
    ) -> EffectsView:
        """Have the node try it, sign it, journal it as `state`, send it, and return when its effects are known.

        `spends_shannons` leave the paying coin besides the fee when it succeeds; `facts` go into the intent's result
        together with the signed bytes; `last_look` may raise to stop it right before it is tried and signed.

        Raises:
            NoCoin, Rejected, ChainError, VaultLocked: nothing was signed.
            NotTaken: signed, refused, and it cannot land any more.
        """
        held = await self._take(need_shannons, reserved, sweep)
        in_flight = False
        self._busy += 1
        try:
            if last_look is not None:
                await last_look()
            data = build(held.coin, held.sweep)
            await self._allowed(data)
            signed = self._signed(data)
            digest = b58encode(data.digest)
            known = facts(data) if facts else {}
            now = self.ground.now_ms()
            self.ground.journal.enter(intent.id, state, now, digest=digest, signed=signed, result=known)
            in_flight = True
            self.ground.changed()
            try:
                effects = await self._land(digest, signed)
            except NotTaken:
                in_flight = False
                raise
            await self._landed(effects, held, spends_shannons)
            in_flight = False
            return effects
        finally:
            self._busy -= 1
            if not in_flight:
                self._release(held.ids)

    async def settle(self, intent: Intent, spends_shannons: int = 0) -> EffectsView:
        """The effects of what an earlier process signed: found on the chain, or had by sending the same bytes again.

        Raises NotTaken when the node refuses them for good.
        """
        if intent.digest is None or intent.signed is None:
            raise ValueError(f"{intent.id} has nothing in flight")
        ids = _coins_of(intent.signed)
        self._purse.hold(ids)
        self._busy += 1
        in_flight = True
        try:
            try:
                effects = await self._land(intent.digest, intent.signed, look_first=True)
            except NotTaken:
                in_flight = False
                raise
            await self._landed(effects, self._purse.held(ids), spends_shannons)
            in_flight = False
            return effects
        finally:
            self._busy -= 1
            if not in_flight:
                self._release(ids)

    async def tried(self, data: TransactionData) -> EffectsView:
        """What the node says it would do. Raises Rejected when it would fail, ChainError when it cannot be tried."""
        effects = await self.ground.chain.simulate(data.to_bytes())
        if not effects.success:
            raise Rejected(effects.error_kind or "OtherError", effects.error_text or "The network would fail it.")
        return effects

    async def _allowed(self, data: TransactionData) -> None:
        """Have the node try it, and see that it is a node of this profile's network; that it is not says more."""
        found = await asyncio.gather(belongs(self.ground), self.tried(data), return_exceptions=True)
        for failure in found:
            if isinstance(failure, BaseException):
                raise failure

    async def quiet(self, limit_s: float) -> bool:
        """Wait until nothing is on its way; False when that takes too long."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + limit_s
        while not self.idle:
            if loop.time() > ends:
                return False
            await asyncio.sleep(0.05)
        return True

    async def ready(self) -> None:
        """See that the wallet has been read once. Raises ChainError."""
        if not self._listed:
            await self.refresh()

    async def _take(self, need_shannons: int, reserved: bool, sweep: bool) -> Held:
        await self.ready()
        while True:
            self._freed.clear()
            held = self._purse.take(
                need_shannons,
                self.ground.snapshot().epoch.parameters,
                reveal_pending=self._reveal_pending(),
                reserved=reserved,
                sweep=sweep,
            )
            if held is not None:
                return held
            await self._freed.wait()

    def _release(self, ids: Iterable[str]) -> None:
        self._purse.release(ids)
        self._freed.set()

    def _signed(self, data: TransactionData) -> bytes:
        """The signed bytes, checked to hold this transaction and this wallet's signature. Raises VaultLocked."""
        signed = bytes(Keypair.from_secret_key(self.ground.key()).sign(data.to_bytes()))
        made = SignedTransaction.from_bytes(signed)
        if made.data != data or made.signature.address != parse_address(self.ground.address):
            raise ValueError("the signature is not this wallet's or not of this transaction")
        return signed

    async def _land(self, digest: str, signed: bytes, *, look_first: bool = False) -> EffectsView:
        """Send the same bytes until the outcome is known, however long that takes.

        A node of another network has nothing to say of them and is sent nothing, whenever the profile came to name it.
        """
        pause, refusals, now_s = FIRST_PAUSE_S, 0, asyncio.get_running_loop().time
        doubt_s = now_s() if look_first else float("-inf")
        while True:
            try:
                if look_first:
                    await belongs(self.ground, reading=True)
                    if (found := await self._found(digest)) is not None:
                        return found
                return await self.ground.chain.execute(signed)
            except ChainError as failure:
                log.warning("transaction %s: %s", digest, failure)
                other = isinstance(failure, OtherChain) or not await self._of_this_network()
                refusals += _refusal(failure) and not other
                doubt_s = now_s() if failure.outcome_unknown else doubt_s
                believed = refusals >= REFUSALS and now_s() - doubt_s > DOUBT_S
                if not other and (_final(failure) or believed):
                    absent, found = await self._absent(digest)
                    if found is not None:
                        return found
                    if absent:
                        await self._not_taken(_reason(failure))
                        raise NotTaken(_reason(failure)) from failure
            look_first = True
            await asyncio.sleep(pause_s(pause, self.ground.snapshot().epoch, self.ground.now_ms()))
            pause = min(pause * 2, MOST_PAUSE_S)

    async def _of_this_network(self) -> bool:
        """Whether the node that refused is one of the profile's network, as far as it says."""
        try:
            await belongs(self.ground)
        except ChainError:
            return False
        return True

    async def _found(self, digest: str) -> EffectsView | None:
        try:
            return await self.ground.chain.transaction(digest)
        except ChainError:
            return None

    async def _absent(self, digest: str) -> tuple[bool, EffectsView | None]:
        """Whether refused bytes are not on the chain, which silence does not say; or what they did all the same."""
        for _ in range(LOOKS_AFTER_REFUSAL):
            try:
                found = await self.ground.chain.transaction(digest)
            except ChainError:
                return False, None
            if found is not None:
                return False, found
            await asyncio.sleep(FIRST_PAUSE_S)
        return True, None

    async def _landed(self, effects: EffectsView, held: Held | None, spends_shannons: int) -> None:
        """Take the effects over and wait for the checkpoint, before which the node tries nothing with these coins."""
        self._purse.wrote(effects, held, spends_shannons if effects.success else 0)
        try:
            await self.ground.chain.settled(effects.digest, SETTLE_LIMIT_S)
        except ChainError as failure:
            log.warning("transaction %s is executed and in no checkpoint yet: %s", effects.digest, failure)
        self.ground.changed()

    async def _not_taken(self, reason: ChainError) -> None:
        """Do without a coin that another transaction holds or that is not there, and read the wallet again."""
        if isinstance(reason, Refused) and reason.kind != "stale" and reason.object_id is not None:
            self._purse.bar(reason.object_id, self.ground.snapshot().epoch.number)
        try:
            await self.refresh()
        except ChainError as failure:
            log.info("the wallet could not be read: %s", failure)


def _refusal(failure: ChainError) -> bool:
    """Whether the node says that it executed nothing."""
    if failure.outcome_unknown:
        return False
    return isinstance(failure, NotFound) or (isinstance(failure, Refused) and failure.kind != "not_configured")


def _final(failure: ChainError) -> bool:
    """Whether the bytes can never land, since what they name is spent, held by others or not there."""
    if isinstance(failure, Timeout):
        return failure.reason is not None and failure.reason.kind in _NEVER
    known = isinstance(failure, Refused) and failure.kind in _NEVER | {"stale", "locked"}
    return known and _refusal(failure)


def _reason(failure: ChainError) -> ChainError:
    return failure.reason if isinstance(failure, Timeout) and failure.reason is not None else failure


def _coins_of(signed: bytes) -> tuple[str, ...]:
    """The coins that signed bytes name."""
    return tuple(hex_id(ref.id) for ref in SignedTransaction.from_bytes(signed).data.gas_payment)
