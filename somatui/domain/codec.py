"""Frozen dataclasses to JSON values and back, checked field by field; used on the agent's socket and by `--json`."""

from __future__ import annotations

import dataclasses
import types
import typing
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin

T = TypeVar("T")


class CodecError(ValueError):
    """A JSON value that does not have the shape of the class asked for."""


def to_json(value: Any) -> Any:
    """Turn dataclasses, tuples and mappings into what `json.dumps` takes; field names stay as they are."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (tuple, list)):
        return [to_json(v) for v in value]
    if isinstance(value, dict):
        return {str(k): to_json(v) for k, v in value.items()}
    return value


@cache
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def from_json(cls: type[T], value: Any) -> T:
    """Build `cls` from a JSON object. Unknown keys are ignored, so an older reader survives a newer writer.

    Raises:
        CodecError: a key is missing that has no default, or a value has another type.
    """
    return typing.cast(T, _read(cls, value, cls.__name__))


def _read(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        options = get_args(kind)
        if value is None and type(None) in options:
            return None
        return _read(next(o for o in options if o is not type(None)), value, where)
    if origin is tuple:
        return _read_tuple(get_args(kind), value, where)
    if origin is dict:
        return {k: _read(get_args(kind)[1], v, f"{where}.{k}") for k, v in _expect(value, dict, where).items()}
    if origin is typing.Literal:
        return value
    if dataclasses.is_dataclass(kind):
        return _read_class(typing.cast(type, kind), value, where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise CodecError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return value


def _read_tuple(args: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    items = _expect(value, list, where)
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_read(args[0], v, f"{where}[{i}]") for i, v in enumerate(items))
    if len(args) != len(items):
        raise CodecError(f"{where}: expected {len(args)} items, got {len(items)}")
    return tuple(_read(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, items, strict=True)))


def _read_class(cls: type, value: Any, where: str) -> Any:
    given = _expect(value, dict, where)
    hints = _hints(cls)
    known: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.name in given:
            known[field.name] = _read(hints[field.name], given[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise CodecError(f"{where}.{field.name} is missing")
    return cls(**known)


def _expect(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, kind):
        raise CodecError(f"{where}: expected {kind.__name__}, got {type(value).__name__}")
    return value
