"""Options that name where candidates come from, and what they say to a score job; nothing is opened here."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from somatui.cli.nouns.train import corpus, corpus_options
from somatui.cli.options import Arguments
from somatui.cli.problem import USAGE, Problem

KINDS = ("files", "jsonl", "lines", "parquet", "program", "programs", "hub", "preset")
HELP = (
    "another source of candidates, may be given again: files:PATH, jsonl:FILE, lines:FILE (a FIFO as well), "
    "parquet:FILE, program:COMMAND, which writes a line of JSON for each (programs:COMMAND where every shard is to run "
    "it), hub:OWNER/NAME[/CONFIG][:SPLIT], or "
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
        asked["sources"] = [_source(told, args.field) for told in args.source]
    if args.window != "file":
        asked["window"] = args.window
    return asked | ({"any_bytes": True} if args.any_bytes else {}) | ({"near": True} if args.near else {})


def _source(told: str, fields: list[str]) -> dict[str, Any]:
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
    if not path.exists() or (path.is_dir() and kind != "files"):
        raise Problem(
            f"There is no {'file' if kind != 'files' else 'file or folder'} {path}: name one that exists.", USAGE
        )
    return asked | {"path": str(path.resolve())}
