"""Read masks: which fields of an answer are sent (protocol.md 2.4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from somatui.practice.codec.text import BadField

Tree = dict[str, "Tree"]
"""Fields that are wanted; an empty dict below a name means all of it."""


def tree(paths: Iterable[str]) -> Tree:
    """Dotted paths as a tree; a parent covers its children, `*` covers everything."""
    wanted: Tree = {}
    whole: set[str] = set()
    for path in paths:
        here, parts = wanted, path.split(".")
        for depth, part in enumerate(parts):
            if ".".join(parts[:depth]) in whole:
                break
            here = here.setdefault(part, {})
        else:
            here.clear()
            whole.add(path)
    return wanted


def check(wanted: Tree, descriptor: Any, prefix: str = "") -> None:
    """Refuse a path that names no field of the message."""
    for name, below in wanted.items():
        path = prefix + name
        if name == "*" and not below:
            continue
        field = descriptor.fields_by_name.get(name)
        if field is None or (below and field.message_type is None):
            rest = "".join(f".{inner}" for inner in list(below)[:1])
            raise BadField("read_mask", f"invalid read_mask path: {path}{rest}")
        if below:
            check(below, field.message_type, path + ".")


def prune(message: Any, wanted: Tree) -> None:
    """Drop from a message what is not wanted; paths that name nothing are ignored."""
    if not wanted or "*" in wanted:
        return
    for field, value in message.ListFields():
        below = wanted.get(field.name)
        if below is None:
            message.ClearField(field.name)
        elif below and field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                prune(one, below)


def wants(wanted: Tree, *path: str) -> bool:
    """Whether a field, or something in it, is wanted."""
    for name in path:
        if not wanted or "*" in wanted:
            return True
        if name not in wanted:
            return False
        wanted = wanted[name]
    return True
