"""Screened numbers decide what is looked at closer and nothing else: what is told of a candidate is exact."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from somatui.corpora.files import Candidate
from somatui.engine import cipher, contract, resident, weights
from somatui.engine.contract import Score
from somatui.engine.screen import DISTANCE_MARGIN, LOSS_MARGIN
from somatui.engine.weights import SMALL, ModelConfig
from somatui.workers import board, screening
from somatui.workers import models as loading
from somatui.workers.board import BoardTarget
from somatui.workers.hits import Hits
from somatui.workers.lazy import Plan
from somatui.workers.matching import Aims
from somatui.workers.protocol import Emitter, parse_message
from somatui.workers.screening import Screening
from somatui.workers.session import JobError, Session
from somatui.workers.stand import Stand
from tests.engine.schooling import CONFIG, texts, trained
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board
from tests.workers.test_score import hits, job, result

NAMES = ("a", "b", "c", "d")
WIDE = ModelConfig(2048, 64, 1, 8)
"""As wide as the network's own model, for the rest as small as can be."""
Said = list[tuple[str, str]]


def near(score: Score, chance: np.random.Generator) -> Score:
    """What screening may make of a score, at the margins' worst."""
    loss = score.loss * (1 + chance.uniform(-1, 1) * LOSS_MARGIN)
    unit = score.embedding / np.linalg.norm(score.embedding)
    aside = chance.standard_normal(unit.size)
    moved = unit + DISTANCE_MARGIN * aside / np.linalg.norm(aside)
    return Score(loss, moved.astype(np.float32), exact=False)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_candidate_hits_what_it_would_hit_by_exact_scores_alone(seed: int, everything: bool) -> None:
    chance = np.random.default_rng(seed)
    targets = [
        BoardTarget(str(n), chance.standard_normal(2).astype(np.float32), tuple(chance.permutation([*NAMES])[:3]))
        for n in range(12)
    ]
    places = {name: n for n, name in enumerate(NAMES)}
    # Losses so close that who wins is often open, and a threshold beside one of the distances.
    whole = {n: Score(1 + chance.integers(4) * LOSS_MARGIN, chance.standard_normal(2).astype("f4")) for n in NAMES}
    edge = contract.distance(whole[chance.choice([*NAMES])].embedding, targets[chance.integers(12)].embedding)
    within = edge + chance.uniform(-0.5, 0.5) * DISTANCE_MARGIN
    aims = Aims(targets, places, 2)
    most = within + DISTANCE_MARGIN
    plan = Plan(NAMES, (0, 1, 2, 3), aims, most, everything, margin=2 * LOSS_MARGIN, doubt=most)
    scores: dict[str, Score] = {}
    while (column := plan.following(scores)) is not None:
        assert column not in scores or not scores[column].exact
        scores[column] = whole[column] if column in scores else near(whole[column], chance)
    for target in targets:
        if all(model in scores for model in target.model_ids):
            wanted = [whole[model] for model in target.model_ids]
            told = [scores[model] for model in target.model_ids]
            if contract.distance(wanted[contract.winner(wanted)].embedding, target.embedding) <= within:
                assert all(score.exact for score in told)
            else:
                assert contract.distance(told[contract.winner(told)].embedding, target.embedding) > within


def test_what_many_candidates_reach_is_what_each_reaches_alone() -> None:
    chance = np.random.default_rng(8)
    models = [tuple(chance.permutation([*NAMES])[: n % 3 + 1]) for n in range(9)]
    made = [BoardTarget(str(n), chance.standard_normal(3).astype("f4"), m) for n, m in enumerate(models)]
    aims = Aims(made, {name: n for n, name in enumerate(NAMES)}, 3)
    losses = 1 + chance.integers(4, size=(20, 4)) * LOSS_MARGIN
    losses[chance.random(losses.shape) < 0.2] = np.nan
    embeddings = chance.standard_normal((20, 4, 3)).astype(np.float32)
    far, _, reached = aims.near(losses, embeddings, 2 * LOSS_MARGIN)
    assert 0 < np.isinf(reached).sum() < np.isinf(far).sum() < far.size
    for row in range(20):
        assert reached[row] == pytest.approx(aims.reach(losses[row], embeddings[row], 2 * LOSS_MARGIN), abs=1e-6)
    assert (reached < far)[np.isfinite(far)].any()


