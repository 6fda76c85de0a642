"""Words of strangers made harmless: names of files, and what programs and nodes say, may hold what a terminal obeys."""

from __future__ import annotations

from typing import Any


def readable(value: Any) -> Any:
    """The same text or JSON with � for every character that is not shown but moves a terminal or turns a line round."""
    if isinstance(value, str):
        return value if value.isprintable() else "".join(c if c.isprintable() or c in "\n\t" else "�" for c in value)
    if isinstance(value, list):
        return [readable(each) for each in value]
    if isinstance(value, dict):
        return {readable(name): readable(each) for name, each in value.items()}
    return value
