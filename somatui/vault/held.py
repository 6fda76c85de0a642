"""Where the data key is while the vault is open: in the kernel's user keyring where that works, else in this process.

In the keyring it outlives the process, ends by itself at its time, and whoever revokes it has locked the vault. Without
a time it is there on a lease that its holder renews, so that none stays for ever. Every process of the user can read it
there while it lasts, as it could read this process's own memory.
"""

from __future__ import annotations

import ctypes
import os
import platform
import secrets
import sys
import time
from dataclasses import dataclass

_SYSCALLS = {"x86_64": (248, 250), "aarch64": (217, 219), "arm64": (217, 219)}
"""Numbers of add_key and keyctl."""
_SESSION, _USER = -3, -4
_REVOKE, _LINK, _UNLINK, _SEARCH, _READ, _TIMEOUT = 3, 8, 9, 10, 11, 15
_TYPE = b"user"
_KEY_BYTES = 32
LEASE_S, RENEW_S = 12 * 3600, 300


class KernelKeyring:
    """The kernel's keyring of this user (`@u`), as far as it is needed here. Every method raises OSError."""

    def __init__(self) -> None:
        numbers = _SYSCALLS.get(platform.machine()) if sys.platform == "linux" else None
        if numbers is None:
            raise OSError("this system has no kernel keyring")
        self._add, self._control = numbers
        self._call = ctypes.CDLL(None, use_errno=True).syscall
        self._call.restype = ctypes.c_long
        self._keyctl(_LINK, _USER, _SESSION)

    def write(self, name: str, value: bytes, seconds: int) -> None:
        """Keep a value for so many seconds."""
        number = self._checked(self._call(self._add, _TYPE, name.encode(), value, ctypes.c_size_t(len(value)), _USER))
        self._keyctl(_TIMEOUT, number, seconds)

    def extend(self, name: str, seconds: int) -> None:
        """Keep a value for so many seconds from now on."""
        self._keyctl(_TIMEOUT, self._search(name), seconds)

    def read(self, name: str) -> bytes:
        """A value; OSError with ENOKEY, EKEYEXPIRED or EKEYREVOKED where there is none any more."""
        room = ctypes.create_string_buffer(256)
        size = self._keyctl(_READ, self._search(name), room, ctypes.c_size_t(len(room)))
        value = room.raw[: min(size, len(room))]
        ctypes.memset(room, 0, len(room))
        return value

    def revoke(self, name: str) -> None:
        """Make a value unreadable for everybody who knows it, then forget its name."""
        number = self._search(name)
        self._keyctl(_REVOKE, number)
        self._keyctl(_UNLINK, number, _USER)

    def _search(self, name: str) -> int:
        return self._keyctl(_SEARCH, _USER, _TYPE, name.encode(), 0)

    def _keyctl(self, *words: object) -> int:
        return self._checked(self._call(self._control, *words))

    @staticmethod
    def _checked(answer: int) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer


def kernel_keyring() -> KernelKeyring | None:
    """The kernel's keyring if a random value can be written, read and revoked there; containers often refuse it."""
    name, value = f"somatui-probe:{secrets.token_hex(8)}", secrets.token_bytes(_KEY_BYTES)
    try:
        found = KernelKeyring()
        found.write(name, value, 60)
        same = found.read(name) == value
        found.revoke(name)
        found.write(name, value, 60)
        found.revoke(name)
    except OSError:
        return None
    return found if same else None


class Held:
    """The data key of one vault while that is open. With a keyring it is there and nowhere else.

    `seconds` is how long an opening lasts: 0 without end, for as long as this process looks after it.
    """

    def __init__(self, keyring: KernelKeyring | None = None) -> None:
        self._keyring = keyring
        self._name = ""
        self._mine: _Timed | None = None
        self._renewed_s = 0.0
        self.seconds: int | None = None

    @property
    def where(self) -> str:
        """`kernel` or `agent`, empty where there is no key."""
        if self._mine is not None and not self._mine.over:
            return "agent"
        return "kernel" if self.take() is not None else ""

    def name(self, vault_id: str) -> None:
        """Say whose key it is; a key of that vault that the keyring still has is taken up."""
        self._name = f"somatui:{vault_id}"

    def same_place(self, other: Held) -> bool:
        """Whether both keys have one name in the kernel's keyring, so that to drop one is to drop the other."""
        return self._name == other._name

    def take(self) -> bytes | None:
        """The key, None where the vault is locked: never opened, closed, its time over, or revoked by anybody."""
        if self._mine is not None:
            if not self._mine.over:
                return self._mine.key
            self._mine = None
        if self._keyring is None or not self._name:
            return None
        try:
            found = self._keyring.read(self._name)
            if self.seconds == 0 and _now_s() - self._renewed_s > RENEW_S:
                self._keyring.extend(self._name, LEASE_S)
                self._renewed_s = _now_s()
        except OSError:
            return None
        return found if len(found) == _KEY_BYTES else None

    def put(self, key: bytes) -> None:
        """Hold the key from now on."""
        self.drop()
        if self._keyring is not None and self._name:
            try:
                self._keyring.write(self._name, key, self.seconds or LEASE_S)
                return
            except OSError:
                self.drop()
        self._mine = _Timed(key, _now_s() + self.seconds if self.seconds else None)

    def drop(self) -> None:
        """Forget the key here and there."""
        self._mine = None
        if self._keyring is not None and self._name:
            try:
                self._keyring.revoke(self._name)
            except OSError:
                return


@dataclass(frozen=True, slots=True)
class _Timed:
    """A key and the time of the clock at which it is to be forgotten."""

    key: bytes
    until_s: float | None

    @property
    def over(self) -> bool:
        """Whether its time has come; never where it has no end."""
        return self.until_s is not None and self.until_s <= _now_s()


def _now_s() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()
