"""Runs a practice network on one folder: its lock, its ports, its services, its clock and its clean end."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import os
import resource
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from somatui.files import write_whole
from somatui.practice import admin, downloads, faucet, genesis, rpc, scoring
from somatui.practice.answers import Headers
from somatui.practice.card import CARD, FREE, LOCK, NetworkInfo, Ports, ServeError
from somatui.practice.desk import LAG_MS, Desk, now_ms
from somatui.practice.front import Front
from somatui.practice.genesis import CHAIN, LEDGER, USUAL, Beginning, Plan
from somatui.practice.grpc_server import start as start_grpc
from somatui.practice.ledger.values import LedgerError
from somatui.practice.places import DEFAULT, HOST, Manner, Places, still_free, taken
from somatui.practice.store import BUCKET, ObjectStore
from somatui.practice.store_auth import Credentials
from somatui.practice.store_files import Folder

GRACE_S = 0.3
STOP_S = 2.0
"""The library may wait for ever for calls that a client began and dropped by the thousand; no end waits longer."""
CLOCK_AGAIN_S = 1.0
FILES = 16_384
log = logging.getLogger(__name__)


async def serve(
    folder: Path,
    *,
    ports: Ports | None = None,
    seed: int = 1,
    manner: Manner = DEFAULT,
    on_ready: Callable[[NetworkInfo], None] = lambda info: None,
    tell: Callable[[str], None] = lambda text: None,
    seed_worker: Sequence[str] | None = None,
    score_worker: Sequence[str] | None = None,
    beginning: Beginning = USUAL,
) -> None:
    """Serve until cancelled; a folder without a network gets one, determined by `seed`. Raises ServeError.

    `beginning` is for a new network. `ports` None means the defaults; a network that exists keeps its store's port,
    since that stands on its chain.
    """
    _raise_file_limit()
    with _sentences(folder), _locked(folder):
        async with contextlib.AsyncExitStack() as stack:
            info = await _up(stack, folder, ports or Ports(), seed, manner, tell, seed_worker, score_worker, beginning)
            write_whole(folder / CARD, f"{info.to_json()}\n".encode())
            stack.callback((folder / CARD).unlink, missing_ok=True)
            on_ready(info)
            await asyncio.Event().wait()


@contextlib.contextmanager
def _sentences(folder: Path) -> Iterator[None]:
    try:
        yield
    except LedgerError as why:
        raise ServeError(f"{why}.") from None
    except OSError as why:
        if why.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ServeError(f"The disk that holds {folder} is full: free some space and start again.") from None
        if why.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST):
            reason = (why.strerror or str(why)).lower()
            raise ServeError(f"{folder} cannot be written to ({reason}): choose another with --folder.") from None
        raise
    except Exception as why:
        if "disk is full" in str(why):
            raise ServeError(f"The disk that holds {folder} is full: free some space and start again.") from None
        raise


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder; a second network on it is refused."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = "stop it first with somatui practice stop, or choose another folder"
            raise ServeError(f"A practice network runs on {folder} already: {text}.") from None
        (folder / CARD).unlink(missing_ok=True)
        yield
    finally:
        os.close(handle)


def _planned(folder: Path, wanted: Ports, seed: int, listen: str) -> tuple[Plan, Places]:
    """The folder's plan, new or old, with the ports of this start, and those ports held."""
    plan = Plan.read(folder)
    if plan is None:
        places = Places(wanted, listen)
        return Plan.new(seed, places.ports), places
    if wanted.store not in (0, Ports().store, plan.ports.store):
        raise ServeError(
            f"This network's store stays on port {plan.ports.store}, which stands on its chain: name that as the fifth."
        )
    free = still_free(plan.ports, listen)
    if not free.store:
        raise ServeError(
            f"Port {plan.ports.store} is taken by another program, and this network's store cannot leave it, which "
            "stands on its chain: stop that one."
        )
    places = Places(free if wanted == FREE else replace(wanted, store=free.store), listen)
    return replace(plan, ports=places.ports), places


