"""The nearest misses, the hour's best and the time to cover are what the distances say, and no more than they say."""

from __future__ import annotations

import numpy as np
import pytest

from somatui.workers.nearest import COVERED, Nearest


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def far(*rows: list[float]) -> np.ndarray:
    return np.array(rows, dtype=np.float32)


def test_misses_are_one_for_each_target_the_nearest_first_and_hits_are_none() -> None:
    nearest = Nearest()
    nearest.follow(["a", "b", "c"], 0.9)
    assert nearest.misses() == []
    nearest.see(far([0.95, 1.1, np.inf]), ["one.py"])
    nearest.see(far([0.97, 0.93, np.inf]), ["two.py"])
    assert nearest.misses() == [
        {"name": "two.py", "target": "b", "distance": pytest.approx(0.93), "gap": pytest.approx(0.03)},
        {"name": "one.py", "target": "a", "distance": pytest.approx(0.95), "gap": pytest.approx(0.05)},
    ]
    nearest.see(far([0.99, 0.89, np.inf]), ["three.py"])
    assert [m["target"] for m in nearest.misses()] == ["a"]
    assert nearest.figures(1.0) | {"best_hour": 0} == {"targets": 3, "covered": 1, "best_hour": 0, "cover_s": None}


def test_another_board_keeps_what_is_known_and_takes_in_kept_candidates_without_learning_from_them() -> None:
    nearest = Nearest()
    nearest.follow(["a", "b"], 0.9)
    nearest.see(far([0.95, 0.8]), ["one.py"])
    nearest.follow(["b", "c"], 0.85)
    nearest.see(far([0.99], [0.91]), ["one.py", "two.py"], ["c"])
    assert [(m["target"], m["name"]) for m in nearest.misses()] == [("c", "two.py")]
    assert nearest.figures(1.0)["covered"] == 1


def test_a_target_that_was_hit_in_an_earlier_life_is_covered_and_no_miss() -> None:
    nearest = Nearest()
    nearest.follow(["a", "b"], 0.1, {"a"})
    nearest.see(far([0.95, 0.8]), ["one.py"])
    assert [m["target"] for m in nearest.misses()] == ["b"]
    assert nearest.figures(1.0)["covered"] == 1


def test_a_hit_covers_though_it_was_told_as_farther_than_it_is() -> None:
    nearest = Nearest()
    nearest.follow([str(n) for n in range(20)], 0.9)
    nearest.see(far([0.9001] * 20), ["one.py"])
    for n in range(6):
        nearest.cover(str(n))
    missed = {m["target"] for m in nearest.misses()}
    assert len(missed) == 10
    assert missed <= {str(n) for n in range(6, 20)}
    assert nearest.figures(1.0)["covered"] == 6
    assert nearest.figures(1.0)["cover_s"] is not None


def test_at_most_ten_misses_are_told() -> None:
    nearest = Nearest()
    nearest.follow([str(n) for n in range(50)], 0.0)
    nearest.see(far([1 - n / 100 for n in range(50)]), ["x"])
    assert [m["target"] for m in nearest.misses()] == [str(n) for n in range(49, 39, -1)]


def test_the_best_of_the_hour_is_forgotten_after_an_hour() -> None:
    clock = Clock()
    nearest = Nearest(clock)
    nearest.follow(["a"], 0.0)
    assert nearest.figures(1.0)["best_hour"] is None
    nearest.see(far([0.5]), ["x"])
    clock.now += 1800
    nearest.see(far([0.7]), ["x"])
    assert nearest.figures(1.0)["best_hour"] == pytest.approx(0.5)
    clock.now += 1801
    assert nearest.figures(1.0)["best_hour"] == pytest.approx(0.7)


def test_the_time_to_cover_is_about_what_it_takes_and_is_not_told_without_ground() -> None:
    """Targets hit by chance, each candidate with the same probability: the estimate beside what then happens."""
    chance, targets, a_second = np.random.default_rng(1), 400, 10.0
    nearest = Nearest()
    nearest.follow([str(n) for n in range(targets)], 0.5)

    def one() -> None:
        nearest.see((chance.random((1, targets)) > 0.002).astype(np.float32), ["x"])

    assert nearest.figures(a_second)["cover_s"] is None
    for _ in range(200):
        one()
    told, more = nearest.figures(a_second)["cover_s"], 0
    while nearest.figures(a_second)["covered"] < COVERED * targets:
        one()
        more += 1
    assert told == pytest.approx(more / a_second, rel=0.35)
    assert nearest.figures(a_second)["cover_s"] is None
    assert nearest.figures(0.0)["cover_s"] is None


def test_what_was_easy_to_cover_is_no_promise_for_the_rest() -> None:
    nearest = Nearest()
    nearest.follow([str(n) for n in range(100)], 0.5)
    nearest.see(far([0.1] * 50 + [0.9] * 50), ["x"])
    soon = nearest.figures(10.0)["cover_s"]
    assert soon is not None
    for _ in range(1000):
        nearest.see(far([0.1] * 50 + [0.9] * 50), ["x"])
    later = nearest.figures(10.0)["cover_s"]
    assert later is not None
    assert soon < 1
    assert later > 300
