"""`somatui score serve`: the scoring service that the SDK expects, for real networks, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from somatui.cli import output
from somatui.cli.options import Arguments, paths_of, wants_json
from somatui.cli.output import Answer
from somatui.cli.problem import Problem
from somatui.config import load
from somatui.paths import make_private
from somatui.practice import scoring
from somatui.practice.grpc_server import start
from somatui.practice.ledger.values import Refused
from somatui.practice.places import held
from somatui.practice.tied import command

GRACE_S, STOP_S = 0.3, 2.0


def serve(args: Arguments) -> Answer:
    """Answer until told to stop. Raises Problem where the port is taken or the scorer is not well, and ConfigError."""
    paths = paths_of(args)
    weights, settings = make_private(paths.weights_cache), load(paths).settings
    words = [*command(scoring.WORKER), "--weights", str(weights), "--keep-days", str(settings.weights_keep_days),
             "--limit-bytes", str(settings.weights_limit_gb * 10**9)]  # fmt: skip
    return asyncio.run(_serve(weights, words, args.port, wants_json(args)))


async def _serve(weights: Path, words: list[str], port: int, as_json: bool) -> Answer:
    ended, counts = asyncio.Event(), {"scored": 0, "refused": 0}
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, ended.set)

    def tell(event: dict[str, Any]) -> None:
        if event["event"] in counts:
            counts[event["event"]] += 1
        # A reader of these lines that has gone away is no reason to refuse anybody.
        with contextlib.suppress(OSError):
            output.tell(json.dumps(event) if as_json else f"{time.strftime('%H:%M:%S')}  {_line(event)}")

    place = _held(port)
    scorer = scoring.Scorer(weights, None, words)
    try:
        if not await _is_well(scorer, ended):
            return Answer(None)
        port = place.getsockname()[1]
        place.close()
        server, bound = await start(port, *scoring.services(scorer, tell))
        try:
            url = f"http://127.0.0.1:{bound}"
            tell({"event": "ready", "url": url, "pid": os.getpid(), "weights": str(weights)})
            await ended.wait()
        finally:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.stop(GRACE_S), STOP_S)
    finally:
        place.close()
        await scorer.stop()
    tell({"event": "ended"} | counts)
    return Answer(None)


def _held(port: int) -> socket.socket:
    """The port, kept from others until the service takes its place. Raises Problem."""
    try:
        return held(port)
    except OSError as why:
        raise Problem(
            f"Port {port} cannot be had ({(why.strerror or str(why)).lower()}): stop what listens there, or choose "
            "another with --port."
        ) from None


async def _is_well(scorer: scoring.Scorer, ended: asyncio.Event) -> bool:
    """Whether it gives the known answer; False when told to stop meanwhile. Raises Problem when it does not."""
    asked, told = asyncio.create_task(scorer.health()), asyncio.create_task(ended.wait())
    await asyncio.wait((asked, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if not asked.done():
        asked.cancel()
        return False
    try:
        seen = asked.result()
    except (Refused, OSError) as why:
        raise Problem(f"The scorer does not start ({why}): see the lines above.") from None
    if not seen["well"]:
        how = f"loss {seen['loss']:.6f}, distance {seen['distance']:.6f}" if seen["card"] else "by the card"
        raise Problem(
            f"A known candidate is scored wrongly here ({how}): reinstall somatui and PyTorch, or have the card looked "
            "at, before anything is submitted from here."
        )
    return True


def _line(event: dict[str, Any]) -> str:
    match event["event"]:
        case "ready":
            return f"the scoring service answers on {event['url']}; weights are kept in {event['weights']}; Ctrl-C ends"
        case "scored":
            return (
                f"{event['bytes']:,} bytes on {event['models']} models in {event['seconds']:.1f} s: "
                f"winner {event['winner']}, loss {event['loss']:.6f}, distance {event['distance']:.6f}"
            )
        case "refused":
            return f"refused ({event['code']}): {event['error']}"
    return f"ended: {event['scored']:,} scored, {event['refused']:,} refused"
