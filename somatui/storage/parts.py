"""Puts a large object into the store in parts, several at a time, and after a break only those that are missing."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from somatui.files import write_whole
from somatui.storage.s3 import PARALLEL, Bucket, StorageError

PART = 8 * 1024 * 1024
"""Bytes of a part; every part but the last has the same size, as R2 wants it."""
MOST_PARTS = 10_000
_MIB = 1024 * 1024
_MD5 = re.compile(r"[0-9a-f]{32}")


class Readable(Protocol):
    """Whatever gives bytes piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end."""


@dataclass(frozen=True, slots=True)
class Large:
    """An object to put: its name, type and size in bytes, and its checksum, which stays beside it as metadata."""

    key: str
    content_type: str
    checksum: str
    size: int

    def part_bytes(self, smallest: int = PART) -> int:
        """Bytes of a part such that there are no more than 10,000."""
        least = -(-self.size // MOST_PARTS)
        return smallest if least <= smallest else -(-least // _MIB) * _MIB


@dataclass(slots=True)
class Sent:
    """What an upload came to: parts in all, and those that went up now."""

    parts: int = 0
    sent: int = 0


@dataclass(slots=True)
class _Begun:
    """An upload that was begun: its id, and the parts that the store has, by number, as ETags."""

    upload_id: str
    part_bytes: int
    etags: dict[int, str] = field(default_factory=dict)


class PartsUpload:
    """One object on its way. `note` is a small file that outlives the process: upload id, size and ETags of its parts.

    The store's own list of parts counts; the file's is used where a store cannot list them. A part is taken for what it
    should be when its ETag is the MD5 of the bytes at hand, or, where ETags are something else, when the note has it.
    """

    def __init__(self, bucket: Bucket, large: Large, note: Path | None = None, part_bytes: int = PART) -> None:
        self._bucket, self._large, self._note = bucket, large, note
        self._where = {"Bucket": bucket.store.bucket, "Key": large.key}
        self._part_bytes = large.part_bytes(part_bytes)
        self._lock = threading.Lock()

    def send(self, source: Readable, told: Callable[[int], None] | None = None) -> Sent:
        """Send what is missing, `told` of bytes that are there; the object is whole afterwards. Raises StorageError.

        What `told` raises ends the upload, which can be taken up again later.
        """
        begun = self._taken_up() or self._begin()
        done = Sent()
        try:
            self._send(begun, source, told or (lambda _: None), done)
            self._complete(begun, done.parts)
        except StorageError as refused:
            if refused.trouble.kind == "gone":
                self._forget()
            raise
        self._forget()
        return done

    def _complete(self, begun: _Begun, count: int) -> None:
        parts = [{"PartNumber": n, "ETag": f'"{begun.etags[n]}"'} for n in range(1, count + 1)]
        self._bucket.do(
            "parts",
            lambda c: c.complete_multipart_upload(
                **self._where, UploadId=begun.upload_id, MultipartUpload={"Parts": parts}
            ),
        )

    def _send(self, begun: _Begun, source: Readable, told: Callable[[int], None], done: Sent) -> None:
        running: set[Future[int]] = set()
        with ThreadPoolExecutor(PARALLEL, thread_name_prefix="part") as pool:
            try:
                for number, data in self._pieces(source, begun.part_bytes):
                    done.parts = number
                    if self._is_there(begun, number, data):
                        told(len(data))
                        continue
                    done.sent += 1
                    running.add(pool.submit(self._put, begun, number, data))
                    if len(running) >= PARALLEL:
                        running = _settled(running, told)
                while running:
                    running = _settled(running, told)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    @staticmethod
    def _pieces(source: Readable, size: int) -> Iterator[tuple[int, bytes]]:
        number = 0
        while data := _read(source, size):
            number += 1
            yield number, data

    def _is_there(self, begun: _Begun, number: int, data: bytes) -> bool:
        etag = begun.etags.get(number)
        if etag is None:
            return False
        return etag == _md5(data).hex() or not _MD5.fullmatch(etag)

    def _put(self, begun: _Begun, number: int, data: bytes) -> int:
        md5 = base64.b64encode(_md5(data)).decode()
        answer = self._bucket.do(
            "parts",
            lambda c: c.upload_part(
                **self._where, UploadId=begun.upload_id, PartNumber=number, Body=data, ContentMD5=md5
            ),
        )
        with self._lock:
            begun.etags[number] = str(answer["ETag"]).strip('"')
            self._write(begun)
        return len(data)

    def _begin(self) -> _Begun:
        extra: dict[str, Any] = self._bucket.extra(self._large.content_type)
        extra["Metadata"] = {"blake2b": self._large.checksum}
        answer = self._bucket.do("parts", lambda c: c.create_multipart_upload(**self._where, **extra))
        begun = _Begun(str(answer["UploadId"]), self._part_bytes)
        self._write(begun)
        return begun

    def _taken_up(self) -> _Begun | None:
        """The upload that an earlier process began, from the note; None when there is none, or it is of other bytes."""
        if self._note is None:
            return None
        try:
            told = json.loads(self._note.read_bytes())
            etags = {int(number): str(etag) for number, etag in told["etags"].items()}
            begun = _Begun(str(told["upload_id"]), int(told["part_bytes"]), etags)
            if told["of"] != self._of() or begun.part_bytes < 1:
                self._drop(begun, told["of"])
                return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        try:
            listed = self._listed(begun)
        except StorageError as refused:
            return None if refused.trouble.kind == "gone" else begun
        begun.etags = {n: etag for n, etag in listed.items() if _MD5.fullmatch(etag) or etags.get(n) == etag}
        return begun

    def _drop(self, begun: _Begun, of: list[Any]) -> None:
        """Give up an upload of other bytes to the same place: parts that nobody completes cost money all the same."""
        if of[:3] == self._of()[:3]:
            with contextlib.suppress(StorageError):
                self._bucket.do("parts", lambda c: c.abort_multipart_upload(**self._where, UploadId=begun.upload_id))

    def _listed(self, begun: _Begun) -> dict[int, str]:
        found: dict[int, str] = {}
        marker = 0
        while True:
            asked = self._where | {"UploadId": begun.upload_id, "PartNumberMarker": marker}
            page = self._bucket.do("list", lambda c, a=asked: c.list_parts(**a))  # type: ignore[misc]
            for part in page.get("Parts", ()):
                found[int(part["PartNumber"])] = str(part["ETag"]).strip('"')
            following = int(page.get("NextPartNumberMarker") or 0)
            if not page.get("IsTruncated") or following <= marker:
                return found
            marker = following

    def _of(self) -> list[Any]:
        store = self._bucket.store
        return [store.endpoint, store.bucket, self._large.key, self._large.checksum, self._large.size]

    def _write(self, begun: _Begun) -> None:
        if self._note is None:
            return
        told = {"of": self._of(), "upload_id": begun.upload_id, "part_bytes": begun.part_bytes, "etags": begun.etags}
        self._note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._note, json.dumps(told).encode())

    def _forget(self) -> None:
        if self._note is not None:
            with contextlib.suppress(OSError):
                self._note.unlink()


def _settled(running: set[Future[int]], told: Callable[[int], None]) -> set[Future[int]]:
    """Wait for one part at least; those that are still on their way. Raises what went wrong with a part."""
    done, left = wait(running, return_when=FIRST_COMPLETED)
    for one in done:
        told(one.result())
    return left


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def _read(source: Readable, size: int) -> bytes:
    """Exactly `size` bytes, or what is left."""
    held = bytearray()
    while len(held) < size and (piece := source.read(size - len(held))):
        held += piece
    return bytes(held)
