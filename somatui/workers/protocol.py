"""The lines between a worker and its parent: one JSON object each, typed and versioned; stdlib only.

Parent to child: one job line, then commands. Child to parent: messages with `seq`, `at` (ms since 1970) and `kind`.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal, TextIO, get_args

VERSION = 1
Kind = Literal["hello", "progress", "metric", "hit", "checkpoint", "log", "done", "failed"]
KINDS: frozenset[str] = frozenset(get_args(Kind))
MOST_ROWS = 20
"""Rows of one table in a `metric` message."""


class ProtocolError(ValueError):
    """A line that is none of the protocol's; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a worker; `body` holds what belongs to its kind."""

    seq: int
    at: int
    kind: Kind
    body: dict[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """The line, without its end."""
        return json.dumps({"seq": self.seq, "at": self.at, "kind": self.kind} | self.body, separators=(",", ":"))


def parse_message(line: str) -> Message:
    """Read a worker's line. Raises ProtocolError; the parent logs such a line and goes on."""
    try:
        found = json.loads(line)
    except ValueError:
        raise ProtocolError("not JSON") from None
    if not isinstance(found, dict):
        raise ProtocolError("not an object")
    seq, at, kind = found.pop("seq", None), found.pop("at", None), found.pop("kind", None)
    if type(seq) is not int or type(at) is not int or kind not in KINDS:
        raise ProtocolError("seq, at or kind is missing or of another type")
    return Message(seq, at, kind, found)


def parse_job(line: str, *jobs: str) -> dict[str, Any]:
    """Read the job line of a worker that does `jobs`. Raises ProtocolError, also for another version."""
    try:
        found = json.loads(line)
    except ValueError:
        raise ProtocolError("the job line is not JSON") from None
    if not isinstance(found, dict) or found.get("job") not in jobs:
        raise ProtocolError(f"this worker does “{'” and “'.join(jobs)}” jobs only")
    if found.get("version") != VERSION:
        raise ProtocolError(f"the job line has version {found.get('version')!s:.20}, this worker speaks {VERSION}")
    return found


class Emitter:
    """Writes a worker's messages, from any thread. Takes standard output for itself: stray prints go elsewhere."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._lock = threading.Lock()
        self._out = out or sys.stdout
        self._seq = 0
        if out is None:
            sys.stdout = sys.stderr

    def send(self, kind: Kind, **body: Any) -> None:
        """Write one message and flush it."""
        with self._lock:
            self._seq += 1
            self._out.write(Message(self._seq, time.time_ns() // 1_000_000, kind, body).to_line() + "\n")
            self._out.flush()
