"""How ids, addresses, digests and times stand in messages (protocol.md 2.1; 8, item 13)."""

from __future__ import annotations

from typing import Any

from somatui.practice.ledger.values import Refused
from somatui.practice.messages import pb
from somatui.wire.text import TextError, b58decode32, parse_address, parse_id


def listed_id(object_id: bytes) -> str:
    """A target's id as listings show it: `0x` without leading zeros."""
    return "0x" + (object_id.hex().lstrip("0") or "0")


def address_in(text: str, field: str) -> bytes:
    """An address that a client sent; else Refused."""
    try:
        return parse_address(text)
    except TextError as why:
        raise invalid(field, str(why)) from None


def id_in(text: str, field: str) -> bytes:
    """An object id that a client sent; else Refused."""
    try:
        return parse_id(text)
    except TextError as why:
        raise invalid(field, str(why)) from None


def digest_in(text: str, field: str) -> bytes:
    """A Base58 digest that a client sent; else Refused."""
    try:
        return b58decode32(text)
    except TextError as why:
        raise invalid(field, str(why)) from None


class BadField(Refused):
    """The refusal of one field; `reason` is a name of protocol.md's ErrorReason."""

    def __init__(self, field: str, text: str, reason: str = "FIELD_INVALID") -> None:
        super().__init__("INVALID_ARGUMENT", text)
        self.field = field
        self.reason = reason


def invalid(field: str, why: str) -> BadField:
    """The refusal of a field."""
    return BadField(field, f"invalid {field}: {why}")


def missing(field: str) -> BadField:
    """The refusal of a message that lacks a field."""
    return BadField(field, f"missing {field}", "FIELD_MISSING")


def timestamp(ms: int) -> Any:
    """Milliseconds since 1970 as a Timestamp."""
    return pb.Timestamp(seconds=ms // 1000, nanos=ms % 1000 * 1_000_000)
