"""The order of models saves forwards and loses nothing: what matters has been through all models of its target."""

from __future__ import annotations

import contextlib
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from somatui.corpora.files import Candidate
from somatui.engine import cipher
from somatui.engine.contract import Score
from somatui.workers.board import Board as BoardFile
from somatui.workers.board import BoardModel, BoardTarget
from somatui.workers.hits import Hits
from somatui.workers.lazy import Plan, Shares
from somatui.workers.matching import Aims, Kept, Named
from somatui.workers.owed import Owed
from somatui.workers.protocol import Emitter
from somatui.workers.session import Session
from somatui.workers.stand import Stand
from tests.storage import stores
from tests.workers.boards import Board
from tests.workers.processes import rest, start
from tests.workers.test_score import hits, job, result

NAMES = ("a", "b", "c", "d", "e")


def through(plan: Plan, answers: dict[str, Score]) -> list[str]:
    """The columns that a candidate with these answers goes through."""
    scores: dict[str, Score] = {}
    while (column := plan.following(scores)) is not None:
        scores[column] = answers[column]
    return list(scores)


def a_plan(targets: list[tuple[list[float], str]], within: float, order: str = "abcde", every: bool = False) -> Plan:
    """Targets by vector and the letters of their models."""
    places = {name: n for n, name in enumerate(NAMES)}
    made = [BoardTarget(str(n), np.array(v, dtype=np.float32), tuple(m)) for n, (v, m) in enumerate(targets)]
    return Plan(NAMES, tuple(places[c] for c in order), Aims(made, places, len(targets[0][0])), within, every)


def answers(**told: tuple[float, list[float]]) -> dict[str, Score]:
    return {name: Score(loss, np.array(vector, dtype=np.float32)) for name, (loss, vector) in told.items()}


def test_others_follow_only_while_the_best_so_far_is_near() -> None:
    plan = a_plan([([1, 0], "abc")], within=0.5)
    near, far = [1.0, 0.1], [-1.0, 0.0]
    assert through(plan, answers(a=(1.0, far))) == ["a"]
    assert through(plan, answers(a=(1.0, near), b=(2.0, far), c=(3.0, far))) == ["a", "b", "c"]
    assert through(plan, answers(a=(1.0, near), b=(0.5, far), c=(3.0, far))) == ["a", "b"]
    assert through(a_plan([([1, 0], "abc")], 0.5, every=True), answers(**dict.fromkeys(NAMES, (1.0, far)))) == [*NAMES]


def test_a_model_that_another_target_needs_goes_on_from_there() -> None:
    plan = a_plan([([1, 0], "ab"), ([0, 1], "bc")], within=0.5)
    found = answers(a=(1.0, [1.0, 0.0]), b=(0.5, [0.0, 1.0]), c=(0.4, [0.0, 1.0]))
    assert through(plan, found) == ["a", "b", "c"]
    found["a"] = Score(1.0, np.array([-1, 0], dtype=np.float32))
    assert through(plan, found) == ["a"]


def test_a_loss_that_is_no_number_ends_nothing() -> None:
    plan = a_plan([([1, 0], "ab")], within=0.5)
    assert through(plan, answers(a=(float("nan"), [1.0, 0.0]), b=(1.0, [1.0, 0.0]))) == ["a"]


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.5, 1.5))
def test_what_a_lazy_candidate_hits_it_hits_and_what_its_first_model_wins_is_not_missed(
    seed: int, within: float
) -> None:
    chance = np.random.default_rng(seed)
    targets = [
        (chance.standard_normal(4).tolist(), "".join(chance.permutation([*NAMES])[: chance.integers(1, 4)]))
        for _ in range(12)
    ]
    plan = a_plan(targets, within, order="".join(chance.permutation([*NAMES])))
    whole = {name: Score(chance.random(), chance.standard_normal(4).astype(np.float32)) for name in NAMES}
    found = through(plan, whole)
    kept, full = Kept(NAMES, 4), Kept(NAMES, 4)
    kept.add(Named("x", bytes(32)), {name: whole[name] for name in found})
    full.add(Named("x", bytes(32)), whole)
    far, winners, _ = plan.aims.near(*kept.view(slice(0, 1)))
    far_all, winners_all, _ = plan.aims.near(*full.view(slice(0, 1)))
    told = far[0] <= within
    assert (far_all[0][told] == far[0][told]).all()
    assert (winners_all[0][told] == winners[0][told]).all()
    for number, (_, models) in enumerate(targets):
        if far_all[0][number] <= within and models[winners_all[0][number]] == found[0]:
            assert told[number]


