"""A model of the real size all the way: fetched by ranges, checked, opened, mapped by `score serve`, asked by the SDK.

`python -m tests.long.serve_full [--layers N] [--folder F]`. With all 24 layers it needs 20 GB of disk and some minutes.
First the weights worker fetches it as it is published, before its reveal, and opens that after it; then it fetches it
anew and opens it as it comes. Then the service scores on it, without hashing it again; one long request is left by its
client on the way, and the next must have the turn. Exit status 0 when all files are right to the byte, both answers
agree, and no process's own memory grew by more than its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import re
import shutil
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import base58
import numpy as np
import psutil
from soma_sdk import SomaClient

from somatui.engine.cipher import Pass
from somatui.engine.weights import FULL, ModelConfig, tensor_shapes
from somatui.paths import Paths
from somatui.workers.shelf import Shelf
from tests.cli.test_serving import serving
from tests.servers import NOBODY
from tests.workers.processes import rest, start

GROWTH = 400_000_000
"""Bytes: activations of one chunk, pieces of a download, what the engine keeps; less than two layers of weights."""
KEY = bytes(range(32))
DATA = b"def answer(x):\n    return x + 1\n" * 10
LONG = np.random.default_rng(3).bytes(1024 * 1024)
"""As much as the network takes: 1,024 chunks, hours on a processor."""
PIECE = 1024 * 1024


class Files(BaseHTTPRequestHandler):
    """Files of a folder, or a range of them, read a piece at a time."""

    def __init__(self, *args: Any, folder: Path) -> None:
        self._folder = folder
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self._folder / self.path[1:]
        size = path.stat().st_size
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        begin, end = (int(asked[1]), int(asked[2]) + 1) if asked else (0, size)
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(end - begin))
        if asked:
            self.send_header("Content-Range", f"bytes {begin}-{end - 1}/{size}")
        self.end_headers()
        with path.open("rb") as file, contextlib.suppress(ConnectionError):
            file.seek(begin)
            while begin < end and (piece := file.read(min(PIECE, end - begin))):
                self.wfile.write(piece)
                begin += len(piece)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def files(folder: Path) -> Iterator[str]:
    """The address of a folder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, folder=folder)) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def write_model(path: Path, config: ModelConfig) -> tuple[str, str]:
    """Sealed weights that mean nothing, a tensor at a time; their checksum, and that of the opened ones."""
    shapes, head, end = tensor_shapes(config), {}, 0
    for name, shape in shapes.items():
        begin, end = end, end + 4 * math.prod(shape)
        head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    some, sealed = np.random.default_rng(1).standard_normal(2**20 - 1, dtype=np.float32), Pass(KEY, sealing=True)
    plain = Pass(None)
    with path.open("wb") as file:
        for piece in [struct.pack("<Q", len(text)) + text, *shapes]:
            if isinstance(piece, str):
                shape = shapes[piece]
                scale = np.float32(1.0 if piece == "embedding.weight" else shape[0] ** -0.5)
                ones = piece.endswith("gamma")
                piece = (np.ones(shape, np.float32) if ones else np.resize(some, shape) * scale).tobytes()
            for _ in plain.steps(piece):
                continue
            for step in sealed.steps(piece):
                file.write(step)
    return told(sealed), told(plain)


def told(whole: Pass) -> str:
    """A checksum as manifests have it."""
    return base58.b58encode(whole.checksum()).decode()


def hashed(path: Path) -> str:
    """The checksum of a file as it lies there."""
    whole = Pass(None)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            for _ in whole.steps(piece):
                continue
    return told(whole)


def own_memory(pid: int) -> int:
    """Bytes that a process holds and that no file backs; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return 1024 * next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


class Watch:
    """The most memory that a process holds, beyond what it held at the beginning."""

    def __init__(self, pid: int) -> None:
        self._pid, self._before, self._ended = pid, own_memory(pid), threading.Event()
        self.grown = 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._ended.wait(0.05):
            self.grown = max(self.grown, own_memory(self._pid) - self._before)

    def end(self) -> int:
        """Look no more; by how many bytes it grew."""
        self._ended.set()
        return self.grown


@dataclass
class Story:
    """What happened, in lines, and whether all of it was right."""

    right: bool = True

    def add(self, text: str, *holds: bool) -> None:
        """Tell a part of it."""
        print(text + ("" if all(holds) else ": WRONG"), flush=True)
        self.right &= all(holds)


def fetch(folder: Path, model: dict[str, Any]) -> tuple[float, int]:
    """Seconds of the weights worker for one model, and how its memory grew. Raises where it did not come."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder.parent / "wanted.json"
    wanted.write_text(json.dumps({"models": [model], "live": []}))
    job = {"job": "weights", "wanted": str(wanted), "ids": None, "weights_dir": str(folder), "keep_days": 0,
           "limit_bytes": 10**12}  # fmt: skip
    began = time.monotonic()
    process = start("prefetch", job)
    watch = Watch(process.pid)
    last = rest(process)[-1]
    if last.body.get("result", {}).get("fetched") != 1:
        raise SystemExit(f"the weights worker did not fetch: {last}")
    return time.monotonic() - began, watch.end()


