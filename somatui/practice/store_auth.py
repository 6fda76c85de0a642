"""Signature version 4 for the object store, in headers and in links, and the bodies that come in signed chunks."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from somatui.practice.store_files import Digests, StoreError

SKEW_S = 15 * 60
_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one pair of keys; worth nothing outside this machine."""

    access: str
    secret: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a signature is over: method, path and query as they were sent, headers by lower-case name."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def denied(text: str) -> StoreError:
    """A refusal of a request that is not properly signed."""
    return StoreError("AccessDenied", text, 403)


def _pairs(query: str) -> list[tuple[str, str]]:
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name.replace("+", " ")), unquote(value.replace("+", " "))) for name, _, value in parts]


def _canonical_query(pairs: list[tuple[str, str]]) -> str:
    spoken = sorted((quote(n, safe="-_.~"), quote(v, safe="-_.~")) for n, v in pairs)
    return "&".join(f"{n}={v}" for n, v in spoken)


def _signature(secret: str, scope: list[str], text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope:
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), "sha256").hexdigest()


def verify(asked: Asked, keys: Credentials) -> str:
    """Check the signature in headers or link; returns the payload hash that was signed. Raises StoreError."""
    pairs = _pairs(asked.query)
    link = dict(pairs)
    if "X-Amz-Signature" in link:
        given, credential = link["X-Amz-Signature"], link.get("X-Amz-Credential", "")
        names, stamp = link.get("X-Amz-SignedHeaders", ""), link.get("X-Amz-Date", "")
        lasts, payload = int(link.get("X-Amz-Expires") or 0), "UNSIGNED-PAYLOAD"
        pairs = [(n, v) for n, v in pairs if n != "X-Amz-Signature"]
    else:
        header = asked.headers.get("authorization", "")
        if not header.startswith(_ALGORITHM):
            raise denied("The request is not signed with signature version 4")
        parts = dict(p.strip().partition("=")[::2] for p in header[len(_ALGORITHM) :].split(","))
        given, credential, names = (parts.get(n, "") for n in ("Signature", "Credential", "SignedHeaders"))
        stamp, lasts = asked.headers.get("x-amz-date", ""), 0
        payload = asked.headers.get("x-amz-content-sha256", "")
    access, *scope = credential.split("/")
    if access != keys.access or len(scope) != 4:
        raise StoreError("InvalidAccessKeyId", "The access key is not this store's", 403)
    _in_time(stamp, lasts)
    signed = names.split(";")
    if "host" not in signed or not payload:
        raise denied("Host and x-amz-content-sha256 must be part of the request")
    lines = "".join(f"{n}:{' '.join(asked.headers.get(n, '').split())}\n" for n in signed)
    canonical = "\n".join((asked.method, asked.path, _canonical_query(pairs), lines, names, payload))
    text = "\n".join((_ALGORITHM, stamp, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    if not hmac.compare_digest(_signature(keys.secret, scope, text), given):
        raise StoreError("SignatureDoesNotMatch", "The signature does not belong to this request and key", 403)
    return payload


def _in_time(stamp: str, lasts: int) -> None:
    try:
        made = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise denied("x-amz-date is missing or no date") from None
    now = time.time()
    if lasts and now > made + lasts:
        raise denied("The link has expired")
    if abs(now - made) > SKEW_S and not lasts:
        raise StoreError("RequestTimeTooSkewed", "The clock of the request is more than 15 minutes off", 403)


class Body:
    """A request's bytes, taken out of their chunks where they come in chunks; trailers are kept."""

    def __init__(self, pieces: AsyncIterator[bytes], chunked: bool) -> None:
        self._pieces, self._chunked = pieces, chunked
        self.trailers: dict[str, str] = {}

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if not self._chunked:
            async for piece in self._pieces:
                yield piece
            return
        held = bytearray()
        while True:
            line = await self._line(held)
            size = int(line.partition(b";")[0], 16)
            if size == 0:
                break
            await self._fill(held, size + 2)
            yield bytes(held[:size])
            del held[: size + 2]
        while line := await self._line(held):
            name, _, value = line.decode("latin-1").partition(":")
            self.trailers[name.strip().lower()] = value.strip()

    async def _fill(self, held: bytearray, size: int) -> bool:
        while len(held) < size:
            piece = await anext(self._pieces, None)
            if piece is None:
                raise StoreError("IncompleteBody", "The body ended before its last chunk", 400)
            held += piece
        return True

    async def _line(self, held: bytearray) -> bytes:
        while (end := held.find(b"\r\n")) < 0:
            piece = await anext(self._pieces, None)
            if piece is None:
                line = bytes(held)
                held.clear()
                return line
            held += piece
        line = bytes(held[:end])
        del held[: end + 2]
        return line


def check_body(payload: str, headers: Mapping[str, str], digests: Digests) -> None:
    """Compare the bytes with every hash that came with them. Raises StoreError."""
    if len(payload) == 64 and payload != digests.sha256.hex():
        raise StoreError("XAmzContentSHA256Mismatch", "The body is not the one that was signed", 400)
    expected = {
        "x-amz-checksum-crc32": digests.crc32.to_bytes(4, "big"),
        "x-amz-checksum-sha256": digests.sha256,
        "content-md5": bytes.fromhex(digests.md5),
    }
    for name, value in expected.items():
        if name in headers and headers[name] != base64.b64encode(value).decode():
            raise StoreError("BadDigest", f"The body does not match its {name}", 400)
