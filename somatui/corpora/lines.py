"""Candidates from one file or FIFO, a line each: text as it is, or JSON objects; gzip by the file's name."""

from __future__ import annotations

import gzip
import json
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, cast

from somatui.corpora.files import CorpusError
from somatui.corpora.source import Circumstances, Cursor, Gives, Item, bytes_of

_BLOCK = 1 << 16
ENDLESS = 1 << 31
"""Bytes without an end of line after which a file is given up."""
PATIENCE = 1000
"""Records without the fields that are asked for after which a file is given up, where none before had them."""


class Lines:
    """Lines of a file; `json_lines` takes each for an object, from which `fields` are taken.

    Memory is bounded by the longest line that may be given, whatever the file holds.
    """

    def __init__(self, path: Path, around: Circumstances, *, json_lines: bool, fields: Sequence[str] = ()) -> None:
        if not path.exists() or path.is_dir():
            raise CorpusError(f"There is no file {path}: name one that exists.")
        self.gives: Gives = "all" if path.is_file() else "once"
        self.name, self._path, self._around = path.name, path, around
        self._json, self._fields = json_lines, tuple(fields)
        # JSON writes a character in up to six bytes, base64 three bytes in four.
        self._longest = around.most * 6 + 4096 if json_lines else around.most

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Lines from an offset on; a FIFO has none and gives what comes.

        Raises CorpusError for a file of which no record has the fields.
        """
        offset, number = (int(cursor["offset"]), int(cursor["line"])) if cursor else (0, 0)
        first, without, found = "", 0, not self._json or cursor is not None
        try:
            with self._opened() as file:
                if offset and file.seekable():
                    file.seek(offset)
                while not self._around.stop():
                    line, length = self._line(file)
                    if not length:
                        break
                    offset, number = offset + length, number + 1
                    item, record = self._item(line, number)
                    if isinstance(record, dict):
                        found = found or item.cut != "malformed"
                        first, without = first or ", ".join(map(str, record)), without + 1
                    if not found and without == PATIENCE:
                        break
                    yield item, {"offset": offset, "line": number}
                    if length > ENDLESS:
                        self._around.tell(f"{self._path} has a line without an end: the rest of it is left out")
                        return
        except (OSError, EOFError, zlib.error) as failure:
            self._around.tell(f"{self._path} cannot be read further ({failure})")
            yield Item(self.name, cut="unreadable"), {"offset": offset, "line": number}
        if without and not found and not self._around.stop():
            what = " and ".join(self._fields) or "text, content, code or data"
            raise CorpusError(f"{self.name} has no text in {what}: name fields with --field, it has {first:.200}.")

    def close(self) -> None:
        """Nothing is held: a reader that waits for a FIFO's writer ends with its process."""

    def _opened(self) -> IO[bytes]:
        if self._path.suffix == ".gz" and stat.S_ISREG(os.stat(self._path).st_mode):
            return cast(IO[bytes], gzip.open(self._path, "rb"))
        return self._path.open("rb")

    def _line(self, file: IO[bytes]) -> tuple[bytes | None, int]:
        """The next line without its end, None for one that is too long, and how many bytes it took."""
        line = file.readline(self._longest + 2)
        length, ended = len(line), line.endswith(b"\n")
        line = line.removesuffix(b"\n").removesuffix(b"\r") if ended else line
        if len(line) <= self._longest:
            return line, length
        while not ended and length <= ENDLESS and not self._around.stop():
            more = file.readline(_BLOCK)
            length, ended = length + len(more), not more or more.endswith(b"\n")
        return None, length

    def _item(self, line: bytes | None, number: int) -> tuple[Item, object]:
        """The item of a line and, where that is JSON, what it holds."""
        name = f"{self.name}:{number}"
        if line is None:
            return Item(name, cut="size"), None
        if not self._json:
            return Item(name, line), None
        if not line.strip():
            return Item(name, cut="empty"), None
        return of_json(line, self._fields, self._around.most, name)


def of_json(line: bytes, fields: Sequence[str], most: int, name: str) -> tuple[Item, object]:
    """The item of a line of JSON, whatever it holds, and what that is; None where it is no JSON."""
    try:
        record = json.loads(line)
    except UnicodeDecodeError:
        return Item(name, cut="undecodable"), None
    except (ValueError, RecursionError):
        return Item(name, cut="malformed"), None
    return bytes_of(record, fields, most, name), record