def test_the_order_is_that_of_targets_times_wins_and_is_remembered_over_boards() -> None:
    plan = a_plan([([1, 0], "abc"), ([0, 1], "abc"), ([1, 1], "cde")], within=0.5)
    shares = Shares(NAMES)
    assert shares.order(plan.aims)[0] == NAMES.index("c")
    for _ in range(20):
        shares.learn(plan.aims, np.array([3.0, 1.0, 2.0, 4.0, 5.0]))
    assert [NAMES[n] for n in shares.order(plan.aims)[:2]] == ["b", "c"]
    later = Shares(("b", "z", "a"), shares)
    aims = Aims([BoardTarget("t", np.ones(2, dtype=np.float32), ("z", "a", "b"))], {"b": 0, "z": 1, "a": 2}, 2)
    assert later.order(aims)[0] == 0


def test_a_candidate_that_is_kept_already_is_completed_in_its_row() -> None:
    kept = Kept(("a", "b"), 2, most=2)
    vector = np.ones(2, dtype=np.float32)
    first, second, third = (Named(str(n), bytes([n]) * 32) for n in range(3))
    assert kept.add(first, {"a": Score(1.0, vector)}) == 0
    kept.add(second, {"a": Score(2.0, vector)})
    assert kept.add(first, {"b": Score(3.0, vector)}) == 0
    assert {c: s.loss for c, s in kept.known(first).items()} == {"a": 1.0, "b": 3.0}
    kept.add(third, {})
    assert kept.known(first) == {}
    assert len(kept) == 2


def test_who_is_to_be_come_back_to_survives_any_end(tmp_path: Path) -> None:
    asked = {"work_dir": str(tmp_path), "corpus": {"paths": ["a"], "seed": 3}}
    stand = Stand.of(asked)
    with stand.step():
        stand.owe("00ff", "a/file.py")
    stand.close()
    with contextlib.closing(Stand.of(asked)) as again:
        assert again.owed == {"00ff": "a/file.py"}
    with contextlib.closing(Stand.of(asked | {"cursor": {"position": 1}})) as anew:
        assert anew.owed == {}


def test_candidates_to_come_back_to_are_kept_with_their_bytes_and_let_go_of_when_done(tmp_path: Path) -> None:
    stand = Stand.of({"work_dir": str(tmp_path)})
    owed = Owed(tmp_path / "owed", stand)
    made = [Candidate(f"line {n}", bytes([n]), cipher.checksum(bytes([n]))) for n in range(4)]
    for candidate in made:
        owed.add(candidate)
    (tmp_path / "owed" / made[1].digest.hex()).write_bytes(b"spoiled")
    first = owed.next()
    assert first == made[0]
    owed.done(first)
    again = Owed(tmp_path / "owed", stand)
    assert [again.next(), again.next(), again.next()] == [made[2], made[3], None]
    again.tidy()
    assert len(list((tmp_path / "owed").iterdir())) == len(stand.owed) == 2
    stand.close()
    anew = Stand.of({"work_dir": str(tmp_path), "corpus": {"seed": 1}})
    Owed(tmp_path / "owed", anew)
    assert list((tmp_path / "owed").iterdir()) == []
    anew.close()


