"""Runs the command line as a person would: a process of its own, its words in, its streams and status out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def somatui(*words: str, stdin: str | None = None, timeout_s: float = 60, **variables: str) -> Ended:
    """Run `somatui WORDS` without a terminal."""
    done = subprocess.run(
        [sys.executable, "-m", "somatui", *words],
        input=stdin or "",
        capture_output=True,
        text=True,
        timeout=timeout_s,
        cwd=ROOT,
        env=os.environ | variables,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


def a_pipe(content: bytes) -> int:
    """A descriptor that gives this and then ends; who reads it closes it."""
    read, write = os.pipe()
    os.write(write, content)
    os.close(write)
    return read


def one_sentence(text: str) -> bool:
    """Whether this is one line that ends like a sentence and shows no traceback."""
    return text.count("\n") == 1 and text.rstrip().endswith(".") and "Traceback" not in text
