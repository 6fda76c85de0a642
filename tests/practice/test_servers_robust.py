"""What strangers do to a network that runs: none of it crashes it, fills its memory or keeps others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import grpc.aio
import psutil
import pytest

from somatui.practice.card import NetworkInfo
from somatui.practice.grpc_server import MESSAGE_BYTES
from somatui.practice.messages import pb
from somatui.practice.places import ACKNOWLEDGED
from tests.practice.calls import METHODS, node
from tests.practice.standins import WORDS

pytestmark = pytest.mark.slow
INFO = METHODS["GetServiceInfo"].path
EXECUTE = METHODS["ExecuteTransaction"].path
STREAM = METHODS["SubscribeCheckpoints"].path


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NetworkInfo]:
    """One network for all of them: what one does must not harm the next; it ends orderly and said nothing of errors."""
    folder = tmp_path_factory.mktemp("network")
    with (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            [*WORDS, "serve", str(folder / "net"), "free", "265"], stdout=subprocess.PIPE, stderr=stderr
        )
    assert process.stdout is not None
    yield NetworkInfo.from_json(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    process.stdout.close()
    said = (folder / "stderr").read_text()
    assert "Traceback" not in said, said


def port(info: NetworkInfo) -> int:
    return int(info.rpc_url.rpartition(":")[2])


def connection(info: NetworkInfo, where: int | None = None) -> socket.socket:
    return socket.create_connection(("127.0.0.1", where or port(info)), 30)


def answers(info: NetworkInfo) -> bool:
    """Whether the network still answers a new client within ten seconds."""

    async def ask() -> bool:
        async with node(info.rpc_url) as raw:
            found = await asyncio.wait_for(raw.ask("GetServiceInfo", pb.GetServiceInfoRequest()), 10)
            return bool(found.chain == "practice")

    return asyncio.run(ask())


HEADERS, RST_STREAM, SETTINGS, GOAWAY = 1, 3, 4, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def _http2(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def _headers(pairs: dict[str, str]) -> bytes:
    """Literal fields without indexing and without Huffman's code (RFC 7541, 6.2.2)."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in pairs.items()
    )


class Talk:
    """One HTTP/2 connection, spoken frame by frame."""

    def __init__(self, info: NetworkInfo, where: int | None = None) -> None:
        self.socket = connection(info, where)
        self.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _http2(SETTINGS, 0, 0))

    def post(self, path: str, body: bytes, kind: str = "application/grpc", end: bool = True) -> None:
        """Send one request."""
        names = {":method": "POST", ":path": path, ":scheme": "http", ":authority": "x", "content-type": kind,
                 "te": "trailers"}  # fmt: skip
        self.socket.sendall(
            _http2(HEADERS, END_HEADERS, 1, _headers(names)) + _http2(0, END_STREAM if end else 0, 1, body)
        )

    def ended(self, limit_s: float = 20) -> bytes:
        """Read until the answer ends, whether by its trailers, a reset, the connection's end or nothing at all.

        What its header frames said, which the library does not compress.
        """
        said = b""
        self.socket.settimeout(limit_s)
        until = time.monotonic() + limit_s
        with contextlib.suppress(ConnectionError, TimeoutError), self.socket.makefile("rb") as stream:
            while time.monotonic() < until and len(head := stream.read(9)) == 9:
                kind, flags = head[3], head[4]
                body = stream.read(int.from_bytes(head[:3], "big"))
                said += body if kind == HEADERS else b""
                if kind == SETTINGS and not flags & ACK:
                    self.socket.sendall(_http2(SETTINGS, ACK, 0))
                if kind in (RST_STREAM, GOAWAY) or (kind in (0, HEADERS) and flags & END_STREAM):
                    return said
        return said


