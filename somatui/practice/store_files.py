"""The object store's files: content and a card beside it, put in place atomically; HTTP and signatures are others'."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import time
import zlib
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PIECE = 1024 * 1024


class StoreError(Exception):
    """A request that cannot be done: S3 error code, one sentence, HTTP status."""

    def __init__(self, code: str, text: str, status: int) -> None:
        super().__init__(text)
        self.code, self.text, self.status = code, text, status


@dataclass(frozen=True, slots=True)
class Entry:
    """One object: key, size in bytes, ETag without quotes, Blake2b-256 in hex, when it came (ms), its file."""

    key: str
    size: int
    etag: str
    checksum: str
    content_type: str
    modified_ms: int
    file: str


@dataclass(slots=True)
class Digests:
    """What is computed of bytes while they are written."""

    size: int
    md5: str
    sha256: bytes
    crc32: int
    blake2b: str


class Folder:
    """Buckets of objects below one folder; the cards are read once, at the start."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._index: dict[str, dict[str, Entry]] = {}
        self.uploads: dict[str, tuple[str, str, str]] = {}
        shutil.rmtree(root / "incoming", ignore_errors=True)
        (root / "incoming").mkdir(parents=True, mode=0o700)
        (root / "buckets").mkdir(exist_ok=True, mode=0o700)
        for bucket in (root / "buckets").iterdir():
            cards = [Entry(**json.loads(card.read_text("utf-8"))) for card in bucket.glob("*.json")]
            self._index[bucket.name] = {entry.key: entry for entry in cards}
            self._sweep(bucket)

    def _sweep(self, bucket: Path) -> None:
        """Remove contents that no card names: what a crash left behind."""
        named = {entry.file for entry in self._index[bucket.name].values()}
        for file in bucket.glob("*.data"):
            if file.name not in named:
                file.unlink()

    def make_bucket(self, name: str) -> None:
        """Make a bucket unless it is there."""
        (self.root / "buckets" / name).mkdir(exist_ok=True, mode=0o700)
        self._index.setdefault(name, {})

    def bucket(self, name: str) -> dict[str, Entry]:
        """A bucket's objects by key. Raises StoreError."""
        if name not in self._index:
            raise StoreError("NoSuchBucket", f"There is no bucket {name}", 404)
        return self._index[name]

    def entry(self, bucket: str, key: str) -> Entry:
        """One object. Raises StoreError."""
        found = self.bucket(bucket).get(key)
        if found is None:
            raise StoreError("NoSuchKey", f"There is no object {key}", 404)
        return found

    def by_checksum(self, bucket: str, checksum: bytes) -> Entry | None:
        """An object whose bytes have this Blake2b-256."""
        wanted = checksum.hex()
        return next((e for e in self._index.get(bucket, {}).values() if e.checksum == wanted), None)

    def path(self, bucket: str, entry: Entry) -> Path:
        """Where an object's bytes lie."""
        return self.root / "buckets" / bucket / entry.file

    async def receive(self, pieces: AsyncIterator[bytes]) -> tuple[Path, Digests]:
        """Write bytes to a file of their own and sync it. Raises StoreError when the disk is full."""
        path = self.root / "incoming" / secrets.token_hex(16)
        md5, sha, blake, crc, size = hashlib.md5(), hashlib.sha256(), hashlib.blake2b(digest_size=32), 0, 0
        try:
            with path.open("xb") as file:
                async for piece in pieces:
                    file.write(piece)
                    for digest in (md5, sha, blake):
                        digest.update(piece)
                    crc, size = zlib.crc32(piece, crc), size + len(piece)
                file.flush()
                os.fsync(file.fileno())
        except OSError as why:
            path.unlink(missing_ok=True)
            raise StoreError("InternalError", f"The store cannot write ({why.strerror}): free some space", 507) from why
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path, Digests(size, md5.hexdigest(), sha.digest(), crc, blake.hexdigest())

    def keep(self, bucket: str, key: str, path: Path, digests: Digests, etag: str, content_type: str) -> Entry:
        """Make a received file the object `key`; the card's rename is the moment it becomes visible."""
        index = self.bucket(bucket)
        name = secrets.token_hex(16)
        entry = Entry(key, digests.size, etag, digests.blake2b, content_type, time.time_ns() // 10**6, f"{name}.data")
        folder = self.root / "buckets" / bucket
        os.replace(path, folder / entry.file)
        draft = self.root / "incoming" / name
        draft.write_text(json.dumps(asdict(entry)), "utf-8")
        _sync(draft)
        os.replace(draft, folder / f"{_card(key)}.json")
        _sync(folder)
        old = index.get(key)
        index[key] = entry
        if old is not None:
            (folder / old.file).unlink(missing_ok=True)
        return entry

    def delete(self, bucket: str, key: str) -> None:
        """Remove an object; one that is not there is fine."""
        old = self.bucket(bucket).pop(key, None)
        if old is not None:
            folder = self.root / "buckets" / bucket
            (folder / f"{_card(key)}.json").unlink(missing_ok=True)
            (folder / old.file).unlink(missing_ok=True)

    def begin_upload(self, bucket: str, key: str, content_type: str) -> str:
        """A multipart upload's id; it does not outlive the process."""
        self.bucket(bucket)
        upload = secrets.token_hex(16)
        self.uploads[upload] = (bucket, key, content_type)
        (self.root / "incoming" / f"{upload}.parts").mkdir()
        return upload

    def upload(self, upload: str, bucket: str, key: str) -> Path:
        """The folder of an upload's parts. Raises StoreError."""
        if self.uploads.get(upload, ("", "", ""))[:2] != (bucket, key):
            raise StoreError("NoSuchUpload", "There is no such multipart upload", 404)
        return self.root / "incoming" / f"{upload}.parts"

    def keep_part(self, folder: Path, number: int, path: Path, digests: Digests) -> None:
        """Make a received file part `number` of an upload."""
        os.replace(path, folder / str(number))
        (folder / f"{number}.md5").write_text(digests.md5)

    async def finish_upload(self, upload: str, bucket: str, key: str, parts: Iterable[tuple[int, str]]) -> Entry:
        """Join the named parts. Raises StoreError when one is missing or another than named."""
        folder = self.upload(upload, bucket, key)
        chosen = list(parts)
        for number, etag in chosen:
            note = folder / f"{number}.md5"
            if not note.exists() or note.read_text() != etag:
                raise StoreError("InvalidPart", f"Part {number} is missing or another one", 400)
        path, digests = await self.receive(_joined([folder / str(number) for number, _ in chosen]))
        joined = hashlib.md5(b"".join(bytes.fromhex(etag) for _, etag in chosen)).hexdigest()
        entry = self.keep(bucket, key, path, digests, f"{joined}-{len(chosen)}", self.uploads[upload][2])
        self.drop_upload(upload, bucket, key)
        return entry

    def drop_upload(self, upload: str, bucket: str, key: str) -> None:
        """Forget an upload and its parts. Raises StoreError."""
        shutil.rmtree(self.upload(upload, bucket, key), ignore_errors=True)
        del self.uploads[upload]


async def _joined(files: list[Path]) -> AsyncIterator[bytes]:
    for file in files:
        with file.open("rb") as source:
            while piece := source.read(PIECE):
                yield piece


def _card(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _sync(path: Path) -> None:
    handle: Any = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
