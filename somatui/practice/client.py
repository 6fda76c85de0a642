"""Starts, finds, asks and stops a practice network from another process; grpc is imported only to ask."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from somatui.practice.card import CARD, LOCK, NetworkInfo, ServeError
from somatui.practice.places import ACKNOWLEDGED

READY_SECONDS = 180.0
STOP_SECONDS = 15.0
SCORE_SECONDS = 180.0
"""The first score waits for the scoring worker to start, which takes long where others use every core."""
LOG = "serve.log"


def read_info(folder: Path) -> NetworkInfo | None:
    """The card of the network that runs on `folder`; None when none does."""
    if not _held(folder):
        return None
    try:
        return NetworkInfo.from_json((folder / CARD).read_bytes())
    except (OSError, ValueError):
        return None


def _held(folder: Path) -> bool:
    """Whether a process holds the folder's lock, which ends with the process."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def start_network(
    folder: Path,
    ports: str = "default",
    seed: int = 1,
    *,
    epoch_seconds: float | None = None,
    steps: int | None = None,
    epoch_ms: int | None = None,
    lag_ms: int | None = None,
    listen: str | None = None,
    dimensions: int | None = None,
    models: bool = True,
    cache: Path | None = None,
) -> NetworkInfo:
    """Start a network detached and wait until it answers. Raises ServeError with the network's own sentence.

    `steps`, `epoch_ms`, `dimensions`, `models` and `cache` are for a new network, as in `genesis.Beginning`; whoever
    gives another address than a loopback one to `listen` has acknowledged what that means.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = (folder / LOG).open("wb")
    except OSError as why:
        raise ServeError(f"{folder} cannot be written to ({why.strerror}): choose a writable place.") from None
    read_end, write_end = os.pipe()
    words = [sys.executable, "-P", "-m", "somatui.practice", "--folder", str(folder), "--ports", ports]
    words += ["--seed", str(seed), "--ready-fd", str(write_end)]
    named = {
        "--epoch-seconds": epoch_seconds,
        "--dimensions": dimensions,
        "--steps": steps,
        "--epoch-ms": epoch_ms,
        "--checkpoint-lag-ms": lag_ms,
        "--listen": listen,
        "--cache": cache,
    }
    words += [word for name, value in named.items() if value is not None for word in (name, str(value))]
    words += [*([ACKNOWLEDGED] if listen else []), *([] if models else ["--no-models"])]
    with log, os.fdopen(read_end, "rb") as pipe:
        try:
            child = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, pass_fds=(write_end,),
                start_new_session=True,
            )  # fmt: skip
        finally:
            os.close(write_end)
        try:
            line = _line(pipe, READY_SECONDS)
        except BaseException:
            _end(child)
            raise
    if not line:
        _end(child)
        raise ServeError(_last_words(folder / LOG))
    return NetworkInfo.from_json(line)


def _line(pipe: Any, seconds: float) -> bytes:
    """One line from a pipe; empty when it was closed first. Raises ServeError after `seconds`."""
    import selectors

    until, held = time.monotonic() + seconds, b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while not held.endswith(b"\n"):
            if not selector.select(max(until - time.monotonic(), 0)):
                raise ServeError(f"The practice network was not ready after {seconds:.0f} s: start it again.")
            piece = os.read(pipe.fileno(), 65_536)
            if not piece:
                return b""
            held += piece
    return held


def _end(child: subprocess.Popen[bytes]) -> None:
    if child.poll() is None:
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
    child.wait()


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else "The practice network ended before it was ready: start it again."


def stop_network(folder: Path) -> bool:
    """Stop the network of `folder` and wait until it has let go; False when none ran. Raises ServeError."""
    info = read_info(folder)
    if info is None:
        return False
    for name in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(info.pid, name)
        until = time.monotonic() + STOP_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(info.pid, os.WNOHANG)
            if not _held(folder):
                return True
            time.sleep(0.02)
    raise ServeError(f"The practice network (process {info.pid}) did not stop: end it by hand.")


async def _ask(url: str, path: str, body: bytes, limit_s: float = 30) -> bytes:
    import grpc
    import grpc.aio

    async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
        try:
            answer: bytes = await asyncio.wait_for(channel.unary_unary(path)(body), limit_s)
        except grpc.aio.AioRpcError as why:
            raise ServeError(f"The practice network refused: {why.details()}.") from None
        except TimeoutError:
            text = f"The practice network did not answer within {limit_s:g} s: look at its serve.log."
            raise ServeError(text) from None
    return answer


async def advance_epoch(info: NetworkInfo, *, failing: bool = False, upgrading: bool = False) -> int:
    """End the epoch; returns the new one's number. Raises ServeError.

    `failing` has it begin in safe mode, `upgrading` with the next version of protocol and architecture.
    """
    from somatui.practice import admin

    path = admin.FAIL_PATH if failing else admin.UPGRADE_PATH if upgrading else admin.PATH
    return admin.parse_response(await _ask(info.admin_url, path, b""))


async def score(info: NetworkInfo, request: dict[str, Any]) -> dict[str, Any]:
    """Ask the scoring service; request and answer are as `scoring` reads and writes them. Raises ServeError."""
    from somatui.practice import scoring

    body = scoring.request_bytes(request)
    return scoring.parse_response(await _ask(info.scoring_url, scoring.PATH, body, SCORE_SECONDS))


async def faucet(info: NetworkInfo, address: str) -> tuple[tuple[int, str, str], ...]:
    """Ask the faucet for `address` (64 hex digits): (shannons, coin id, digest) of each coin. Raises ServeError."""
    from somatui.practice import faucet as service

    return service.parse_response(await _ask(info.faucet_url, service.PATH, service.request_bytes(address)))[1]
