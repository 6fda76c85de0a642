"""Stores of each kind are written to, and what anybody sees of them is told as it is."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pytest

from somatui.engine.cipher import checksum
from somatui.storage.outside import look
from somatui.storage.parts import Large, PartsUpload
from somatui.storage.s3 import Bucket, StorageError, Store
from tests.storage import stores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with stores.running(tmp_path) as found:
        yield found


@contextmanager
def moto(mode: str) -> Iterator[Store]:
    """A store with ACLs."""
    with stores.moto() as url:
        yield Store.of({"endpoint": url, "bucket": "bucket", "region": "us-east-1", "public_mode": mode})


def bucket(store: Store) -> Bucket:
    return Bucket(store, stores.KEYS["access_key"], stores.KEYS["secret_key"])


def test_what_is_put_is_seen_by_anybody(store: Store) -> None:
    bucket(store).put("data/ü 1", b"hello", "text/plain")
    assert look(store.address("data/ü 1"), checksum(b"hello"), 5).ok


def test_what_is_deleted_is_seen_by_nobody(store: Store) -> None:
    bucket(store).put("key", b"hello", "text/plain")
    for _ in range(2):
        bucket(store).delete("key")
        assert look(store.address("key"), checksum(b"hello"), 5).status == 404


@pytest.mark.parametrize(
    ("data", "size", "says"),
    [(b"hello", 4, "has 5 bytes, not 4"), (b"hello", 6, "has 5 bytes, not 6"), (b"other", 5, "checksum differs")],
)
def test_what_differs_is_told(store: Store, data: bytes, size: int, says: str) -> None:
    bucket(store).put("key", b"hello", "text/plain")
    seen = look(store.address("key"), checksum(data), size)
    assert not seen.ok
    assert not seen.passing
    assert says in seen.detail


def test_an_object_that_may_still_appear_is_worth_another_look(store: Store) -> None:
    missing = look(store.address("nothing"), bytes(32), 5)
    assert (missing.status, missing.passing) == (404, True)
    nobody = look("http://127.0.0.1:1/key", bytes(32), 5)
    assert (nobody.status, nobody.passing) == (0, True)
    assert "refused" in nobody.detail
    assert not look("file:///etc/hostname", bytes(32), 5).ok


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that says the same to everybody."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/key"
        server.shutdown()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nhello and more", "more than 5 bytes"),
        (b"HTTP/1.0 200 OK\r\n\r\nhel", "3 bytes came"),
        (b"HTTP/1.0 206 Partial\r\nContent-Range: bytes 0-4/9\r\n\r\nhello", "has 9 bytes"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhel", "3 bytes came"),
        (b"rubbish\r\n\r\n", "no answer"),
    ],
)
def test_answers_that_are_not_the_object_are_not_taken_for_it(answer: bytes, says: str) -> None:
    with answering(answer) as url:
        seen = look(url, checksum(b"hello"), 5)
    assert not seen.ok
    assert says in seen.detail


def test_a_range_that_is_the_whole_is_the_object() -> None:
    with answering(b"HTTP/1.0 206 Partial\r\nContent-Range: bytes 0-4/5\r\n\r\nhello") as url:
        assert look(url, checksum(b"hello"), 5).ok


def test_parts_that_are_there_are_known_by_size_and_checksum(tmp_path: Path) -> None:
    with moto("acl") as store:
        it = bucket(store)
        assert not it.has_parts("key", "abc", 5)
        PartsUpload(it, Large("key", "text/plain", "abc", 5)).send(BytesIO(b"hello"))
        assert it.has_parts("key", "abc", 5)
        assert not it.has_parts("key", "abd", 5)


def test_each_object_says_by_its_acl_that_everybody_may_read_it() -> None:
    with moto("acl") as store:
        bucket(store).put("open", b"hello", "text/plain")
        assert look(store.address("open"), checksum(b"hello"), 5).ok


def test_without_acl_or_policy_nobody_sees_it() -> None:
    with moto("policy") as store:
        bucket(store).put("closed", b"hello", "text/plain")
        assert look(store.address("closed"), checksum(b"hello"), 5).status == 403


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (None, "describes no store"),
        ({"endpoint": "http://h"}, "needs endpoint"),
        ({"endpoint": "http://h", "bucket": "b", "public_mode": "magic"}, "public_mode"),
        ({"endpoint": "http://h", "bucket": "b"}, "public_url"),
    ],
)
def test_a_store_that_is_not_described_is_refused(told: object, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        Store.of(told)


def test_a_store_that_does_not_answer_is_named() -> None:
    silent = Store("http://127.0.0.1:1", "b", public_url="http://127.0.0.1:1")
    with pytest.raises(StorageError, match="127.0.0.1:1 does not answer"):
        bucket(silent).put("key", b"", "text/plain")


def test_addresses_follow_the_mode() -> None:
    assert Store("https://s3.example", "b", public_mode="policy").address("k") == "https://s3.example/b/k"
    assert Store("", "b", "eu-west-1", public_mode="acl").address("a b") == (
        "https://b.s3.eu-west-1.amazonaws.com/a%20b"
    )
    assert Store("https://s3.example", "b", public_url="https://cdn.example/").address("k") == "https://cdn.example/k"
