"""`score serve` as a person starts it, asked by the SDK as it is published."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import base58
import psutil
import pytest
from soma_sdk import SomaClient

from somatui.engine import weights
from tests.cli.shell import ROOT, one_sentence, somatui
from tests.golden.scoring import recipe
from tests.servers import NOBODY, answering
from tests.workers.test_scoring_service import ANSWER, CASE, KEY

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def serving(home: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A service on a free port, and its first line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "somatui", "score", "serve", "--port", "0", "--home", str(home), "--json", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        yield process, json.loads(process.stdout.readline() or process.stderr.read())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def files() -> dict[str, bytes]:
    """The recorded case by path: its data, its first model sealed, the others open."""
    found = {"/data": recipe.data_bytes(**CASE["data"])}
    for n, seed in enumerate(CASE["model_seeds"]):
        plain = weights.to_bytes(
            {k: weights.torch.from_numpy(v) for k, v in recipe.weights(CASE["config"], seed).items()}
        )
        found[f"/{n}"] = plain if n else weights.crypt(plain, KEY)
    return found


@contextlib.contextmanager
def place() -> Iterator[tuple[str, list[SimpleNamespace]]]:
    """An address with the recorded case, and its manifests as the SDK takes them; it never answers /never."""
    held, end = files(), threading.Event()

    def reply(_method: str, path: str, _headers: Any, _body: bytes) -> Any:
        if path == "/never":
            end.wait(60)
        return 200 if path in held else 404, {}, held.get(path, b"")

    with answering(reply) as url:
        yield url, [
            SimpleNamespace(
                url=url + name, checksum=base58.b58encode(weights.checksum(held[name])).decode(), size=len(held[name]),
                decryption_key=base58.b58encode(KEY).decode() if name == "/0" else None,
            )
            for name in ("/0", "/1", "/2")
        ]  # fmt: skip
        end.set()


async def test_the_sdk_gets_the_references_answer_and_its_refusals_until_ctrl_c(tmp_path: Path) -> None:
    target, data, best = recipe.target(16, CASE["target_seed"]).tolist(), files()["/data"], ANSWER["models"][0]
    with serving(tmp_path) as (process, ready), place() as (url, models):
        old = Path(ready["weights"]) / f"{'2' * 44}.safetensors"
        old.write_bytes(b"x")
        os.utime(old, (1, 1))
        sdk = await SomaClient(rpc_url=NOBODY, scoring_url=ready["url"])
        assert await sdk.scoring_health()
        for one in await asyncio.gather(*(sdk.score(f"{url}/data", models, target, data=data) for _ in range(3))):
            assert one.winner == ANSWER["winner"] == 0
            assert one.loss_score == [pytest.approx(best["loss"], rel=1e-5)]
            assert one.distance == [pytest.approx(best["distance"], abs=1e-5)]
            assert one.embedding == pytest.approx(best["embedding"], abs=1e-4)
        for path, manifests, wanted, says in (
            ("/data", [], target, "invalid argument.*At least one model manifest is required"),
            ("/data", models, [], "invalid argument.*Target embedding must not be empty"),
            ("/1", models, target, "Internal error.*Blob error: size mismatch: expected 1 bytes, got"),
        ):
            with pytest.raises(RuntimeError, match=says):
                await sdk.score(url + path, manifests, wanted, data=b"x")
        # The SDK's client asks one question after the other, so another one looks while it waits.
        another = await SomaClient(rpc_url=NOBODY, scoring_url=ready["url"])
        waits = asyncio.ensure_future(sdk.score(f"{url}/never", models, target, data=b"y"))
        assert await another.scoring_health() and not waits.done()
        (worker,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        with pytest.raises(RuntimeError):
            await waits
        assert await asyncio.to_thread(process.wait, 15) == 0
        assert process.stdout is not None and process.stderr is not None
        lines = [json.loads(line) for line in process.stdout]
        assert [line["event"] for line in lines] == ["scored"] * 3 + ["refused"] * 3 + ["ended"]
        assert lines[-1] == {"event": "ended", "scored": 3, "refused": 3}
        assert process.stderr.read() == "1 old weights were removed (0.00 GB)\n" and not worker.is_running()
    assert {p.name.partition(".")[0] for p in Path(ready["weights"]).iterdir()} == {m.checksum for m in models}


def test_a_port_that_is_taken_is_one_sentence_with_the_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        ended = somatui("score", "serve", "--port", str(other.getsockname()[1]), "--home", str(tmp_path))
    assert (ended.status, ended.out) == (1, "")
    assert one_sentence(ended.err) and "cannot be had (address already in use): stop" in ended.err
    assert somatui("score", "serve", "--port", "70000").status == 2


def test_weights_of_real_width_are_mapped_and_not_read_into_memory(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "tests.long.serve_full", "--layers", "2", "--folder", str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 layers, 0.41 GB" in done.stdout
