"""The admin service: ends the epoch on demand, over the BCS codec (protocol.md 1.3)."""

from __future__ import annotations

import grpc

from somatui.practice.desk import Desk, now_ms
from somatui.practice.grpc_server import service, unary
from somatui.practice.ledger.ledger import Ledger
from somatui.wire.bcs import Reader, Writer

PATH = "/admin.Admin/AdvanceEpoch"
FAIL_PATH = "/admin.Admin/FailEpoch"
"""No real network has this one: the epoch ends, its change fails, and the next begins in safe mode."""
UPGRADE_PATH = "/admin.Admin/UpgradeEpoch"
"""Nor this one: the next epoch begins with the next version of protocol and architecture."""


def parse_response(body: bytes) -> int:
    """The new epoch. Raises BcsError."""
    reader = Reader(body)
    epoch = reader.u64()
    reader.done()
    return epoch


async def advance(desk: Desk, *, failing: bool = False, upgrading: bool = False) -> int:
    """End the epoch; returns the new one's number. `failing` has it begin in safe mode, `upgrading` in new versions."""
    return await desk.change(
        lambda ledger: ledger.advance_epoch(now_ms(), failing=failing, upgrading=upgrading), at_once=True
    )


async def advance_when_due(desk: Desk, epoch_ms: int) -> int:
    """End the epoch if so many milliseconds have passed since it began; returns how many are left of the epoch now."""

    def end(ledger: Ledger) -> int:
        now = now_ms()
        if ledger.state.epoch_start_timestamp_ms + epoch_ms <= now:
            ledger.advance_epoch(now)
        return ledger.state.epoch_start_timestamp_ms + epoch_ms - now

    return await desk.change(end, at_once=True)


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """The admin service."""

    async def advance_epoch(_request: bytes) -> bytes:
        return Writer().u64(await advance(desk)).done()

    async def fail_epoch(_request: bytes) -> bytes:
        return Writer().u64(await advance(desk, failing=True)).done()

    async def upgrade_epoch(_request: bytes) -> bytes:
        return Writer().u64(await advance(desk, upgrading=True)).done()

    ends = {"AdvanceEpoch": advance_epoch, "FailEpoch": fail_epoch, "UpgradeEpoch": upgrade_epoch}
    return [service("admin.Admin", {name: unary(end) for name, end in ends.items()})]
