"""Plain HTTP on the RPC port: the data of a target and the weights of a model, by their id (protocol.md 1.4)."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
from aiohttp import web

from somatui.practice.desk import Desk
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.store import BUCKET
from somatui.practice.store_files import Folder
from somatui.wire.text import TextError, parse_id
from somatui.wire.values import Manifest

TIMEOUT = aiohttp.ClientTimeout(total=600, connect=5)
Look = Callable[[Ledger, bytes], Manifest | None]


def data_of(ledger: Ledger, target_id: bytes) -> Manifest | None:
    """Where a filled target's data lies."""
    found = ledger.get_target(target_id)
    return found[1].filled.manifest if found and found[1].filled else None


def weights_of(ledger: Ledger, model_id: bytes) -> Manifest | None:
    """Where a committed model's encrypted weights lie."""
    model = ledger.state.models.get(model_id)
    return model.committed.manifest if model and model.committed else None


def app(desk: Desk, store: Folder) -> web.Application:
    """The HTTP application behind the front."""

    async def answer(request: web.Request, look: Look) -> web.StreamResponse:
        try:
            wanted = parse_id(request.match_info["id"])
        except TextError as why:
            return web.Response(status=400, text=str(why))
        manifest = await desk.ask(lambda ledger: look(ledger, wanted))
        if manifest is None:
            return web.Response(status=404, text="unknown id")
        own = store.by_checksum(BUCKET, manifest.checksum)
        if own is not None:
            return web.FileResponse(store.path(BUCKET, own), headers={"Content-Type": "application/octet-stream"})
        return await _fetched(request, manifest.url)

    async def data(request: web.Request) -> web.StreamResponse:
        return await answer(request, data_of)

    async def model(request: web.Request) -> web.StreamResponse:
        return await answer(request, weights_of)

    made = web.Application()
    made.router.add_get("/data/{id}", data)
    made.router.add_get("/model/{id}", model)
    return made


async def _fetched(request: web.Request, url: str) -> web.StreamResponse:
    try:
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session, session.get(url) as found:
            if found.status != 200:
                return web.Response(status=502, text=f"{url} answers {found.status}")
            answer = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
            answer.content_length = found.content_length
            await answer.prepare(request)
            async for piece in found.content.iter_chunked(64 * 1024):
                await answer.write(piece)
            await answer.write_eof()
            return answer
    except (aiohttp.ClientError, TimeoutError, ValueError) as why:
        return web.Response(status=502, text=f"{url} cannot be fetched ({why})")
