"""Candidates streamed from a Hugging Face data set, by name and column; `datasets` is imported when reading begins."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from somatui.corpora.files import CorpusError
from somatui.corpora.heritage import CONTENT, Contents, NoAnswer
from somatui.corpora.source import FIELDS, Circumstances, Cursor, Gives, Item, bytes_of

FIRST_WAIT_S = 1.0
TRIES = 5
"""Times that an interrupted line is tried again before a set is given up."""
STATE_EVERY = 32
"""Rows after which the set's own state is taken: taking it costs as much as some rows."""


@dataclass(frozen=True, slots=True)
class HubSet:
    """A data set: its name, configuration or folder, split, and where the candidate is in a row.

    `content` is the address before a blob's id where rows only name their bytes (The Stack v2).
    """

    name: str
    config: str | None = None
    folder: str | None = None
    split: str = "train"
    fields: tuple[str, ...] = ()
    content: str = ""
    files: Mapping[str, Any] | None = None
    """Arguments of `load_dataset` for local files in place of a hub's: {"path": "parquet", "data_files": [path]}."""


PRESETS: dict[str, HubSet] = {
    "stack-v2": HubSet("bigcode/the-stack-v2-dedup", content=CONTENT),
    "stack-v2-smol": HubSet("bigcode/the-stack-v2-train-smol-ids", content=CONTENT),
    "starcoderdata": HubSet("bigcode/starcoderdata", fields=("content",)),
    "fineweb-edu": HubSet("HuggingFaceFW/fineweb-edu", config="sample-10BT", fields=("text",)),
    "swe-bench": HubSet("princeton-nlp/SWE-bench", fields=("problem_statement", "patch")),
}
_BY_FOLDER = ("starcoderdata",)


def named(told: Mapping[str, Any]) -> HubSet:
    """The set of {"kind": "preset", "name": "stack-v2/Python"} or {"kind": "hub", "name": "owner/set/config:split"}.

    Raises CorpusError.
    """
    name, _, split = str(told.get("name") or "").partition(":")
    fields = tuple(str(f) for f in told.get("fields") or ())
    if told.get("kind") == "preset":
        name, _, part = name.partition("/")
        if name not in PRESETS:
            raise CorpusError(f"There is no preset {name:.40}: choose {', '.join(PRESETS)}.")
        made = PRESETS[name]
        by_folder = name in _BY_FOLDER
        return HubSet(
            made.name, made.config if by_folder or not part else part, part or None if by_folder else None,
            split or made.split, fields or made.fields, made.content,
        )  # fmt: skip
    owner, _, rest = name.partition("/")
    own, _, config = rest.partition("/")
    if not owner or not own:
        raise CorpusError(
            f"{name:.60} is no data set's name: write owner/name, with /configuration and :split if need be."
        )
    return HubSet(f"{owner}/{own}", config or None, None, split or "train", fields)


