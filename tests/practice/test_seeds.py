"""Seeded models that are kept: the same bytes as trained ones, made anew when spoiled, never more than a few."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from somatui.practice import genesis, seeds
from somatui.practice.genesis import Beginning
from somatui.practice.tied import command
from tests.practice.standin_workers import SEED

JOB: dict[str, Any] = {"job": "seed", "version": 1, "count": 3, "steps": 1, "seed": 1}
NAME = "0" * 64
MODELS = tuple(seeds.Seeded(bytes([n]) * 1000, f"embedding {n}") for n in range(3))


def made(folder: Path, cache: Path, words: list[str], steps: int = 1) -> tuple[tuple[seeds.Seeded, ...], list[str]]:
    """What a network in `folder` begins with, and what it says about that."""
    said: list[str] = []
    folder.mkdir()
    work, log = folder / "seed", folder / "seed.log"
    work.mkdir()
    beginning = Beginning(steps=steps, cache=cache)
    return asyncio.run(genesis.models_of(words, work, 1, beginning, log, said.append)), said


@pytest.mark.slow
def test_kept_models_are_the_trained_ones_byte_by_byte(tmp_path: Path) -> None:
    worker = command(genesis.WORKER)
    first, trained = made(tmp_path / "first", tmp_path / "cache", worker)
    second, taken = made(tmp_path / "second", tmp_path / "cache", worker)
    (kept,) = (tmp_path / "cache").iterdir()
    third, again = made(tmp_path / "third", tmp_path / "another cache", worker)
    assert first == second == third
    assert len({one.weights for one in first}) == 3
    assert [lines[0].partition(" ")[0] for lines in (trained, taken, again)] == ["Training", "Taking", "Training"]
    assert not list((tmp_path / "second" / "seed").iterdir()), "no worker was started"
    (twin,) = (tmp_path / "another cache").iterdir()
    assert (kept.name, kept.read_bytes()) == (twin.name, twin.read_bytes())


@pytest.mark.parametrize("at", [0, 31, 32, 40, 60, 2000, -1])
def test_one_changed_bit_anywhere_in_a_file_is_noticed(tmp_path: Path, at: int) -> None:
    seeds.keep(tmp_path, NAME, MODELS)
    (kept,) = tmp_path.iterdir()
    spoiled = bytearray(kept.read_bytes())
    spoiled[at] ^= 1
    kept.write_bytes(spoiled)
    assert seeds.find(tmp_path, NAME) is None


def test_models_of_a_spoiled_file_are_made_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first, _ = made(tmp_path / "first", cache, SEED)
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    second, said = made(tmp_path / "second", cache, SEED)
    assert second == first and said[0].startswith("Training")
    assert kept.read_bytes() == whole


@pytest.mark.parametrize("left", [0, 7, 31, 32, 50, 3000])
def test_a_file_that_was_cut_short_holds_nothing(tmp_path: Path, left: int) -> None:
    seeds.keep(tmp_path, NAME, MODELS)
    assert seeds.find(tmp_path, NAME) == MODELS
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(kept.read_bytes()[:left])
    assert seeds.find(tmp_path, NAME) is None


def test_whatever_the_models_depend_on_gives_them_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {seeds.recipe(JOB), seeds.recipe(JOB | {"seed": 2}), seeds.recipe(JOB | {"steps": 2})}
    with monkeypatch.context() as other:
        other.setattr(seeds.importlib.metadata, "version", lambda name: "0" if name == "torch" else "1")
        names.add(seeds.recipe(JOB))
    with monkeypatch.context() as other:
        other.setattr(seeds.sys, "version", "another Python")
        names.add(seeds.recipe(JOB))
    with monkeypatch.context() as other:
        changed = tmp_path / "seed.py"
        changed.write_text("one more line\n")
        sources = [*seeds._sources()][1:]
        other.setattr(seeds, "_sources", lambda: iter([changed, *sources]))
        names.add(seeds.recipe(JOB))
    assert len(names) == 6
    assert seeds.recipe(JOB) in names


def test_the_sources_are_those_that_train() -> None:
    names = {f"{path.parent.name}/{path.name}" for path in seeds._sources()}
    assert {"workers/seed.py", "engine/contract.py", "engine/weights.py", "corpora/files.py"} <= names


def test_the_files_longest_not_used_go(tmp_path: Path) -> None:
    for number in range(seeds.KEPT):
        seeds.keep(tmp_path, f"{number:064x}", MODELS)
        os.utime(tmp_path / f"{number:064x}.models", (number, number))
    assert seeds.find(tmp_path, f"{0:064x}") == MODELS
    seeds.keep(tmp_path, NAME.replace("0", "f"), MODELS)
    left = {path.name.partition(".")[0] for path in tmp_path.iterdir()}
    assert len(left) == seeds.KEPT
    assert f"{1:064x}" not in left and f"{0:064x}" in left


def test_a_folder_that_cannot_be_written_keeps_nothing_and_hinders_nobody(tmp_path: Path) -> None:
    (tmp_path / "in the way").write_text("")
    first, said = made(tmp_path / "first", tmp_path / "in the way", SEED)
    assert len(first) == 3 and said[0].startswith("Training")
