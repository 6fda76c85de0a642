"""Values of the ledger as JSON for its file, read back by their declared types; no code can hide in it."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from typing import Any

from somatui.practice.ledger.system import ChangeEpoch, Genesis
from somatui.wire.kinds import BY_NUMBER, Kind

_KINDS: dict[int, type[Any]] = {**BY_NUMBER, 0: Genesis, 2: ChangeEpoch}


def to_plain(value: Any) -> Any:
    """Anything of the ledger as lists, numbers, texts and dicts; bytes become hex."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, enum.IntEnum):
        return int(value)
    if isinstance(value, Kind):
        return [value.number, [to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)]]  # type: ignore[arg-type]
    if dataclasses.is_dataclass(value):
        return [to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)]
    if isinstance(value, dict):
        return [[to_plain(k), to_plain(v)] for k, v in value.items()]
    if isinstance(value, (set, frozenset)):
        return sorted(to_plain(v) for v in value)
    if isinstance(value, (list, tuple)):
        return [to_plain(v) for v in value]
    return value


def from_plain(kind: Any, plain: Any) -> Any:
    """The value of declared type `kind` that `to_plain` made `plain` of."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return None if plain is None else from_plain(next(k for k in inner if k is not type(None)), plain)
    if origin is tuple:
        if len(inner) == 2 and inner[1] is Ellipsis:
            return tuple(from_plain(inner[0], v) for v in plain)
        return tuple(from_plain(k, v) for k, v in zip(inner, plain, strict=True))
    if origin in (list, set):
        return origin(from_plain(inner[0], v) for v in plain)
    if origin is dict:
        return {from_plain(inner[0], k): from_plain(inner[1], v) for k, v in plain}
    if kind is bytes:
        return bytes.fromhex(plain)
    if kind is Kind:
        return _made(_KINDS[plain[0]], plain[1])
    if isinstance(kind, type) and issubclass(kind, enum.IntEnum):
        return kind(plain)
    return _made(kind, plain) if dataclasses.is_dataclass(kind) else plain


def _made(kind: Any, parts: list[Any]) -> Any:
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]
    return kind(**{n: from_plain(hints[n], v) for n, v in zip(names, parts, strict=True)})