def frame(body: bytes, flag: int = 0, size: int | None = None) -> bytes:
    """A gRPC frame, truthful or not."""
    return struct.pack(">BI", flag, len(body) if size is None else size) + body


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", frame(b"", size=2**32 - 1), frame(b"", size=10) + b"abc", frame(b"\xff" * 50), frame(b"x", flag=1),
     frame(b"x", flag=77), os.urandom(300), frame(b"") * 3],
    ids=["nothing", "a-byte", "claims-4-gib", "too-short", "no-protobuf", "compressed-by-nothing", "unknown-flag",
         "noise", "three-messages"],
)  # fmt: skip
@pytest.mark.parametrize("path", [EXECUTE, STREAM, "/faucet.Faucet/RequestGas", "/no.Such/Thing", "nonsense"])
def test_malformed_frames_are_answered_with_a_status_or_dropped(info: NetworkInfo, path: str, body: bytes) -> None:
    talk = Talk(info, int(info.faucet_url.rpartition(":")[2]) if "faucet" in path else None)
    talk.post(path, body)
    talk.ended(0.5)
    talk.socket.close()
    assert answers(info)


@pytest.mark.parametrize("path", [INFO, STREAM, "/grpc.health.v1.Health/Watch"])
def test_a_call_that_ends_before_or_within_its_message_is_refused(info: NetworkInfo, path: str) -> None:
    for body in (b"", b"\x00\x00", frame(b"", size=10) + b"abc"):
        talk = Talk(info)
        talk.post(path, body)
        said = talk.ended()
        talk.socket.close()
        assert b"grpc-status\x0213" in said and b"Missing request message." in said, said


async def test_bytes_that_are_no_message_are_refused_with_a_sentence(info: NetworkInfo) -> None:
    async with node(info.rpc_url) as raw:
        for path in (INFO, EXECUTE):
            with pytest.raises(grpc.aio.AioRpcError, match="failed to decode Protobuf message"):
                await raw.channel.unary_unary(path)(b"\xff" * 50, timeout=20)
        with pytest.raises(grpc.aio.AioRpcError, match="failed to decode Protobuf message"):
            await raw.channel.unary_stream(STREAM)(b"\xff" * 50, timeout=20).read()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await raw.channel.unary_unary("/no.Such/Thing")(b"", timeout=20)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("kind", ["text/html", "application/json", "application/grpc-web+proto", "", "grpc"])
def test_wrong_content_types_are_answered_or_dropped(info: NetworkInfo, kind: str) -> None:
    talk = Talk(info)
    talk.post(INFO, frame(b""), kind)
    talk.ended(0.5)
    talk.socket.close()
    assert answers(info)


@pytest.mark.parametrize(
    "said",
    [b"GET /model/0x1 HTTP/1.1\r\nHost: x\r\n\r\n", b"POST /data/1 HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
     b"GET /" + b"a" * 100_000, b"\x16\x03\x01\x02\x00\x01\x00", os.urandom(4096), b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
     b"PRI " + bytes(1000), b"GET / HTTP/9.9\r\n\r\n"],
    ids=["plain", "bad-length", "endless-line", "tls", "noise", "half-preface", "zeros", "bad-version"],
)  # fmt: skip
def test_what_is_neither_protocol_is_answered_or_dropped(info: NetworkInfo, said: bytes) -> None:
    with connection(info) as stranger, contextlib.suppress(ConnectionError):
        stranger.sendall(said)
        stranger.shutdown(socket.SHUT_WR)
        stranger.settimeout(30)
        while stranger.recv(65_536):
            pass
    assert answers(info)


async def test_messages_above_the_limit_are_refused_by_every_service(info: NetworkInfo) -> None:
    for url, path in ((info.rpc_url, EXECUTE), (info.faucet_url, "/faucet.Faucet/RequestGas"),
                      (info.scoring_url, "/scoring.Scoring/Score")):  # fmt: skip
        async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
            for size in (MESSAGE_BYTES + 1, 4 * MESSAGE_BYTES):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await channel.unary_unary(path)(bytes(size), timeout=60)
                assert caught.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE)
    assert await asyncio.to_thread(answers, info)


