"""A gRPC server that answers with what the real node answered, for the unmodified SDK to read.

A request is matched by path and content; page sizes and read masks do not count, since they change how much is told
and not what.
"""

from __future__ import annotations

import base64
import threading
from collections import defaultdict
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import grpc

from tests.recordings import lines

IGNORED = {"ListTargets": {3, 5}, "ListOwnedObjects": {2, 4}, "GetObject": {3}, "GetTransaction": {2}}


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The top-level fields of a protobuf message: number and raw value."""

    def varint(at: int) -> tuple[int, int]:
        value = shift = 0
        while True:
            value |= (message[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if message[at - 1] < 0x80:
                return value, at

    at = 0
    while at < len(message):
        tag, at = varint(at)
        if tag & 7 == 0:
            begin = at
            _, at = varint(at)
        elif tag & 7 == 2:
            size, begin = varint(at)
            at = begin + size
        else:
            begin = at
            at += 8 if tag & 7 == 1 else 4
        yield tag >> 3, message[begin:at]


def key(path: str, request: bytes) -> tuple[str, Any]:
    ignored = IGNORED.get(path.rpartition("/")[2])
    if ignored is None:
        return path, request
    return path, tuple(sorted(f for f in fields(request) if f[0] not in ignored))


class Replay(grpc.GenericRpcHandler):
    """The answers of one recording, as of line `at`: the first one recorded there or later, else the last before."""

    def __init__(self, recording: str) -> None:
        self.at = 0
        self.url = ""
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self._answers: dict[tuple[str, Any], list[tuple[int, dict[str, Any]]]] = defaultdict(list)
        for line in lines(recording):
            if "rpc" in line and "stream" not in line:
                request = base64.b64decode(line["request"])
                self._answers[key(line["rpc"], request)].append((line["n"], line))

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        path = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(lambda request, context: self._answer(path, request, context))

    def _answer(self, path: str, request: bytes, context: grpc.ServicerContext) -> bytes:
        method = path.rpartition("/")[2]
        self.asked.append(method)
        if method in self.silent:
            gone = threading.Event()
            context.add_callback(gone.set)
            gone.wait()
        known = self._answers.get(key(path, request), [])
        if not known:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"not recorded: {path} {request.hex()[:200]}")
        line = next((line for n, line in known if n >= self.at), known[-1][1])
        if "error" in line:
            error = line["error"]
            context.abort(grpc.StatusCode[error["code"]], error["message"])
        return base64.b64decode(line["response"])


@contextmanager
def replayed(recording: str) -> Iterator[Replay]:
    """Serve one recording on a free port."""
    replay = Replay(recording)
    server = grpc.server(futures.ThreadPoolExecutor(8))
    server.add_generic_rpc_handlers((replay,))
    replay.url = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield replay
    finally:
        server.stop(0).wait()


def as_sdk(value: Any) -> Any:
    """A recorded result in the shape that the SDK gives it."""
    if isinstance(value, list):
        return [as_sdk(v) for v in value]
    if isinstance(value, dict):
        if set(value) == {"ns"}:
            return SimpleNamespace(**{k: as_sdk(v) for k, v in value["ns"].items()})
        if set(value) == {"tuple"}:
            return tuple(as_sdk(v) for v in value["tuple"])
        if set(value) == {"dict"}:
            return {as_sdk(k): as_sdk(v) for k, v in value["dict"]}
        if set(value) == {"bytes"}:
            return base64.b64decode(value["bytes"])
    return value
