"""`somatui train`: starts a training in the agent."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, at_least
from somatui.cli.output import Answer
from somatui.cli.problem import USAGE, Problem


def corpus(paths: list[Path], seed: int) -> dict[str, Any]:
    """The corpus of a job: these files and folders, or the standard library of the worker's Python."""
    for path in paths:
        if not path.exists():
            raise Problem(f"There is no {path}: name files or folders that exist.", USAGE)
    return {"paths": [str(p.resolve()) for p in paths] or None, "max_bytes": 16_384, "seed": seed}


def corpus_options(parser: argparse.ArgumentParser) -> None:
    """Files and the order in which they are read."""
    parser.add_argument("paths", metavar="PATH", type=Path, nargs="*",
                        help="files and folders to read (default: Python's standard library)")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=0, help="fixes the order of the files")


def _options(parser: argparse.ArgumentParser) -> None:
    corpus_options(parser)
    parser.add_argument("--steps", metavar="N", type=at_least(1), default=200, help="optimizer steps (default 200)")


def run(args: Arguments) -> Answer:
    """Start a training."""
    options = {"steps": args.steps, "seed": args.seed, "corpus": corpus(args.paths, args.seed)}
    return perform(args, "train", options=options)


VERBS = (
    Verb("run", "Train a model of the network's architecture on local files.", "somatui train run --steps 200", run,
         _options, acts=True),
)  # fmt: skip
