"""What a job tells in words: whole, rounded so that it stands still, and nothing that is not so any more."""

from __future__ import annotations

from dataclasses import replace

from somatui.domain import figures
from somatui.domain.snapshot import JobView

SCORING = JobView(
    "score-1", "score", "score notes", "running", 0, 600_000, 0.25,
    metrics={
        "candidates_per_s": 1_204.2, "chunks_per_s": 6_021.0, "peak_share": 0.501, "scored": 61_220.0, "hits": 7.0,
        "best_distance": 0.95528, "best_hour": 0.9601, "ready": 64.0, "under_way": 3.0, "owed": 12.0, "targets": 87.0,
        "covered": 31.0, "cover_s": 7_540.0, "left_s": 754.0, "dropped": 15.0, "dropped_size": 3.0,
        "dropped_near_duplicate": 12.0, "lost": 1.0, "unheard_of": 0.5,
    },
)  # fmt: skip


def test_a_scoring_at_work_tells_by_subject() -> None:
    assert dict(figures.groups(SCORING)) == {
        "done": ("25%", "12m left"),
        "found": ("61,220 scored", "7 hits", "best 0.9553", "this hour 0.9601"),
        "speed": ("6.0k chunks/s", "50% of peak", "1.2k candidates/s"),
        "queue": ("64 read ahead", "3 under way", "12 to come back to"),
        "coverage": ("31 of 87 targets covered", "90% in about 2h 05m"),
        "sent": ("1 lost",),
        "left out": ("12 near duplicate", "3 size"),
        "unheard of": ("0.5",),
    }


def test_rates_have_three_figures_and_one_hit_is_no_hits() -> None:
    told = [figures.rate(value) for value in (0.0, 0.04, 0.96, 24.14, 99.96, 812.4, 999.6, 60_210)]
    assert told == ["0.0", "0.04", "1.0", "24.1", "100", "812", "1.0k", "60.2k"]
    assert figures.found(replace(SCORING, metrics={"hits": 1.0})) == ("1 hit",)


def test_a_scoring_that_has_ended_tells_nothing_of_the_moment() -> None:
    gauges = ({"card": "L4", "index": 0},)
    ended = replace(SCORING, state="done", done=1.0, tables={"gauges": gauges})
    told = dict(figures.groups(ended))
    assert not {"speed", "queue"} & told.keys()
    assert (told["done"], told["found"][-1], told["coverage"]) == (
        ("100%",), "best 0.9553", ("31 of 87 targets covered",),
    )  # fmt: skip
    assert figures.tables(ended) == ()
    again = dict(figures.groups(replace(SCORING, state="starting")))
    assert not {"speed", "queue"} & again.keys() and again["found"][-1] == "best 0.9553"
    assert len(figures.tables(replace(SCORING, tables={"gauges": gauges}))) == 1


def test_what_is_left_of_a_training_is_told_once_there_is_ground_for_it() -> None:
    training = JobView("train-1", "train", "train", "running", 0, 600_000, 0.02, {"step": 1.0, "steps": 50.0})
    assert figures.left(training) is None
    told = replace(training, metrics=training.metrics | {"left_s": 1_800.0})
    assert figures.left(told) == "30m left", "whatever pauses it had since it was first started"
    assert figures.left(replace(told, state="stopped")) is None
    assert figures.found(training) == ("step 1/50",)
    assert figures.groups(replace(training, done=None, metrics={})) == ()


def test_what_another_kind_of_job_counts_is_told_by_its_own_name() -> None:
    fetching = JobView(
        "w", "weights", "fetch", "running", 0, 1, 0.5, {"mb_per_s": 81.25, "failed": 1.0, "fetched": 3.0}
    )
    assert dict(figures.groups(fetching)) == {
        "done": ("50%",), "speed": ("81.2 MB/s",), "failed": ("1",), "fetched": ("3",),
    }  # fmt: skip


def test_shards_and_screening_are_told_where_there_are_any() -> None:
    metrics = {"shards": 4.0, "shards_live": 3.0, "parked": 1.0, "screen_worst_loss": 0.000231}
    told = dict(figures.groups(replace(SCORING, metrics=metrics)))
    assert told["shards"] == ("3 of 4 shards at work", "1 parked")
    assert told["screening"] == ("loss off by 0.00023 at most",)


def test_tables_read_well_and_those_of_another_shape_are_shown_as_they_are_or_left_out() -> None:
    tables = figures.tables(
        replace(
            SCORING,
            tables={
                "plan": ({"says": "8 models of bf16 in 24 GB"},),
                "near": (
                    {
                        "name": "/a/b.jsonl-7-" + "0" * 24,
                        "target": "0x" + "7c" * 32,
                        "distance": 0.98121,
                        "gap": 0.00321,
                    },
                ),
                "sources": (
                    {"source": "a", "given": 1_400, "hits": 6, "ready": 1, "dropped": {"size": 2, "empty": 30}},
                    {"source": "b", "given": 0, "hits": 0, "ready": 1, "dropped": {}},
                    {"source": "c", "given": 3, "hits": 3, "ready": 1, "dropped": {}},
                ),
                "gauges": ({"card": "L4", "index": 1, "busy": 97, "used": 18_200_000_000, "memory": 24_000_000_000},),
            },
        )
    )
    assert [t.name for t in tables] == ["gauges", "sources", "near", "plan"]
    assert [t.rows for t in tables] == [
        (("L4 #1", "97%", "18.2/24 GB", "–", "– W", "–"),),
        (("a", "1,400", "6", "0.43%", "30 empty, 2 size"), ("b", "0", "0", "–", "–"), ("c", "3", "3", "100.0%", "–")),
        (("b.jsonl-7", "0.9812", "+0.0032", "7c7c"),),
        (("8 models of bf16 in 24 GB",),),
    ]
    assert figures.tables(replace(SCORING, tables={"near": ({"distance": "far"},), "sources": ()})) == ()
