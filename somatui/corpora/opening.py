"""Opens the corpus that a job names, at a cursor: files alone, or several sources with filters and windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from somatui.corpora.files import Candidate, CorpusError, FileCorpus, Share
from somatui.corpora.filters import WINDOWS
from somatui.corpora.folders import Folders
from somatui.corpora.hub import Hub, named
from somatui.corpora.lines import Lines
from somatui.corpora.mixed import MixedCorpus, Rules
from somatui.corpora.program import Program
from somatui.corpora.source import WHOLE, Circumstances, Shard, Source
from somatui.corpora.spool import MOST_FILES
from somatui.corpora.tables import Parquet

PARTS_OF = 8 * 1024 * 1024
"""Bytes of the largest item that is taken apart into functions or chunks."""


class Corpus(Protocol):
    """Candidates, one after another; a corpus opened at a cursor goes on exactly behind the last one given out."""

    @property
    def over(self) -> bool:
        """Whether there will be no more."""
        ...

    @property
    def dropped(self) -> Mapping[str, int]:
        """What was left out, by reason."""
        ...

    def take(self) -> Candidate | None:
        """The next candidate; None when there is none at the moment. Raises CorpusError."""
        ...

    def learn(self, source: str, hits: int = 1) -> None:
        """Note that so many more candidates of a source hit; it is for whoever keeps a cursor to keep this too."""
        ...

    def shares(self) -> Mapping[str, Share]:
        """By source, where there are several, what it has given."""
        ...

    def cursor(self) -> dict[str, Any]:
        """Where it stands, as JSON."""
        ...

    def close(self) -> None:
        """Let go of threads, files and programs."""
        ...


def open_corpus(
    asked: Mapping[str, Any], folder: Path, cursor: Mapping[str, Any] | None = None, *,
    tell: Callable[[str], None] = lambda text: None, stop: Callable[[], bool] = lambda: False, token: str = "",
    shard: Shard = WHOLE, spooled: int = MOST_FILES,
) -> Corpus:  # fmt: skip
    """The corpus of {"paths", "max_bytes", "seed", "sources": [{"kind", …}], "window", "any_bytes", "near"}.

    `folder` is where it keeps what it needs to go on, with the newest `spooled` candidates that are no files of their
    own. Of several shards each has a part: what can be read again belongs to one by its digest, a hub's rows are split
    by node, and a program or FIFO is read by one alone.

    Raises CorpusError; KeyError, TypeError or ValueError for a cursor of another corpus.
    """
    paths = tuple(Path(p) for p in asked.get("paths") or ())
    most, seed = int(asked.get("max_bytes") or 16_384), int(asked.get("seed") or 0)
    if is_plain(asked):
        if cursor is None:
            return FileCorpus(paths, most, seed, shard=shard, picky=bool(paths))
        return FileCorpus.resumed(dict(cursor), paths, most, shard, bool(paths))
    rules = Rules(most, str(asked.get("window") or "file"), bool(asked.get("any_bytes")), bool(asked.get("near")))
    if rules.window not in WINDOWS:
        raise CorpusError(f"There is no window mode {rules.window}: choose {', '.join(WINDOWS[:-1])} or {WINDOWS[-1]}.")
    around = Circumstances(tell, stop, most if rules.window == "file" else PARTS_OF, token, shard)
    told = [*([{"kind": "files", "paths": paths}] if paths else []), *(asked.get("sources") or ())]
    sources = [_source(one, around, seed) for one in told or [{"kind": "files", "paths": ()}]]
    _distinct(sources)
    return MixedCorpus(sources, rules, folder, seed, cursor, tell, shard, spooled)


def is_plain(asked: Mapping[str, Any]) -> bool:
    """Whether a corpus is files alone, whole ones, with the filters that always hold."""
    return not (asked.get("sources") or asked.get("any_bytes") or asked.get("near")) and (
        (asked.get("window") or "file") == "file"
    )


def _source(told: Mapping[str, Any], around: Circumstances, seed: int) -> Source:
    kind, fields = str(told.get("kind")), tuple(str(f) for f in told.get("fields") or ())
    where = str(told.get("path") or "")
    match kind:
        case "files":
            paths = [Path(p) for p in told.get("paths") or ([where] if where else [])]
            return Folders(paths, around, seed, tuple(told.get("suffixes") or (() if paths else (".py",))))
        case "jsonl" | "lines":
            return Lines(Path(where), around, json_lines=kind == "jsonl", fields=fields)
        case "program" | "programs":
            folder = str(told.get("folder") or "")
            return Program(str(told.get("command") or ""), around, fields, each=kind == "programs", folder=folder)
        case "parquet":
            return Parquet(Path(where), around, fields)
        case "hub" | "preset":
            return Hub(named(told), around)
        case _:
            known = "files, jsonl, lines, parquet, program, programs, hub or preset"
            raise CorpusError(f"There is no source of kind {kind:.40}: choose {known}.")


def _distinct(sources: list[Source]) -> None:
    """Names are the sources' own, as text; the second of the same name is numbered."""
    names: set[str] = set()
    for source in sources:
        source.name = name = source.name.encode(errors="replace").decode()
        number = 2
        while source.name in names:
            source.name, number = f"{name}-{number}", number + 1
        names.add(source.name)
