"""A large object goes up in parts, and after a break only those that are missing, whatever the break was."""

from __future__ import annotations

import json
import random
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from somatui.engine.cipher import checksum
from somatui.storage.outside import look
from somatui.storage.parts import PART, Large, PartsUpload
from somatui.storage.s3 import WHOLE, Bucket, StorageError, Store
from tests.storage import stores
from tests.workers.processes import rest, start

pytestmark = [pytest.mark.slow]
SMALL = 5 * 1024 * 1024
MIB = 1024 * 1024


class Cut(Exception):
    """The line is cut."""


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with stores.seaweed(tmp_path_factory.mktemp("weed")) as url:
        store = Store(url, "bucket", "us-east-1", public_mode="policy")
        Bucket(store, *stores.PAIR).allow_everybody()
        yield store


def bytes_of(size: int) -> bytes:
    return random.Random(1).randbytes(size)


def upload(store: Store, data: bytes, note: Path | None, parts: int | None = None) -> tuple[int, int]:
    """Send, and cut after so many parts; parts in all and sent."""
    left = [parts]

    def told(_: int) -> None:
        if left[0] is not None:
            left[0] -= 1
            if left[0] < 0:
                raise Cut

    large = Large("weights/one", "application/octet-stream", "abc", len(data))
    done = PartsUpload(Bucket(store, *stores.PAIR), large, note, SMALL).send(BytesIO(data), told)
    return done.parts, done.sent


def test_only_parts_that_are_missing_go_up_again(weed: Store, tmp_path: Path) -> None:
    data, note = bytes_of(3 * SMALL + 80), tmp_path / "deep" / "note.json"
    with pytest.raises(Cut):
        upload(weed, data, note, parts=2)
    held = len(json.loads(note.read_bytes())["etags"])
    assert held >= 2
    parts, sent = upload(weed, data, note)
    assert (parts, sent) == (4, 4 - held)
    assert not note.exists()
    assert look(weed.address("weights/one"), checksum(data), len(data)).ok
    assert Bucket(weed, *stores.PAIR).has_parts("weights/one", "abc", len(data))


def test_parts_of_other_bytes_are_not_taken(weed: Store, tmp_path: Path) -> None:
    data, note = bytes_of(2 * SMALL), tmp_path / "note.json"
    with pytest.raises(Cut):
        upload(weed, data, note, parts=1)
    other = bytes(len(data))
    assert upload(weed, other, note) == (2, 2)
    assert look(weed.address("weights/one"), checksum(other), len(other)).ok
    assert not stores.client(weed.endpoint).list_multipart_uploads(Bucket="bucket").get("Uploads")


def test_an_upload_that_the_store_has_forgotten_is_begun_anew(weed: Store, tmp_path: Path) -> None:
    data, note = bytes_of(2 * SMALL), tmp_path / "note.json"
    with pytest.raises(Cut):
        upload(weed, data, note, parts=0)
    told = json.loads(note.read_bytes())
    stores.client(weed.endpoint).abort_multipart_upload(Bucket="bucket", Key="weights/one", UploadId=told["upload_id"])
    assert upload(weed, data, note) == (2, 2)
    for rubbish in (b"", b"[]", b"{}", b"\xff"):
        note.write_bytes(rubbish)
        assert upload(weed, data, note) == (2, 2)


def test_a_store_that_refuses_parts_is_told_with_its_cure(tmp_path: Path) -> None:
    with stores.running(tmp_path) as store, pytest.raises(StorageError, match="no bucket nothing"):
        upload(replace(store, bucket="nothing"), bytes_of(SMALL), None)


def test_parts_grow_so_that_there_are_never_more_than_ten_thousand() -> None:
    assert Large("k", "t", "c", 5_000_000_000).part_bytes() == PART
    huge = Large("k", "t", "c", 1_000_000_000_000)
    assert huge.size / huge.part_bytes() <= 10_000
    assert huge.part_bytes() % MIB == 0


class Line:
    """A line to a store that passes so many bytes and then holds everything."""

    def __init__(self, to: tuple[str, int], most: int) -> None:
        self.passed, self._most, self._to = 0, most, to
        self._lock, self._open = threading.Lock(), list[socket.socket]()
        self.held = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def close(self) -> None:
        """Cut everything that is held, too."""
        for one in (self.listener, *self._open):
            shut(one)

    def _pass(self, source: socket.socket, to: socket.socket, counted: bool) -> None:
        with suppress(OSError):
            while piece := source.recv(256 * 1024):
                with self._lock:
                    self.passed += len(piece) if counted else 0
                    if counted and self.passed > self._most:
                        self.held.set()
                        return
                to.sendall(piece)
        if not self.held.is_set():
            for one in (source, to):
                shut(one)


def shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


@contextmanager
def line_to(store: Store, most: int) -> Iterator[tuple[Line, Store]]:
    address = urlsplit(store.endpoint)
    assert address.hostname and address.port
    line = Line((address.hostname, address.port), most)
    with closing(line):
        yield line, replace(store, endpoint=f"http://127.0.0.1:{line.listener.getsockname()[1]}")


def test_an_upload_that_is_killed_goes_on_with_the_parts_that_are_missing(tmp_path: Path) -> None:
    source, note, size = tmp_path / "weights", tmp_path / "note.json", WHOLE + MIB
    with source.open("wb") as file:
        file.truncate(size)
    secrets = stores.KEYS | {"weights_key": bytes(range(32)).hex()}
    with stores.running(tmp_path / "store") as store:
        job = {"job": "upload", "source": str(source), "object_key": "weights/one", "encrypt": True, "note": str(note)}
        # With four parts side by side, one at least is through when so much has passed; the others hang in the line.
        with line_to(store, 5 * PART) as (line, held):
            worker = start("transfer", job | {"store": asdict(held)}, secrets)
            assert line.held.wait(60)
            until = time.monotonic() + 30
            while not (etags := json.loads(note.read_bytes())["etags"]) and time.monotonic() < until:
                time.sleep(0.02)
            worker.send_signal(signal.SIGKILL)
            worker.wait(30)
            for pipe in (worker.stdin, worker.stdout):
                assert pipe is not None
                pipe.close()
        told = json.loads(note.read_bytes())
        etags = told["etags"]
        assert etags
        with line_to(store, 1 << 40) as (line, free):
            told["of"][0] = free.endpoint
            note.write_text(json.dumps(told))
            messages = rest(start("transfer", job | {"store": asdict(free)}, secrets))
        assert messages[-1].kind == "done", messages[-1]
        assert line.passed < size - len(etags) * PART + MIB
        assert any(f"{9 - len(etags)} of 9 parts" in str(m.body.get("text")) for m in messages)
    assert not note.exists()
