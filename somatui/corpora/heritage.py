"""The bytes that rows of The Stack v2 only name, from the Software Heritage bucket: unsigned, gzip, many under way."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from http.client import HTTPException
from typing import Any

from somatui.corpora.files import CorpusError
from somatui.corpora.source import NAME_MOST, Circumstances, Cursor, Item

CONTENT = "https://softwareheritage.s3.amazonaws.com/content/"
DOWNLOADS = 16
LIMIT_S = 20
TRIES = 3
MISSING_MOST = 256
"""Rows one after another whose bytes are missing, after which it is the store that refuses them all."""
_ID = re.compile(r"[0-9a-f]{40}")


class NoAnswer(ConnectionError):
    """No store is there; the text is a sentence."""


class Contents:
    """Downloads entries {"blob_id", "src_encoding", "path", "length_bytes"} side by side and gives them in order."""

    def __init__(self, address: str, around: Circumstances) -> None:
        self._address, self._around = address, around

    def items(self, entries: Iterator[tuple[Any, str, Cursor]]) -> Iterator[tuple[Item, Cursor]]:
        """The bytes of each entry as UTF-8; one that the store refuses is cut by "missing" or "unreachable".

        Raises NoAnswer where no store is there, CorpusError where it refuses everything: that is no entry's fault, so
        none is given up for it.
        """
        missing = 0
        pool = ThreadPoolExecutor(DOWNLOADS, thread_name_prefix="content")
        under_way: deque[tuple[Future[Item], Cursor]] = deque()
        try:
            for entry, name, behind in entries:
                under_way.append((pool.submit(self._item, entry, name), behind))
                if len(under_way) > DOWNLOADS:
                    found, at = under_way.popleft()
                    item = found.result()
                    missing = missing + 1 if item.cut == "missing" else 0
                    if missing == MISSING_MOST:
                        raise CorpusError(
                            f"{self._address} refused the bytes of {missing} rows one after another: see whether this "
                            "machine, or a proxy before it, may read there."
                        )
                    yield item, at
            for found, at in under_way:
                yield found.result(), at
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _item(self, entry: Any, name: str) -> Item:
        if not isinstance(entry, Mapping) or not _ID.fullmatch(str(entry.get("blob_id"))):
            return Item(name, cut="malformed")
        name = str(entry.get("path") or name)[-NAME_MOST:]
        length = entry.get("length_bytes")
        if isinstance(length, int) and length > self._around.most:
            return Item(name, cut="size")
        packed = self._fetched(self._address + entry["blob_id"])
        if isinstance(packed, str):
            return Item(name, cut=packed)
        opener = zlib.decompressobj(31)
        try:
            data = opener.decompress(packed, self._around.most + 1)
            if len(data) > self._around.most:
                return Item(name, cut="size")
            if not opener.eof:
                return Item(name, cut="unreadable")
            text = data.decode(str(entry.get("src_encoding") or "utf-8")).encode()
        except zlib.error:
            return Item(name, cut="unreadable")
        except (LookupError, ValueError):
            return Item(name, cut="undecodable")
        return Item(name, cut="size") if len(text) > self._around.most else Item(name, text)

    def _fetched(self, url: str) -> bytes | str:
        """The object's bytes, as many as may matter, or the reason why there are none. Raises NoAnswer."""
        most, answered = self._around.most + 4096, True
        for attempt in range(TRIES):
            if self._around.stop():
                return "unreachable"
            answered = False
            try:
                with urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
                    answered = True
                    data = bytes(answer.read(most))
                    # A line that breaks ends what is read without an error.
                    if len(data) == most or not answer.length:
                        return data
            except urllib.error.HTTPError as refused:
                answered = True
                if refused.code in (403, 404, 410):
                    return "missing"
            except (OSError, HTTPException):
                pass
            time.sleep(min(2.0, 0.1 * 4**attempt))
        if not answered:
            raise NoAnswer(f"{self._address}, where the bytes of its rows are, does not answer: see to the line.")
        return "unreachable"
