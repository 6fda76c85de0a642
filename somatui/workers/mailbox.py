"""Messages among the machines of one job, through a store that one of them keeps, each signed with the job's key.

A box has one writer and one reader. Who can reach the store and does not have the key can disturb, but say nothing,
nor say again what was said in an earlier life of the job: each life has a name that is signed with its messages.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from somatui.files import write_whole

KEY_BYTES = 32
PIECE = 4 * 1024 * 1024
"""Characters of one value: the store hangs up on who sends more than 8 MiB at once, as a board of 200 targets has."""
MOST = 16 * PIECE
"""Characters of a message; what is longer is read no further, since its sign is seen last."""
_SIGNED = 64
_DOOR, _LIFE = "somatui/door", "somatui/life"
_REACH = timedelta(seconds=30)


class Mailbox:
    """Boxes by name, for one process; it may be used from several threads. A lost store raises RuntimeError.

    The process that serves the store `begins` its life.
    """

    def __init__(self, store: Any, key: bytes, *, begins: bool = False) -> None:
        self._store, self._key, self._lock = store, key, threading.Lock()
        if begins:
            self._life = secrets.token_hex(16)
            store.set(_LIFE, self._life)
        else:
            self._life = store.get(_LIFE).decode("utf-8", "replace")
        self._written: dict[str, int] = {}
        self._read: dict[str, int] = {}
        self.forged = 0

    def put(self, box: str, told: dict[str, Any]) -> None:
        """Add a message to a box that this process alone writes to."""
        with self._lock:
            number = self._written[box] = self._written.get(box, 0) + 1
            text = json.dumps(told)
            name, whole = f"somatui/{box}/{number}", self._signed(box, number, text) + text
            # The one that makes it a message comes last.
            for at in reversed(range(PIECE, len(whole), PIECE)):
                self._store.set(f"{name}/{at}", whole[at : at + PIECE])
            self._store.set(name, whole[:PIECE])

    def taken(self, box: str) -> Iterator[dict[str, Any]]:
        """The messages of a box that this process has not taken yet; one that is not signed is left out."""
        while True:
            with self._lock:
                number = self._read.get(box, 0) + 1
                name = f"somatui/{box}/{number}"
                if not self._store.check([name]):
                    return
                found = self._cleared(name)
                while len(found) % PIECE == 0 and len(found) < MOST and self._store.check([f"{name}/{len(found)}"]):
                    found += self._cleared(f"{name}/{len(found)}")
                self._read[box] = number
            sign, text = found[:_SIGNED], found[_SIGNED:]
            if hmac.compare_digest(sign.encode(), self._signed(box, number, text).encode()):
                yield json.loads(text)
            else:
                self.forged += 1

    def _cleared(self, name: str) -> str:
        found: str = self._store.get(name).decode("utf-8", "replace")
        self._store.delete_key(name)
        return found

    def knock(self, name: str) -> None:
        """Have the reader of the door learn this name."""
        self._store.append(_DOOR, f"{name}\n")

    def names(self) -> list[str]:
        """Who has knocked, in that order."""
        return self._store.get(_DOOR).decode("utf-8", "replace").split() if self._store.check([_DOOR]) else []

    def _signed(self, box: str, number: int, text: str) -> str:
        return hmac.new(self._key, f"{self._life}/{box}/{number}\n{text}".encode(), hashlib.sha256).hexdigest()


def opened(host: str, port: int, *, serve: bool) -> Any:
    """The store at an address: `serve` it there and nowhere else, or reach it.

    Raises OSError for an address that is not this machine's or is taken; RuntimeError for one that is not reached.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    own: dict[str, Any] = {}
    if serve:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        own["master_listen_fd"] = socket.create_server((host, port), family=family).detach()
    return TCPStore(host, port, is_master=serve, wait_for_workers=False, timeout=_REACH, multi_tenant=True, **own)


def own_key(path: Path) -> bytes:
    """The key in a file, which is made where there is none."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, secrets.token_hex(KEY_BYTES).encode())
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in a file. Raises OSError; ValueError for a file that is none."""
    key = bytes.fromhex(path.read_text("ascii").strip())
    if len(key) != KEY_BYTES:
        raise ValueError("a key has another length")
    return key
