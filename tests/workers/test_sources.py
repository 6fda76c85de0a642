"""A score job reads what its sources give, waits for those that are slow, and goes on where it stood."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board
from tests.workers.test_score import EVERYTHING, hits, job, result


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with stores.running(tmp_path / "store") as store:
        yield Board(store, tmp_path / "board.json")


@pytest.mark.slow
def test_lines_and_a_program_are_scored_and_their_hits_counted_by_source(board: Board, tmp_path: Path) -> None:
    for number in range(4):
        board.add_target(number, [board.add_model(1)] if not number else [board.told["models"][0]["id"]])
    board.write(threshold=EVERYTHING)
    records = [{"text": f"line {n}\n"} for n in range(3)] + [{"text": "line 1\n"}, {"text": " "}, {"text": "x" * 5000}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    program = '/bin/sh -c \'sleep 0.3; echo "{\\"text\\": \\"told late\\"}"\''
    sources = [{"kind": "jsonl", "path": str(tmp_path / "a.jsonl")}, {"kind": "program", "command": program}]
    asked = job(tmp_path, hits_each=1) | {
        "corpus": {"paths": None, "max_bytes": 4096, "seed": 1, "sources": sources}, "lazy": False,
    }  # fmt: skip
    messages = inside.done("score", asked)
    told = result(messages)
    assert (told["scored"], told["hits"], told["reason"]) == (4, 4, "corpus")
    assert told["dropped"] == {"duplicate": 1, "empty": 1, "size": 1}
    assert {Path(h["path"]).read_bytes() for h in hits(messages)} == {
        b"line 0\n",
        b"line 1\n",
        b"line 2\n",
        b"told late",
    }
    tables = [m.body["tables"] for m in messages if "tables" in m.body][-1]
    assert tables["sources"] == [
        {"source": "a.jsonl", "given": 3, "hits": 3, "ready": 0, "dropped": told["dropped"]},
        {"source": "sh", "given": 1, "hits": 1, "ready": 0, "dropped": {}},
    ]
    again = result(inside.done("score", asked))
    assert (again["scored"], again["hits"], again["reason"]) == (4, 4, "corpus")
    *_, failed = inside.done("score", asked | {"cursor": {"position": 3}})
    assert "cursor is not one of this corpus" in failed.body["error"]