class Hub:
    """Rows of one set, in its order; the token, if there is one, is the only one that is used."""

    def __init__(self, asked: HubSet, around: Circumstances) -> None:
        self.gives: Gives = "part"
        self.name = asked.name.rpartition("/")[2]
        self._asked, self._around, self._closed = asked, around, threading.Event()
        # Rows are counted in each shard: their names say in which.
        self._part = "" if around.shard.count == 1 else f"{around.shard.index + 1}of{around.shard.count}:"

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Items from a state of the set and so many rows behind it; an interrupted line is tried again.

        Raises CorpusError.
        """
        failed = 0
        while True:
            try:
                for item, behind in self._once(cursor):
                    cursor, failed = behind, 0
                    yield item, behind
                return
            except CorpusError:
                raise
            except Exception as failure:
                told = sentence(self._asked.name, failure)
                if cursor is None or failed == TRIES:
                    raise CorpusError(told) from None
            wait_s = FIRST_WAIT_S * 4**failed
            failed += 1
            self._around.tell(f"{told} Tried again in {wait_s:g} s.")
            if self._closed.wait(wait_s):
                return

    def close(self) -> None:
        """Wait for nothing any more; what is under way ends with its time limit or the process."""
        self._closed.set()

    def _once(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        entries = self._entries(cursor)
        if self._asked.content:
            yield from Contents(self._asked.content, self._around).items(entries)
        else:
            for record, name, behind in entries:
                yield bytes_of(record, self._asked.fields, self._around.most, name), behind

    def _entries(self, cursor: Cursor | None) -> Iterator[tuple[Any, str, Cursor]]:
        """Records with their names, each with the cursor behind it; a row that lists files gives one for each."""
        rows = self._opened()
        state, skip, file, before = None, 0, 0, 0
        if cursor is not None:
            state, skip, file, before = cursor["state"], int(cursor["rows"]), int(cursor["file"]), int(cursor["before"])
        if state is not None:
            rows.load_state_dict(copy.deepcopy(state))
        number = 0
        for record in rows:
            if self._around.stop():
                return
            number += 1
            if number == 1:
                self._look(record)
            if number <= skip:
                continue
            listed = record.get("files") if self._asked.content else None
            parts = listed if isinstance(listed, list) else [record]
            for part, entry in enumerate(parts[file:], file + 1):
                whole = part == len(parts)
                done = (number, 0) if whole else (number - 1, part)
                at = {"state": state, "before": before, "rows": done[0], "file": done[1]}
                yield entry, f"{self.name}:{self._part}{before + number}", at
            file = 0
            if number >= STATE_EVERY:
                state, before, number, skip = copy.deepcopy(rows.state_dict()), before + number, 0, 0

    def _opened(self) -> Any:
        import datasets
        import datasets.distributed

        datasets.disable_progress_bars()
        asked = self._asked
        where = asked.files or {"path": asked.name, "name": asked.config, "data_dir": asked.folder}
        rows = datasets.load_dataset(**where, split=asked.split, streaming=True, token=self._around.token or False)
        shard = self._around.shard
        if shard.count == 1:
            return rows
        return datasets.distributed.split_dataset_by_node(rows, rank=shard.index, world_size=shard.count)

    def _look(self, record: Mapping[str, Any]) -> None:
        """Refuse a set that lacks the columns, once, rather than each of its rows."""
        wanted = ("blob_id",) if self._asked.content else self._asked.fields
        there = ", ".join(record)
        if self._asked.content and isinstance(record.get("files"), list):
            return
        lacking = [f for f in wanted if f not in record]
        if lacking or not (wanted or any(f in record for f in (*FIELDS, "data"))):
            what = f"no column {lacking[0]}" if lacking else "no column text, content, code or data"
            raise CorpusError(f"{self._asked.name} has {what}: name one with --field, it has {there:.200}.")


def sentence(name: str, failure: BaseException) -> str:
    """What a failure of the hub means and what cures it; no token is repeated, whatever the failure's own text says."""
    if isinstance(failure, NoAnswer):
        return str(failure)
    chain: list[BaseException] = []
    at: BaseException | None = failure
    while at is not None and len(chain) < 10:
        chain.append(at)
        at = at.__cause__ or at.__context__
    kinds = {c.__name__ for link in chain for c in type(link).__mro__}
    text = str(failure)
    page = f"huggingface.co/datasets/{name}"
    if "gated" in text.lower() or "GatedRepoError" in kinds:
        return f"{name} is gated: accept its terms at {page} and keep its account's token in the vault as hf/token."
    if "DatasetNotFoundError" in kinds:
        return f"There is no data set {name}, or it is private: correct its name, or keep a token for it as hf/token."
    if any(getattr(getattr(link, "response", None), "status_code", None) == 401 for link in chain):
        return f"The hub does not accept the token hf/token, so {name} cannot be read: keep a valid one in the vault."
    if kinds & {"OfflineModeIsEnabled", "ConnectionError", "LocalEntryNotFoundError", "TimeoutError", "TransportError"}:
        return f"The hub is not reached, so {name} cannot be read: see to the line and HF_HUB_OFFLINE, or use files."
    if "ValueError" in kinds and ("config" in text.lower() or "split" in text.lower()):
        return f"{name} has no such configuration or split: see {page}, and write {name}/CONFIGURATION:SPLIT."
    return f"{name} cannot be read ({type(failure).__name__}): see {page}, or use local files."


def local(path: str, fields: Sequence[str] = (), content: str = "") -> HubSet:
    """A set whose rows lie in a parquet file here or at an address, read as a hub's would be."""
    files = {"path": "parquet", "data_files": [path]}
    return HubSet(path, fields=tuple(fields), content=content, files=files)
