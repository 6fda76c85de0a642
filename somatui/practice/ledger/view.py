"""Objects and state as one transaction sees and changes them; kept or dropped by whoever executes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from somatui.practice.ledger.state import SystemState
from somatui.wire.hashes import derive_id, seed_of
from somatui.wire.objects import Object, ObjectType, Owner, StakedSoma, Target, coin_contents, parse_coin

Deletion = tuple[int, bytes]
"""How a shared object went: version and digest of the last transaction that named it."""


class Failure(Exception):
    """A rule that a transaction broke: the number of protocol.md 4.4 and its details; the base fee is taken."""

    def __init__(self, kind: int, detail: str | None = None, object_id: bytes | None = None) -> None:
        super().__init__(detail or str(kind))
        self.kind = kind
        self.detail = detail
        self.object_id = object_id


INSUFFICIENT_GAS, INVALID_OWNERSHIP, OBJECT_NOT_FOUND, INVALID_OBJECT_TYPE = 1, 2, 3, 4
INVALID_ARGUMENTS, INSUFFICIENT_COIN_BALANCE, OTHER_ERROR = 6, 14, 24


@dataclass
class View:
    """A transaction at work: `now` holds what it wrote so far, `inputs` what it met, `lost` what it met no more."""

    state: SystemState
    digest: bytes
    sender: bytes
    inputs: dict[bytes, Object]
    gas: bytes = b""
    now: dict[bytes, Object] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    lost: dict[bytes, Deletion] = field(default_factory=dict)
    held: set[bytes] = field(default_factory=set)
    made: int = 0

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.state.epoch

    def next_id(self) -> bytes:
        """The id that the next created object gets; the number is used up."""
        self.made += 1
        return derive_id(self.digest, self.made - 1)

    def next_seed(self) -> int:
        """A target's seed; the number is used up."""
        self.made += 1
        return seed_of(self.digest, self.made - 1)

    def get(self, object_id: bytes) -> Object | None:
        """An input or created object as it is now."""
        return None if object_id in self.gone else self.now.get(object_id) or self.inputs.get(object_id)

    def need(self, object_id: bytes) -> Object:
        """The same; missing is ObjectNotFound."""
        found = self.get(object_id)
        if found is None:
            raise Failure(OBJECT_NOT_FOUND, object_id=object_id)
        return found

    def owned(self, object_id: bytes, kind: ObjectType = ObjectType.COIN) -> Object:
        """The sender's object of one type; else the matching failure."""
        found = self.need(object_id)
        if found.owner.address != self.sender:
            raise Failure(INVALID_OWNERSHIP, object_id=object_id)
        if found.type != kind:
            raise Failure(INVALID_OBJECT_TYPE, object_id=object_id)
        return found

    def balance(self, coin_id: bytes) -> int:
        """Shannons in one of the sender's coins."""
        return parse_coin(self.owned(coin_id).contents)

    def set_balance(self, coin_id: bytes, amount: int) -> None:
        """Change a coin; what is left may be 0 only for a moment."""
        if amount < 0:
            raise Failure(INSUFFICIENT_COIN_BALANCE)
        self.now[coin_id] = replace(self.need(coin_id), contents=coin_contents(amount))

    def set_owner(self, object_id: bytes, address: bytes) -> None:
        """Hand an object over."""
        self.now[object_id] = replace(self.need(object_id), owner=Owner(address))

    def set_target(self, target_id: bytes, target: Target) -> None:
        """Change a target's contents."""
        self.now[target_id] = replace(self.need(target_id), contents=target.to_bytes())

    def delete(self, object_id: bytes) -> None:
        """Delete an object."""
        self.now.pop(object_id, None)
        self.gone.add(object_id)

    def lose(self, coin_id: bytes) -> None:
        """Report a coin as gone that stays where it is and is held until the epoch ends (protocol.md 8, item 5a).

        The coin that pays the gas is written in any case.
        """
        if coin_id != self.gas:
            self.gone.add(coin_id)
            self.held.add(coin_id)

    def take(self, coin_id: bytes, amount: int) -> None:
        """Take shannons out of a coin; used up exactly it is deleted, unless it pays the gas."""
        left = self.balance(coin_id) - amount
        if left == 0 and coin_id != self.gas:
            self.delete(coin_id)
        else:
            self.set_balance(coin_id, left)

    def create(self, kind: ObjectType, contents: bytes, owner: Owner, object_id: bytes | None = None) -> bytes:
        """Make an object under the next id, or one taken before; returns the id."""
        made = object_id or self.next_id()
        self.now[made] = Object(made, kind, 0, contents, owner, self.digest)
        return made

    def create_coin(self, owner: bytes, amount: int) -> None:
        """Make a coin; no coin of zero is ever made and none uses up a number (protocol.md 8, item 4)."""
        if amount > 0:
            self.create(ObjectType.COIN, coin_contents(amount), Owner(owner))

    def create_stake(self, owner: bytes, pool_id: bytes, amount: int, since: int) -> None:
        """Make a StakedSoma that counts from epoch `since`."""
        self.create(ObjectType.STAKED_SOMA, StakedSoma(pool_id, since, amount).to_bytes(), Owner(owner))

    def written(self) -> set[bytes]:
        """Ids of everything that gets a new version: inputs and creations that are not deleted."""
        return (set(self.inputs) | set(self.now)) - self.gone
