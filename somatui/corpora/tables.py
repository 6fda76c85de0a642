"""Candidates from a local parquet file, a row each, in small batches; pyarrow is imported when reading begins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from somatui.corpora.files import CorpusError
from somatui.corpora.source import FIELDS, NAMES, Circumstances, Cursor, Gives, Item, bytes_of

_BATCH = 16
_AHEAD = 1 << 20


class Parquet:
    """Rows of one file from a row number on; only the columns that matter are read."""

    def __init__(self, path: Path, around: Circumstances, fields: Sequence[str] = ()) -> None:
        if not path.is_file():
            raise CorpusError(f"There is no file {path}: name one that exists.")
        self.gives: Gives = "all"
        self.name, self._path, self._around, self._fields = path.name, path, around, tuple(fields)

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Rows in the file's order. Raises CorpusError for what is no parquet, or lacks the columns."""
        import pyarrow
        from pyarrow import parquet

        first = int(cursor["row"]) if cursor else 0
        try:
            # As they come, since a group of rows may be larger than the memory.
            with parquet.ParquetFile(self._path, buffer_size=_AHEAD, pre_buffer=False) as file:
                columns = self._columns(file.schema_arrow.names)
                for row, record in self._rows(file, columns, first):
                    name = f"{self.name}:{row}"
                    if record is None:
                        item = Item(name, cut="undecodable")
                    else:
                        item = bytes_of(record, self._fields, self._around.most, name)
                    yield item, {"row": row}
                    if self._around.stop():
                        return
        except (pyarrow.ArrowException, OSError) as failure:
            raise CorpusError(
                f"{self._path} cannot be read as parquet ({str(failure).splitlines()[0]:.120}): name another file."
            ) from None

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _rows(file: Any, columns: list[str], first: int) -> Iterator[tuple[int, Any]]:
        """Records with their numbers from one, after the first so many; None for one whose text is no UTF-8."""
        before = 0
        for group in range(file.num_row_groups):
            behind = before + file.metadata.row_group(group).num_rows
            if behind > first:
                at = before
                for batch in file.iter_batches(_BATCH, row_groups=[group], columns=columns):
                    skip = max(0, first - at)
                    yield from enumerate(_records(batch.slice(skip)), at + skip + 1)
                    at += batch.num_rows
            before = behind

    def _columns(self, there: Sequence[str]) -> list[str]:
        wanted = self._fields or tuple(f for f in (*FIELDS, "data") if f in there)[:1]
        lacking = [f for f in wanted if f not in there]
        if lacking or not wanted:
            what = f"no column {lacking[0]}" if lacking else "no column text, content, code or data"
            raise CorpusError(f"{self.name} has {what}: name one with --field, it has {', '.join(there):.200}.")
        return [*wanted, *(n for n in NAMES if n in there and n not in wanted)]


def _records(batch: Any) -> list[Any]:
    try:
        return list(batch.to_pylist())
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            return [None]
        return [record for row in range(batch.num_rows) for record in _records(batch.slice(row, 1))]
