"""`somatui score`: one file exactly, by a worker of its own, or many files against the open targets, by the agent."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, at_least, paths_of
from somatui.cli.output import Answer, note
from somatui.cli.problem import FAILED, USAGE, Problem
from somatui.cli.sources import source_options, sources
from somatui.workers.meeting import KEY, host_port
from somatui.workers.protocol import ProtocolError, parse_message


def _file_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="FILE", type=Path, action="append", default=[],
                        help="plain weights (.safetensors); once per model, in the target's order; a target named by "
                        "its id brings its own")  # fmt: skip
    parser.add_argument("--data", metavar="FILE", type=Path, required=True, help="the bytes to score")
    parser.add_argument("--target", metavar="FILE|ID", required=True,
                        help="the target's embedding, a JSON list of numbers, or an open target's id")  # fmt: skip
    parser.add_argument("--threshold", metavar="X", type=_distance, help="the distance up to which it is a hit "
                        "(default: the network's, for a target named by its id)")  # fmt: skip
    parser.add_argument("--seed", metavar="N", type=at_least(0), default=0, help="the scoring seed (default 0)")


def _distance(text: str) -> float:
    """An argparse type: a distance."""
    with contextlib.suppress(ValueError):
        if 0 <= float(text) <= 2:
            return float(text)
    raise argparse.ArgumentTypeError(f"“{text}” is not a distance: they go from 0 to 2")


def file(args: Arguments) -> Answer:
    """Score one file exactly, in a worker process, and say what the numbers mean."""
    from somatui.cli.explaining import score_file

    return score_file(args)


def worker(module: str, job: dict[str, Any], tell: Callable[[float], None] = lambda done: None) -> dict[str, Any]:
    """Run one worker to its end and give its result; `tell` hears how much of it is done, as a part of one.

    Its bad lines are noted on stderr, Ctrl-C ends it. Its standard input stays open meanwhile: were it closed, the
    worker would take its parent for gone.

    Raises:
        Problem: the worker failed or ended without a result.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
        for line in process.stdout:
            try:
                message = parse_message(line)
            except ProtocolError:
                note(f"worker: {line.rstrip()}")
                continue
            if message.kind == "log":
                note(str(message.body.get("text")))
            if message.kind == "progress":
                tell(float(message.body.get("done", 0.0)))
            if message.kind == "done" and isinstance(message.body.get("result"), dict):
                return dict(message.body["result"])
            if message.kind == "failed":
                raise Problem(str(message.body.get("error") or "The worker failed."), FAILED)
        raise Problem(f"The worker ended with status {process.wait()} and no result: see the lines above.")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()


def _run_options(parser: argparse.ArgumentParser) -> None:
    source_options(parser)
    parser.add_argument("--limit", metavar="N", type=at_least(1), help="score at most so many files")
    parser.add_argument("--max-hits", metavar="N", type=at_least(1), help="stop after so many hits")
    parser.add_argument("--no-submit", action="store_true", help="find and report, submit nothing")
    parser.add_argument("--gpus", metavar="WHICH", type=cards,
                        help="a worker on each card: all, none, or their numbers, as in 0,1")  # fmt: skip
    parser.add_argument("--shards", metavar="N", type=at_least(1),
                        help="parts of the corpus, a worker for each, on cards or else the processor")  # fmt: skip
    parser.add_argument("--precision", choices=("screen", "exact"),
                        help="screen candidates in bf16 and score exactly what may matter, or score all exactly "
                        "(default: screen on cards and on processors that multiply bf16 themselves)")  # fmt: skip
    parser.add_argument("--nodes", metavar="N", type=at_least(1),
                        help="score on so many machines, this one among them, which meet by --rendezvous")  # fmt: skip
    parser.add_argument("--rendezvous", metavar="HOST:PORT", type=address,
                        help="an address of this machine that the others reach, in a network of your own")  # fmt: skip


def address(text: str) -> str:
    """An argparse type: HOST:PORT."""
    try:
        host_port(text)
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(f"{wrong}: write it as in 10.0.0.5:29400") from None
    return text


def cards(text: str) -> str | list[int]:
    """What --gpus says. Raises ArgumentTypeError."""
    if text in ("all", "none"):
        return text
    if re.fullmatch(r"\d+(,\d+)*", text, re.ASCII):
        return [int(n) for n in text.split(",")]
    raise argparse.ArgumentTypeError(f"{text} names no cards: write all, none, or their numbers, as in 0,1.")


def run(args: Arguments) -> Answer:
    """Start scoring in the agent."""
    options: dict[str, Any] = {"submit": not args.no_submit, "corpus": sources(args)}
    if args.limit is not None:
        options["limit"] = args.limit
    more = ("max_hits", "gpus", "shards", "precision", "nodes", "rendezvous")
    options |= {n: getattr(args, n) for n in more if getattr(args, n) is not None}
    if (args.nodes is None) != (args.rendezvous is None):
        raise Problem("--nodes and --rendezvous go together: how many machines, and where they meet.", USAGE)
    answer = perform(args, "score", options=options)
    if args.nodes is not None and not args.dry_run:
        key = paths_of(args).jobs_dir / answer.document["result"]["job_id"] / KEY
        note(f"On each other machine: somatui score join {args.rendezvous} --key FILE, a copy of {key}")
    return answer


def _join_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("at", metavar="HOST:PORT", type=address, help="what --rendezvous of the job says")
    parser.add_argument("--key", metavar="FILE", required=True, help="a copy of nodes.key from the job's folder")
    parser.add_argument("--gpus", metavar="WHICH", type=cards, help="all, none, or their numbers, as in 0,1")


def join(args: Arguments) -> Answer:
    """Take part in a score job of an agent on another machine."""
    from somatui.cli.joining import join as take_part

    return take_part(args)


def _port(text: str) -> int:
    """An argparse type: a port, or 0."""
    number = at_least(0)(text)
    if number > 65_535:
        raise argparse.ArgumentTypeError(f"“{text}” is not a port: they end at 65535")
    return number


def _serve_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", metavar="N", type=_port, default=9124,
                        help="listen there on 127.0.0.1; 0 takes a free one (default 9124)")  # fmt: skip


def serve(args: Arguments) -> Answer:
    """Answer the SDK's score calls."""
    from somatui.cli.serving import serve as answer

    return answer(args)


VERBS = (
    Verb(
        "file",
        "Score one file exactly, and say what its numbers mean.",
        "somatui score file --model A.safetensors --model B.safetensors --data FILE --target T.json --seed 7 --json",
        file,
        _file_options,
    ),
    Verb("run", "Score files against the open targets and submit what hits.",
         "somatui score run --limit 200 --max-hits 5 --yes", run, _run_options, acts=True),
    Verb("join", "Take part in a score job of an agent on another machine, until it is over or Ctrl-C.",
         "somatui score join 10.0.0.5:29400 --key nodes.key", join, _join_options),
    Verb("serve", "Answer the SDK's score calls on this machine, exactly, until Ctrl-C.",
         "somatui score serve --port 9124", serve, _serve_options),
)  # fmt: skip
