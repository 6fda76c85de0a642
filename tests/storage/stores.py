"""A real object store, the practice network's own, on a port of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from aiohttp import web

from somatui.practice.store import BUCKET, ObjectStore
from somatui.practice.store_auth import Credentials
from somatui.practice.store_files import Folder
from somatui.storage.s3 import Store

KEYS = {"access_key": "practice", "secret_key": "right"}  # pragma: allowlist secret


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Store]:
    """Serve `folder` from a thread; gives the store as a profile describes it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> web.AppRunner:
        keys = Credentials(KEYS["access_key"], KEYS["secret_key"])
        runner = web.AppRunner(ObjectStore(Folder(folder), keys).app(), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield Store(url, BUCKET, "auto", f"{url}/{BUCKET}", "public_url")
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