async def _up(
    stack: contextlib.AsyncExitStack,
    folder: Path,
    wanted: Ports,
    seed: int,
    manner: Manner,
    tell: Callable[[str], None],
    seed_worker: Sequence[str] | None,
    score_worker: Sequence[str] | None,
    beginning: Beginning,
) -> NetworkInfo:
    plan, places = _planned(folder, wanted, seed, manner.listen)
    stack.callback(places.close)
    plan.write(folder)
    ports, listen = plan.ports, manner.listen
    (folder / "store").mkdir(exist_ok=True, mode=0o700)
    store = ObjectStore(Folder(folder / "store"), Credentials(plan.access_key, plan.secret_key))
    await stack.enter_async_context(_http(store.app(), places.give(ports.store), listen))
    store_url = f"http://{manner.reached_at}:{ports.store}"
    if not (folder / LEDGER).exists():
        await genesis.make(folder, plan.seed, store.folder, store_url, now_ms(), tell, seed_worker, beginning)
    desk = Desk(folder / LEDGER, LAG_MS if manner.lag_ms is None else manner.lag_ms, Headers())
    stack.callback(desk.close)
    stack.push_async_callback(_ended, asyncio.create_task(desk.seal_forever()))
    scorer = scoring.Scorer(folder / "weights", folder / "scoring.log", score_worker)
    stack.push_async_callback(scorer.stop)
    inner_http = await stack.enter_async_context(_http(downloads.app(desk, store.folder), 0))
    inner_grpc = await stack.enter_async_context(_grpc(0, rpc.services(desk)))
    front = Front(inner_grpc, inner_http)
    stack.push_async_callback(front.stop)
    try:
        await front.start(places.give(ports.rpc), listen)
    except OSError as why:
        raise taken(ports.rpc, why) from None
    await stack.enter_async_context(_grpc(places.give(ports.faucet), faucet.services(desk), listen))
    await stack.enter_async_context(_grpc(places.give(ports.scoring), scoring.services(scorer), listen))
    await stack.enter_async_context(_grpc(places.give(ports.admin), admin.services(desk), listen))
    if manner.epoch_seconds is not None:
        clock = asyncio.create_task(_clock(desk, manner.epoch_seconds))
        stack.callback(clock.cancel)
    rpc_url, faucet_url, scoring_url, admin_url = (
        f"http://{manner.reached_at}:{p}" for p in (ports.rpc, ports.faucet, ports.scoring, ports.admin)
    )
    return NetworkInfo(
        os.getpid(),
        CHAIN,
        rpc_url,
        faucet_url,
        scoring_url,
        admin_url,
        store_url,
        BUCKET,
        now_ms(),
        plan.access_key,
        plan.secret_key,
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _raise_file_limit() -> None:
    """Each connection to the RPC port takes three files; 500 listeners are more than the usual limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _clock(desk: Desk, seconds: float) -> None:
    """End each epoch so long after it began, whoever began it; what cannot be done now is tried again."""
    while True:
        try:
            left_s = await admin.advance_when_due(desk, round(seconds * 1000)) / 1000
        except Exception as why:
            log.error("The epoch cannot end by the clock (%s); trying again.", why)
            left_s = CLOCK_AGAIN_S
        await asyncio.sleep(max(left_s, 0))


@contextlib.asynccontextmanager
async def _grpc(port: int, handlers: Sequence[Any], host: str = HOST) -> AsyncIterator[int]:
    try:
        server, bound = await start_grpc(port, *handlers, host=host)
    except RuntimeError as why:
        raise taken(port, why) from None
    try:
        yield bound
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.stop(GRACE_S), STOP_S)


def _http_log() -> logging.Logger:
    """Where the HTTP servers tell of their own faults; what strangers send wrong is answered and not told."""
    made = logging.getLogger(f"{__name__}.http")
    if not made.filters:
        made.addFilter(lambda told: not (told.exc_info and isinstance(told.exc_info[1], HttpProcessingError)))
    return made


@contextlib.asynccontextmanager
async def _http(app: web.Application, port: int, host: str = HOST) -> AsyncIterator[int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=GRACE_S, logger=_http_log())
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        try:
            await site.start()
        except OSError as why:
            raise taken(port, why) from None
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
