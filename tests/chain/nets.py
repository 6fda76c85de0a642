"""Practice networks, and doors before them, in own processes: `nets FOLDER SEED`, `nets gate URL NAME VALUE`."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from somatui.practice.card import NetworkInfo
from tests.practice.standins import running


@contextlib.contextmanager
def networks(folder: Path, seeds: tuple[int, ...]) -> Iterator[list[NetworkInfo]]:
    """One network for each seed, whose chains differ."""
    words = [sys.executable, "-m", "tests.chain.nets"]
    processes = [
        subprocess.Popen([*words, str(folder / str(s)), str(s)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for s in seeds
    ]
    try:
        yield [NetworkInfo.from_json(p.stdout.readline()) for p in processes if p.stdout]
    finally:
        for process in processes:
            process.communicate()


class Gate(grpc.GenericRpcHandler):
    """A node's door of its own port: it wants `header`, if any, and passes the call on."""

    def __init__(self, behind: str, header: tuple[str, str] | None) -> None:
        self.header, self.asked = header, 0
        self._behind = grpc.aio.insecure_channel(behind.removeprefix("http://"))

    def service(self, details: Any) -> Any:
        async def answer(request: bytes, context: Any) -> bytes:
            self.asked += 1
            if self.header is not None and self.header not in [(k, v) for k, v in context.invocation_metadata()]:
                await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")
            try:
                return await self._behind.unary_unary(details.method)(request)
            except grpc.aio.AioRpcError as failure:
                await context.abort(failure.code(), failure.details())

        return grpc.unary_unary_rpc_method_handler(answer)

    async def close(self) -> None:
        await self._behind.close()


@contextlib.asynccontextmanager
async def gate(behind: str, header: tuple[str, str] | None = None, port: int = 0) -> AsyncIterator[tuple[str, Gate]]:
    made = Gate(behind, header)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((made,))
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"http://127.0.0.1:{bound}", made
    finally:
        await server.stop(None)
        await made.close()


@contextlib.contextmanager
def gate_beside(behind: str, header: tuple[str, str]) -> Iterator[str]:
    """The same in a process of its own; its address."""
    words = [sys.executable, "-m", "tests.chain.nets", "gate", behind, *header]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.communicate()


async def _gate(behind: str, name: str, value: str) -> None:
    async with gate(behind, (name, value)) as (url, _):
        _say(url)
        await asyncio.to_thread(sys.stdin.read)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _serve(folder: Path, seed: int) -> None:
    async with running(folder, seed=seed) as info:
        _say(info.to_json())
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    if sys.argv[1] == "gate":
        asyncio.run(_gate(*sys.argv[2:]))
    else:
        asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
