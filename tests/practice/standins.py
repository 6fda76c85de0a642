"""A network on stand-in workers: `… standins serve FOLDER PORTS [LAG_MS [ADDRESS]]`."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from somatui.paths import private_umask
from somatui.practice.card import NetworkInfo, Ports, ServeError, parse_ports
from somatui.practice.genesis import USUAL, Beginning
from somatui.practice.places import HOST, Manner
from somatui.practice.serve import serve
from tests.practice.standin_workers import SCORE, SEED

WORDS = [sys.executable, "-m", "tests.practice.standins"]


@contextlib.asynccontextmanager
async def running(
    folder: Path, ports: str = "free", seed: int = 1, lag_ms: int = 0, beginning: Beginning = USUAL
) -> AsyncIterator[NetworkInfo]:
    """A network in this process, without a checkpoint lag unless it is asked for."""
    ready: asyncio.Future[NetworkInfo] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(
        serve(folder, ports=parse_ports(ports), seed=seed, manner=Manner(lag_ms=lag_ms), on_ready=ready.set_result,
              seed_worker=SEED, score_worker=SCORE, beginning=beginning)
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
                    seed_worker=SEED, score_worker=SCORE)  # fmt: skip
    except asyncio.CancelledError:
        return 0
    except ServeError as why:
        print(why, file=sys.stderr)
    return 1


if __name__ == "__main__":
    private_umask()
    lag, listen = [*sys.argv[4:], "0", HOST][:2] if len(sys.argv) != 5 else (sys.argv[4], HOST)
    manner = Manner(lag_ms=int(lag), listen=listen)
    sys.exit(asyncio.run(_serve(Path(sys.argv[2]), parse_ports(sys.argv[3]), manner)))
