"""Two practice networks in processes of their own: `… nets FOLDER SEED` is one of them."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


async def _serve(folder: Path, seed: int) -> None:
    async with running(folder, seed=seed) as info:
        sys.stdout.write(info.to_json() + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
