"""One file goes up, plain or encrypted, and is seen from outside as it went."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import base58
import pytest

from somatui.engine import cipher
from somatui.storage.s3 import WHOLE, Store
from somatui.workers import transfer
from somatui.workers.protocol import Message
from tests.storage import stores
from tests.test_imports import loaded, tops
from tests.workers.processes import rest, start

pytestmark = [pytest.mark.slow]
KEY = bytes(range(32))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with stores.running(tmp_path / "store") as found:
        yield found


def upload(store: Store, source: Path, secrets: dict[str, Any] | None = None, /, **more: Any) -> list[Message]:
    job = {"job": "upload", "source": str(source), "object_key": "data/a file", "store": asdict(store)} | more
    return rest(start("transfer", job, stores.KEYS | (secrets or {})))


def read(url: str) -> bytes:
    with urllib.request.urlopen(url) as answer:
        data: bytes = answer.read()
    return data


def test_a_file_goes_up_as_it_is_and_again_with_the_same_result(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"print(1)\n" * 200)
    first, again = (upload(store, tmp_path / "file", encrypt=False)[-1] for _ in range(2))
    assert (first.kind, first.body) == ("done", again.body)
    result = first.body["result"]
    assert result.pop("url") == f"{store.public_url}/data/a%20file"
    checksum = base58.b58encode(cipher.checksum(b"print(1)\n" * 200)).decode()
    assert result == {"checksum": checksum, "size": 1800, "seen_from_outside": True}
    assert read(again.body["result"]["url"]) == b"print(1)\n" * 200


def test_weights_go_up_encrypted_and_the_checksum_is_of_what_went_up(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"weights" * 1000)
    result = upload(store, tmp_path / "file", {"weights_key": KEY.hex()}, encrypt=True)[-1].body["result"]
    stored = read(result["url"])
    assert cipher.crypt(stored, KEY) == b"weights" * 1000
    assert base58.b58decode(result["checksum"]) == cipher.checksum(stored)


def test_a_large_file_goes_up_in_parts_once_and_tells_how_far_it_is(store: Store, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(WHOLE + 1)
    messages, again = (upload(store, tmp_path / "file", {"weights_key": KEY.hex()}, encrypt=True) for _ in range(2))
    assert messages[-1].kind == "done"
    assert messages[-1].body == again[-1].body
    assert "progress" in {m.kind for m in messages}
    content = transfer.content_of(tmp_path / "file", KEY)
    result = messages[-1].body["result"]
    assert (result["checksum"], result["size"]) == (base58.b58encode(content.checksum).decode(), content.size)


@pytest.mark.parametrize(
    ("secrets", "more", "says"),
    [
        ({"secret_key": "wrong"}, {}, "secret key is not the right one"),  # pragma: allowlist secret
        ({"access_key": None}, {}, "without the store's keys"),
        ({"weights_key": None}, {"encrypt": True}, "no key for that"),
        ({"weights_key": "00"}, {"encrypt": True}, "not 32"),
        ({}, {"source": "/nowhere/at/all"}, "/nowhere/at/all cannot be read"),
        ({}, {"store": {"endpoint": "http://127.0.0.1:1", "bucket": "b"}}, "public_url"),
        ({}, {"object_key": "/data"}, "slash"),
    ],
)
def test_an_upload_that_cannot_be_says_why_in_one_sentence(
    store: Store, tmp_path: Path, secrets: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    failed = upload(store, tmp_path / "file", secrets, **more)[-1]
    assert failed.kind == "failed"
    assert says in failed.body["error"]
    assert "wrong" not in json.dumps(failed.body).replace("is wrong", "")


def test_an_upload_that_nobody_can_see_fails(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    told = asdict(store) | {"public_url": store.endpoint + "/elsewhere"}
    failed = upload(store, tmp_path / "file", store=told)[-1]
    assert failed.kind == "failed"
    assert "403" in failed.body["error"]
    assert "public_url" in failed.body["error"]


def test_a_probe_tells_what_it_sees(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"data")
    up = upload(store, tmp_path / "file")[-1].body["result"]

    def probe(**other: Any) -> dict[str, Any]:
        job = {"job": "probe", "url": up["url"], "checksum": up["checksum"], "size": 4} | other
        found: dict[str, Any] = rest(start("transfer", job))[-1].body["result"]
        return found

    assert probe() == {"ok": True, "status": 200, "detail": "whole and as expected"}
    missing = probe(url=up["url"] + "x")
    assert (missing["ok"], missing["status"]) == (False, 404)


def test_an_upload_does_not_pay_for_torch_or_numpy() -> None:
    modules = tops(loaded("somatui.workers.transfer"))
    assert not modules & {"torch", "numpy", "safetensors", "datasets", "aiohttp"}
    assert "boto3" in modules


def test_an_upload_to_a_store_that_never_answers_ends_soon_after_its_parent(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        job = {"job": "upload", "source": str(tmp_path / "file"), "object_key": "data/x", "encrypt": False,
               "store": asdict(store) | {"endpoint": endpoint}}  # fmt: skip
        process = start("transfer", job, stores.KEYS)
        asked, _ = silent.accept()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.close()
        assert process.wait(10) == 1
        process.stdout.close()
        asked.close()
