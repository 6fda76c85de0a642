"""One agent per profile and one per wallet address: advisory locks that the kernel drops when their holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from somatui.paths import make_private


class LeaseHeld(Exception):
    """Somebody else holds it; the text is one sentence with the cure."""


class Lease:
    """A lock on a file, held as long as the process lives or until `release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path, holder: str) -> Lease | str:
        """Take the lock and write `holder` into the file; what its present holder wrote, when it is taken."""
        make_private(path.parent)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            said = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            os.close(descriptor)
            return said or "another process"
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, holder.encode(), 0)
        return cls(descriptor)

    def release(self) -> None:
        """Let others take it; the file stays, since deleting it would let two hold it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def profile_lease(lock: Path, profile: str) -> Lease:
    """The right to be the agent of a profile. Raises LeaseHeld."""
    taken = Lease.take(lock, f"process {os.getpid()}")
    if isinstance(taken, str):
        raise LeaseHeld(
            f"Another agent runs for profile {profile} ({taken}): use that one, or stop it with somatui agent stop."
        )
    return taken


def wallet_lease(folder: Path, address: str, profile: str) -> Lease:
    """The right to sign for a wallet, whatever the profile. Raises LeaseHeld."""
    taken = Lease.take(folder / f"{address}.lock", f"profile {profile}, process {os.getpid()}")
    if isinstance(taken, str):
        raise LeaseHeld(
            f"Another agent signs for the wallet {address[:8]}… ({taken}): stop that one first, or use another wallet."
        )
    return taken
