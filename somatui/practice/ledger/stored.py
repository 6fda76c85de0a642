"""Values of the ledger as compact bytes for its file, read back by their declared types; no code can hide in it."""

from __future__ import annotations

import dataclasses
import enum
import functools
import struct
import types
import typing
from collections.abc import Callable, Iterable
from typing import Any

Write = Callable[[bytearray, Any], None]
Read = Callable[["Cursor"], Any]


class Cursor:
    """Bytes and how far they have been read."""

    __slots__ = ("data", "at")

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes; too few are a ValueError."""
        begin, self.at = self.at, self.at + size
        if self.at > len(self.data):
            raise ValueError("stored bytes end too early")
        return self.data[begin : self.at]


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """How values of one type are stored; `name` spells the type out, so that a changed type has another name."""

    name: str
    write: Write
    read: Read
    names: tuple[str, ...] = ()
    """Of a dataclass: the fields that are stored."""

    def parts(self, value: Any) -> list[Any]:
        """The stored fields of a dataclass, to be compared."""
        return [getattr(value, name) for name in self.names]

    def pack(self, value: Any) -> bytes:
        """The bytes of a value."""
        out = bytearray()
        self.write(out, value)
        return bytes(out)

    def unpack(self, data: bytes) -> Any:
        """The value of all these bytes. Raises ValueError."""
        cursor = Cursor(data)
        value = self.read(cursor)
        if cursor.at != len(data):
            raise ValueError("stored bytes go on too long")
        return value


def _write_int(out: bytearray, value: int) -> None:
    size = value.bit_length() // 8 + 1
    out.append(size)
    out += value.to_bytes(size, "little", signed=True)


def _read_int(cursor: Cursor) -> int:
    return int.from_bytes(cursor.take(cursor.take(1)[0]), "little", signed=True)


def _write_bytes(out: bytearray, value: bytes) -> None:
    _write_int(out, len(value))
    out += value


def _read_bytes(cursor: Cursor) -> bytes:
    return cursor.take(_read_int(cursor))


_PLAIN: dict[Any, Form] = {
    int: Form("int", _write_int, _read_int),
    bytes: Form("bytes", _write_bytes, _read_bytes),
    bool: Form("bool", lambda out, v: out.append(1 if v else 0), lambda c: c.take(1) == b"\x01"),
    float: Form("float", lambda out, v: out.extend(struct.pack("<d", v)), lambda c: struct.unpack("<d", c.take(8))[0]),
    str: Form("str", lambda out, v: _write_bytes(out, v.encode()), lambda c: _read_bytes(c).decode()),
}


@functools.cache
def form(kind: Any) -> Form:
    """The form of a declared type: plain ones, optional ones, tuples, lists, sets, dicts, enums, dataclasses."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(form(next(k for k in inner if k is not type(None))))
    if origin is tuple and not (len(inner) == 2 and inner[1] is Ellipsis):
        return _row("", tuple, tuple(form(k) for k in inner))
    if origin is dict:
        pairs = _several(_row("", tuple, (form(inner[0]), form(inner[1]))), dict)
        return Form(pairs.name, lambda out, v: pairs.write(out, v.items()), pairs.read)
    if origin in (list, set, tuple):
        return _several(form(inner[0]), origin)
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        return Form(kind.__name__, _write_int, lambda c: kind(_read_int(c)))
    if dataclasses.is_dataclass(kind):
        return of_fields(kind)
    raise TypeError(f"{kind} cannot be stored")


def of_fields(kind: Any, without: frozenset[str] = frozenset()) -> Form:
    """The form of a dataclass; with some fields left out it is read back as a dict of the others."""
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind) if f.name not in without]
    row = _row(kind.__name__, list, tuple(form(hints[n]) for n in names))
    spelled = f"{kind.__name__}({','.join(f'{n}:{form(hints[n]).name}' for n in names)})"

    def read(cursor: Cursor) -> Any:
        found = dict(zip(names, row.read(cursor), strict=True))
        return found if without else kind(**found)

    return Form(spelled, lambda out, v: row.write(out, [getattr(v, n) for n in names]), read, tuple(names))


def field_forms(kind: Any, names: Iterable[str]) -> dict[str, Form]:
    """The forms of some fields of a dataclass by their names."""
    hints = typing.get_type_hints(kind)
    return {name: form(hints[name]) for name in names}


def _optional(inner: Form) -> Form:
    def write(out: bytearray, value: Any) -> None:
        out.append(value is not None)
        if value is not None:
            inner.write(out, value)

    return Form(f"{inner.name}?", write, lambda c: inner.read(c) if c.take(1) == b"\x01" else None)


def _row(name: str, make: Callable[[list[Any]], Any], parts: tuple[Form, ...]) -> Form:
    writers, readers = [p.write for p in parts], [p.read for p in parts]

    def write(out: bytearray, value: Any) -> None:
        for one, part in zip(writers, value, strict=True):
            one(out, part)

    return Form(f"{name}({','.join(p.name for p in parts)})", write, lambda c: make([read(c) for read in readers]))


def _several(inner: Form, make: Any) -> Form:
    def write(out: bytearray, value: Any) -> None:
        _write_int(out, len(value))
        for one in sorted(value) if make is set else value:
            inner.write(out, one)

    def read(cursor: Cursor) -> Any:
        return make([inner.read(cursor) for _ in range(_read_int(cursor))])

    return Form(f"{make.__name__}[{inner.name}]", write, read)
