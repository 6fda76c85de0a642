"""Looks at an address as anybody would, without credentials: is it there, how long, and are these the bytes?"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from somatui.asking import opener, trouble

PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen: `status` of the answer (0 for none), and in `detail` what differs from what should be there.

    `cure` is there where the way itself is at fault (name, certificate, firewall); `url` is where redirects ended.
    """

    ok: bool
    status: int
    detail: str
    cure: str = ""
    url: str = ""
    ms: int = 0

    @property
    def passing(self) -> bool:
        """Whether another look may see something else: the object is not there yet, or nobody answered."""
        return not self.ok and self.status in (0, 404, 408, 425, 429, 500, 502, 503, 504) and not self.certain

    @property
    def certain(self) -> bool:
        """Whether the way there is wrong and waiting will not mend it."""
        return self.status == 0 and ("certificate" in self.detail or "http address" in self.detail)


def look(url: str, checksum: bytes, size: int, limit_s: float = 30) -> Seen:
    """Read the object by one range request, and compare its length and Blake2b-256 (32 bytes) with what is expected.

    `limit_s` is the longest silence. Redirects are followed. Nothing is raised: what goes wrong is in the answer.
    """
    # One byte more than there should be, so that a longer object shows and need not be read.
    return _ask(url, f"bytes=0-{size}", limit_s, lambda answer: _compare(answer, checksum, size))


def length(url: str, size: int, limit_s: float = 30) -> Seen:
    """See that an object of that length is there; of its bytes one is read."""

    def judge(answer: http.client.HTTPResponse) -> Seen:
        told = _length(answer)
        same = told == str(size)
        return Seen(
            same, answer.status, "as long as it should be" if same else f"the object has {told} bytes, not {size}"
        )

    return _ask(url, "bytes=0-0", limit_s, judge)


def patient(
    once: Callable[[], Seen], pauses: Iterable[float], wait: Callable[[float], object] = time.sleep
) -> Seen:  # fmt: skip
    """Look again after each of these pauses (s), as long as it may show something else and no `wait` is cut short."""
    seen = once()
    for pause in pauses:
        if not seen.passing or wait(pause):
            break
        seen = once()
    return seen


def glance(url: str, head: bytes, tail: bytes, size: int, limit_s: float = 30) -> Seen:
    """Look at both ends of an object too large to be read whole: its length, and the bytes there."""
    first = _ask(url, f"bytes=0-{len(head) - 1}", limit_s, lambda a: _part(a, head, size))
    if not first.ok:
        return first
    return _ask(url, f"bytes={size - len(tail)}-{size - 1}", limit_s, lambda a: _part(a, tail, size))


def _ask(url: str, extent: str, limit_s: float, judge: Callable[[http.client.HTTPResponse], Seen]) -> Seen:
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname:
        return Seen(False, 0, "the address is no http address")
    began = time.monotonic()
    try:
        asked = urllib.request.Request(url, headers={"Range": extent, "User-Agent": "somatui"})
        with opener(url).open(asked, timeout=limit_s) as answer:
            seen = replace(judge(answer), url=answer.url)
    except urllib.error.HTTPError as refused:
        with refused:
            seen = _answered(refused, url)
    except (OSError, http.client.HTTPException, ValueError) as failure:
        reason = getattr(failure, "reason", None) or failure
        named = trouble(failure, url, limit_s)
        said = named.detail[:1].lower() + named.detail[1:] if named.kind != "broken" else str(reason)
        seen = Seen(False, 0, f"no answer ({said or type(failure).__name__})", named.cure)
    return replace(seen, ms=round((time.monotonic() - began) * 1000))


def _answered(refused: urllib.error.HTTPError, url: str) -> Seen:
    where = refused.url or url
    if 300 <= refused.code < 400:
        cure = "take the address at which a browser ends"
        return Seen(False, refused.code, f"it redirects in a circle ({refused.code})", cure, where)
    return Seen(False, refused.code, f"the answer is {refused.code} {refused.reason}", url=where)


def _compare(answer: http.client.HTTPResponse, checksum: bytes, size: int) -> Seen:
    told = _length(answer)
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


def _part(answer: http.client.HTTPResponse, expected: bytes, size: int) -> Seen:
    told = _length(answer)
    if told is not None and told != str(size):
        return Seen(False, answer.status, f"the object has {told} bytes, not {size}")
    if answer.status != 206:
        return Seen(False, answer.status, "parts of it cannot be asked for (no range requests)")
    if answer.read(len(expected) + 1) != expected:
        return Seen(False, answer.status, "the bytes are others than those that went up")
    return Seen(True, answer.status, "as long as it should be, and both ends as expected")


def _length(answer: http.client.HTTPResponse) -> str | None:
    whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", answer.headers.get("Content-Range") or "")
    return whole[1] if answer.status == 206 and whole else answer.headers.get("Content-Length")
