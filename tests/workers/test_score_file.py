"""One file scored and explained: the recorded numbers, what they mean, and a target of the board with its models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from somatui.engine import weights
from tests.golden.scoring import recipe
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board

GOLDEN = Path(__file__).parent.parent / "golden" / "scoring"
DATA = b"def answer(self):\n    return 42\n" * 100


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """Four models; targets 1 to 9 list the first three, the tenth one of them and the fourth."""
    folder = tmp_path_factory.mktemp("board")
    with stores.running(folder / "store") as store:
        made = Board(store, folder / "board.json")
        a, b, c, d = (made.add_model(seed) for seed in (1, 2, 3, 4))
        for number in range(1, 10):
            made.add_target(number, [a, b, c] if number % 2 else [c, a, b])
        made.add_target(10, [b, d])
        made.add_target(11, [d])
        made.write(threshold=1.0)
        (folder / "data").write_bytes(DATA)
        yield made


def ask(board: Board, target: str, **more: Any) -> dict[str, Any]:
    """The result, or the error."""
    folder = board.path.parent
    job = {"models": [], "data": str(folder / "data"), "board": str(board.path), "target_id": target,
           "weights_dir": str(folder / "weights"), "seed": 0} | more  # fmt: skip
    *_, end = inside.done("score_file", job)
    return dict(end.body["result"]) if end.kind == "done" else end.body


def test_a_file_is_scored_as_the_recording_says_and_explained(tmp_path: Path) -> None:
    case = next(c for c in json.loads((GOLDEN / "cases.json").read_text()) if c["name"] == "small-text-1500")
    answer = next(a for a in map(json.loads, (GOLDEN / "expected.jsonl").open()) if a["name"] == case["name"])
    (tmp_path / "data").write_bytes(recipe.data_bytes(**case["data"]))
    (tmp_path / "target.json").write_text(json.dumps(recipe.target(16, case["target_seed"]).tolist()))
    models = []
    for seed in case["model_seeds"]:
        tensors = {k: weights.torch.from_numpy(v) for k, v in recipe.weights(case["config"], seed).items()}
        models.append(str(tmp_path / f"{seed}.safetensors"))
        Path(models[-1]).write_bytes(weights.to_bytes(tensors))
    job = {"models": models, "data": str(tmp_path / "data"), "target": str(tmp_path / "target.json"), "seed": 0}
    *_, done = inside.done("score_file", job | {"threshold": 0.9})
    assert done.kind == "done"
    result = done.body["result"]
    assert result["winner"] == answer["winner"]
    for ours, theirs in zip(result["models"], answer["models"], strict=True):
        assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-5)
        assert ours["distance"] == pytest.approx(theirs["distance"], abs=1e-5)
        assert np.abs(np.array(ours["embedding"]) - theirs["embedding"]).max() <= 1e-4
    assert {"bytes": 1500, "chunks": 2, "batches": 1, "padding": 548}.items() <= result["data"].items()
    assert result["margin"] == pytest.approx({"runner_up": 2, "loss": 0.141968, "share": 0.031607}, abs=1e-5)
    assert (result["threshold"], result["hit"], result["target"], result["nearest"]) == (0.9, True, None, None)
    assert result["audit"]["one_answer"] and result["audit"]["winner_is_safe"]
    low, high = result["audit"]["distance"]
    assert (low, high) == pytest.approx((0.855938, 0.875938), abs=1e-5)
    *_, none = inside.done("score_file", job)
    assert none.body["result"]["hit"] is none.body["result"]["threshold"] is None


NONE = "not a JSON list"


@pytest.mark.parametrize(
    ("target", "says"),
    [("[1, 2]", "16 finite"), ("[NaN]", "16 finite"), ("nothing", NONE), ("[" * 200_000, NONE), (f"[{9**999}]", NONE)],
    ids=["few", "nan", "word", "deep", "large"],
)
def test_a_wrong_target_is_refused_in_one_sentence(tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "model").write_bytes(weights.to_bytes(weights.initial(weights.SMALL, 1)))
    (tmp_path / "data").write_bytes(b"text")
    (tmp_path / "target.json").write_text(target)
    job = {"models": [str(tmp_path / "model")], "data": str(tmp_path / "data"), "target": str(tmp_path / "target.json")}
    *_, failed = inside.done("score_file", job)
    assert failed.kind == "failed"
    assert says in failed.body["error"]


def test_data_that_are_far_too_large_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "data").open("wb") as file:
        file.truncate(10**12)
    *_, failed = inside.done("score_file", {"models": [], "data": str(tmp_path / "data")})
    assert "more than 4,194,304 bytes: the network takes 1 MiB" in failed.body["error"]


@pytest.mark.parametrize("factor", [0.0, 1e30])
def test_a_model_whose_numbers_come_to_nothing_is_named(tmp_path: Path, factor: float) -> None:
    """Each of its numbers is finite: of one its loss is not, of the other its embedding has no direction."""
    spoiled = {name: tensor * factor for name, tensor in weights.initial(weights.SMALL, 1).items()}
    (tmp_path / "model").write_bytes(weights.to_bytes(spoiled))
    (tmp_path / "data").write_bytes(b"text")
    (tmp_path / "target").write_text(json.dumps([1.0] * 16))
    job = {"models": [str(tmp_path / "model")], "data": str(tmp_path / "data"), "target": str(tmp_path / "target")}
    *_, failed = inside.done("score_file", job)
    assert failed.body["error"].startswith("model gives this file a loss or a distance that is no finite number")


def test_a_target_of_the_board_brings_its_models_and_threshold(board: Board) -> None:
    target = board.told["targets"][1]
    found, (winner, score, distance) = ask(board, target["id"]), board.expected(target["id"], DATA)
    assert (found["winner"], found["target"], found["threshold"]) == (winner, target["id"], 1.0)
    assert [m["id"] for m in found["models"]] == target["model_ids"]
    assert found["models"][winner]["loss"] == score.loss
    assert found["models"][winner]["distance"] == distance
    assert found["hit"] is (distance <= 1.0)


def test_the_nearest_other_targets_are_those_of_the_contract_and_say_what_they_lack(board: Board) -> None:
    found = ask(board, board.told["targets"][0]["id"])["nearest"]
    others = [t["id"] for t in board.told["targets"][1:9]]
    expected = {t: board.expected(t, DATA)[2] for t in others}
    assert [o["distance"] for o in found] == sorted(o["distance"] for o in found)
    assert len(found) == 5
    for one in found:
        if one["lacks"]:
            assert one["target"] == board.told["targets"][9]["id"] and one["lacks"] == 1
        else:
            assert one["distance"] == expected[one["target"]] and one["hit"] is (one["distance"] <= 1.0)
    farthest = max(o["distance"] for o in found)
    told = {o["target"] for o in found}
    assert all(d >= farthest for t, d in expected.items() if t not in told)


def test_named_files_stand_for_the_targets_models_and_must_be_as_many(board: Board) -> None:
    target = board.told["targets"][0]
    ask(board, target["id"])
    files = [str(p) for p in sorted((board.path.parent / "weights").glob("*.safetensors"))]
    assert "3 models, 2 were named" in ask(board, target["id"], models=files[:2])["error"]
    assert {m["model"] for m in ask(board, target["id"], models=files)["models"]} == set(files)


def test_a_target_that_is_not_open_or_whose_weights_are_gone_is_one_sentence(board: Board, tmp_path: Path) -> None:
    assert "is not open in epoch 7" in ask(board, f"0x{99:064x}")["error"]
    board.told["models"][3]["checksum"] = "4" * 44
    board.write()
    error = ask(board, board.told["targets"][10]["id"], weights_dir=str(tmp_path))["error"]
    assert error.startswith("The weights of a model cannot be had: ") and error.endswith(".")
