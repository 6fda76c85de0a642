"""What a ledger must have done, said a second time in a few lines that share nothing with its rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Executed
from somatui.wire import kinds as k
from somatui.wire.objects import Object, ObjectType, StakedSoma, Target
from somatui.wire.values import ObjectRef

COIN, STAKE, TARGET = ObjectType.COIN, ObjectType.STAKED_SOMA, ObjectType.TARGET


target_in = lru_cache(maxsize=20_000)(Target.from_bytes)


def held(coin: Object) -> int:
    """Shannons in a coin."""
    return int.from_bytes(coin.contents, "little")


def fee(kind: k.Kind, gas: list[bytes], before: dict[bytes, Object], rate: int, done: Executed) -> tuple[int, int, int]:
    """Base, operation and value fee of protocol.md 4.1; the gas coin counts even if the fees empty it."""
    purse = sum(held(before[coin]) for coin in gas)
    if done.effects.error is not None:
        return min(purse, 1000), 0, 0

    def amount(coin: ObjectRef, named: int | None) -> int:
        return named if named is not None else purse if coin.id == gas[0] else held(before[coin.id])

    match kind:
        case k.TransferCoin():
            value = amount(kind.coin, kind.amount) * rate
        case k.PayCoins():
            value = sum(kind.amounts or [amount(coin, None) for coin in kind.coins]) * rate
        case k.AddStake() | k.AddStakeToModel():
            value = amount(kind.coin, kind.amount) * (rate // 2)
        case k.CreateModel():
            value = kind.stake * (rate // 2)
        case k.WithdrawStake():
            value = StakedSoma.from_bytes(before[kind.staked.id].contents).principal * (rate // 2)
        case k.ClaimRewards():
            value = target_in(before[kind.target_id].contents).reward * (rate // 2)
        case _:
            value = 0
    written = sum(change.output is not None or change.id == gas[0] for change in done.effects.changed)
    return 1000, 300 * written, value // 10_000


def supply(state: SystemState, objects: dict[bytes, Object]) -> int:
    """Every shannon there is: in coins, pools, targets, the emission pool, and fees not handed out yet."""
    holders = [*state.all_validators(), *state.pending_validators, *state.inactive_validators.values()]
    pools = [v.staking_pool for v in holders] + [m.staking_pool for m in state.all_models().values()]
    total = sum(p.soma_balance + p.pending_stake - p.pending_total_soma_withdraw for p in pools)
    for one in objects.values():
        if one.type == COIN:
            total += held(one)
        elif one.type == TARGET:
            target = target_in(one.contents)
            total += target.reward + (target.filled.bond if target.filled else 0)
    waiting = state.safe_mode_accumulated_fees + state.safe_mode_accumulated_emissions
    return total + state.emission_pool.balance + sum(state.epoch_fees) + waiting


@dataclass
class Mirror:
    """All live objects, known from effects alone."""

    objects: dict[bytes, Object] = field(default_factory=dict)

    def follow(self, done: Executed) -> None:
        """Take one transaction in; versions must rise and every input must be what was written last."""
        written = {one.id: one for one in done.objects}
        met = [change.input[0] for change in done.effects.changed if change.input is not None]
        assert done.effects.lamport_version == max(met, default=0) + 1
        for change in done.effects.changed:
            known = self.objects.get(change.id)
            assert (change.input is None) == (known is None), "created twice, or changed without being there"
            if known is not None and change.input is not None:
                assert change.input == (known.version, known.digest, known.owner)
            if change.output is None:
                del self.objects[change.id]
                continue
            new = written.pop(change.id)
            assert change.output == (new.version, new.digest, new.owner)
            assert new.version == done.effects.lamport_version > (known.version if known else 0)
            assert new.previous_transaction == done.digest
            self.objects[change.id] = new
        assert not written

    def owned(self, owner: bytes, kind: ObjectType) -> list[Object]:
        """An address's objects, coins in ascending balance."""
        found = [o for o in self.objects.values() if o.owner.address == owner and o.type == kind]
        return sorted(found, key=lambda o: (held(o) if kind == COIN else 0, o.id))

    def agrees(self, ledger: Ledger, owners: list[bytes]) -> None:
        """The ledger lists the same objects, each for one owner."""
        seen: set[bytes] = set()
        for owner in owners:
            listed = ledger.owned(owner, None, 1000, None)[0]
            assert {o.id: o for o in listed} == {o.id: o for o in self.objects.values() if o.owner.address == owner}
            assert seen.isdisjoint(o.id for o in listed)
            seen |= {o.id for o in listed}


@dataclass
class Life:
    """A model's life as protocol.md 4.6 tells it."""

    owner: bytes
    created: int
    state: str = "created"
    committed: int | None = None
    update: int | None = None
    closed: bool = False

    def commit(self, epoch: int) -> int | None:
        """What committing does; the number of the failure if it fails."""
        if self.state == "created":
            self.state, self.committed = "pending", epoch
        elif self.state == "active":
            self.update = epoch
        else:
            return 24
        return None

    def reveal(self, epoch: int, right: bool) -> int | None:
        """What revealing does; the number of the failure if it fails."""
        if self.state not in ("pending", "active"):
            return 24
        since = self.committed if self.state == "pending" else self.update
        if since is None:
            return 29
        if epoch != since + 1:
            return 27
        if not right:
            return 57
        self.state, self.update = "active", None
        return None

    def age(self, epoch: int, reported: bool) -> int:
        """Basis points of the pool that are burnt when an epoch begins."""
        if self.state == "active" and reported:
            self.state, self.closed = "inactive", True
            return 9500
        if self.state == "created" and epoch > self.created + 1:
            self.closed = True
            return 5000
        if self.state == "pending" and self.committed is not None and epoch > self.committed + 1:
            self.state, self.closed = "inactive", True
            return 5000
        if self.update is not None and epoch > self.update + 1:
            self.update = None
        return 0
