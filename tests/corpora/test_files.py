"""The same files come in the same order, once each, and what is left out is counted."""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path

import pytest

from somatui.corpora.files import CorpusError, FileCorpus

CONTENT = {
    "a.py": b"print(1)\n",
    "b.py": b"print(2)\n",
    "same.py": b"print(1)\n",
    "empty.py": b" \n",
    "large.py": b"x" * 20_000,
    "latin.py": b"\xff\xfe\xfa",
    "c.txt": b"text",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in CONTENT.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "d.py").write_bytes(b"never")
    return tmp_path


def test_what_is_left_out_is_counted_by_reason(folder: Path) -> None:
    corpus = FileCorpus((folder,))
    assert {c.data for c in corpus} == {b"print(1)\n", b"print(2)\n"}
    assert dict(corpus.dropped) == {"duplicate": 1, "empty": 1, "size": 1, "undecodable": 1}


def test_a_file_whose_name_is_no_text_is_counted_and_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"\xff.py")).write_bytes(b"print(1)\n")
    (tmp_path / os.fsdecode(b"\xfe.py")).write_bytes(b"x" * 600)
    (tmp_path / "a.py").write_bytes(b"print(2)\n")
    corpus = FileCorpus((tmp_path,))
    assert [c.name for c in corpus] == [str(tmp_path / "a.py")]
    assert dict(corpus.dropped) == {"unreadable": 2}


def test_the_order_is_the_seed_s() -> None:
    first, again, other = ([c.name for c in islice(FileCorpus(seed=s), 20)] for s in (1, 1, 2))
    assert first == again != other


def test_a_resumed_corpus_goes_on_where_it_stood(folder: Path) -> None:
    whole = [c.digest for c in islice(FileCorpus(seed=3), 40)]
    corpus = FileCorpus(seed=3)
    begun = [c.digest for c in islice(corpus, 15)]
    cursor = json.loads(json.dumps(corpus.cursor()))
    resumed = FileCorpus.resumed(cursor)
    assert resumed.dropped == corpus.dropped
    assert begun + [c.digest for c in islice(resumed, 25)] == whole


def test_a_duplicate_of_something_before_the_cursor_stays_left_out(folder: Path) -> None:
    corpus = FileCorpus((folder,))
    given = next(iter(corpus))
    assert given.digest not in {c.digest for c in FileCorpus.resumed(corpus.cursor(), (folder,))}


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="nothing-here"):
        FileCorpus((tmp_path / "nothing-here",))
