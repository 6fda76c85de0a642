"""What the ledger answers with: effects, checkpoints, refusals; how a network begins. No rules."""

from __future__ import annotations

from dataclasses import dataclass, field

from somatui.wire.objects import Object, ObjectType, Owner
from somatui.wire.transaction import TransactionData


class Refused(Exception):
    """A transaction that is not executed at all and costs nothing; `code` is a gRPC status name (protocol.md 2.4)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Stale(Refused):
    """A reference to an old version of an object; `last` is the transaction that wrote the version there is now."""

    def __init__(self, text: str, last: bytes) -> None:
        super().__init__("INVALID_ARGUMENT", text)
        self.last = last


class Locked(Refused):
    """A reference to an object that another transaction holds: one on its way, or until the epoch ends."""


class LedgerError(Exception):
    """The ledger's file cannot be used; the message is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Fee:
    """Shannons taken from the gas coin (protocol.md 4.1)."""

    base: int
    operation: int
    value: int

    @property
    def total(self) -> int:
        """The sum of the three."""
        return self.base + self.operation + self.value


@dataclass(frozen=True, slots=True)
class ExecError:
    """Why an executed transaction failed: the number of protocol.md 4.4 and its details."""

    kind: int
    object_id: bytes | None = None
    other_error: str | None = None
    description: str | None = None


State = tuple[int, bytes, Owner]
"""An object before or after a transaction: version, digest, owner."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One object that a transaction made, changed or deleted; `operation` is none, created or deleted."""

    id: bytes
    type: ObjectType
    input: State | None
    output: State | None
    operation: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What a transaction did (protocol.md 4.2); `changed` is ordered by id."""

    success: bool
    error: ExecError | None
    epoch: int
    fee: Fee
    digest: bytes
    gas_object_index: int | None
    dependencies: list[bytes]
    lamport_version: int
    changed: list[Changed]
    gone: list[tuple[bytes, int]] = field(default_factory=list)
    """Shared inputs that were deleted before, with the version that their deletion had."""


@dataclass(frozen=True, slots=True)
class Executed:
    """An executed transaction; `objects` are those it wrote, `signed` is None for the system's own."""

    digest: bytes
    signed: bytes | None
    data: TransactionData
    effects: Effects
    balance_changes: list[tuple[bytes, int]]
    checkpoint: int | None
    timestamp_ms: int
    objects: list[Object]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A sealed batch of transactions; `fees` are those of its epoch up to and with it."""

    sequence: int
    epoch: int
    digest: bytes
    previous: bytes | None
    timestamp_ms: int
    digests: list[bytes]
    fees: Fee
    total_transactions: int


@dataclass(frozen=True, slots=True)
class GenesisModel:
    """A model that is active from epoch 0; checksum and key have 32 bytes, owner is an address."""

    owner: bytes
    url: str
    checksum: bytes
    size: int
    key: bytes
    embedding: tuple[float, ...]
    stake_shannons: int


@dataclass(frozen=True, slots=True)
class GenesisConfig:
    """How a network begins (protocol.md 4.11)."""

    chain: str
    models: tuple[GenesisModel, ...]
    now_ms: int
    seed: int
    dim: int = 16
    epoch_duration_ms: int = 86_400_000