def test_slow_and_half_open_clients_keep_nobody_waiting_and_are_let_go(info: NetworkInfo) -> None:
    silent = [connection(info) for _ in range(50)]
    drip = connection(info)
    drip.sendall(b"P")
    half = []
    for _ in range(20):
        talk = Talk(info)
        talk.post(EXECUTE, frame(b"", size=1000) + b"abc", end=False)
        half.append(talk)
    gone = connection(info)
    gone.sendall(b"GET /model/0x1 HT")
    gone.shutdown(socket.SHUT_WR)
    began = time.monotonic()
    assert answers(info)
    assert time.monotonic() - began < 5
    for stranger in (*silent, drip):
        stranger.settimeout(30)
        assert stranger.recv(10) == b""
        stranger.close()
    assert time.monotonic() - began < 30
    gone.settimeout(30)
    with contextlib.suppress(ConnectionError):
        while gone.recv(1000):
            pass
    for talk in half:
        talk.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        talk.socket.close()
    assert answers(info)


def test_calls_begun_and_dropped_by_the_thousand_keep_nobody_waiting(info: NetworkInfo) -> None:
    process = psutil.Process(info.pid)
    before = process.memory_info().rss
    names = {":method": "POST", ":path": INFO, ":scheme": "http", ":authority": "x", "content-type": "application/grpc"}
    fields = _headers(names | {"te": "trailers"})
    begun, dropped = Talk(info), Talk(info)
    with contextlib.suppress(OSError):
        for n in range(1, 20_000, 2):
            part = _http2(0, 0, n, frame(b"abc", size=MESSAGE_BYTES))
            begun.socket.sendall(_http2(HEADERS, END_HEADERS, n, fields) + part)
    with contextlib.suppress(OSError):
        for n in range(1, 20_000, 2):
            gone = _http2(RST_STREAM, 0, n, bytes(4))
            dropped.socket.sendall(_http2(HEADERS, END_HEADERS | END_STREAM, n, fields) + gone)
    assert answers(info)
    assert process.memory_info().rss - before < 48 * 1024 * 1024
    begun.socket.close()
    dropped.socket.close()


def test_a_listener_that_never_reads_costs_no_memory_that_grows(info: NetworkInfo) -> None:
    process = psutil.Process(info.pid)
    talks = []
    request = pb.SubscribeCheckpointsRequest()
    request.read_mask.paths.extend(["transactions", "objects", "summary"])
    for _ in range(10):
        talk = Talk(info)
        talk.post(STREAM, frame(request.SerializeToString()))
        talks.append(talk)
    asyncio.run(_drink(info, 10))
    before = process.memory_info().rss
    asyncio.run(_drink(info, 30))
    assert process.memory_info().rss - before < 16 * 1024 * 1024
    for talk in talks:
        talk.socket.close()
    assert answers(info)


async def _drink(info: NetworkInfo, checkpoints: int) -> None:
    async with node(info.rpc_url) as raw:
        stream = raw.subscribe("sequence_number")
        for _ in range(checkpoints):
            await asyncio.wait_for(stream.read(), 30)


async def test_500_idle_listeners_on_connections_of_their_own(info: NetworkInfo) -> None:
    process = psutil.Process(info.pid)
    before = process.memory_info().rss
    request = pb.SubscribeCheckpointsRequest()
    request.read_mask.paths.append("sequence_number")
    talks: list[Talk] = []
    for _ in range(500):
        talk = await asyncio.to_thread(Talk, info)
        talk.post(STREAM, frame(request.SerializeToString()))
        talks.append(talk)
    try:
        async with node(info.rpc_url) as raw:
            began = time.monotonic()
            stream = raw.subscribe("sequence_number")
            seen = [(await asyncio.wait_for(stream.read(), 30)).cursor for _ in range(4)]
            assert seen == list(range(seen[0], seen[0] + 4))
            for _ in range(20):
                await raw.ask("GetServiceInfo", pb.GetServiceInfoRequest())
            assert time.monotonic() - began < 30
            assert process.memory_info().rss - before < 300 * 1024 * 1024
            await asyncio.wait_for(stream.read(), 30)
            held = process.memory_info().rss
            for _ in range(5):
                await asyncio.wait_for(stream.read(), 30)
            assert process.memory_info().rss - held < 32 * 1024 * 1024
    finally:
        for talk in talks:
            talk.socket.close()
    assert await asyncio.to_thread(answers, info)


