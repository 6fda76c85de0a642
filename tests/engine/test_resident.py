"""A model that stays on a device answers what the contract answers: in f32 the same, in bf16 nearly."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from somatui.engine import contract, resident, screen
from somatui.engine.contract import CHUNK, Part
from somatui.engine.resident import Resident
from somatui.engine.weights import ModelConfig
from tests.engine import transcription
from tests.engine.schooling import CONFIG, texts, trained
from tests.engine.test_contract import Plain, models, ours

CPU = torch.device("cpu")
CARD = pytest.param(
    "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card"), id="cuda"
)
PIECES = [texts()[at : at + CHUNK] for at in range(0, 17 * CHUNK, CHUNK)] + [texts()[:size] for size in (1, 300, 1000)]


@cache
def exact(number: int, seed: int = 0) -> Part:
    (batch,) = contract.batches(PIECES[number])
    return contract.parts(CONFIG, trained(), batch, seed)[0]


def a_resident(dtype: torch.dtype, device: torch.device = CPU) -> Resident:
    return Resident(CONFIG, resident.prepared(CONFIG, trained(), dtype), device)


@pytest.mark.parametrize("where", ["cpu", CARD])
def test_in_f32_every_chunk_of_more_than_one_batch_has_the_contract_s_part(where: str) -> None:
    numbers = [0, 1, 18, 19, 17]
    found = a_resident(torch.float32, torch.device(where)).parts([PIECES[n] for n in numbers], 3)
    for number, part in zip(numbers, found, strict=True):
        wanted = exact(number, 3)
        assert part.cross == pytest.approx(wanted.cross, rel=1e-5)
        assert part.regular == pytest.approx(wanted.regular, rel=1e-4)
        assert np.abs(part.embedding - wanted.embedding).max() <= 1e-5


@pytest.mark.parametrize("where", ["cpu", CARD])
def test_a_chunk_alone_is_the_chunk_among_others(where: str) -> None:
    device = a_resident(torch.float32, torch.device(where))
    among = device.parts(PIECES)
    assert len(among) == len(PIECES) > contract.BATCH
    for number in (0, 3, 16, 17, 18):
        (alone,) = device.parts([PIECES[number]])
        assert alone.cross == pytest.approx(among[number].cross, rel=1e-6)
        assert np.abs(alone.embedding - among[number].embedding).max() <= 1e-6


@pytest.mark.parametrize("where", ["cpu", CARD])
def test_in_bf16_a_taught_model_stays_within_the_margins(where: str) -> None:
    targets = np.random.default_rng(5).standard_normal((64, CONFIG.dim)).astype(np.float32)
    numbers = [0, 2, 18]
    for number, part in zip(
        numbers, a_resident(torch.bfloat16, torch.device(where)).parts([PIECES[n] for n in numbers]), strict=True
    ):
        got, wanted = contract.together([[part]]), contract.together([[exact(number)]])
        assert got.loss == pytest.approx(wanted.loss, rel=screen.LOSS_MARGIN)
        for target in targets:
            off = contract.distance(got.embedding, target) - contract.distance(wanted.embedding, target)
            assert abs(off) <= screen.DISTANCE_MARGIN


@pytest.mark.timeout(400)
@settings(max_examples=5, deadline=None)
@given(models(), st.lists(st.binary(min_size=1, max_size=CHUNK), min_size=1, max_size=2), st.integers(0, 2**32))
def test_any_model_answers_as_the_transcription_does(
    drawn: tuple[ModelConfig, Plain, np.random.Generator], chunks: list[bytes], seed: int
) -> None:
    config, plain, chance = drawn
    chunks = [*chunks, chance.bytes(CHUNK)]
    found = Resident(config, resident.prepared(config, ours(plain)), CPU).parts(chunks, seed)
    for chunk, part in zip(chunks, found, strict=True):
        loss, embedding = transcription.score(plain, config.heads, chunk, seed)
        assert contract.together([[part]]).loss == pytest.approx(loss, rel=1e-5, abs=1e-6)
        assert np.abs(part.embedding - embedding).max() <= 1e-4


def test_tf32_is_taken_only_while_numbers_stay() -> None:
    plain = contract.together([[exact(0)]])
    assert resident.near(plain, contract.Score(plain.loss * (1 + 5e-5), plain.embedding * 2))
    assert not resident.near(plain, contract.Score(plain.loss * (1 + 2e-4), plain.embedding))
    turned = plain.embedding + np.float32(0.002) * np.linalg.norm(plain.embedding) * np.eye(CONFIG.dim, dtype="f4")[0]
    assert not resident.near(plain, contract.Score(plain.loss, turned))
    assert not resident.near(plain, contract.Score(float("nan"), plain.embedding))


def test_a_trial_of_tf32_that_fails_leaves_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    model = a_resident(torch.float32)

    def parts(chunks: list[bytes], seed: int = 0) -> list[Part]:
        if model.tf32:
            raise torch.OutOfMemoryError
        return [exact(0)]

    monkeypatch.setattr(model, "parts", parts)
    with pytest.raises(torch.OutOfMemoryError):
        resident.tf32(model)
    assert not model.tf32


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_tf32_is_tried_on_the_card_itself() -> None:
    card = a_resident(torch.float32, torch.device("cuda"))
    good = resident.tf32(card)
    assert card.tf32 == torch.backends.cuda.matmul.allow_tf32 == good
    assert resident.near(contract.together([[exact(0)]]), contract.together([card.parts([PIECES[0]])]))


def test_what_is_no_chunk_is_refused() -> None:
    for wrong in (b"", bytes(CHUNK + 1)):
        with pytest.raises(ValueError, match=f"not {len(wrong)}"):
            resident.tokens([b"x", wrong])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_every_batch_is_one_launch() -> None:
    card = a_resident(torch.bfloat16, torch.device("cuda"))
    card.parts(PIECES)
    assert not card._graphs
    card.parts(PIECES)
    assert all(card._graphs[size] is not None for size in (4, 16))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_forwards_are_captured_again_after_all_were_let_go_of() -> None:
    for _ in range(3):
        card = a_resident(torch.bfloat16, torch.device("cuda"))
        for _ in range(2):
            card.parts(PIECES[:1])
        assert card._graphs[1] is not None
        del card


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_a_model_that_goes_leaves_the_numbers_of_others_alone() -> None:
    stays, goes = (a_resident(torch.bfloat16, torch.device("cuda")) for _ in range(2))
    for _ in range(2):
        before = stays.parts(PIECES[:1])[0]
        goes.parts(PIECES[:3])
    del goes
    a_resident(torch.float32, torch.device("cuda")).parts(PIECES)
    after = stays.parts(PIECES[:1])[0]
    assert (before.cross, before.regular) == (after.cross, after.regular)
    assert (before.embedding == after.embedding).all()
