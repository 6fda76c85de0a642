"""One SDK client with a time limit and typed errors; who calls what, and whether again, is the chain's affair."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from soma_sdk import SomaClient

from somatui.chain.errors import Timeout, Unreachable, from_sdk
from somatui.chain.relay import Door

T = TypeVar("T")


class Line:
    """One SDK client, made at its first use, one call at a time, and thrown away after a call that did not return."""

    def __init__(self, who: str, door: Door, **urls: str) -> None:
        self._who = who
        self._door = door
        self._urls = urls
        self._dialled = ""
        self._client: SomaClient | None = None
        self._turn = asyncio.Lock()

    async def ask_past_sdk(self, call: Callable[[str, float], Awaitable[T]], limit_s: float) -> T:
        """What `call`, given the address to dial and the limit, brings without the SDK, or a ChainError."""
        self._need_addresses()
        return await call(await self._door.address(), limit_s)

    def _need_addresses(self) -> None:
        if not all((self._door.url, *self._urls.values())):
            raise Unreachable(f"No address is known for {self._who}: is it running, is it in the profile's settings?")

    async def ask(self, call: Callable[[SomaClient], Awaitable[T]], limit_s: float) -> T:
        """The answer, or a ChainError. The limit counts from the call's own turn."""
        self._need_addresses()
        async with self._turn:
            try:
                async with asyncio.timeout(limit_s):
                    address = await self._door.address()
                    if self._client is None or address != self._dialled:
                        self._client = await SomaClient(rpc_url=address, **self._urls)
                        self._dialled = address
                    return await call(self._client)
            except TimeoutError:
                self._client = None
                raise Timeout(
                    f"{self._who[:1].upper()}{self._who[1:]} did not answer within {limit_s:g} seconds."
                ) from None
            except asyncio.CancelledError:
                self._client = None
                raise
            except (RuntimeError, ValueError) as failure:
                raise from_sdk(failure, self._who) from failure
