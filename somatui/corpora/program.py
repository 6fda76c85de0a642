"""Candidates from any program that writes them to its standard output: a generator, a crawler, a language model.

A record is a line of JSON, {"text": … or "data": base64, "name": …, "cursor": …}, or four bytes of length, big-endian,
and so many bytes. A program that fails is started again, later each time unless its cursor went on or it ran for a
minute; one that ends well has no more to give. The last `cursor` that it told is in SOMATUI_CURSOR when it starts; one
that tells none begins anew, and what it gives again is a duplicate. Where each shard of a job runs it, SOMATUI_SHARD
says which this is, as in 0/4.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from somatui.corpora import leash, lines
from somatui.corpora.files import CorpusError
from somatui.corpora.lines import of_json
from somatui.corpora.source import Circumstances, Cursor, Gives, Item

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
TRIES = 8
"""Failures in a row, without a record between them, after which a program is given up."""
_BLOCK = 1 << 16
_TEXT = 0x20
"""Lengths beginning with this byte or more, half a GiB, are none: it is text that is not JSON."""
_SPACES = b"\t\n\r "


class Program:
    """A command line, run without a shell on a leash of its own, in `folder`; with `each`, by every shard."""

    def __init__(
        self, command: str, around: Circumstances, fields: Sequence[str] = (), *, each: bool = False, folder: str = ""
    ) -> None:
        try:
            self._command = shlex.split(command)
        except ValueError as failure:
            raise CorpusError(f"The program's command line cannot be read ({failure}): correct its quotes.") from None
        if not self._command:
            raise CorpusError("The program has no command line: name one after program:.")
        self.gives: Gives = "part" if each else "once"
        self.name, self._around, self._fields = Path(self._command[0]).name, around, tuple(fields)
        self._longest, self._folder = around.most * 6 + 4096, folder if os.path.isdir(folder) else None
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Records of one run after another; raises CorpusError for a program that only fails."""
        count, told = (int(cursor["count"]), cursor.get("told")) if cursor else (0, None)
        failed = restarts = 0
        while not self._closed.is_set() and not self._around.stop():
            began, told_before = time.monotonic(), told
            process = self._start(told)
            if process is None:
                return
            assert process.stdout is not None
            while (found := self._record(process.stdout, count + 1)) is not None:
                item, more = found
                count, told, failed = count + 1, told if more is None else more, 0
                yield item, {"count": count, "told": told}
                if self._closed.is_set():
                    break
            if self._closed.is_set():
                self.close()
                return
            status = process.wait()
            if status == 0:
                return
            failed += 1
            if failed == TRIES:
                raise CorpusError(
                    f"{self.name} ended with status {status} {TRIES} times and gave nothing: see its words in the log."
                )
            if told != told_before or time.monotonic() - began > LONGEST_WAIT_S:
                restarts = 0
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**restarts)
            restarts += 1
            self._around.tell(f"{self.name} ended with status {status}: started again in {wait_s:g} s")
            self._closed.wait(wait_s)

    def close(self) -> None:
        """End the program and what it started."""
        self._closed.set()
        with self._lock:
            process = self._process
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)

    def _start(self, told: Any) -> subprocess.Popen[bytes] | None:
        env = dict(os.environ)
        env.pop("SOMATUI_CURSOR", None)
        if told is not None:
            env["SOMATUI_CURSOR"] = json.dumps(told)
        env["SOMATUI_SHARD"] = f"{self._around.shard.index}/{self._around.shard.count}"
        with self._lock:
            if self._closed.is_set():
                return None
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", leash.__file__, *self._command], env=env, start_new_session=True,
                cwd=self._folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            )  # fmt: skip
            return self._process

    def _record(self, out: IO[bytes], number: int) -> tuple[Item, Any] | None:
        """The next record and the cursor that it told; None at the end."""
        name = f"{self.name}:{number}"
        while (first := out.read(1)) and first in _SPACES:
            continue
        if not first:
            return None
        if first[0] >= _TEXT:
            return self._line(out, first, name)
        head = out.read(3)
        length = int.from_bytes(first + head, "big")
        if len(head) < 3:
            return Item(name, cut="malformed"), None
        if length <= self._around.most:
            data = out.read(length)
            return (Item(name, data) if len(data) == length else Item(name, cut="malformed")), None
        while length > 0 and (block := out.read(min(_BLOCK, length))):
            length -= len(block)
        return Item(name, cut="size"), None

    def _line(self, out: IO[bytes], first: bytes, name: str) -> tuple[Item, Any]:
        line = first + out.readline(self._longest)
        if not line.endswith(b"\n") and len(line) > self._longest:
            length = len(line)
            while (block := out.readline(_BLOCK)) and not block.endswith(b"\n"):
                length += len(block)
                if length > lines.ENDLESS:
                    self._around.tell(f"{self.name} writes a line without an end: it is ended")
                    self._closed.set()
                    break
            return Item(name, cut="size"), None
        item, record = of_json(line, self._fields, self._around.most, name)
        return item, record.get("cursor") if isinstance(record, dict) else None
