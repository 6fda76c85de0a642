"""`score file` with a target of the network: the agent gives the board, a worker scores, everybody is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from somatui.cli.explaining import in_words
from somatui.cli.main import entry
from tests.cli.scripted import Script, speak
from tests.cli.shell import one_sentence
from tests.domain.worlds import target, world
from tests.storage import stores
from tests.workers.boards import Board

DATA = b"some bytes to score\n" * 60


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board of two targets that the agent knows, with bytes to score beside it."""
    with stores.running(tmp_path / "store") as store:
        made = Board(store, tmp_path / "board.json")
        models = [made.add_model(seed) for seed in (1, 2, 3)]
        known = tuple(target(digits.ljust(64, "0")) for digits in ("7111", "7222"))
        for number, one in enumerate(known):
            made.add_target(number, models)
            made.told["targets"][number]["id"] = one.id
        made.write(threshold=1.0)
        (tmp_path / "data").write_bytes(DATA)
        script = speak(Script(replace(world(), targets=known)), monkeypatch)
        script.answers["board"] = {"path": str(made.path)}
        yield made


def ask(board: Board, *words: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    folder = board.path.parent
    status = entry(["score", "file", "--data", str(folder / "data"), "--home", str(folder / "home"), *words])
    return status, *capsys.readouterr()


@pytest.mark.slow
def test_a_target_named_by_its_first_digits_is_scored_on_its_own_models(
    board: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = ask(board, "--target", "7111", "--threshold", "0.001", "--json", capsys=capsys)
    assert status == 0, err
    found, asked = json.loads(out), board.told["targets"][0]
    winner, score, distance = board.expected(asked["id"], DATA)
    assert (found["winner"], found["target"]) == (winner, asked["id"])
    assert (found["models"][winner]["loss"], found["models"][winner]["distance"]) == (score.loss, distance)
    assert [n["target"] for n in found["nearest"]] == [board.told["targets"][1]["id"]]
    said = in_words("data", found)
    assert "data: 1,200 bytes, 2 chunks, 848 places of padding" in said
    assert f"* 0000…000{1 + winner}" in said and f"{score.loss:.6f}  {distance:.6f}" in said
    assert "It is no hit: its distance is" in said and "above the threshold of 0.001000" in said
    assert "An auditor lets a loss from" in said and "Other targets it is nearest to:\n" in said


def test_what_names_no_target_is_used_wrongly(board: Board, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["--target", "7333"], ["--target", "nowhere"], ["--target", str(board.path)],
                  ["--target", "7111", "--threshold", "3"], ["--target", "7111", "--threshold", "nan"]):  # fmt: skip
        status, out, err = ask(board, *words, capsys=capsys)
        assert (status, out) == (2, "") and one_sentence(err), err