def test_a_kept_candidate_is_verified_before_it_hits_a_new_target(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    true = {name: Score(1.0 + n, chance.standard_normal(4).astype(np.float32)) for n, name in enumerate("ab")}
    (tmp_path / "file").write_bytes(b"what it is")
    candidate = Candidate(str(tmp_path / "file"), b"what it is", cipher.checksum(b"what it is"))
    verified: list[str] = []

    def verify(column: str, data: bytes) -> Score:
        assert data == candidate.data
        verified.append(column)
        return true[column]

    out = io.StringIO()
    stand = Stand.of({"work_dir": str(tmp_path / "work"), "corpus": {"paths": ["x"]}})
    found = Hits(tmp_path / "work", Session(Emitter(out)), stand, None, None, verify=verify)
    models = {name: board.BoardModel(name, "", name, 1, b"") for name in "ab"}
    usable, dims = {name: name for name in "ab"}, dict.fromkeys("ab", 4)
    away = BoardTarget("away", -true["a"].embedding, ("a", "b"))
    beside = BoardTarget("beside", true["a"].embedding, ("a", "b"))
    with stand.step():
        found.follow(board.Board(1, 0.1, (away,), models), usable, dims)
        assert not found.deal(candidate, {name: near(score, chance) for name, score in true.items()})
        assert verified == []
        found.follow(board.Board(1, 0.1, (away, beside), models), usable, dims)
    assert verified == ["a", "b"]
    (hit,) = [m.body for m in map(parse_message, out.getvalue().splitlines()) if m.kind == "hit"]
    assert (hit["target_id"], hit["loss"], hit["winner"]) == ("beside", 1.0, 0)
    assert hit["distance"] == contract.distance(true["a"].embedding, beside.embedding)
    assert stand.best_distance == hit["distance"]
    stand.close()


def a_screening(said: Said) -> Screening:
    made = Screening(torch.device("cpu"), True, lambda level, text: said.append((level, text)))
    made.follow({"wide": (CONFIG, trained())})
    return made


AIMS = Aims([BoardTarget("t", np.ones(CONFIG.dim, dtype=np.float32), ("wide",))], {"wide": 0}, CONFIG.dim)


def test_scores_are_made_quickly_at_first_and_exactly_the_second_time() -> None:
    said: Said = []
    made, data, loaded = a_screening(said), texts()[:1500], (CONFIG, trained())
    assert made.at_work
    first = made.score("wide", loaded, data, None, AIMS)
    again = made.score("wide", loaded, data, first, AIMS)
    made.close()
    exact = contract.score(*loaded, data)
    assert (first.exact, again.exact, again.loss) == (False, True, exact.loss)
    assert (again.embedding == exact.embedding).all()
    assert first.loss == pytest.approx(exact.loss, rel=LOSS_MARGIN)
    figures = made.figures()
    assert figures["verified"] == 1
    assert figures["screen_worst_loss"] == abs(first.loss / exact.loss - 1)
    assert figures["screen_worst_distance"] <= DISTANCE_MARGIN
    assert [level for level, _ in said] == ["info"]
    assert said[0][1].startswith("this machine: 1 model of ")


@pytest.mark.parametrize("wrong", ["loss", "distance", "nothing"])
def test_screening_ends_when_its_numbers_are_off_by_more_than_the_margin(wrong: str) -> None:
    said: Said = []
    made, data, loaded = a_screening(said), texts()[:300], (CONFIG, trained())
    exact = contract.score(*loaded, data)
    loss = exact.loss * {"loss": 1 + 2 * LOSS_MARGIN, "distance": 1.0, "nothing": float("nan")}[wrong]
    embedding = exact.embedding + np.float32(0.01 if wrong == "distance" else 0) * np.linalg.norm(exact.embedding)
    made.score("wide", loaded, data, Score(loss, embedding, exact=False), AIMS)
    assert not made.at_work
    assert made.score("wide", loaded, data, None, AIMS).exact
    made.close()
    assert [text for level, text in said if level == "warn"][0].endswith("all is scored exactly from here on")


def test_a_model_that_makes_no_numbers_either_way_ends_no_screening() -> None:
    said: Said = []
    broken = (CONFIG, {name: torch.full_like(tensor, float("nan")) for name, tensor in trained().items()})
    made, data = a_screening(said), texts()[:300]
    made.follow({"wide": (CONFIG, trained()), "broken": broken})
    first = made.score("broken", broken, data, None, AIMS)
    again = made.score("broken", broken, data, first, AIMS)
    made.close()
    assert not (np.isfinite(first.loss) or np.isfinite(again.loss))
    assert made.at_work and not [text for level, text in said if level == "warn"]


def test_what_was_screened_before_screening_ended_is_verified_whatever_its_numbers_promise() -> None:
    made, data, loaded = a_screening([]), texts()[:300], (CONFIG, trained())
    plan, scores = Plan(("wide",), (0,), AIMS, within=-1.0), dict[str, Score]()
    while made.go_on(plan, scores, {"wide": loaded}, data):
        pass
    assert not scores["wide"].exact
    made.score("wide", loaded, data, Score(float("nan"), scores["wide"].embedding, exact=False), AIMS)
    while made.go_on(plan, scores, {"wide": loaded}, data):
        pass
    made.close()
    assert scores["wide"].exact


def test_workers_of_one_machine_share_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    said: Said = []
    size = sum(t.nbytes for t in trained().values())
    monkeypatch.setattr(screening.psutil, "virtual_memory", lambda: SimpleNamespace(available=8 * size))
    for workers in (1, 8):
        made = Screening(torch.device("cpu"), True, lambda level, text: said.append((level, text)), workers)
        made.follow({"wide": (CONFIG, trained())})
        made.close()
    assert [" each time" in text for _, text in said] == [False, True]


def test_each_model_is_tried_in_tf32_once_and_one_whose_numbers_change_keeps_to_f32(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: Said = []
    made, tensors = a_screening(said), resident.prepared(CONFIG, trained())
    answers = iter([False, True])
    monkeypatch.setattr(resident, "near", lambda plain, quick: next(answers))
    for _ in range(2):
        here = {key: resident.Resident(CONFIG, tensors, torch.device("cpu")) for key in ("exactbad", "exactgood")}
        for key, model in here.items():
            made._checked(key, model)
        assert {key: model.tf32 for key, model in here.items()} == {"exactbad": False, "exactgood": True}
    made.close()
    assert [text for _, text in said if "TF32" in text] == [
        "products in TF32 would change the numbers of one of the models: it keeps to f32"
    ]


def test_narrow_models_are_scored_exactly() -> None:
    made = Screening(torch.device("cpu"), True, lambda level, text: pytest.fail(text))
    loaded = (SMALL, weights.initial(SMALL, 1))
    made.follow({"narrow": loaded})
    assert not made.at_work
    assert made.score("narrow", loaded, b"some bytes", None, Aims((), {}, 16)).exact
    assert made.figures() == {}


@pytest.mark.parametrize(
    ("asked", "told"),
    [({"device": "tpu9"}, "tpu9"), ({"device": "meta"}, "meta"), ({"device": "cuda:99"}, "cuda:99")],
)
def test_a_device_that_is_not_there_is_refused(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(JobError, match=told):
        screening.device_of(asked)


def test_the_precision_is_the_job_s_or_what_the_device_is_quick_at(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, card = torch.device("cpu"), torch.device("cuda", 0)
    for native in (True, False):
        monkeypatch.setattr(screening, "bf16_is_native", lambda native=native: native)
        assert screening.screens({}, cpu) == native
        assert screening.screens({}, card)
        assert screening.screens({"precision": "screen"}, cpu)
        assert not screening.screens({"precision": "exact"}, card)
    with pytest.raises(JobError, match="half"):
        screening.screens({"precision": "half"}, cpu)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_job_that_screens_tells_exact_hits_and_how_far_off_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "ARCHITECTURES", (WIDE,))
    with stores.running(tmp_path / "store") as store:
        told = Board(store, tmp_path / "board.json", WIDE)
        models = [told.add_model(seed) for seed in (1, 2)]
        for number in range(3):
            told.add_target(100 + number, models)
        asked = job(tmp_path, count=2, precision="screen", threads=2)
        sources = [p.read_bytes() for p in (tmp_path / "sources").iterdir()]
        nearest = {t["id"]: min(told.expected(t["id"], data)[2] for data in sources) for t in told.told["targets"]}
        told.write(threshold=sorted(nearest.values())[1])
        messages = inside.done("score", asked)
    found = hits(messages)
    assert {h["target_id"] for h in found} == {t for t, far in nearest.items() if far <= found[0]["threshold"]}
    for hit in found:
        winner, score, distance = told.expected(hit["target_id"], Path(hit["path"]).read_bytes())
        assert (hit["winner"], hit["loss"], hit["distance"]) == (winner, score.loss, distance)
    assert result(messages)["best_distance"] == min(nearest.values())
    last = [m.body for m in messages if m.kind == "metric" and "scored" in m.body][-1]
    assert last["verified"] > 0
    assert 0 < last["screen_worst_loss"] <= LOSS_MARGIN
    assert 0 < last["screen_worst_distance"] <= DISTANCE_MARGIN
    tables = [m.body["tables"] for m in messages if m.kind == "metric" and "tables" in m.body]
    (plan,) = tables[-1]["plan"]
    assert plan["says"].startswith("this machine: 2 models of ")
