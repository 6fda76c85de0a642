"""Shards of a corpus give together what the whole gives, each candidate once, and each goes on exactly."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from somatui.corpora.hub import Hub, local
from somatui.corpora.opening import Corpus, open_corpus
from somatui.corpora.source import WHOLE, Circumstances, Shard
from tests.corpora.test_sources import everything, jsonl, spec

COUNTS = (2, 3, 5)


def text(n: int) -> str:
    return f"def part_{n}(x):\n    return x * {n}\n" * (1 + n % 7)


def harmful(folder: Path) -> Path:
    """Files among which are copies, empty ones, large ones and no text at all."""
    folder.mkdir()
    for n in range(60):
        (folder / f"{n}.py").write_text(text(n % 50))
    for n in range(5):
        (folder / f"empty{n}.py").write_text(" ")
        (folder / f"large{n}.py").write_text("x" * 5000)
        (folder / f"bytes{n}.py").write_bytes(b"\xff\xfe" * (n + 1))
    return folder


def opened(asked: dict[str, Any], folder: Path, shard: Shard, cursor: dict[str, Any] | None = None) -> Corpus:
    return open_corpus(asked, folder / f"{shard.index}of{shard.count}", cursor, shard=shard)


def asks(kind: str, folder: Path) -> dict[str, Any]:
    if kind == "plain":
        return {"paths": [str(harmful(folder / "files"))], "max_bytes": 500, "seed": 3}
    records = [{"text": text(n % 50)} for n in range(80)] + [{"text": " "}] * 3 + [{"none": 1}] * 4
    files = {"kind": "files", "path": str(harmful(folder / "files")), "suffixes": [".py"]}
    if kind == "mixed":
        return spec(jsonl(folder / "a.jsonl", *records), files)
    long = [{"text": text(n % 25) * 40} for n in range(40)]
    return spec(jsonl(folder / "a.jsonl", *records, *long), files, window="chunk", max_bytes=1024)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", ["plain", "mixed", "chunks"])
def test_each_candidate_of_the_whole_is_in_one_shard_once(tmp_path: Path, kind: str, count: int) -> None:
    asked = asks(kind, tmp_path)
    whole = opened(asked, tmp_path, WHOLE)
    wanted = Counter(c.digest for c in everything(whole))
    assert len(wanted) >= 50 and set(wanted.values()) == {1}
    parts = [opened(asked, tmp_path, Shard(n, count)) for n in range(count)]
    found = [everything(part) for part in parts]
    assert Counter(c.digest for part in found for c in part) == wanted
    assert all(len(part) > len(wanted) / count / 3 for part in found)
    assert sum((Counter(p.dropped) for p in parts), Counter()) == whole.dropped
    for corpus in (whole, *parts):
        corpus.close()


@pytest.mark.parametrize("kind", ["plain", "mixed"])
def test_a_shard_goes_on_exactly(tmp_path: Path, kind: str) -> None:
    asked, shard = asks(kind, tmp_path), Shard(1, 3)
    through = opened(asked, tmp_path / "through", shard)
    wanted = {c.digest for c in everything(through)}
    first = opened(asked, tmp_path, shard)
    begun = everything(first, most=7)
    cursor = json.loads(json.dumps(first.cursor()))
    everything(first, most=3)
    first.close()
    again = opened(asked, tmp_path, shard, cursor)
    rest = everything(again)
    assert len(begun) + len(rest) == len(wanted)
    assert {c.digest for c in [*begun, *rest]} == wanted
    assert again.dropped == through.dropped
    again.close()
    through.close()


def test_a_program_is_run_by_one_shard_or_by_each_which_is_told_which_it_is(tmp_path: Path) -> None:
    file = tmp_path / "p.py"
    file.write_text("import os\nfor n in range(4): print('{\"text\": \"%s %d\"}' % (os.environ['SOMATUI_SHARD'], n))\n")
    once = {"kind": "program", "command": f"{sys.executable} -I -S {file}"}
    for sources, wanted in (
        ([once], ["0/3"]), ([jsonl(tmp_path / "a", {"text": "a"}), once], ["1/3"]),
        ([once | {"kind": "programs"}], ["0/3", "1/3", "2/3"]),
    ):  # fmt: skip
        parts = [opened(spec(*sources), tmp_path / f"{len(sources)}{wanted}", Shard(n, 3)) for n in range(3)]
        found = [everything(part) for part in parts]
        told = [c.data.decode().split()[0] for part in found for c in part if b"/" in c.data]
        assert told == [shard for shard in wanted for _ in range(4)]
        assert [n for n, part in enumerate(found) if any(b"/" in c.data for c in part)] == [int(w[0]) for w in wanted]
        for part in parts:
            part.close()


def test_a_fifo_is_read_by_one_shard(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    asked = spec({"kind": "lines", "path": str(tmp_path / "fifo")})
    other = opened(asked, tmp_path, Shard(1, 2))
    assert (everything(other), other.over) == ([], True)


@pytest.mark.slow
@pytest.mark.parametrize("files", [1, 4])
def test_rows_of_a_hub_s_set_are_split_by_node_and_gone_on_with_exactly(tmp_path: Path, files: int) -> None:
    import pyarrow
    from pyarrow import parquet

    for n in range(files):
        rows = [f"row {n * 45 + k}" for k in range(45)]
        parquet.write_table(pyarrow.table({"content": rows}), tmp_path / f"{n}.parquet", row_group_size=15)
    asked, found = local(str(tmp_path / "*.parquet")), []
    for index in range(2):
        around = Circumstances([].append, lambda: False, 1000, shard=Shard(index, 2))
        whole = list(Hub(asked, around).items(None))
        found.append([item.data for item, _ in whole])
        assert whole[0][0].name.endswith(f":{index + 1}of2:1")
        for place in (0, 17, len(whole) - 1):
            cursor = json.loads(json.dumps(whole[place][1]))
            assert [i for i, _ in Hub(asked, around).items(cursor)] == [i for i, _ in whole[place + 1 :]]
    assert sorted(found[0] + found[1]) == sorted(f"row {n}".encode() for n in range(45 * files))
    assert abs(len(found[0]) - len(found[1])) <= 1
