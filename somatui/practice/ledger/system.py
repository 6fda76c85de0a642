"""The system's own transactions; nobody sends them, so their bytes need agree with no other program's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from somatui.wire.bcs import BcsError, Reader
from somatui.wire.kinds import BYTES, U64, Codec, Kind
from somatui.wire.transaction import TransactionData
from somatui.wire.values import ObjectRef


@dataclass(frozen=True)
class Genesis(Kind):
    """The first transaction of a network."""

    number: ClassVar[int] = 0
    layout: ClassVar[tuple[Codec, ...]] = (BYTES,)

    seed: bytes


@dataclass(frozen=True)
class ChangeEpoch(Kind):
    """The transaction that begins an epoch; `fees` are the last epoch's, in shannons."""

    number: ClassVar[int] = 2
    layout: ClassVar[tuple[Codec, ...]] = (U64, U64, U64, U64, BYTES)

    epoch: int
    protocol_version: int
    fees: int
    epoch_start_ms: int
    randomness: bytes


_BY_NUMBER: dict[int, type[Any]] = {kind.number: kind for kind in (Genesis, ChangeEpoch)}


def data_in_file(data: bytes) -> TransactionData:
    """Read a transaction of the system's own; raises BcsError."""
    reader = Reader(data)
    version, number = reader.uleb128(), reader.uleb128()
    kind = _BY_NUMBER.get(number)
    if version != 0 or kind is None:
        raise BcsError(f"transaction kind {number} is none of the system's own")
    made = kind(*(codec.read(reader) for codec in kind.layout))
    found = TransactionData(made, reader.raw(32), reader.seq(ObjectRef.read))
    reader.done()
    return found
