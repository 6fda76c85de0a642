"""Stand-ins for the two workers, and a network on them: `… standins serve FOLDER PORTS [LAG_MS [ADDRESS]]`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import random
import signal
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from somatui.paths import private_umask
from somatui.practice.card import NetworkInfo, Ports, ServeError, parse_ports
from somatui.practice.genesis import USUAL, Beginning
from somatui.practice.places import HOST, Manner
from somatui.practice.serve import serve

WORDS = [sys.executable, "-m", "tests.practice.standins"]
DISTANCE, LOSS = 0.5, 1.5


def seed() -> None:
    """Models of random bytes, determined by the job's seed."""
    job = json.loads(sys.stdin.readline())
    chance = random.Random(job["seed"])
    models = []
    for number in range(job["count"]):
        path = Path(job["work_dir"]) / f"{number}.safetensors"
        path.write_bytes(chance.randbytes(2000))
        numbers = struct.pack("<16f", *(chance.gauss(0, 1) for _ in range(16)))
        models.append({"weights": str(path), "embedding": base64.b64encode(numbers).decode()})
    print(json.dumps({"seq": 1, "at": 1, "kind": "done", "result": {"models": models}}), flush=True)


def score() -> None:
    """Always the first model; data whose URL ends in `broken` is an error, in `die` the end of the worker."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "health" in asked:
            print(json.dumps({"id": asked["id"], "ok": True, "well": True}), flush=True)
            continue
        if asked["data_url"].endswith("die"):
            sys.exit(1)
        answer = {"ok": True, "winner": 0, "loss": LOSS, "embedding": [0.25] * 16, "distance": DISTANCE}
        if asked["data_url"].endswith("broken"):
            answer = {"ok": False, "error": "Checksum mismatch"}
        print(json.dumps({"id": asked["id"]} | answer), flush=True)


@contextlib.asynccontextmanager
async def running(
    folder: Path, ports: str = "free", seed: int = 1, lag_ms: int = 0, beginning: Beginning = USUAL
) -> AsyncIterator[NetworkInfo]:
    """A network in this process, without a checkpoint lag unless it is asked for."""
    ready: asyncio.Future[NetworkInfo] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(
        serve(folder, ports=parse_ports(ports), seed=seed, manner=Manner(lag_ms=lag_ms), on_ready=ready.set_result,
              seed_worker=[*WORDS, "seed"], score_worker=[*WORDS, "score"], beginning=beginning)
    )  # fmt: skip
    await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work
    try:
        yield ready.result()
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def _serve(folder: Path, ports: Ports, manner: Manner) -> int:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await serve(folder, ports=ports, manner=manner,
                    on_ready=lambda info: print(info.to_json(), flush=True),
                    seed_worker=[*WORDS, "seed"], score_worker=[*WORDS, "score"])  # fmt: skip
    except asyncio.CancelledError:
        return 0
    except ServeError as why:
        print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    private_umask()
    match sys.argv[1]:
        case "seed":
            seed()
        case "score":
            score()
        case _:
            lag, listen = [*sys.argv[4:], "0", HOST][:2] if len(sys.argv) != 5 else (sys.argv[4], HOST)
            manner = Manner(lag_ms=int(lag), listen=listen)
            sys.exit(asyncio.run(_serve(Path(sys.argv[2]), parse_ports(sys.argv[3]), manner)))
