"""Stand-ins for a network's two workers, which load nothing, since each network starts them: `… seed` or `… score`."""

from __future__ import annotations

import base64
import json
import os
import random
import struct
import sys
from pathlib import Path

SEED, SCORE = ([sys.executable, "-m", "tests.practice.standin_workers", name] for name in ("seed", "score"))


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
        if "give_up" in asked:
            continue
        if asked["data_url"].endswith("die"):
            sys.exit(1)
        answer = {"ok": True, "winner": 0, "loss": 1.5, "embedding": [0.25] * 16, "distance": 0.5}
        if asked["data_url"].endswith("broken"):
            answer = {"ok": False, "error": "Checksum mismatch"}
        print(json.dumps({"id": asked["id"]} | answer), flush=True)


if __name__ == "__main__":
    os.umask(0o077)
    {"seed": seed, "score": score}[sys.argv[1]]()
