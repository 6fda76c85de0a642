"""The recordings of the real node, read line by line; their format is in tests/golden/node/README.md."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NODE = Path(__file__).parent / "golden" / "node"
FILES = ("day", "random", "wide", "lanes", "clock")


def lines(name: str) -> Iterator[dict[str, Any]]:
    """Every line of one recording."""
    with gzip.open(NODE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as recording:
        for line in recording:
            yield json.loads(line)


def calls(name: str, method: str) -> Iterator[dict[str, Any]]:
    """Every call of one SDK method in one recording."""
    return (line for line in lines(name) if line.get("call") == method)


def plain(value: Any) -> Any:
    """A recorded value with bytes, tuples, dicts and namespaces as Python has them; namespaces become dicts."""
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        if set(value) == {"bytes"}:
            return base64.b64decode(value["bytes"])
        if set(value) == {"ns"}:
            return {k: plain(v) for k, v in value["ns"].items()}
        if set(value) == {"tuple"}:
            return tuple(plain(v) for v in value["tuple"])
        if set(value) == {"dict"}:
            return {plain(k): plain(v) for k, v in value["dict"]}
        return {k: plain(v) for k, v in value.items()}
    return value
