"""The object store by boto3, by anonymous readers and by hand-made requests."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import http.client
import os
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import AsyncIterator, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.config import Config
from botocore.exceptions import ClientError

from somatui.practice.store import BUCKET, ObjectStore
from somatui.practice.store_auth import Body, Credentials
from somatui.practice.store_files import Folder, StoreError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(ObjectStore(Folder(tmp_path), Credentials("practice", "right")).app())
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def client(url: str, secret: str = "right", **config: Any) -> Any:
    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="practice", aws_secret_access_key=secret, region_name="auto",
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}, **config),
    )  # fmt: skip


@pytest.mark.parametrize("config", [{}, {"request_checksum_calculation": "when_required"}])
def test_what_is_put_is_read_back_by_everybody(store: str, tmp_path: Path, config: dict[str, str]) -> None:
    s3 = client(store, **config)
    key = "data/a b/ü+x.bin"
    etag = s3.put_object(Bucket=BUCKET, Key=key, Body=b"hello", ContentType="text/plain")["ETag"]
    assert etag == f'"{hashlib.md5(b"hello").hexdigest()}"'
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == b"hello"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ContentType"] == "text/plain"
    url = f"{store}/{BUCKET}/{urllib.request.quote(key)}"
    with urllib.request.urlopen(url) as answer:
        assert (answer.status, answer.headers["ETag"], answer.read()) == (200, etag, b"hello")
    for asked, span, got in (("1-2", "1-2", b"el"), ("3-", "3-4", b"lo"), ("-2", "3-4", b"lo")):
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Range": f"bytes={asked}"})) as answer:
            assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes {span}/5")
            assert answer.read() == got
    assert Folder(tmp_path).entry(BUCKET, key).checksum == hashlib.blake2b(b"hello", digest_size=32).hexdigest()


def test_a_large_object_comes_in_parts(store: str) -> None:
    s3, data = client(store), os.urandom(9 * 1024 * 1024 + 7)
    s3.upload_fileobj(BytesIO(data), BUCKET, "large")
    assert s3.head_object(Bucket=BUCKET, Key="large")["ETag"].endswith('-2"')
    assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == data


def test_listings_have_pages_and_folders(store: str) -> None:
    s3 = client(store)
    for key in ("a/1", "a/2", "b/1", "c"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 3})
    assert [[one["Key"] for one in page["Contents"]] for page in pages] == [["a/1", "a/2", "b/1"], ["c"]]
    found = s3.list_objects_v2(Bucket=BUCKET, Delimiter="/")
    assert [p["Prefix"] for p in found["CommonPrefixes"]] == ["a/", "b/"]
    s3.delete_object(Bucket=BUCKET, Key="c")
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="c")["KeyCount"] == 0


def test_links_are_good_for_what_they_are_signed_for(store: str) -> None:
    s3 = client(store)
    link = s3.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "k"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(link, data=b"by link", method="PUT")).close()
    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == b"by link"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(link.replace("/k?", "/l?"), data=b"x", method="PUT"))


def test_what_is_refused_says_why(store: str) -> None:
    s3 = client(store)
    cases = (
        ("SignatureDoesNotMatch", lambda: client(store, "wrong").put_object(Bucket=BUCKET, Key="k", Body=b"")),
        ("NoSuchKey", lambda: s3.get_object(Bucket=BUCKET, Key="nothing")),
        ("NoSuchBucket", lambda: s3.put_object(Bucket="nothing", Key="k", Body=b"")),
        ("AccessControlListNotSupported", lambda: s3.put_object_acl(Bucket=BUCKET, Key="k", ACL="public-read")),
    )
    for code, call in cases:
        with pytest.raises(ClientError, match=code):
            call()
    for path in (BUCKET, f"{BUCKET}?list-type=2", "other/key", ""):
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(f"{store}/{path}")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(urllib.request.Request(f"{store}/{BUCKET}/k", data=b"x", method="PUT"))


def test_a_body_other_than_the_signed_one_is_refused_and_leaves_nothing(store: str) -> None:
    link = client(store).generate_presigned_url(
        "put_object", Params={"Bucket": BUCKET, "Key": "k", "ContentMD5": base64.b64encode(bytes(16)).decode()}
    )
    host, _, path = link.removeprefix("http://").partition("/")
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", f"/{path}", b"other", {"Content-MD5": base64.b64encode(bytes(16)).decode()})
    answer = connection.getresponse()
    assert (answer.status, b"BadDigest" in answer.read()) == (400, True)
    connection.close()
    assert client(store).list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


async def test_signed_chunks_are_joined_and_their_trailer_is_kept() -> None:
    crc = base64.b64encode(zlib.crc32(b"hello world").to_bytes(4, "big")).decode()
    sent = f"6\r\nhello \r\n5;chunk-signature=00\r\nworld\r\n0\r\nx-amz-checksum-crc32:{crc}\r\n\r\n".encode()

    async def pieces(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    for size in (1, 3, 7, 1000):
        body = Body(pieces(size), True)
        assert b"".join([piece async for piece in body]) == b"hello world"
        assert body.trailers == {"x-amz-checksum-crc32": crc}
    sent = sent[:10]
    with pytest.raises(StoreError, match="ended"):
        [piece async for piece in Body(pieces(3), True)]


def test_what_a_crash_left_behind_is_swept_away(tmp_path: Path) -> None:
    Folder(tmp_path).make_bucket(BUCKET)
    orphan = tmp_path / "buckets" / BUCKET / "half.data"
    orphan.write_bytes(b"x")
    (tmp_path / "incoming" / "half").write_bytes(b"x")
    Folder(tmp_path)
    assert not orphan.exists()
    assert not list((tmp_path / "incoming").iterdir())
