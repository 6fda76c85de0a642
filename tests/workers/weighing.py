"""Weights for tests of how they come: a file of any size with a true header, and a server of it with habits."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import base58
import numpy as np

from somatui.engine import cipher
from somatui.workers.fetch import weights_file
from somatui.workers.prefetch import Wanted
from somatui.workers.protocol import Emitter
from somatui.workers.session import Session
from tests.servers import Reply

KEY = b"\7" * 32


def plain_of(size: int, seed: int = 1) -> bytes:
    """A safetensors file of one tensor, of `size` bytes and a header's."""
    count = size // 4
    told = json.dumps({"t": {"dtype": "F32", "shape": [count], "data_offsets": [0, 4 * count]}}).encode()
    return len(told).to_bytes(8, "little") + told + np.random.default_rng(seed).bytes(4 * count)


@dataclass
class Shop:
    """Encrypted weights behind a server: `reply` is for `tests.servers.answering`; habits may be changed at any time.

    `spoil` may change or make an answer from the number of the request, the start of its range and the honest reply.
    """

    plain: bytes
    key: bytes = KEY
    ranges: bool = True
    tag: str = '"one"'
    spoil: Callable[[int, int, Reply], Reply] = lambda _number, _start, reply: reply
    starts: list[int] = field(default_factory=list)
    together: threading.Barrier | None = None
    """Where there is one, the first answers but that from the beginning wait for each other, as many as it is for."""
    turn: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.sealed = cipher.crypt(self.plain, self.key)

    def reply(self, _method: str, _path: str, headers: Any, _body: bytes) -> Reply:
        """The answer to one request."""
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("Range") or "")
        start = int(asked[1]) if asked and self.ranges else 0
        with self.turn:
            number = len(self.starts)
            self.starts.append(start)
        told = {"ETag": self.tag} if self.tag else {}
        if start and self.together is not None and number <= self.together.parties:
            self.together.wait(30)
        if asked and self.ranges:
            stop = int(asked[2]) + 1
            told["Content-Range"] = f"bytes {start}-{stop - 1}/{len(self.sealed)}"
            return self.spoil(number, start, (206, told, self.sealed[start:stop]))
        return self.spoil(number, start, (200, told, self.sealed))

    def wanted(self, address: str, **others: Any) -> Wanted:
        """The model whose weights these are, as its manifest says."""
        checksum = base58.b58encode(cipher.checksum(self.sealed)).decode()
        told = {"id": "0xab", "url": address, "checksum": checksum, "size": len(self.sealed), "key": self.key} | others
        return Wanted(**told)


def a_session() -> Session:
    """A worker's line to a parent that listens to nothing."""
    return Session(Emitter(io.StringIO()))


def fetched(wanted: Wanted, folder: Path) -> bytes:
    """The weights as a worker gets them."""
    return weights_file(wanted, folder, a_session()).read_bytes()
