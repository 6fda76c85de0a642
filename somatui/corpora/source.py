"""What every source of candidate bytes gives: items one after another, each with the cursor that lies behind it."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

NAME_MOST = 80
FIELDS = ("text", "content", "code")
NAMES = ("name", "path", "max_stars_repo_path", "id", "instance_id")


@dataclass(frozen=True, slots=True)
class Item:
    """Bytes as a source has them, or why there are none: `cut` is a reason such as "size" or "malformed".

    `path` is the file that holds exactly these bytes, where there is one.
    """

    name: str
    data: bytes = b""
    cut: str = ""
    path: str = ""


Cursor = dict[str, Any]
Gives = Literal["all", "part", "once"]


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` parts of a corpus, each for a worker of its own: by their digest, bytes belong to exactly one."""

    index: int = 0
    count: int = 1

    def has(self, what: bytes) -> bool:
        """Whether a candidate's bytes, or the name of an item that has none, are in this part."""
        if self.count == 1:
            return True
        return int.from_bytes(hashlib.blake2b(what, digest_size=8).digest()) % self.count == self.index


WHOLE = Shard()


class Source(Protocol):
    """A source under a name of its own; what it gives is at most `most` bytes long, longer items are cut by "size".

    `gives` is what shards of a job have of it that open it side by side: "all" of it, each its own "part", or it can be
    read "once", by one of them.
    """

    name: str
    gives: Gives

    def items(self, cursor: Cursor | None) -> Iterator[tuple[Item, Cursor]]:
        """Items from a cursor on, each with the cursor (JSON) behind it. Raises CorpusError.

        It may block for as long as nothing comes; `close`, from another thread, ends that.
        """
        ...

    def close(self) -> None:
        """Let go of what is held outside this process."""
        ...


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a source may use: where to say what happens, whether to stop, a hub's token, the longest item in bytes.

    `shard` is for sources that can leave the other parts unread.
    """

    tell: Callable[[str], None]
    stop: Callable[[], bool]
    most: int
    token: str = ""
    shard: Shard = WHOLE


def bytes_of(record: object, fields: Sequence[str], most: int, name: str) -> Item:
    """The item of one record: its fields joined by an empty line, else its `text` or `content`, else base64 `data`."""
    if not isinstance(record, Mapping):
        return Item(name, cut="malformed")
    named = next((record[k] for k in NAMES if isinstance(record.get(k), str | int)), None)
    name = name if named is None else str(named)[:NAME_MOST]
    wanted = tuple(fields) or next(((k,) for k in FIELDS if isinstance(record.get(k), str)), ())
    try:
        if wanted:
            found = [record[k] for k in wanted]
            data = b"\n\n".join(v if isinstance(v, bytes) else v.encode() for v in found)
        elif isinstance(record.get("data"), bytes):
            data = record["data"]
        else:
            data = base64.b64decode(record["data"], validate=True)
    except UnicodeEncodeError:
        return Item(name, cut="undecodable")
    except (KeyError, AttributeError, TypeError, binascii.Error, ValueError):
        return Item(name, cut="malformed")
    return Item(name, cut="size") if len(data) > most else Item(name, data)
