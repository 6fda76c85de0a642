"""Protobuf messages read by their field numbers, without their descriptions; for the few that the SDK cannot take."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5


class ProtoError(ValueError):
    """Bytes that are no message, or a message without a field that it must have."""


class Message:
    """One message; what is in it is looked into when it is asked for, so that long fields nobody wants cost nothing.

    Of a field that is there several times the last counts, unless all are asked for.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        """Raises ProtoError."""
        self._found: dict[int, list[int | memoryview]] = {}
        for number, value in _fields(memoryview(data)):
            self._found.setdefault(number, []).append(value)

    def maybe_number(self, field: int) -> int | None:
        """An unsigned number or a truth, if it is there."""
        value = self._found.get(field, [None])[-1]
        if value is not None and not isinstance(value, int):
            raise ProtoError(f"field {field} is no number")
        return value

    def number(self, field: int) -> int:
        """An unsigned number."""
        value = self.maybe_number(field)
        if value is None:
            raise ProtoError(f"field {field} is missing")
        return value

    def maybe_raw(self, field: int) -> memoryview | None:
        """Bytes, if they are there."""
        value = self._found.get(field, [None])[-1]
        if isinstance(value, int):
            raise ProtoError(f"field {field} is a number")
        return value

    def raw(self, field: int) -> bytes:
        """Bytes."""
        value = self.maybe_raw(field)
        if value is None:
            raise ProtoError(f"field {field} is missing")
        return bytes(value)

    def text(self, field: int) -> str:
        """A text."""
        try:
            return self.raw(field).decode()
        except UnicodeDecodeError:
            raise ProtoError(f"field {field} is no text") from None

    def real(self, field: int) -> float:
        """A 32-bit float."""
        value = self.raw(field)
        if len(value) != 4:
            raise ProtoError(f"field {field} is no float")
        return float(struct.unpack("<f", value)[0])

    def maybe_message(self, field: int) -> Message | None:
        """A message in this one, if it is there."""
        value = self.maybe_raw(field)
        return None if value is None else Message(value)

    def message(self, field: int) -> Message:
        """A message in this one."""
        return Message(self.raw(field))

    def entries(self, field: int) -> Iterator[tuple[str, Message]]:
        """A map of texts to messages."""
        for one in self._found.get(field, []):
            if isinstance(one, int):
                raise ProtoError(f"field {field} is a number")
            entry = Message(one)
            yield entry.text(1), entry.message(2)


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, value
            continue
        size = {_EIGHT: 8, _FOUR: 4}.get(kind)
        if kind == _BYTES:
            size, at = _varint(data, at)
        if size is None:
            raise ProtoError(f"a field of kind {kind}")
        if size > len(data) - at:
            raise ProtoError("a field is cut short")
        yield tag >> 3, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ProtoError("a number is cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, at
    raise ProtoError("a number has more than 64 bits")