async def ask(url: str, place: str, model: SimpleNamespace, dim: int, data: bytes = DATA) -> tuple[float, float, float]:
    """Seconds, loss and distance of one request."""
    sdk = await SomaClient(rpc_url=NOBODY, scoring_url=url)
    target = np.random.default_rng(2).standard_normal(dim).tolist()
    began = time.monotonic()
    name = "data" if data is DATA else "long"
    answer = await sdk.score(f"{place}/{name}", [model], target, data=data)
    return time.monotonic() - began, answer.loss_score[0], answer.distance[0]


async def leave(asking: Callable[[bytes], Any], wait_s: float) -> float:
    """Ask for what takes hours, leave after a while, and ask for what is known; the seconds until that is answered."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asking(LONG), wait_s)
        raise SystemExit("what takes hours was answered at once")
    return float((await asking(DATA))[0])


def download(story: Story, shelf: Shelf, model: dict[str, Any], sums: tuple[str, str]) -> None:
    """Before the reveal and after it, then anew in one."""
    size, (sealed, plain) = model["size"] / 1e9, sums
    took, grown = fetch(shelf.folder, model | {"key": None})
    right = hashed(shelf.sealed(sealed)) == sealed
    story.add(f"sealed by ranges in {took:.1f} s, memory +{grown / 1e6:.0f} MB", right, grown < GROWTH)
    took, grown = fetch(shelf.folder, model | {"url": NOBODY})
    right = hashed(shelf.plain(sealed)) == plain and not shelf.sealed(sealed).exists()
    story.add(f"opened after it in {took:.1f} s, memory +{grown / 1e6:.0f} MB", right, grown < GROWTH)
    shutil.rmtree(shelf.folder)
    took, grown = fetch(shelf.folder, model)
    right = hashed(shelf.plain(sealed)) == plain
    text = f"anew, opened as it came, in {took:.1f} s ({1000 * size / took:.0f} MB/s), memory +{grown / 1e6:.0f} MB"
    story.add(text, right, grown < GROWTH)


def serve(story: Story, home: Path, place: str, model: SimpleNamespace, config: ModelConfig) -> None:
    """Two answers that agree, and one request that is left on the way."""
    with serving(home) as (process, ready):
        (worker,) = psutil.Process(process.pid).children()
        watch = Watch(worker.pid)

        def asking(data: bytes) -> Any:
            return ask(ready["url"], place, model, config.dim, data)

        (first_s, *first), (again_s, *again) = asyncio.run(asking(DATA)), asyncio.run(asking(DATA))
        agree = first == again and all(map(math.isfinite, first))
        story.add(f"the first score in {first_s:.1f} s, the same again in {again_s:.3f} s", agree)
        after_s = asyncio.run(leave(asking, max(1.0, first_s)))
        left = 10 * first_s + 5
        story.add(f"behind a request that was left, the next was answered in {after_s:.1f} s", after_s < left)
        story.add(f"the service's own memory grew by {watch.end() / 1e6:.0f} MB", watch.grown < GROWTH)


def main() -> int:
    """Write, fetch, open, serve, ask, look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=FULL.layers)
    parser.add_argument("--folder", type=Path, help="where there is room (default: the system's folder for such)")
    args = parser.parse_args()
    config, story = ModelConfig(FULL.dim, FULL.hidden, args.layers, FULL.heads), Story()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder, files(Path(folder)) as place:
        root = Path(folder)
        sums = write_model(root / "model", config)
        size = (root / "model").stat().st_size
        (root / "data").write_bytes(DATA)
        (root / "long").write_bytes(LONG)
        story.add(f"{args.layers} layers, {size / 1e9:.2f} GB")
        key = base58.b58encode(KEY).decode()
        model = {"id": "0x01", "url": f"{place}/model", "checksum": sums[0], "size": size, "key": key}
        download(story, Shelf(Paths.for_profile("practice", root / "home").weights_cache), model, sums)
        manifest = SimpleNamespace(url=NOBODY, checksum=sums[0], size=size, decryption_key=key)
        serve(story, root / "home", place, manifest, config)
    return 0 if story.right else 1


if __name__ == "__main__":
    sys.exit(main())
