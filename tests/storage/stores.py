"""Real object stores, each on ports of its own: the practice network's, SeaweedFS, moto's, one that takes no ACLs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from aiohttp import web
from moto.server import ThreadedMotoServer

from somatui.practice.store import BUCKET, ObjectStore
from somatui.practice.store_auth import Credentials
from somatui.practice.store_files import Folder
from somatui.storage.s3 import Store
from tests.servers import Reply, answering

KEYS = {"access_key": "practice", "secret_key": "right"}  # pragma: allowlist secret
PAIR = ("practice", "right")
READY_S = 60


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Serve `folder` from a thread; gives the store as a profile describes it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        keys = Credentials(KEYS["access_key"], KEYS["secret_key"])
        runner = web.AppRunner(ObjectStore(Folder(folder), keys).app(), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield Store(url, BUCKET, "auto", f"{url}/{BUCKET}", "public_url")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def client(endpoint: str) -> Any:
    """boto3's own client for PAIR."""
    return boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id=PAIR[0], aws_secret_access_key=PAIR[1]
    )


@contextlib.contextmanager
def moto() -> Iterator[str]:
    """A store with ACLs and a bucket named bucket; its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client(f"http://{host}:{port}").create_bucket(Bucket="bucket")
    try:
        yield f"http://{host}:{port}"
    finally:
        # What moto keeps is the process's, not the server's.
        urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")).close()
        server.stop()


def free_ports(count: int) -> list[int]:
    """So many ports below those that outgoing lines get, free a moment ago, and with their number + 10,000 free too."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [s.getsockname()[1] for s in held]
    for one in held:
        one.close()
    return found


@contextlib.contextmanager
def seaweed(folder: Path) -> Iterator[str]:
    """SeaweedFS with PAIR as its keys and a bucket named bucket; its address. It is stopped by SIGKILL."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
             "s3.port", "s3.port.grpc", "s3.port.iceberg", "s3.port.lance", "webdav.port")  # fmt: skip
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    keys = folder / "keys.json"
    identity = {"name": "owner", "credentials": [{"accessKey": PAIR[0], "secretKey": PAIR[1]}], "actions": ["Admin"]}
    keys.write_text(json.dumps({"identities": [identity]}))
    program = shutil.which("weed") or str(Path(sys.executable).parent / "weed")
    words = [program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", f"-s3.config={keys}",
             "-master.volumeSizeLimitMB=64", "-volume.max=20", *(f"-{n}={p}" for n, p in ports.items()
             if n != "webdav.port")]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)
    url = f"http://127.0.0.1:{ports['s3.port']}"
    try:
        _wait_for(lambda: client(url).create_bucket(Bucket="bucket"), process, folder / "log")
        _wait_for(lambda: client(url).put_object(Bucket="bucket", Key="first", Body=b"1"), process, folder / "log")
        yield url
    finally:
        process.kill()
        process.wait()


def _wait_for(call: Any, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_S
    while True:
        try:
            call()
            return
        except Exception as failure:
            last = failure
        if process.poll() is not None or time.monotonic() > until:
            raise AssertionError(f"SeaweedFS is not ready: {last}; {log.read_text('utf-8', 'replace')[-2_000:]}")
        time.sleep(0.05)


@contextlib.contextmanager
def before(endpoint: str, refusal: Any) -> Iterator[str]:
    """A server before a store that asks `refusal(method, path, headers)` and passes the rest on; its address.

    `refusal` gives None, or (status, S3 code, message, more XML). Signatures are about the host that the client meant,
    so the store behind must not check them.
    """

    def reply(method: str, path: str, headers: Any, data: bytes) -> Reply:
        refused = refusal(method, path, headers)
        if refused is not None:
            status, code, message, more = refused
            body = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>".encode()
            return status, {"Content-Type": "application/xml"}, body if code else b""
        kept = {n: v for n, v in headers.items() if n.lower() not in ("host", "connection", "expect")}
        # urllib would call it a form otherwise, and moto would read it as one.
        kept = {"Content-Type": "application/octet-stream"} | kept
        asked = urllib.request.Request(endpoint + path, data or None, kept, method=method)
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(asked) as found:
                status, body, said = found.status, found.read(), found.headers
        except urllib.error.HTTPError as found:
            with found:
                status, body, said = found.code, found.read(), found.headers
        mine = ("connection", "transfer-encoding", "date", "server", *(["content-length"] if method != "HEAD" else []))
        return status, {name: value for name, value in said.items() if name.lower() not in mine}, body

    with answering(reply, protocol="HTTP/1.1") as url:
        yield url


def no_acls(_method: str, _path: str, headers: Any) -> tuple[int, str, str, str] | None:
    """What a bucket of AWS answers since 2023."""
    if headers.get("x-amz-acl"):
        return 400, "AccessControlListNotSupported", "The bucket does not allow ACLs", ""
    return None
