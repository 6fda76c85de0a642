"""The faucet: one coin of 2 SOMA a request, over the BCS codec (protocol.md 1.3)."""

from __future__ import annotations

import grpc

from somatui.practice.desk import Desk, now_ms
from somatui.practice.grpc_server import service, unary
from somatui.practice.ledger.values import Refused
from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.text import TextError, b58encode, hex_id, parse_address

PATH = "/faucet.Faucet/RequestGas"
NO_ADDRESS = "Unable to parse AccountAddress (must be hex string of length 32)"
Coin = tuple[int, str, str]
"""Shannons, the coin's id and the digest of the transaction that made it, as text."""


def request_bytes(recipient: str) -> bytes:
    """A GasRequest."""
    return Writer().text(recipient).done()


def parse_response(body: bytes) -> tuple[str, tuple[Coin, ...]]:
    """Status and coins of a GasResponse. Raises BcsError."""
    reader = Reader(body)
    status, coins = reader.text(), reader.seq(lambda r: (r.u64(), r.text(), r.text()))
    reader.done()
    return status, coins


def _write_coin(writer: Writer, coin: tuple[int, bytes, bytes]) -> object:
    amount, object_id, digest = coin
    return writer.u64(amount).text(hex_id(object_id)).text(b58encode(digest))


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """The faucet's service."""

    async def request_gas(request: bytes) -> bytes:
        try:
            reader = Reader(request)
            text = reader.text()
            reader.done()
        except BcsError as why:
            raise Refused("INVALID_ARGUMENT", f"not a GasRequest: {why}") from None
        try:
            recipient = parse_address(text)
        except TextError:
            raise Refused("INVALID_ARGUMENT", f"Invalid address: {NO_ADDRESS}") from None
        coins = await desk.change(lambda ledger: ledger.faucet(recipient, now_ms()), shown=True)
        return Writer().text("Success").seq(coins, _write_coin).done()

    return [service("faucet.Faucet", {"RequestGas": unary(request_gas)})]
