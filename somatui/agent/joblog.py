"""What a job's worker says, kept in the job's folder within bounds, and its events as lines for people."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import Any

from somatui.workers.protocol import Message, ProtocolError, parse_message

EVENTS, BEFORE, HITS, STDERR = "events.jsonl", "events.1.jsonl", "hits.jsonl", "worker.log"
OF_SHARDS = (f"shards/*/{STDERR}", f"node/*/*/shards/*/{STDERR}")
"""Where the workers of a job at several places write to standard error, and those of a job on several machines."""
MOST_KEPT = 4 * 1024 * 1024
"""Bytes of events after which the file is put aside, in place of the one before; hits are kept, in a file of their own,
since they may have to be told again."""
SILENT = frozenset({"progress", "checkpoint"})
"""Events that say nothing later."""
MOST_READ = 262_144
"""Bytes from the end of a log that are read; a job may have run for days."""
LONG = frozenset({"embedding", "models", "cursor", "path", "checksum"})
"""What an event carries for programs."""


def note(folder: Path, message: Message) -> None:
    """Keep what a worker said."""
    if message.kind in SILENT:
        return
    line = message.to_line() + "\n"
    if message.kind == "hit":
        with (folder / HITS).open("a", encoding="utf-8") as hits:
            hits.write(line)
    with (folder / EVENTS).open("a", encoding="utf-8") as events:
        events.write(line)
        full = events.tell() > MOST_KEPT
    if full:
        os.replace(folder / EVENTS, folder / BEFORE)


def told_hits(folder: Path) -> list[dict[str, Any]]:
    """All hits that a job's worker told of."""
    found = []
    for line in (folder / HITS).read_text("utf-8", "replace").splitlines() if (folder / HITS).exists() else ():
        try:
            found.append(parse_message(line).body)
        except ProtocolError:
            continue
    return found


def trim(folder: Path) -> None:
    """Cut what each of a job's workers wrote to standard error to its end when it is long."""
    for file in (folder / STDERR, *(log for pattern in OF_SHARDS for log in folder.glob(pattern))):
        cut(file)


def cut(file: Path) -> None:
    """Cut a log to its end when it is long; somebody may write on meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        if file.stat().st_size <= MOST_KEPT:
            return
        with file.open("r+b") as opened:
            opened.seek(-MOST_READ, os.SEEK_END)
            kept = opened.read()
            opened.seek(0)
            opened.write(kept)
            opened.truncate()


def said(folder: Path, lines: int) -> list[str]:
    """The last lines of what a job's worker said and wrote to standard error."""
    events = [readable(line) for name in (BEFORE, EVENTS) for line in tail(folder / name, 3 * lines)]
    return [*tail(folder / STDERR, lines), *(line for line in events if line)][-lines:]


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
    if message.kind in SILENT:
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
