"""The network's doors, by way of the SDK: typed reads, simulation, execution, faucet and the epoch's end.

Every call has a time limit and fails with a `ChainError`. Nothing is retried here, since only the agent knows whether
a second try is safe.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from soma_sdk import SomaClient

from somatui.chain import large, snapshot
from somatui.chain.effects import EffectsError, EffectsView, TransactionView, read_effects
from somatui.chain.errors import ChainError, NotFound, Refused, Timeout, Unreachable
from somatui.chain.failures import quoted
from somatui.chain.identity import Identity, OtherChain
from somatui.chain.identity import ask as ask_identity
from somatui.chain.line import Line
from somatui.chain.relay import Auth, Door, meant_for, no_auth
from somatui.chain.snapshot import SystemView
from somatui.domain.ids import IdError
from somatui.domain.snapshot import (
    CoinView,
    EpochView,
    ModelView,
    NetworkKind,
    NetworkView,
    StakeView,
    TargetView,
)
from somatui.wire.text import b58decode32, parse_id
from somatui.wire.values import ObjectRef

T = TypeVar("T")

READ_LIMIT_S = 30.0
EXECUTE_LIMIT_S = 120.0
"""Longer than the 90 s after which the node gives up by itself (protocol.md 8, item 3)."""
AWAY_S = 30.0
"""So long the second node is read before the first is tried again."""
POLL_S = 0.1
PAGE, MOST_PAGES = 1_000, 2_000
ALL_TARGETS = ("open", "filled", "expired")
"""Filters that list every target once; `filled` matches claimable ones too (protocol.md 2.4)."""
EXACT_FLOAT = 2**52
"""Above this many shannons the SDK's balance, a float in SOMA, is no longer exact."""
_ROW = ",".join((
    "id", "status", "generation_epoch", "reward_pool", "model_ids", "distance_threshold", "submitter",
    "winning_model_id", "bond_amount", "data_url",
))  # fmt: skip
_BOARD_ROW = "id,status,generation_epoch,model_ids,embedding"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of one network's services; an empty one is a service it does not offer."""

    rpc_url: str
    faucet_url: str = ""
    scoring_url: str = ""
    admin_url: str = ""
    rpc_url_2: str = ""
    """A second node of the same network, which is read while the first does not answer."""


@dataclass(frozen=True, slots=True)
class FaucetCoin:
    """A coin that the faucet sent: amount in shannons, id, and the digest of its transaction."""

    amount_shannons: int
    id: str
    digest: str


