"""`python -m somatui.practice`: a practice network in this process, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from somatui.paths import Paths, PathsError, private_umask
from somatui.practice.card import LARGE, SMALL, NetworkInfo, ServeError, parse_ports
from somatui.practice.places import ACKNOWLEDGED, Manner, listening_on

SWITCH_S = 0.001
"""Sooner than usual the ledger's thread lets others have a turn: an answer passes through several hands."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m somatui.practice", description="A practice network on 127.0.0.1.", allow_abbrev=False
    )
    parser.add_argument("--folder", type=Path, required=True, help="where the network lives; made when it is not there")
    parser.add_argument("--ports", default="default", help="default (9000,9123,9124,9125,9126), free, or five numbers")
    parser.add_argument("--seed", type=int, default=1, help="fixes the network and its models")
    parser.add_argument(
        "--epoch-seconds", type=float, help="end epochs by the clock too; a new network says so on its chain"
    )
    parser.add_argument("--checkpoint-lag-ms", type=int, help="from execution to its checkpoint; 0: none")
    parser.add_argument("--listen", help="listen on this address instead of 127.0.0.1")
    parser.add_argument(ACKNOWLEDGED, action="store_true", dest="acknowledged", help="goes with --listen")
    parser.add_argument("--dimensions", type=int, choices=(SMALL, LARGE), help="of a new network's embeddings")
    parser.add_argument("--no-models", action="store_false", dest="models", help="a new network begins without models")
    parser.add_argument("--steps", type=int, help="training steps of a new network's models; few for the rules alone")
    parser.add_argument("--cache", type=Path, help="where trained models of new networks are kept for the next one")
    parser.add_argument("--epoch-ms", type=int, help="how long an epoch of a new network is meant to last")
    parser.add_argument("--ready-fd", type=int, help="write the address card there as well, then close it")
    return parser.parse_args()


def _usual_cache() -> Path | None:
    """Where this person's cache is; None where that cannot be told."""
    try:
        return Paths.for_profile("practice").seeds_cache
    except PathsError:
        return None


def _ready(info: NetworkInfo, descriptor: int | None) -> None:
    line = info.to_json() + "\n"
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(line)
        sys.stdout.flush()
    if descriptor is not None:
        with contextlib.suppress(OSError), os.fdopen(descriptor, "w") as pipe:
            pipe.write(line)


def _tell(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()


async def _run(args: argparse.Namespace) -> int:
    from somatui.practice.genesis import Beginning
    from somatui.practice.serve import serve

    epoch_ms = args.epoch_ms or (args.epoch_seconds and round(args.epoch_seconds * 1000))
    named = {"steps": args.steps, "epoch_ms": epoch_ms, "cache": args.cache or _usual_cache()}
    named |= {"dimensions": args.dimensions, "models": args.models}
    beginning = Beginning(**{name: value for name, value in named.items() if value is not None})
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, task.cancel)
    try:
        await serve(
            args.folder.expanduser().absolute(),
            ports=parse_ports(args.ports),
            seed=args.seed,
            manner=Manner(args.epoch_seconds, args.checkpoint_lag_ms, listening_on(args.listen, args.acknowledged)),
            on_ready=lambda info: _ready(info, args.ready_fd),
            tell=_tell,
            beginning=beginning,
        )
    except asyncio.CancelledError:
        return 0
    return 0


def main() -> int:
    """Exit status 0 when told to stop, 1 with one sentence when it cannot start."""
    private_umask()
    sys.setswitchinterval(SWITCH_S)
    args = _arguments()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    try:
        return asyncio.run(_run(args))
    except ServeError as why:
        _tell(str(why))
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
