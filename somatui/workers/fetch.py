"""Brings the weights of a revealed model into a folder, decrypted and known by the checksum of what was published."""

from __future__ import annotations

import contextlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

import base58

from somatui.domain.hosts import LOOPBACK
from somatui.engine.cipher import Pass, Stream
from somatui.workers.board import BoardModel
from somatui.workers.session import Session

PIECE = 4 * 1024 * 1024
SILENCE_S = 30
"""The longest silence of a server."""
TRIES, PAUSE_S = 3, 1.0


class FetchError(ValueError):
    """The weights are not to be had; the text is one sentence."""


class _Unreachable(FetchError):
    """Worth another try."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def weights_file(model: BoardModel, folder: Path, session: Session) -> Path:
    """Plain safetensors of the model, out of the folder or over HTTP into it.

    What is in the folder is checked as well: encrypted again, it has the published checksum or is fetched anew.
    Raises FetchError and, for a key of another size, WeightsError.
    """
    checksum = base58.b58decode(model.checksum)
    path = folder / f"{model.checksum}.safetensors"
    Stream(model.key)
    if _is_whole(path, checksum, model):
        return path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in reversed(range(TRIES)):
        try:
            _download(model, path, checksum, session)
            return path
        except _Unreachable:
            if not left or session.stopping.wait(PAUSE_S):
                raise
    raise AssertionError("the last try returns or raises")


def _is_whole(path: Path, checksum: bytes, model: BoardModel) -> bool:
    try:
        if path.stat().st_size != model.size:
            return False
        sealed, buffer = Pass(model.key, sealing=True), memoryview(bytearray(PIECE))
        with path.open("rb", buffering=0) as file:
            while size := file.readinto(buffer):
                for _ in sealed.steps(buffer[:size]):
                    pass
    except OSError:
        return False
    return sealed.checksum() == checksum


def _download(model: BoardModel, path: Path, checksum: bytes, session: Session) -> None:
    """Fetch, check and decrypt in one pass into a file beside `path`, then put it in place."""
    address = urlsplit(model.url)
    if address.scheme not in ("http", "https"):
        raise FetchError("its address is no http address")
    direct = [urllib.request.ProxyHandler({})] if address.hostname in LOOPBACK else []
    asked = urllib.request.Request(model.url, headers={"User-Agent": "somatui"})
    handle, beside = tempfile.mkstemp(prefix=".fetch-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            with urllib.request.build_opener(*direct).open(asked, timeout=SILENCE_S) as answer:
                _copy(answer, file, model, checksum, session)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except urllib.error.HTTPError as refused:
        with refused:
            kind = _Unreachable if refused.code >= 500 else FetchError
            raise kind(f"the answer is {refused.code} {refused.reason}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError, http.client.HTTPException) as failure:
        raise _Unreachable(f"no answer ({getattr(failure, 'reason', None) or type(failure).__name__})") from None
    except OSError as failure:
        raise FetchError(f"{path.parent} cannot be written ({failure.strerror})") from failure
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)


def _copy(answer: _Readable, file: BinaryIO, model: BoardModel, checksum: bytes, session: Session) -> None:
    opened, size = Pass(model.key), 0
    while size <= model.size and (piece := answer.read(min(PIECE, model.size + 1 - size))):
        if session.stopping.is_set():
            raise FetchError("the worker was stopped")
        size += len(piece)
        for plain in opened.steps(piece):
            file.write(plain)
    if size < model.size:
        raise _Unreachable(f"{size} bytes came, not {model.size}")
    if size > model.size or opened.checksum() != checksum:
        raise FetchError("the bytes at its address are not those that were published")
