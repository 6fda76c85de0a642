"""A vault whose writer is killed at random moments: all it acknowledged is there, and nothing is half.

`python -m tests.long.vault_kill [--kills N] [--seed S]`. Exit status 0 when every look found a whole vault.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from somatui.vault.file import FileVault

WORDS = "correct horse"  # pragma: allowlist secret
LONGEST_S = 0.05


def write_on(vault: FileVault, told: int, first: int) -> None:
    """Write one number after the other, and tell each when the vault has it; never returns."""
    number = first
    while True:
        vault.set("number", str(number).encode())
        vault.set("twin", str(number).encode())
        os.write(told, f"{number}\n".encode())
        number += 1


def killed_once(vault: FileVault, first: int, wait_s: float) -> int:
    """Let a writer go on from `first` and kill it; the last number that it acknowledged, 0 for none."""
    heard, told = os.pipe()
    writer = os.fork()
    if writer == 0:
        write_on(vault, told, first)
    os.close(told)
    time.sleep(wait_s)
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    with os.fdopen(heard) as lines:
        return max((int(line) for line in lines), default=0)


def main() -> int:
    """Kill and look."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        vault = FileVault.create(Path(folder) / "vault.json", WORDS)
        vault.set("number", b"0")
        vault.set("twin", b"0")
        number, acknowledged, began = 0, 0, time.monotonic()
        for kill in range(args.kills):
            first = number + 1
            acknowledged = max(acknowledged, killed_once(vault, first, dice.uniform(0, LONGEST_S)))
            found = FileVault.open(vault.path)
            found.unlock_with(vault.data_key())
            number, twin = int(found.get("number")), int(found.get("twin"))
            if found.copy_is_old or not (acknowledged <= twin <= number <= max(first, acknowledged + 1)):
                print(f"after kill {kill + 1}: acknowledged {acknowledged}, found {number} and {twin}")
                return 1
        print(f"{args.kills} kills, {number} writes, every vault whole, in {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
