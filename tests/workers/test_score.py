"""Hits are what the contract says, each is told once, and a job goes on after any end."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import base58
import numpy as np
import pytest

from somatui.engine import cipher
from somatui.engine.contract import Score
from somatui.engine.weights import SMALL
from somatui.workers.board import BoardTarget
from somatui.workers.matching import Aims, Kept, Named
from somatui.workers.protocol import Message
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board
from tests.workers.processes import rest, start, tell, through, until

EVERYTHING = 2.1
"""A threshold that every distance is below."""


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with stores.running(tmp_path / "store") as store:
        yield Board(store, tmp_path / "board.json")


def files(folder: Path, count: int) -> list[str]:
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    for n in range(count):
        (sources / f"{n}.py").write_text(f"def function_{n}(x):\n    return x + {n}\n" * (1 + n % 3))
    return [str(sources)]


def job(folder: Path, count: int = 6, **more: Any) -> dict[str, Any]:
    return {
        "board": str(folder / "board.json"), "weights_dir": str(folder / "weights"), "work_dir": str(folder / "work"),
        "corpus": {"paths": files(folder, count), "max_bytes": 4096, "seed": 5}, "limit": None, "max_hits": None,
        "cursor": None, "threads": 1,
    } | more  # fmt: skip


def hits(messages: list[Message]) -> list[dict[str, Any]]:
    return [m.body for m in messages if m.kind == "hit"]


def result(messages: list[Message]) -> dict[str, Any]:
    assert messages[-1].kind == "done", messages[-1]
    found: dict[str, Any] = messages[-1].body["result"]
    return found


@pytest.mark.slow
def test_every_hit_is_the_contract_s_own_and_its_bytes_are_on_disk(board: Board, tmp_path: Path) -> None:
    models = [board.add_model(seed) for seed in (1, 2, 3)]
    orders = [models, models[::-1], models[1:] + models[:1], models[:1]]
    for number in range(12):
        board.add_target(100 + number, orders[number % 4])
    board.write(threshold=0.9)
    messages = rest(start("score", job(tmp_path, threads=2)))
    found = hits(messages)
    assert found
    for hit in found:
        data = Path(hit["path"]).read_bytes()
        assert data == Path(hit["name"]).read_bytes()
        assert (hit["size"], hit["checksum"]) == (len(data), base58.b58encode(cipher.checksum(data)).decode())
        winner, score, distance = board.expected(hit["target_id"], data)
        target = next(t for t in board.told["targets"] if t["id"] == hit["target_id"])
        assert (hit["winner"], hit["model_id"]) == (winner, target["model_ids"][winner])
        assert (hit["loss"], hit["distance"]) == (score.loss, distance)
        assert distance <= hit["threshold"] == 0.9
        assert np.array_equal(np.frombuffer(base64.b64decode(hit["embedding"]), "<f4"), score.embedding)
        assert [m["id"] for m in hit["models"]] == target["model_ids"]
        assert hit["epoch"] == 7
    assert len({h["target_id"] for h in found}) == len(found)
    told = result(messages)
    assert (told["scored"], told["hits"], told["reason"]) == (6, len(found), "corpus")
    missed = {t["id"] for t in board.told["targets"]} - {h["target_id"] for h in found}
    sources = [p.read_bytes() for p in (tmp_path / "sources").iterdir()]
    distances = [board.expected(t["id"], data)[2] for t in board.told["targets"] for data in sources]
    assert all(board.expected(t, data)[2] > 0.9 for t in missed for data in sources)
    assert told["best_distance"] == min(distances)


@pytest.mark.slow
def test_metrics_and_progress_tell_how_it_goes(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=-1.0)
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "large.py").write_bytes(b"x" * 5000)
    messages = inside.done("score", job(tmp_path, limit=4))
    metrics = [m.body for m in messages if m.kind == "metric" and "tables" not in m.body]
    assert all(isinstance(value, int | float | None) for body in metrics for value in body.values())
    last = metrics[-1]
    assert (last["scored"], last["hits"]) == (4, 0)
    assert last["dropped"] == last.get("dropped_size", 0) <= 1
    assert last["candidates_per_s"] > 0
    assert last["chunks_per_s"] > 0
    assert 0 < last["best_distance"] < 2
    assert last["best_hour"] == pytest.approx(last["best_distance"], abs=1e-5)
    assert (last["targets"], last["covered"], last["left_s"]) == (1, 0, 0)
    tables = [m.body["tables"] for m in messages if "tables" in m.body][-1]
    (miss,) = tables["near"]
    assert miss["target"] == board.told["targets"][0]["id"]
    assert miss["distance"] == pytest.approx(last["best_distance"], abs=1e-5)
    assert miss["gap"] == pytest.approx(last["best_distance"] + 1, abs=1e-5)
    assert Path(miss["name"]).parent == tmp_path / "sources"
    dropped = {"size": 1} if last["dropped"] else {}
    assert tables["sources"] == [{"source": "files", "given": 4, "hits": 0, "ready": 0, "dropped": dropped}]
    assert tables["gauges"] == []
    assert [m.body["done"] for m in messages if m.kind == "progress"][-1] == 1
    assert result(messages)["reason"] == "limit"


@pytest.mark.slow
def test_a_new_board_is_held_against_old_candidates_and_known_targets_are_not_told_again(
    board: Board, tmp_path: Path
) -> None:
    model = board.add_model(1)
    first = board.add_target(100, [model])
    board.write(threshold=EVERYTHING)
    process = start("score", job(tmp_path, count=300))
    assert until(process, "hit").body["target_id"] == first
    scored = until(process, "metric").body["scored"]
    named = {str(tmp_path / "sources" / f"{n}.py") for n in range(300)}
    second = board.add_target(101, [model])
    board.write()
    tell(process, '{"cmd":"board"}')
    hit = until(process, "hit").body
    assert (hit["target_id"], hit["name"] in named) == (second, True)
    board.told["targets"] = [t for t in board.told["targets"] if t["id"] == second]
    third = board.add_target(102, [model])
    board.write()
    tell(process, '{"cmd":"board"}')
    assert until(process, "hit").body["target_id"] == third
    board.add_target(100, [model])
    (tmp_path / "board.json").write_text("half a board")
    tell(process, '{"cmd":"board"}')
    assert "stays as it was" in until(process, "log").body["text"]
    board.write()
    tell(process, '{"cmd":"board"}')
    assert until(process, "hit").body["target_id"] == first
    tell(process, '{"cmd":"stop"}')
    messages = rest(process)
    assert hits(messages) == []
    told = result(messages)
    assert (told["hits"], told["reason"]) == (4, "stopped")
    assert told["scored"] >= scored


@pytest.mark.slow
@pytest.mark.parametrize("spoil", ["checksum", "key", "gone", "size"])
def test_a_model_with_bad_weights_takes_its_targets_along_and_nothing_else(
    board: Board, tmp_path: Path, spoil: str
) -> None:
    good, bad = board.add_model(1), board.add_model(2)
    kept, lost = board.add_target(100, [good]), board.add_target(101, [good, bad])
    told = board.told["models"][1]
    match spoil:
        case "checksum":
            told["checksum"] = base58.b58encode(bytes(32)).decode()
        case "key":
            told["key"] = base58.b58encode(bytes(32)).decode()
        case "gone":
            told["url"] += "x"
        case "size":
            told["size"] -= 1
    board.write(threshold=EVERYTHING)
    messages = inside.done("score", job(tmp_path, limit=2))
    assert [h["target_id"] for h in hits(messages)] == [kept]
    logs = " ".join(m.body["text"] for m in messages if m.kind == "log")
    assert f"model {bad} is left out" in logs
    assert "1 of 2 targets are left out" in logs
    assert lost not in logs


@pytest.mark.slow
def test_a_board_of_no_use_is_refused_in_one_sentence(board: Board, tmp_path: Path) -> None:
    board.write(threshold=1.0)
    *_, failed = inside.done("score", job(tmp_path))
    assert "No model of the board" in failed.body["error"]
    (tmp_path / "board.json").write_text('{"epoch": 1, "threshold": 1.0, "targets": [{}], "models": []}')
    *_, failed = inside.done("score", job(tmp_path))
    assert "board.json is not as it should be" in failed.body["error"]


@pytest.mark.slow
def test_weights_are_fetched_once_and_fetched_again_when_the_file_is_spoiled(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=EVERYTHING)
    first = hits(inside.done("score", job(tmp_path, limit=1)))
    (cached,) = (tmp_path / "weights").glob("*.safetensors")
    before = cached.stat().st_mtime_ns
    again = hits(inside.done("score", job(tmp_path, limit=1, work_dir=str(tmp_path / "other"))))
    assert cached.stat().st_mtime_ns == before
    data = bytearray(cached.read_bytes())
    data[-1] ^= 1
    cached.write_bytes(data)
    third = hits(inside.done("score", job(tmp_path, limit=1, work_dir=str(tmp_path / "third"))))
    assert [h["distance"] for h in first] == [h["distance"] for h in again] == [h["distance"] for h in third]
    assert list((tmp_path / "weights").glob("*.safetensors")) == [cached]


@pytest.mark.slow
def test_a_job_goes_on_where_it_stood_when_it_was_told_to_end(board: Board, tmp_path: Path) -> None:
    """What a kill leaves is held against the sources by tests.long.score_kill, and over shards by test_score_many."""
    model, count = board.add_model(1), 6
    for number in range(20):
        board.add_target(100 + number, [model])
    (tmp_path / "whole").mkdir()
    asked = job(tmp_path, count=count, work_dir=str(tmp_path / "whole"))
    sources = [p.read_bytes() for p in (tmp_path / "sources").iterdir()]
    nearest = [min(board.expected(t["id"], data)[2] for data in sources) for t in board.told["targets"]]
    board.write(threshold=float(np.median(nearest)))
    whole = inside.done("score", asked)
    found = [h["target_id"] for h in hits(whole)]
    assert len(found) == 10
    process = start("score", asked | {"work_dir": str(tmp_path / "work")})
    begun = through(process, "checkpoint")
    process.terminate()
    begun += rest(process)
    resumed = rest(start("score", asked | {"work_dir": str(tmp_path / "work")}))
    assert result(resumed)["scored"] == result(whole)["scored"] == count
    assert result(resumed)["dropped"] == result(whole)["dropped"]
    told = [h["target_id"] for h in hits(begun)]
    assert [h["target_id"] for h in hits(resumed)[: len(told)]] == told, "nobody may have heard them: told once more"
    assert told + [h["target_id"] for h in hits(resumed)[len(told) :]] == found


@pytest.mark.slow
def test_a_cursor_says_where_to_begin(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=EVERYTHING)
    first = inside.done("score", job(tmp_path, limit=3, work_dir=str(tmp_path / "first")))
    cursor = json.loads(json.dumps(result(first)["cursor"]))
    second = inside.done("score", job(tmp_path, limit=3, cursor=cursor, work_dir=str(tmp_path / "second")))
    assert hits(first)[0]["name"] != hits(second)[0]["name"]
    assert result(second)["scored"] == 3
    third = inside.done("score", job(tmp_path, cursor=result(second)["cursor"], work_dir=str(tmp_path / "third")))
    assert (result(third)["scored"], result(third)["reason"]) == (0, "corpus")


@pytest.mark.slow
def test_enough_hits_are_enough(board: Board, tmp_path: Path) -> None:
    model = board.add_model(1)
    for number in range(5):
        board.add_target(100 + number, [model])
    board.write(threshold=EVERYTHING)
    messages = inside.done("score", job(tmp_path, max_hits=3))
    assert len(hits(messages)) == 3
    assert result(messages)["reason"] == "hits"
    (source,) = [m.body["tables"] for m in messages if "tables" in m.body][-1]["sources"]
    assert (source["given"], source["hits"]) == (1, 1), "one candidate that hits three targets is one of one"


@pytest.mark.slow
def test_a_worker_that_is_done_does_not_stay_for_candidates_under_way(board: Board, tmp_path: Path) -> None:
    board.add_target(100, [board.add_model(1)])
    board.write(threshold=EVERYTHING)
    texts = ["x = 1", "".join(f"def f{n}(): return {n}\n" for n in range(100_000))]
    (tmp_path / "lines").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus = {"sources": [{"kind": "jsonl", "path": str(tmp_path / "lines")}], "max_bytes": 1 << 23}
    process = start("score", job(tmp_path, 0, max_hits=1, threads=2, corpus=corpus))
    told = through(process, "done")
    assert [h["size"] for h in hits(told)] == [5]
    assert (process.wait(10), rest(process)) == (0, [])


def an_aim(name: str, vector: list[float], *models: str) -> BoardTarget:
    return BoardTarget(name, np.array(vector, dtype=np.float32), models)


@pytest.mark.slow
def test_one_candidate_may_be_held_to_one_hit(board: Board, tmp_path: Path) -> None:
    models = [board.add_model(1)]
    for number in range(9):
        board.add_target(number, models)
    board.write(threshold=EVERYTHING)
    messages = inside.done("score", job(tmp_path, count=4, hits_each=1))
    found = hits(messages)
    assert len(found) == len({h["name"] for h in found}) == len({h["target_id"] for h in found}) == 4


def test_the_winner_has_the_lowest_loss_and_on_ties_the_first_place_in_the_target_s_list() -> None:
    aims = Aims(
        [an_aim("t", [1, 0], "a", "b", "c"), an_aim("u", [1, 0], "c", "b", "a"), an_aim("v", [0, 2], "a")],
        {"a": 0, "b": 1, "c": 2}, 2,
    )  # fmt: skip
    losses = np.array([[1.0, 0.5, 0.5], [0.1, 0.2, 0.3]])
    embeddings = np.array([[[1, 0], [0, 1], [-3, 0]], [[1, 1], [0, 1], [1, 0]]], dtype=np.float32)
    far, places, _ = aims.near(losses, embeddings)
    assert places.tolist() == [[1, 0, 0], [0, 2, 0]]
    half = 1 - 0.5**0.5
    assert far == pytest.approx(np.array([[1, 2, 1], [half, half, half]]), abs=1e-6)


def test_a_missing_score_or_an_embedding_of_zeros_hits_nothing() -> None:
    aims = Aims([an_aim("t", [1, 0], "a", "b"), an_aim("u", [1, 0], "a")], {"a": 0, "b": 1}, 2)
    embeddings = np.array([[[1, 0], [1, 0]], [[0, 0], [1, 0]]], dtype=np.float32)
    far, _, _ = aims.near(np.array([[0.5, np.nan], [0.5, 0.6]]), embeddings)
    assert far.tolist() == [[np.inf, 0], [np.inf, np.inf]]


def test_memory_for_kept_candidates_is_bounded_and_the_newest_stay() -> None:
    kept = Kept(["a"], 2, most=3)
    for n in range(5):
        kept.add(Named(str(n), bytes(32)), {"a": Score(float(n), np.array([n, 1], dtype=np.float32))})
    assert len(kept) == 3
    wider = kept.with_columns(["b", "a"], 2)
    assert [wider[row].name for row in range(3)] == ["2", "3", "4"]
    losses, _ = wider.view(slice(0, None))
    assert losses[:, 1].tolist() == [2, 3, 4]
    assert np.isnan(losses[:, 0]).all()
    assert len(kept.with_columns(["a"], 3)) == 0
    assert Kept(["a"] * 100, SMALL.dim * 10_000).size < 100
