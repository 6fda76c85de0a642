"""Looks at an address as anybody would, without credentials: is it there, how long, and are these the bytes?"""

from __future__ import annotations

import hashlib
import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

PIECE = 1024 * 1024
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen: `status` of the answer (0 for none), and in `detail` what differs from what should be there."""

    ok: bool
    status: int
    detail: str

    @property
    def passing(self) -> bool:
        """Whether another look may see something else: the object is not there yet, or nobody answered."""
        return not self.ok and self.status in (0, 404, 408, 425, 429, 500, 502, 503, 504)


def look(url: str, checksum: bytes, size: int, limit_s: float = 30) -> Seen:
    """Read the object by one range request, and compare its length and Blake2b-256 (32 bytes) with what is expected.

    `limit_s` is the longest silence. Nothing is raised: what goes wrong is in the answer.
    """
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        return Seen(False, 0, "the address is no http address")
    direct = [urllib.request.ProxyHandler({})] if address.hostname in _LOOPBACK else []
    # One byte more than there should be, so that a longer object shows and need not be read.
    asked = urllib.request.Request(url, headers={"Range": f"bytes=0-{size}", "User-Agent": "somatui"})
    try:
        with urllib.request.build_opener(*direct).open(asked, timeout=limit_s) as answer:
            return _compare(answer, checksum, size)
    except urllib.error.HTTPError as refused:
        with refused:
            return Seen(False, refused.code, f"the answer is {refused.code} {refused.reason}")
    except (OSError, http.client.HTTPException, ValueError) as failure:
        reason = getattr(failure, "reason", None) or failure
        return Seen(False, 0, f"no answer ({str(reason) or type(failure).__name__})")


def _compare(answer: http.client.HTTPResponse, checksum: bytes, size: int) -> Seen:
    whole = re.fullmatch(r"bytes 0-\d+/(\d+)", answer.headers.get("Content-Range") or "")
    told = whole[1] if answer.status == 206 and whole else answer.headers.get("Content-Length")
    if told is not None and told != str(size):
        return Seen(False, answer.status, f"the object has {told} bytes, not {size}")
    digest, length = hashlib.blake2b(digest_size=32), 0
    while length <= size and (piece := answer.read(min(PIECE, size + 1 - length))):
        digest.update(piece)
        length += len(piece)
    if length != size:
        more = "more than " if length > size else ""
        return Seen(False, answer.status, f"{more}{min(length, size)} bytes came, not {size}")
    if digest.digest() != checksum:
        return Seen(False, answer.status, "the bytes are others: their checksum differs")
    return Seen(True, answer.status, "whole and as expected")