def test_when_a_model_comes_all_are_given_out_again_and_those_that_promise_something_first(tmp_path: Path) -> None:
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as stand:
        owed = Owed(tmp_path / "owed", stand)
        made = [Candidate(f"line {n}", bytes([n]), cipher.checksum(bytes([n]))) for n in range(5)]
        for candidate in made:
            owed.add(candidate, more=False)
        assert owed.next() is None
        owed.again(lambda named: ())
        under_way = owed.next()
        assert (under_way, owed.first()) == (made[0], None)
        owed.done(made[1])
        owed.again(lambda named: [n for n in named if n.name in ("line 0", "line 1", "line 4")])
        assert [owed.first(), owed.first()] == [made[4], None]
        assert [owed.next(), owed.next(), owed.next()] == [made[2], made[3], None]
        owed.add(made[0], more=True)
        assert [owed.next(), owed.next()] == [made[0], None]


def test_a_candidate_promises_something_while_it_is_near_a_target_that_lists_a_model_it_lacks(tmp_path: Path) -> None:
    with contextlib.closing(Stand.of({"work_dir": str(tmp_path)})) as stand:
        found = Hits(tmp_path, Session(Emitter(io.StringIO())), stand, None)
        models = {name: BoardModel(name, "", name, 1, b"") for name in "ab"}
        usable, dims = {name: name for name in "ab"}, dict.fromkeys("ab", 2)
        near, far = np.array([1, 0], dtype=np.float32), np.array([-1, 0], dtype=np.float32)
        made = [Candidate(name, name.encode(), cipher.checksum(name.encode())) for name in ("near", "far", "done")]
        named = [Named(c.name, c.digest) for c in made]
        with stand.step():
            found.follow(BoardFile(1, -1.0, (), models), usable, dims)
            assert found.promising(named, False) == set()
            found.deal(made[0], {"a": Score(1.0, near)})
            found.deal(made[1], {"a": Score(1.0, far)})
            found.deal(made[2], {"a": Score(1.0, far), "b": Score(2.0, near)})
            assert found.promising(named, True) == set()
            found.follow(BoardFile(1, 0.1, (BoardTarget("t", near, ("a", "b")),), models), usable, dims)
            assert [one.name for one in found.promising([*named, Named("else", bytes(32))], False)] == ["near"]


@pytest.mark.slow
def test_a_lazy_job_finds_what_a_full_one_finds(tmp_path: Path) -> None:
    with stores.running(tmp_path / "store") as store:
        board = Board(store, tmp_path / "board.json")
        models = [board.add_model(seed) for seed in (1, 2, 3)]
        for number in range(6):
            board.add_target(100 + number, models)
        board.write(threshold=0.8)
        asked = job(tmp_path, count=10)

        def run(name: str, **more: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
            messages = rest(start("score", asked | {"work_dir": str(tmp_path / name)} | more))
            return hits(messages), result(messages)

        with ThreadPoolExecutor(2) as pool:
            lazy, full = pool.submit(run, "lazy"), pool.submit(run, "full", lazy=False)
            once = [h["name"] for h in pool.submit(run, "once", hits_each=1).result()[0]]
            (lazy_hits, lazy_told), (full_hits, full_told) = lazy.result(), full.result()
        assert full_hits
        assert 0 < len(once) == len(set(once))
        nearest = {h["target_id"] for h in full_hits}
        assert {h["target_id"] for h in lazy_hits} == nearest
        for hit in lazy_hits:
            winner, score, distance = board.expected(hit["target_id"], Path(hit["path"]).read_bytes())
            assert (hit["winner"], hit["loss"], hit["distance"]) == (winner, score.loss, distance)
        for told in (lazy_told, full_told):
            assert (told["scored"], told["owed"], told["reason"]) == (10, 0, "corpus")
        assert lazy_told["best_distance"] == full_told["best_distance"]
