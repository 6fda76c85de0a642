"""Two protobuf messages field by field; which differences are meant is left to the table of intended ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from somatui.wire.objects import SYSTEM_STATE_ID
from somatui.wire.text import parse_id


@dataclass(frozen=True)
class Difference:
    """One field that is not equal; `absent` on a side that lacks it."""

    path: str
    ours: Any
    theirs: Any

    def __str__(self) -> str:
        """The field and both values, cut short."""
        return f"{self.path}: ours {_short(self.ours)}, recorded {_short(self.theirs)}"


class Absent:
    """The value of a field that one side does not have."""

    def __repr__(self) -> str:
        """As it stands in reports."""
        return "absent"


ABSENT = Absent()


def _short(value: Any) -> str:
    text = repr(value).replace("\n", " ")
    return text if len(text) <= 300 else f"{text[:300]}…"


def differences(ours: Any, theirs: Any, path: str = "") -> Iterator[Difference]:
    """Every field of two messages of one type that differs, in the order of the type's fields."""
    for field in theirs.DESCRIPTOR.fields:
        name = f"{path}.{field.name}" if path else field.name
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            yield from _maps(mine, other, name)
        elif field.is_repeated:
            yield from _lists(mine, other, name)
        elif field.has_presence and ours.HasField(field.name) != theirs.HasField(field.name):
            yield Difference(
                name,
                mine if ours.HasField(field.name) else ABSENT,
                other if theirs.HasField(field.name) else ABSENT,
            )
        elif field.message_type is not None:
            yield from differences(mine, other, name)
        elif mine != other:
            yield Difference(name, mine, other)


def _values(mine: Any, other: Any, path: str) -> Iterator[Difference]:
    if hasattr(other, "DESCRIPTOR"):
        yield from differences(mine, other, path)
    elif mine != other:
        yield Difference(path, mine, other)


def _lists(mine: Any, other: Any, path: str) -> Iterator[Difference]:
    if len(mine) != len(other):
        yield Difference(f"{path}.length", len(mine), len(other))
        return
    for index, (one, two) in enumerate(zip(mine, other, strict=True)):
        yield from _values(one, two, f"{path}[{index}]")


def _maps(mine: Any, other: Any, path: str) -> Iterator[Difference]:
    for key in sorted(set(mine) | set(other)):
        name = f"{path}[{key}]"
        if key not in mine:
            yield Difference(name, ABSENT, other[key])
        elif key not in other:
            yield Difference(name, mine[key], ABSENT)
        else:
            yield from _values(mine[key], other[key], name)


def named_system(difference: Difference, response: Any) -> Difference:
    """Marks a digest or content of the system state's object, whose place in its list is not fixed."""
    head, _, last = difference.path.rpartition(".")
    if last not in ("input_digest", "output_digest", "digest", "contents") or not head:
        return difference
    here: Any = response
    for part in head.split("."):
        name, _, index = part.partition("[")
        here = getattr(here, name)
        here = here[int(index.rstrip("]"))] if index else here
    object_id = getattr(here, "object_id", "")
    if not object_id or parse_id(object_id) != SYSTEM_STATE_ID:
        return difference
    return Difference(f"{difference.path} (system state)", difference.ours, difference.theirs)
