"""A client that only reads, in a process of its own, so that no other client's work stands in what it measures."""

from __future__ import annotations

import asyncio
import json
import sys
import time

from somatui.practice.card import NetworkInfo
from somatui.practice.lane import Lane
from somatui.practice.messages import pb
from somatui.wire.objects import SYSTEM_STATE_ID
from somatui.wire.text import address_hex, hex_id

PAUSE_S = 0.005


async def read(lane: Lane, seconds: float) -> list[float]:
    """The seconds that each of many reads took, one after the other: an object, a balance, ten targets."""
    spent: list[float] = []
    asked = (
        ("GetObject", pb.GetObjectRequest(object_id=hex_id(SYSTEM_STATE_ID))),
        ("GetBalance", pb.GetBalanceRequest(owner=address_hex(lane.address))),
        ("ListTargets", pb.ListTargetsRequest(status_filter="open", page_size=10)),
    )
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        method, request = asked[len(spent) % len(asked)]
        began = time.perf_counter()
        await lane.ask(method, request)
        spent.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE_S)
    return spent


async def _serve(info: NetworkInfo) -> None:
    lane = Lane("reader")
    await lane.open(info)
    await lane.fund(info)
    await read(lane, 0.1)
    _tell("ready")
    try:
        while line := sys.stdin.readline():
            _tell(json.dumps(await read(lane, float(line))))
    finally:
        await lane.close()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Standard input: the network's card, then a line of seconds for each answer, a line of JSON."""
    asyncio.run(_serve(NetworkInfo.from_json(sys.stdin.readline())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
