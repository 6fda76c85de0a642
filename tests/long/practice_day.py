"""The practice day as a person runs it, measured: seconds, and the memory of all its processes together.

`python -m tests.long.practice_day [--seeds 1,2,3]` prints one line a day and ends with 1 when one of them is not what
it should be: hits, claims, a reveal, a ledger without a difference, at most 120 s and 3 GB.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

MOST_SECONDS = 120.0
MOST_BYTES = 3_000_000_000
LEAST_HITS = 5


@dataclass(frozen=True)
class Spent:
    """One day: its document, its exit status, what it said, and the most memory that all its processes had at once."""

    document: dict[str, Any]
    status: int
    said: str
    peak_bytes: int

    def faults(self) -> list[str]:
        """What is not as it should be."""
        d = self.document
        wanted = {
            f"exit status {self.status}": self.status == 0,
            "not ok": d.get("ok") is True,
            f"fewer than {LEAST_HITS} hits": d.get("hits_submitted", 0) >= LEAST_HITS,
            "nothing claimed": d.get("claimed_shannons", 0) > 0,
            "nothing revealed": d.get("reveals", 0) >= 1,
            "the ledger differs from the chain": d.get("ledger_difference_shannons") == 0,
            f"longer than {MOST_SECONDS:.0f} s": d.get("seconds", 0) <= MOST_SECONDS,
            f"more than {MOST_BYTES / 1e9:.0f} GB": self.peak_bytes <= MOST_BYTES,
        }
        return [fault for fault, holds in wanted.items() if not holds]


def spend(state: Path, seed: int) -> Spent:
    """Run `somatui practice run` on that folder and watch it."""
    words = [sys.executable, "-m", "somatui", "practice", "run", "--json", "--seed", str(seed), "--state", str(state)]
    day = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    peak, over = [0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(str(state), day.pid, peak, over))
    watcher.start()
    out, said = day.communicate()
    over.set()
    watcher.join()
    document = json.loads(out) if out.strip() else {}
    return Spent(document, day.returncode, said, peak[0])


def _watch(state: str, pid: int, peak: list[int], over: threading.Event) -> None:
    """Memory shared between processes counts once (Linux tells it as PSS; elsewhere the resident size is taken)."""
    while not over.wait(0.5):
        total = 0
        for process in _of_day(state, pid):
            with contextlib.suppress(psutil.Error):
                found = process.memory_full_info() if sys.platform == "linux" else process.memory_info()
                total += int(getattr(found, "pss", found.rss))
        peak[0] = max(peak[0], total)


def _of_day(state: str, pid: int) -> set[psutil.Process]:
    """The day's own process, those that were started on its state, and everything below them."""
    found: set[psutil.Process] = set()
    for process in psutil.process_iter(["cmdline"]):
        if process.pid == pid or any(state in word for word in process.info["cmdline"] or ()):
            with contextlib.suppress(psutil.Error):
                found |= {process, *process.children(recursive=True)}
    return found


def main() -> int:
    """Spend one day for each seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="1,2,3", help="one day each (default 1,2,3)")
    seeds = [int(seed) for seed in parser.parse_args().seeds.split(",")]
    bad = False
    for seed in seeds:
        with tempfile.TemporaryDirectory(prefix="somatui-day-") as folder:
            spent = spend(Path(folder) / "state", seed)
        d, faults = spent.document, spent.faults()
        bad = bad or bool(faults)
        figures = f"{d.get('seconds')} s, {spent.peak_bytes / 1e9:.2f} GB, {d.get('hits_submitted')} hits"
        print(f"seed {seed}: {figures}; {', '.join(faults) or 'as it should be'}", flush=True)
        if faults:
            print(spent.said, flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