class Chain:
    """One network. Reads, simulations and executions go over clients of their own and never wait for each other."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        lanes: int = 4,
        read_limit_s: float = READ_LIMIT_S,
        auth: Auth = no_auth,
        chain: str = "",
    ) -> None:
        """`auth` gives the credentials that the nodes want; `chain` is the network's identifier or name, if known."""
        self.endpoints = endpoints
        self._limit_s = read_limit_s
        self._door = Door(endpoints.rpc_url, auth)
        self._door_2 = Door(endpoints.rpc_url_2, meant_for(endpoints.rpc_url_2, endpoints.rpc_url, auth))
        self._read = Line("the network", self._door)
        self._read_2 = Line("the second node", self._door_2)
        self._known: tuple[str, ...] = (chain,) if chain else ()
        self._away_until = 0.0
        self._too_large = False
        self._check = Line("the network", self._door)
        self._faucet = Line("the faucet", self._door, faucet_url=endpoints.faucet_url)
        self._admin = Line("the admin service", self._door, admin_url=endpoints.admin_url)
        self._lanes: asyncio.LifoQueue[Line] = asyncio.LifoQueue()
        for _ in range(lanes):
            self._lanes.put_nowait(Line("the network", self._door))

    @classmethod
    async def connect(cls, endpoints: Endpoints, *, lanes: int = 4, read_limit_s: float = READ_LIMIT_S) -> Chain:
        """A network that has answered once. Raises ChainError; the constructor alone asks nothing."""
        made = cls(endpoints, lanes=lanes, read_limit_s=read_limit_s)
        await made._get(lambda c: c.get_chain_identifier())
        return made

    @property
    def relayed(self) -> bool:
        """Whether there is anything to close: a way that was opened for credentials."""
        return self._door.open or self._door_2.open

    async def aclose(self) -> None:
        """Shut the ways that were opened for credentials; without any there is nothing to close."""
        await self._door.aclose()
        await self._door_2.aclose()

    async def identity(self) -> Identity:
        """Who the first node is, which is the one that transactions are sent to. Raises ChainError."""
        found = await self._read.ask_past_sdk(ask_identity, self._limit_s)
        self._known = (found.chain_id, found.name)
        return found

    @property
    def reading(self) -> str:
        """The address that reads go to for now."""
        return self._door_2.url if self._door_2.url and time.monotonic() < self._away_until else self._door.url

    async def _get(self, call: Callable[[SomaClient], Awaitable[T]]) -> T:
        """A read by the SDK."""
        return await self._read_from(lambda line: line.ask(call, self._limit_s))

    async def _read_from(self, ask: Callable[[Line], Awaitable[T]]) -> T:
        """A read; from the second node, if there is one of the same chain, while the first does not answer."""
        if self.reading == self._door.url:
            try:
                return await ask(self._read)
            except (Unreachable, Timeout) as failure:
                if not self._door_2.url or not await self._is_same(failure):
                    raise
                self._away_until = time.monotonic() + AWAY_S
        try:
            return await ask(self._read_2)
        except (Unreachable, Timeout):
            self._away_until = 0.0
            raise

    async def _is_same(self, failure: ChainError) -> bool:
        """Whether the second node answers and belongs to the network that is known; that it does not is told."""
        try:
            second = await self._read_2.ask_past_sdk(ask_identity, self._limit_s)
        except ChainError:
            return False
        if self._known and not {second.chain_id, second.name} & set(self._known):
            raise OtherChain(
                f"The second node, {self._door_2.url}, belongs to another network ({second.name} {second.chain_id}): "
                "correct rpc_url_2."
            ) from failure
        return True

    async def network(self, name: str, kind: NetworkKind, now_ms: int, system: SystemView | None = None) -> NetworkView:
        """Who answers; never raises a ChainError, but says in `error` why nobody does."""
        try:
            chain = await self._get(lambda c: c.get_chain_identifier())
            server = await self._get(lambda c: c.get_server_version())
            found = system or await self.system()
        except ChainError as failure:
            return NetworkView(name=name, kind=kind, rpc_url=self.reading, error=str(failure))
        return NetworkView(
            name=name,
            kind=kind,
            chain=quoted(chain),
            rpc_url=self.reading,
            server_version=quoted(server),
            protocol_version=found.protocol_version,
            reachable=True,
            synced_at_ms=now_ms,
            safe_mode=found.safe_mode,
        )

    async def system(self) -> SystemView:
        """Epoch, models, weights and pools as of one moment, in one read; past the SDK once it was too large for it."""
        if not self._too_large:
            try:
                state: Any = await self._get(lambda c: c.get_latest_system_state())
                return _understood(lambda: snapshot.read_system(state))
            except Refused as failure:
                if failure.kind != "too_large":
                    raise
                self._too_large = True
        body = await self._read_from(lambda line: line.ask_past_sdk(large.ask, self._limit_s))
        return _understood(lambda: snapshot.read_system(large.read(body)))

    async def checkpoint_ms(self) -> int:
        """When the newest checkpoint was made, in ms since 1970 by the network's clock."""
        found: Any = await self._get(lambda c: c.get_latest_checkpoint())
        return _understood(lambda: int(found.data.timestamp_ms))

    async def epoch(self) -> EpochView:
        """The current epoch; `system` tells it together with the models."""
        return (await self.system()).epoch

    async def models(self) -> tuple[ModelView, ...]:
        """Every model of the registry, in id order."""
        return (await self.system()).models

    async def targets(
        self, statuses: tuple[str, ...] = ALL_TARGETS, *, submitter: str | None = None
    ) -> tuple[TargetView, ...]:
        """All pages of the targets of the given stored statuses; one that moved meanwhile is told as last seen."""
        found: dict[str, TargetView] = {}
        for status in statuses:
            for row in await self._pages(status, _ROW, submitter):
                view = _understood(partial(snapshot.read_target, row))
                found[view.id] = view
        return tuple(found.values())

    async def board(self, system: SystemView | None = None) -> dict[str, Any]:
        """This epoch's open targets and the models they name, in the shape that a score worker reads."""
        rows = await self._pages("open", _BOARD_ROW, None)
        now = system or await self.system()
        return _understood(lambda: snapshot.board(now, rows))

    async def _pages(self, status: str, mask: str, submitter: str | None) -> list[Any]:
        rows: list[Any] = []
        token: str | None = None
        seen: set[str] = set()
        while True:
            page = await self._page(status, mask, submitter, token)
            rows += page.targets
            token = page.next_page_token
            if not token:
                return rows
            if token in seen or len(seen) >= MOST_PAGES:
                raise Refused("The network's list of targets does not end: try another node.", "other")
            seen.add(token)

    async def _page(self, status: str, mask: str, submitter: str | None, token: str | None) -> Any:
        return await self._get(
            lambda c: c.list_targets(status=status, limit=PAGE, read_mask=mask, submitter=submitter, page_token=token)
        )

    async def target(self, target_id: str, epoch: int) -> TargetView | None:
        """One target from its object, as the chain counts it in `epoch`; None when it is gone."""
        try:
            found: Any = await self._get(lambda c: c.get_object(target_id))
        except NotFound:
            return None
        return _understood(lambda: snapshot.target_from_object(target_id, bytes(found.data.contents), epoch))

    async def coins(self, address: str) -> tuple[CoinView, ...]:
        """All coins of the address, as of the last checkpoint; the agent's own bookkeeping is newer (9.7)."""
        return tuple(coin for coin, _ in await self.coins_and_origins(address))

    async def coins_and_origins(self, address: str) -> tuple[tuple[CoinView, str], ...]:
        """The same, each with the digest of the transaction that wrote this version of it."""
        found: list[Any] = await self._get(lambda c: c.list_owned_objects(address, "coin"))
        return _understood(lambda: tuple((snapshot.read_coin(o), str(o.previous_transaction)) for o in found))

    async def staked(self, address: str, pools: Mapping[str, str] | None = None) -> tuple[StakeView, ...]:
        """All stakes of the address; `pools` (of `system`) tells which model each is for."""
        found: list[Any] = await self._get(lambda c: c.list_owned_objects(address, "staked_soma"))
        return _understood(lambda: tuple(snapshot.read_stake(o, pools or {}) for o in found))

    async def balance_shannons(self, address: str) -> int:
        """The sum of all coins, exact."""
        shannons = round(await self._get(lambda c: c.get_balance(address)) * 1e9)
        if shannons < EXACT_FLOAT:
            return shannons
        return sum(c.balance_shannons for c in await self.coins(address))

    async def reference(self, object_id: str) -> ObjectRef:
        """The newest version of an object, as of the last checkpoint. Raises NotFound."""
        found: Any = await self._get(lambda c: c.get_object(object_id))
        return _understood(lambda: ObjectRef(parse_id(found.id), found.version, b58decode32(found.digest)))

    async def transaction(self, digest: str) -> TransactionView | None:
        """A transaction that is in a checkpoint; None also for one that was executed a moment ago (8, item 2)."""
        try:
            found = await self._get(lambda c: c.get_transaction(digest))
        except NotFound:
            if self.reading != self._door.url:
                raise Unreachable("The second node does not know the transaction and the first is silent.") from None
            return None
        return _understood(lambda: read_effects(found))

    async def settled(self, digest: str, limit_s: float = READ_LIMIT_S) -> TransactionView:
        """Wait until the transaction is in a checkpoint, so that listings show what it did. Raises Timeout."""
        ends = time.monotonic() + limit_s
        while True:
            found = await self.transaction(digest)
            if found is not None:
                return found
            if time.monotonic() > ends:
                raise Timeout(f"Transaction {digest} is in no checkpoint after {limit_s:g} seconds: look for it later.")
            await asyncio.sleep(POLL_S)

    async def simulate(self, data: bytes) -> EffectsView:
        """What TransactionData (BCS, unsigned) would do now; it does not notice coins that are old or gone (9.7)."""
        found = await self._check.ask(lambda c: c.simulate_transaction(data), self._limit_s)
        return _understood(lambda: read_effects(found))

    async def execute(self, signed: bytes, limit_s: float = EXECUTE_LIMIT_S) -> EffectsView:
        """Send a signed transaction (BCS) and wait for its effects, which may tell a failure; sending it again is safe.

        Raises:
            ChainError: look at `outcome_unknown` before anything else is signed with the same coins.
        """
        async with self._lane() as line:
            found = await line.ask(lambda c: c.execute_transaction(signed), limit_s)
        try:
            return read_effects(found)
        except EffectsError as failure:
            raise Refused(f"The answer is not understood: {failure}.", "other", outcome_unknown=True) from failure

    @asynccontextmanager
    async def _lane(self) -> AsyncIterator[Line]:
        line = await self._lanes.get()
        try:
            yield line
        finally:
            self._lanes.put_nowait(line)

    async def faucet(self, address: str) -> tuple[FaucetCoin, ...]:
        """Ask the faucet for coins; they are listed from the next checkpoint on."""
        found: Any = await self._faucet.ask(lambda c: c.request_faucet(address), self._limit_s)
        return tuple(FaucetCoin(c.amount, c.id, c.transfer_tx_digest) for c in found.coins_sent)

    async def advance_epoch(self) -> int:
        """End the epoch by the admin service, where there is one; the number of the new epoch."""
        return await self._admin.ask(lambda c: c.advance_epoch(), self._limit_s)


def _understood(read: Callable[[], T]) -> T:
    """Turn a shape that is not known into a ChainError: another version of the SDK or of the network."""
    try:
        return read()
    except (AttributeError, KeyError, TypeError, ValueError, IndexError, IdError) as failure:
        raise Refused(
            f"The network's answer is not understood ({type(failure).__name__}): this somatui may be too old for it.",
            "other",
        ) from failure
