"""How answers look: aligned tables and amounts with units for people, one JSON document for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from somatui.domain.codec import to_json
from somatui.domain.money import soma
from somatui.domain.printable import readable

ADDRESSES = frozenset({"address", "owner", "submitter", "recipient", "sender"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb has to say: `document` for --json, `text` for people, and the exit status.

    `drawn`: the text is made of the terminal's own sequences and of no word that somebody else has chosen.
    """

    document: Any
    text: str = ""
    status: int = 0
    drawn: bool = False


def show(answer: Answer, as_json: bool) -> None:
    """Print an answer on stdout; a document of None means that the verb has printed for itself."""
    if as_json and answer.document is not None:
        print(document(answer.document, indent=2 if sys.stdout.isatty() else None))
    elif not as_json and answer.text:
        print(answer.text if answer.drawn else readable(answer.text))
    sys.stdout.flush()


def document(value: Any, indent: int | None = None) -> str:
    """JSON for scripts: as it reads, or all in ASCII where a terminal would obey something in it."""
    text = json.dumps(public(value), ensure_ascii=False, indent=indent)
    return text if readable(text) == text else json.dumps(public(value), indent=indent)


def tell(text: str) -> None:
    """Print text for people on stdout at once."""
    print(readable(text), flush=True)


def note(text: str) -> None:
    """Print a line of progress on stderr."""
    print(readable(text), file=sys.stderr, flush=True)


def public(value: Any) -> Any:
    """JSON as scripts see it: addresses carry `0x` like every other id."""
    return _public(to_json(value), None)


def _public(value: Any, key: str | None) -> Any:
    if isinstance(value, dict):
        return {k: _public(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_public(v, key) for v in value]
    if key in ADDRESSES and isinstance(value, str) and value:
        return "0x" + value.removeprefix("0x")
    return value


def table(columns: str, rows: Iterable[Sequence[str]]) -> str:
    """Align rows under `columns`, a line of names; a name that begins with `>` is set to the right.

    An empty table is its names alone.
    """
    names = columns.split()
    right = [name.startswith(">") for name in names]
    lines = [[name.lstrip(">").replace("_", " ") for name in names], *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join(
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(line, widths, right, strict=True)).rstrip()
        for line in lines
    )


def fields(pairs: Iterable[tuple[str, str]]) -> str:
    """Name and value, one pair a line, values aligned; pairs without a value are left out."""
    kept = [(name, value) for name, value in pairs if value]
    width = max((len(name) for name, _ in kept), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in kept)


def amount(shannons: int, decimals: int = 6, *, sign: bool = False) -> str:
    """Shannons as SOMA with its unit."""
    return f"{soma(shannons, decimals, sign=sign)} SOMA"


def share(part: float) -> str:
    """A part of one as percent: `12.5 %`."""
    return f"{part * 100:.1f} %"
