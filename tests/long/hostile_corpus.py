"""Thousands of items that mean harm, read with bounded memory, each counted: `python -m tests.long.hostile_corpus`."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from somatui.corpora import lines as reader
from somatui.corpora.opening import open_corpus

KINDS = ("empty", "nul", "undecodable", "filler", "bomb", "corrupt", "malformed", "nested", "surrogate", "long", "good")
REASONS = {
    "empty": "empty", "nul": "nul", "undecodable": "undecodable", "filler": "filler", "bomb": "size",
    "corrupt": "unreadable", "malformed": "malformed", "nested": "malformed", "surrogate": "undecodable",
    "long": "size",
    "huge_line": "size", "endless_file": "unreadable", "sparse_file": "size", "endless_program": "size",
}  # fmt: skip
MAX_BYTES = 4096


def make(folder: Path, items: int, huge: int, bomb: int) -> tuple[dict[str, Any], Counter[str], int]:
    """Hostile files, lines and programs: the corpus, how many are left out by reason, and how many are good."""
    expected: Counter[str] = Counter()
    files = folder / "files"
    files.mkdir()
    with gzip.open(folder / "bomb.gz", "wb") as file:
        for _ in range(bomb >> 16):
            file.write(bytes(1 << 16))
    packed = (folder / "bomb.gz").read_bytes()
    with (folder / "lines.jsonl").open("wb") as lines:
        for number in range(items):
            kind = KINDS[number % len(KINDS)]
            _one(kind, number, files, lines, packed)
            expected[REASONS.get(kind, kind)] += 1
        lines.seek(huge, os.SEEK_CUR)
        lines.write(b"\n" + json.dumps({"text": "behind the huge line"}).encode() + b"\n")
    os.symlink("/dev/zero", files / "zero")
    with (files / "sparse").open("wb") as sparse:
        sparse.truncate(huge)
    expected.update(REASONS[k] for k in ("huge_line", "endless_file", "sparse_file", "endless_program"))
    good = expected.pop("good", 0) + 1
    endless = f"{sys.executable} -c \"import sys; [sys.stdout.write('{{' + 'x' * 65535) for _ in iter(int, 1)]\""
    sources = [
        {"kind": "files", "path": str(files)}, {"kind": "jsonl", "path": str(folder / "lines.jsonl")},
        {"kind": "program", "command": endless},
    ]  # fmt: skip
    return {"paths": None, "max_bytes": MAX_BYTES, "seed": 1, "sources": sources}, expected, good


def _one(kind: str, number: int, files: Path, lines: Any, packed: bytes) -> None:
    text = {"empty": " ", "nul": f"{number}\0", "filler": "0" * 4000, "long": f"{number}" * 5000}.get(
        kind, f"good {number}"
    )
    match kind:
        case "bomb":
            (files / f"{number}.gz").write_bytes(packed)
        case "corrupt":
            (files / f"{number}.gz").write_bytes(packed[:20] if number % 2 else b"no gzip")
        case "undecodable":
            (files / f"{number}.txt").write_bytes(b"\xff\xfe" + str(number).encode())
        case "malformed":
            lines.write(b'{"text": "unfinished\n')
        case "nested":
            lines.write(b'{"text": ' + b"[" * 6000 + b"\n")
        case "surrogate":
            lines.write(b'{"text": "\\ud800"}\n')
        case _ if number % 2:
            (files / f"{number}.txt").write_text(text)
        case _:
            lines.write(json.dumps({"text": text}).encode() + b"\n")


def read(asked: dict[str, Any], folder: Path, limit_s: float) -> tuple[Counter[str], int, float]:
    """Read it all: what was left out, how many were given, and by how many MiB this process grew."""
    me = psutil.Process()
    before = most = me.memory_info().rss
    corpus = open_corpus(asked, folder)
    given, until = 0, time.monotonic() + limit_s
    while not corpus.over:
        if time.monotonic() > until:
            raise SystemExit(f"not over after {limit_s:g} s")
        given += corpus.take() is not None
        most = max(most, me.memory_info().rss)
    corpus.close()
    return Counter(corpus.dropped), given, (most - before) / (1 << 20)


def main() -> int:
    """Make, read, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--huge", type=int, default=1 << 30, metavar="BYTES")
    parser.add_argument("--bomb", type=int, default=64 << 20, metavar="BYTES")
    parser.add_argument("--endless", type=int, default=1 << 31, metavar="BYTES", help="when a line is given up")
    args = parser.parse_args()
    reader.ENDLESS = args.endless
    with tempfile.TemporaryDirectory() as made:
        asked, expected, good = make(Path(made), args.items, args.huge, args.bomb)
        began = time.monotonic()
        dropped, given, grown = read(asked, Path(made) / "work", 3600)
    told = {
        "dropped": dict(dropped),
        "given": given,
        "grown_mib": round(grown, 1),
        "s": round(time.monotonic() - began, 1),
    }
    print(json.dumps(told))
    return 0 if (dropped, given) == (expected, good) and grown < 64 else 1


if __name__ == "__main__":
    sys.exit(main())
