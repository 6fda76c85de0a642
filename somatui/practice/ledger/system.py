"""The system's own transactions; nobody sends them, so their bytes need agree with no other program's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from somatui.wire.kinds import BYTES, U64, Codec, Kind


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
