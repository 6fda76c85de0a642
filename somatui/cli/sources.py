"""Options that name where candidates come from, and what they say to a score job; streams alone are opened here."""

from __future__ import annotations

import argparse
import contextlib
import secrets
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from somatui.cli.nouns.train import corpus, corpus_options
from somatui.cli.options import Arguments, paths_of
from somatui.cli.problem import FAILED, USAGE, Problem
from somatui.paths import make_private

KINDS = ("files", "jsonl", "lines", "parquet", "program", "programs", "hub", "preset")
KEPT_S = 30 * 86400
"""Seconds for which a stream's copy is kept."""
HELP = (
    "another source of candidates, may be given again: files:PATH, jsonl:FILE, lines:FILE (a FIFO as well, or - for "
    "standard input, of which a copy is kept first), parquet:FILE, program:COMMAND, which writes a line of JSON for "
    "each (programs:COMMAND where every shard is to run it), hub:OWNER/NAME[/CONFIG][:SPLIT], or "
    "preset:NAME[/PART], one of stack-v2, stack-v2-smol, starcoderdata, fineweb-edu, swe-bench"
)


def source_options(parser: argparse.ArgumentParser) -> None:
    """Files, further sources, and what is taken from them."""
    corpus_options(parser)
    parser.add_argument("--source", metavar="KIND:WHERE", action="append", default=[], help=HELP)
    parser.add_argument("--field", metavar="NAME", action="append", default=[],
                        help="the field of a record that is the candidate; several are joined")  # fmt: skip
    parser.add_argument("--window", choices=("file", "function", "chunk"), default="file",
                        help="candidates are whole files, their functions, or pieces of 1,024 bytes")  # fmt: skip
    parser.add_argument("--any-bytes", action="store_true", help="binary data too: size and emptiness alone count")
    parser.add_argument("--near", action="store_true", help="leave out near-duplicates as well (MinHash)")


def sources(args: Arguments) -> dict[str, Any]:
    """The corpus of a job. Raises Problem for what is not there."""
    asked = corpus(args.paths, args.seed)
    if args.source:
        folder = paths_of(args).profile_dir / "streams"
        asked["sources"] = [_source(told, args.field, folder) for told in args.source]
    if args.window != "file":
        asked["window"] = args.window
    return asked | ({"any_bytes": True} if args.any_bytes else {}) | ({"near": True} if args.near else {})


def _source(told: str, fields: list[str], folder: Path) -> dict[str, Any]:
    kind, _, where = told.partition(":")
    if kind not in KINDS or not where:
        raise Problem(
            f"{told} names no source: write {', '.join(f'{k}:…' for k in KINDS[:-1])} or {KINDS[-1]}:….", USAGE
        )
    asked: dict[str, Any] = {"kind": kind} | ({"fields": fields} if fields else {})
    if kind in ("program", "programs"):
        return asked | {"command": where, "folder": str(Path.cwd())}
    if kind in ("hub", "preset"):
        return asked | {"name": where}
    path = Path(where)
    # What a shell gives as /dev/stdin or /dev/fd/63 is there, but its own path is not: it ends with this command.
    if kind != "files" and (where == "-" or (path.exists() and not path.resolve().exists())):
        return asked | {"path": str(_kept(where, folder))}
    if not path.exists() or (path.is_dir() and kind != "files"):
        raise Problem(
            f"There is no {'file' if kind != 'files' else 'file or folder'} {path}: name one that exists.", USAGE
        )
    return asked | {"path": str(path.resolve())}


def _kept(where: str, folder: Path) -> Path:
    """A file with all that a stream of this command gives: the job may outlive it, be killed and go on.

    Raises Problem when there is no room for it.
    """
    make_private(folder)
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_S:
            old.unlink()
    path = folder / f"stdin-{secrets.token_hex(4)}"
    try:
        with contextlib.ExitStack() as held:
            stream = sys.stdin.buffer if where == "-" else held.enter_context(open(where, "rb"))
            shutil.copyfileobj(stream, held.enter_context(path.open("xb")))
    except BaseException as failure:
        path.unlink(missing_ok=True)
        if isinstance(failure, OSError):
            cure = "make room, or name a FIFO or program:COMMAND"
            raise Problem(f"{where} cannot be kept in {folder} ({failure.strerror}): {cure}.", FAILED) from None
        raise
    return path
