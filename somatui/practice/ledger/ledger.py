"""The ledger as the servers see it: opened, read, changed one transaction at a time."""

from __future__ import annotations

from pathlib import Path

from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Checkpoint, Executed, GenesisConfig
from somatui.wire.objects import Object, ObjectType, Target
from somatui.wire.transaction import SignedTransaction, TransactionData


class Ledger:
    """One network's ledger; calls are synchronous and one at a time."""

    state: SystemState

    @classmethod
    def create(cls, path: Path, genesis: GenesisConfig) -> Ledger:
        """Make the file and the network in it."""
        raise NotImplementedError

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open a network that was made before."""
        raise NotImplementedError

    def get_object(self, object_id: bytes, version: int | None = None) -> Object | None:
        """The newest or one named version; None when there is none."""
        raise NotImplementedError

    def owned(
        self, owner: bytes, type: ObjectType | None, limit: int, after: bytes | None
    ) -> tuple[list[Object], bytes | None]:
        """A page in the order of protocol.md 2.4 and the token of the next."""
        raise NotImplementedError

    def balance(self, owner: bytes) -> int:
        """The sum of an address's coins in shannons."""
        raise NotImplementedError

    def targets(
        self, status: str | None, epoch: int | None, submitter: bytes | None, limit: int, after: bytes | None
    ) -> tuple[list[tuple[Object, Target]], bytes | None]:
        """A page of targets and the token of the next."""
        raise NotImplementedError

    def get_target(self, target_id: bytes) -> tuple[Object, Target] | None:
        """One target; None when there is none."""
        raise NotImplementedError

    def transaction(self, digest: bytes) -> Executed | None:
        """An executed transaction; None when there is none."""
        raise NotImplementedError

    def checkpoint(self, sequence: int | None = None) -> Checkpoint | None:
        """The newest or one numbered checkpoint."""
        raise NotImplementedError

    def execute(self, signed: SignedTransaction, now_ms: int) -> Executed:
        """Execute once; the same digest again gives the first answer. Raises Refused."""
        raise NotImplementedError

    def simulate(self, data: TransactionData, now_ms: int) -> Executed:
        """What executing would do; nothing is kept. Raises Refused."""
        raise NotImplementedError

    def faucet(self, recipient: bytes, now_ms: int) -> list[tuple[int, bytes, bytes]]:
        """One coin of 2 SOMA: (amount, coin id, digest)."""
        raise NotImplementedError

    def advance_epoch(self, now_ms: int) -> int:
        """Begin the next epoch and return its number."""
        raise NotImplementedError

    def seal_checkpoint(self, now_ms: int) -> Checkpoint | None:
        """Seal what was executed since the last; None when nothing was."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the file."""
        raise NotImplementedError
