"""A job's events as lines for people: when, what, and its figures."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from somatui.workers.protocol import Message, ProtocolError, parse_message

MOST_READ = 262_144
"""Bytes from the end of a log that are read; a job may have run for days."""
LONG = frozenset({"embedding", "models", "cursor", "path", "checksum"})
"""What an event carries for programs."""


def tail(file: Path, lines: int) -> list[str]:
    """The last lines of a file, none where there is no file."""
    if not file.exists():
        return []
    with file.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - MOST_READ))
        return opened.read().decode("utf-8", "replace").splitlines()[-lines:]


def readable(line: str) -> str | None:
    """One event as a line, None for one that says nothing to people; what is no event stays as it is."""
    try:
        message = parse_message(line)
    except ProtocolError:
        return line
    said = _said(message)
    at = time.strftime("%H:%M:%S", time.localtime(message.at / 1_000))
    return None if said is None else f"{at}  {message.kind:<10}  {said}".rstrip()


def _said(message: Message) -> str | None:
    body = message.body
    if message.kind in ("progress", "checkpoint"):
        return None
    if message.kind == "log":
        return str(body.get("text", ""))
    if message.kind == "failed":
        return str(body.get("error", ""))
    found: Any = body.get("result", {}) if message.kind == "done" else body
    return "  ".join(f"{name} {_short(value)}" for name, value in found.items() if name not in LONG)


def _short(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:,.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:28]}…{text[-28:]}"
