"""Files and folders as one source among others: whole files in an order fixed by a seed, gzip opened up to a limit."""

from __future__ import annotations

import gzip
import os
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from somatui.corpora.files import behind, is_text, listed
from somatui.corpora.source import Circumstances, Cursor, Gives, Item


class Folders:
    """Regular files below some paths; those of other suffixes are passed over. Never more of one is read than fits."""

    def __init__(
        self, paths: Sequence[Path], around: Circumstances, seed: int = 0, suffixes: tuple[str, ...] = ()
    ) -> None:
        self.gives: Gives = "all"
        self.name = paths[0].name if len(paths) == 1 else "files"
        self._around, self._seed, self._files = around, seed, listed(paths, suffixes, seed)

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Files behind the cursor's."""
        for position in range(behind(self._files, self._seed, cursor) if cursor else 0, len(self._files)):
            if self._around.stop():
                return
            path = self._files[position]
            yield self._item(path), {"position": position + 1, "last": path}

    def close(self) -> None:
        """Nothing is held."""

    def _item(self, path: str) -> Item:
        name, most = os.path.basename(path), self._around.most
        try:
            if not (is_text(path) and stat.S_ISREG(os.stat(path).st_mode)):
                return Item(name, cut="unreadable")
            packed = name.endswith(".gz")
            with gzip.open(path, "rb") if packed else open(path, "rb") as file:
                data = file.read(most + 1)
        except (OSError, EOFError, zlib.error):
            return Item(name, cut="unreadable")
        if len(data) > most:
            return Item(name, cut="size")
        return Item(name.removesuffix(".gz"), data, path="" if packed else path)
