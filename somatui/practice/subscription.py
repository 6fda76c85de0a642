"""The checkpoint stream: every checkpoint to every listener, each message made once for each mask (protocol.md 9.6)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from somatui.practice.answers import details
from somatui.practice.codec import masks
from somatui.practice.desk import Desk
from somatui.practice.grpc_server import abort, only
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import Refused
from somatui.practice.messages import Method

LISTENERS = 1024
KEPT = 32
"""So many finished messages are kept for listeners that ask for the same."""
Build = Callable[[Ledger, int, masks.Tree], bytes]


class Messages:
    """Builds each (checkpoint, mask) once while listeners ask for it."""

    def __init__(self, desk: Desk, build: Build) -> None:
        self._desk, self._build = desk, build
        self._made: dict[tuple[int, bytes], asyncio.Task[bytes]] = {}

    async def get(self, sequence: int, key: bytes, wanted: masks.Tree) -> bytes:
        """The message of one checkpoint; `key` stands for the mask."""
        task = self._made.get((sequence, key))
        if task is None:
            work = self._desk.ask(lambda ledger: self._build(ledger, sequence, wanted))
            task = self._made[sequence, key] = asyncio.ensure_future(work)
            while len(self._made) > KEPT:
                self._made.pop(next(iter(self._made)))
        return await asyncio.shield(task)


def handler(desk: Desk, method: Method, build: Build) -> grpc.RpcMethodHandler:
    """SubscribeCheckpoints. A listener keeps only its place, so a slow one costs no memory and misses nothing."""
    messages = Messages(desk, build)

    async def stream(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        try:
            mask = method.request.FromString(await only(requests)).read_mask
        except Refused as why:
            await abort(context, why, details)
            return
        except Exception:
            await abort(context, Refused("INTERNAL", "failed to decode Protobuf message"), details)
            return
        if desk.listeners >= LISTENERS:
            await abort(context, Refused("UNAVAILABLE", "too many existing subscriptions"), details)
        wanted, key = masks.tree(mask.paths), mask.SerializeToString(deterministic=True)
        with desk.listening():
            seen = desk.newest
            await context.send_initial_metadata(desk.headers)
            while True:
                await desk.after(seen)
                seen += 1
                try:
                    message = await messages.get(seen, key, wanted)
                except Exception as why:
                    await abort(context, why, details)
                    return
                yield message

    return grpc.stream_stream_rpc_method_handler(stream)
