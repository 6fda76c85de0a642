"""`somatui practice serve --real`: the network's own program as local network on its default ports, while we live.

What it does is its own affair; this finds it, sees that the ports are free, waits until it answers, and ends it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from somatui.cli.options import Arguments, paths_of, wants_json
from somatui.cli.output import Answer, fields, note
from somatui.cli.problem import FAILED, INTERRUPTED, USAGE, Problem
from somatui.paths import make_private

PROGRAM = "soma"
READY_SECONDS = 300.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.2
NOT_WITH = ("background", "ports", "checkpoint_lag_ms", "listen")
MISSING = (
    "There is no soma program on PATH: install the network's tools with sup install soma, as docs.soma.org says under "
    "Getting started, or leave --real out for the practice network, which needs none."
)


def serve_real(args: Arguments) -> Answer:
    """Start it, tell where it is, and stay until it ends or we are told to. Raises Problem."""
    for name in NOT_WITH:
        if getattr(args, name):
            raise Problem(f"--real starts another program, which --{name.replace('_', '-')} does not fit.", USAGE)
    program = shutil.which(PROGRAM)
    if program is None:
        raise Problem(MISSING)
    addresses = _addresses()
    _see_free(addresses)
    log = make_private(paths_of(args).state_dir / "localnet") / "soma.log"
    words = [program, "start", "localnet", "--force-regenesis", "--small-model"]
    words += ["--epoch-duration-ms", str(args.epoch_seconds * 1000)] if args.epoch_seconds else []
    with _told() as asked_to_end, _running(words, log) as child:
        note(f"Starting {program}; what it says goes to {log}.")
        chain = _wait(child, addresses, log, asked_to_end)
        if chain is None:
            return Answer(None, status=INTERRUPTED)
        _tell(args, {"ok": True, "chain": chain, **addresses, "pid": child.pid, "log": str(log)})
        while child.poll() is None and not asked_to_end:
            time.sleep(LOOK_SECONDS)
        if not asked_to_end:
            raise Problem(f"The soma program has ended by itself (status {child.returncode}): see {log}.", FAILED)
    return Answer(None)


def _addresses() -> dict[str, str]:
    from somatui.config import KNOWN_NETWORKS

    return dict(zip(("rpc_url", "faucet_url", "scoring_url", "admin_url"), KNOWN_NETWORKS["localnet"], strict=True))


def _see_free(addresses: dict[str, str]) -> None:
    from somatui.practice.card import Ports, ServeError
    from somatui.practice.places import Places

    try:
        numbers = {name.removesuffix("_url"): urlsplit(url).port or 0 for name, url in addresses.items()}
        Places(Ports(**numbers, store=0)).close()
    except ServeError as why:
        text = str(why).partition(":")[0]
        raise Problem(f"{text}: stop that one first, --real uses the network's own ports.") from None


@contextlib.contextmanager
def _told() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM, SIGINT or SIGHUP has come."""
    came: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _running(words: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a group of its own, gone when this is left, and on Linux also when we are killed."""
    from somatui.practice.tied import program

    with log.open("wb") as out:
        child = subprocess.Popen(
            program(words), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield child
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_SECONDS)


def _wait(
    child: subprocess.Popen[bytes], addresses: dict[str, str], log: Path, asked_to_end: list[int]
) -> dict[str, str] | None:
    """Who answers on the node's port once faucet and admin service listen too; None when we were told to end."""
    from somatui.chain.errors import ChainError
    from somatui.chain.identity import ask

    until = time.monotonic() + READY_SECONDS
    while not asked_to_end:
        if child.poll() is not None:
            raise Problem(f"The soma program did not start: {_last_words(log)} (see {log}).")
        try:
            found = asyncio.run(ask(addresses["rpc_url"], 5))
            if all(_listens(addresses[name]) for name in ("faucet_url", "admin_url")):
                return {"id": found.chain_id, "name": found.name, "server": found.server}
        except ChainError as failure:
            said = str(failure)
        else:
            said = "its faucet or admin service does not listen."
        if time.monotonic() > until:
            raise Problem(f"The soma program does not answer after {READY_SECONDS:.0f} s: {said} See {log}.")
        time.sleep(LOOK_SECONDS)
    return None


def _listens(url: str) -> bool:
    import socket

    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), 1).close()
    except OSError:
        return False
    return True


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def _tell(args: Arguments, found: dict[str, Any]) -> None:
    if wants_json(args):
        print(json.dumps(found), flush=True)
        return
    chain = found["chain"]
    rows = [("network", f"{chain['name']} {chain['id']}, {chain['server']}")]
    rows += [(name.removesuffix("_url"), found[name]) for name in found if name.endswith("_url")]
    print(fields(rows), flush=True)
    note(
        "Use it with --profile localnet. Its faucet and scoring service listen on every address of this machine, "
        "without a password. Ctrl-C ends it, and its coins with it."
    )