def refused(*words: str) -> str:
    """The one sentence of a start that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "somatui.practice", *words], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (sentence,) = done.stderr.splitlines()
    return sentence


def test_a_second_start_on_the_same_folder_is_refused_and_the_first_goes_on(info: NetworkInfo) -> None:
    files = psutil.Process(info.pid).open_files()
    folder = next(Path(one.path).parent for one in files if "ledger.sqlite3" in one.path)
    assert "A practice network runs on" in refused("--folder", str(folder), "--ports", "free")
    assert json.loads((folder / "network.json").read_text())["pid"] == info.pid
    assert answers(info)


def test_state_of_an_older_or_newer_schema_is_refused_with_a_sentence_and_left_alone(tmp_path: Path) -> None:
    process = subprocess.Popen([*WORDS, "serve", str(tmp_path), "free"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    assert process.wait(20) == 0
    process.stdout.close()
    file = tmp_path / "ledger.sqlite3"
    for schema in ("1", "999"):
        with contextlib.closing(sqlite3.connect(file)) as sql:
            sql.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (schema,))
            sql.commit()
        kept = file.read_bytes()
        said = refused("--folder", str(tmp_path), "--ports", "free")
        assert f"it has schema {schema}, this version knows" in said and said.endswith(".")
        assert file.read_bytes() == kept
    file.write_bytes(b"not a database, but as long as one" * 100)
    assert "cannot be read" in refused("--folder", str(tmp_path), "--ports", "free")


def listening_on(pid: int) -> list[str]:
    """The addresses that a process listens on."""
    found = [c.laddr.ip for c in psutil.Process(pid).net_connections("tcp") if c.status == "LISTEN"]
    return ["0.0.0.0" if one == "::" else one.removeprefix("::ffff:") for one in found]


def test_it_listens_on_loopback_alone(info: NetworkInfo) -> None:
    listening = listening_on(info.pid)
    assert len(listening) == 7
    assert set(listening) == {"127.0.0.1"}


def test_any_other_address_wants_the_whole_acknowledgement(tmp_path: Path) -> None:
    words = ("--folder", str(tmp_path), "--ports", "free", "--listen")
    said = refused(*words, "0.0.0.0")
    assert "everybody who reaches this machine" in said and ACKNOWLEDGED in said
    assert "is not an IPv4 address" in refused(*words, "example.org", ACKNOWLEDGED)
    assert "is not this machine's" in refused(*words, "192.0.2.1", ACKNOWLEDGED)
    command = [sys.executable, "-m", "somatui", "practice", "serve", "--home", str(tmp_path), "--listen", "0.0.0.0"]
    for more in ((), ("--i-know",)):
        done = subprocess.run([*command, *more], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and done.stdout == ""
    assert not (tmp_path / "ledger.sqlite3").exists()


def test_with_the_acknowledgement_it_listens_where_it_was_told(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*WORDS, "serve", str(tmp_path), "free", "0", "0.0.0.0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        info = NetworkInfo.from_json(process.stdout.readline())
        assert info.rpc_url.startswith("http://127.0.0.1:")
        listening = listening_on(process.pid)
        assert sorted(set(listening)) == ["0.0.0.0", "127.0.0.1"] and listening.count("0.0.0.0") == 5
        assert answers(info)
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
        process.stderr.close()
