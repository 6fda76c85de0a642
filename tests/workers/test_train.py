"""The windows a model is trained on come in one order, and go on from any point of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from somatui.engine.trainer import CheckpointError
from somatui.workers.session import JobError
from somatui.workers.train import Source


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n, size in enumerate((10, 1024, 1025, 5000, 1)):
        (tmp_path / f"{n}.py").write_bytes(bytes([ord("a") + n]) * size)
    return tmp_path


def test_every_window_comes_once_a_round(folder: Path) -> None:
    source = Source((folder,), 16_384, 3)
    first, second = ([source.next() for _ in range(10)] for _ in range(2))
    assert sorted(map(len, first)) == [1, 1, 10, 904, 1024, 1024, 1024, 1024, 1024, 1024]
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize("given", range(0, 33, 4))
def test_a_resumed_source_goes_on_with_the_same_windows(folder: Path, given: int) -> None:
    whole = Source((folder,), 16_384, 3)
    expected = [whole.next() for _ in range(60)]
    begun = Source((folder,), 16_384, 3)
    for _ in range(given):
        begun.next()
    cursor = json.loads(json.dumps(begun.cursor()))
    resumed = Source((folder,), 16_384, 3, cursor)
    assert [resumed.next() for _ in range(60 - given)] == expected[given:]
    assert cursor["corpus"]["position"] <= 5


def test_a_corpus_without_anything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="nothing to train on"):
        Source((tmp_path,), 16_384, 3).next()


def test_a_cursor_of_another_kind_is_refused(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="another work folder"):
        Source((folder,), 16_384, 3, {"given": 4})
