"""The admin service: ends the epoch on demand, over the BCS codec (protocol.md 1.3)."""

from __future__ import annotations

import grpc

from somatui.practice.desk import Desk, now_ms
from somatui.practice.grpc_server import service, unary
from somatui.wire.bcs import Reader, Writer

PATH = "/admin.Admin/AdvanceEpoch"


def parse_response(body: bytes) -> int:
    """The new epoch. Raises BcsError."""
    reader = Reader(body)
    epoch = reader.u64()
    reader.done()
    return epoch


async def advance(desk: Desk) -> int:
    """End the epoch; returns the new one's number."""
    return await desk.change(lambda ledger: ledger.advance_epoch(now_ms()), at_once=True)


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """The admin service."""

    async def advance_epoch(_request: bytes) -> bytes:
        return Writer().u64(await advance(desk)).done()

    return [service("admin.Admin", {"AdvanceEpoch": unary(advance_epoch)})]
