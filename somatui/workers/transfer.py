"""Worker that puts one file into the store and looks at it from outside: `python -m somatui.workers.transfer`.

Jobs: {"job": "upload", "version": 1, "source": path, "object_key": key, "encrypt": bool, "content_type": type, "note":
path, "store": {"endpoint", "bucket", "region", "public_url", "public_mode"}, "secrets_fd": n} with the secrets
{"access_key", "secret_key", "weights_key": hex | null}, which ends with {"url", "checksum", "size",
"seen_from_outside"}; and {"job": "probe", "version": 1, "url", "checksum", "size"}, which ends with {"ok", "status",
"detail"}. The same job again gives the same result; with a `note`, a small file of its own, an upload in parts goes on
where it broke off.
"""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base58

from somatui.engine.cipher import Stream, WeightsError
from somatui.storage.outside import Seen, glance, look, patient
from somatui.storage.parts import Large, PartsUpload
from somatui.storage.provider import provider_of
from somatui.storage.s3 import WHOLE, Bucket, StorageError, Store
from somatui.workers.session import JobError, Session, run

PIECE = 4 * 1024 * 1024
ENDS = 1024 * 1024
"""Bytes of a large object's beginning and end that are compared from outside."""
ORPHAN_S = 1.0
"""Nothing is lost with an upload whose parent is gone: the next one puts the same object there."""
TELL_EVERY_S = 0.25
LOOK_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 4.0)
"""Stores take a moment until everybody sees a new object."""


class Source:
    """A file as it goes up: read piece by piece, encrypted where there is a key."""

    def __init__(self, path: Path, key: bytes | None) -> None:
        self._file = path.open("rb")
        self._stream = None if key is None else Stream(key)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        piece = self._file.read(size)
        return piece if self._stream is None else self._stream.update(piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


@dataclass(frozen=True, slots=True)
class Content:
    """What goes up: Blake2b-256 and size of it, and its first and last bytes."""

    checksum: bytes
    size: int
    head: bytes = b""
    tail: bytes = b""


def content_of(path: Path, key: bytes | None) -> Content:
    """What will go up."""
    digest, size, source = hashlib.blake2b(digest_size=32), 0, Source(path, key)
    head = tail = b""
    while piece := source.read(PIECE):
        digest.update(piece)
        size += len(piece)
        head, tail = head or piece[:ENDS], (tail + piece)[-ENDS:]
    source.close()
    return Content(digest.digest(), size, head, tail)


def _weights_key(job: dict[str, Any], session: Session) -> bytes | None:
    if not job.get("encrypt"):
        return None
    try:
        return bytes.fromhex(session.secrets["weights_key"])
    except (KeyError, ValueError):
        raise JobError("The upload is to be encrypted and its secrets hold no key for that.") from None


def upload(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Put the file there, and see it from outside. Raises JobError, StorageError, WeightsError."""
    store, path, name = Store.of(job.get("store")), Path(job["source"]), str(job["object_key"])
    key, kind = _weights_key(job, session), str(job.get("content_type") or "application/octet-stream")
    if not name or name.startswith("/"):
        raise JobError("The object needs a name that does not begin with a slash.")
    if not {"access_key", "secret_key"} <= session.secrets.keys():
        raise JobError("The upload came without the store's keys: set access and secret key of this profile's store.")
    bucket = Bucket(store, session.secrets["access_key"], session.secrets["secret_key"])
    note = Path(job["note"]) if job.get("note") else None
    try:
        content = _put(bucket, path, key, name, kind, note, session)
    except OSError as failure:
        raise JobError(f"{path} cannot be read ({failure.strerror}).") from failure
    url = store.address(name)
    seen = patient_look(url, content, session)
    if not seen.ok:
        raise StorageError(_unseen(url, seen, store))
    told = base58.b58encode(content.checksum).decode()
    return {"url": url, "checksum": told, "size": content.size, "seen_from_outside": True}


def _put(
    bucket: Bucket, path: Path, key: bytes | None, name: str, kind: str, note: Path | None, session: Session
) -> Content:
    """Put the file in one request or in parts, and give what went up."""
    if path.stat().st_size <= WHOLE:
        source = Source(path, key)
        data = source.read()
        source.close()
        bucket.put(name, data, kind)
        return Content(hashlib.blake2b(data, digest_size=32).digest(), len(data))
    content = content_of(path, key)
    told = base58.b58encode(content.checksum).decode()
    if not bucket.has_parts(name, told, content.size):
        source = Source(path, key)
        upload = PartsUpload(bucket, Large(name, kind, told, content.size), note)
        done = upload.send(source, Progress(content.size, session).more)
        session.say("info", f"{done.sent} of {done.parts} parts went up")
        source.close()
    return content


class Progress:
    """Tells how much has gone up, a few times a second, and breaks off when the worker is to stop."""

    def __init__(self, size: int, session: Session) -> None:
        self._size, self._session, self._sent, self._told = size, session, 0, 0.0

    def more(self, count: int) -> None:
        """So many bytes more have been sent. Raises JobError when the worker is to stop."""
        if self._session.stopping.is_set():
            raise JobError("The upload was stopped before its end.")
        self._sent += count
        if (now := time.monotonic()) - self._told >= TELL_EVERY_S:
            self._told = now
            self._session.emitter.send("progress", done=self._sent / self._size)


def patient_look(url: str, content: Content, session: Session) -> Seen:
    """Look until the object is seen, is seen to be another, or it has taken too long; large ones at both ends only."""

    def once() -> Seen:
        if content.size > WHOLE:
            return glance(url, content.head, content.tail, content.size)
        return look(url, content.checksum, content.size)

    return patient(once, LOOK_AGAIN_S, session.stopping.wait)


def _unseen(url: str, seen: Seen, store: Store) -> str:
    cures = {
        "acl": "check that the bucket allows public ACLs",
        "policy": "give the bucket a policy that lets everybody read its objects",
        "public_url": "check the store's public_url and that the bucket is public there",
    }
    cure = seen.cure or cures[store.public_mode]
    if seen.status in (401, 403):
        cure = f"{cures[store.public_mode]}; {provider_of(store.endpoint, store.bucket).opens}"
    return f"The upload is not seen from outside at {url} ({seen.detail}): {cure}."


def probe(job: dict[str, Any]) -> dict[str, Any]:
    """Look once. Raises JobError for a checksum that is none."""
    try:
        checksum = base58.b58decode(job["checksum"])
    except ValueError:
        checksum = b""
    if len(checksum) != 32:
        raise JobError("The checksum to look for is not 32 bytes in Base58.")
    seen = look(str(job["url"]), checksum, int(job["size"]))
    return {"ok": seen.ok, "status": seen.status, "detail": seen.detail}


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do either job."""
    return upload(job, session) if job["job"] == "upload" else probe(job)


if __name__ == "__main__":
    sys.exit(run(("upload", "probe"), work, StorageError, WeightsError, orphan_s=ORPHAN_S))
