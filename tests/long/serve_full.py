"""A model of the real size through `score serve`, asked by the SDK: it is mapped from the disk, not read into memory.

`python -m tests.long.serve_full [--layers N] [--folder F]`. With all 24 layers it needs 10 GB of disk and some minutes.
Exit status 0 when both answers agree and the worker's own memory grew by less than GROWTH.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import struct
import sys
import tempfile
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import base58
import numpy as np
import psutil
from soma_sdk import SomaClient

from somatui.engine.cipher import Pass
from somatui.engine.weights import FULL, ModelConfig, tensor_shapes
from tests.cli.test_serving import serving
from tests.servers import NOBODY

GROWTH = 400_000_000
"""Bytes: activations of one chunk, pieces of a download, what the engine keeps; less than two layers of weights."""
KEY = bytes(range(32))
DATA = b"def answer(x):\n    return x + 1\n" * 10


class Quiet(SimpleHTTPRequestHandler):
    """Files of a folder."""

    def log_message(self, *_: Any) -> None:
        pass


def write_model(path: Path, config: ModelConfig) -> str:
    """Sealed weights that mean nothing, a tensor at a time; their checksum."""
    shapes, head, end = tensor_shapes(config), {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    some, sealed = np.random.default_rng(1).standard_normal(2**20 - 1, dtype=np.float32), Pass(KEY, sealing=True)
    with path.open("wb") as file:
        for piece in [struct.pack("<Q", len(text)) + text, *shapes]:
            if isinstance(piece, str):
                shape = shapes[piece]
                scale = np.float32(1.0 if piece == "embedding.weight" else shape[0] ** -0.5)
                ones = piece.endswith("gamma")
                piece = (np.ones(shape, np.float32) if ones else np.resize(some, shape) * scale).tobytes()
            for step in sealed.steps(piece):
                file.write(step)
    return base58.b58encode(sealed.checksum()).decode()


def own_memory(pid: int) -> int:
    """Bytes that a process holds and that no file backs."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


def watch(pid: int, peak: list[int], ended: threading.Event) -> None:
    """Note the most memory that a process holds."""
    while not ended.wait(0.05):
        peak[0] = max(peak[0], own_memory(pid))


async def ask(url: str, place: str, model: SimpleNamespace, dim: int) -> list[tuple[float, float, float]]:
    """Seconds, loss and distance of two requests for the same file."""
    sdk, found = await SomaClient(rpc_url=NOBODY, scoring_url=url), []
    target = np.random.default_rng(2).standard_normal(dim).tolist()
    for _ in range(2):
        began = time.monotonic()
        answer = await sdk.score(f"{place}/data", [model], target, data=DATA)
        found.append((time.monotonic() - began, answer.loss_score[0], answer.distance[0]))
    return found


def main() -> int:
    """Write, serve, ask twice, look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=FULL.layers)
    parser.add_argument("--folder", type=Path)
    args = parser.parse_args()
    config, ended = ModelConfig(FULL.dim, FULL.hidden, args.layers, FULL.heads), threading.Event()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        checksum = write_model(root / "model", config)
        size = (root / "model").stat().st_size
        (root / "data").write_bytes(DATA)
        files = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
        threading.Thread(target=files.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{files.server_port}"
        key = base58.b58encode(KEY).decode()
        model = SimpleNamespace(url=f"{place}/model", checksum=checksum, size=size, decryption_key=key)
        with serving(root / "home") as (process, ready):
            (worker,) = psutil.Process(process.pid).children()
            peak = [before := own_memory(worker.pid)]
            threading.Thread(target=watch, args=(worker.pid, peak, ended), daemon=True).start()
            (first_s, *first), (again_s, *again) = asyncio.run(ask(ready["url"], place, model, config.dim))
            ended.set()
        files.shutdown()
        files.server_close()
    grown = peak[0] - before
    print(
        f"{args.layers} layers, {size / 1e9:.2f} GB: the first score in {first_s:.1f} s, the same again in "
        f"{again_s:.3f} s; the worker's own memory grew by {grown / 1e6:.0f} MB"
    )
    return 0 if first == again and all(map(math.isfinite, first)) and grown < GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
