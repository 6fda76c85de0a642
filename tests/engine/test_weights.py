"""Weights are read as they are or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soma_sdk
import torch

from somatui.engine import cipher, weights
from somatui.engine.weights import SMALL, Tensors, WeightsError


def test_weights_survive_the_file(tmp_path: Path) -> None:
    tensors = weights.initial(SMALL, 1)
    path = tmp_path / "model.safetensors"
    path.write_bytes(weights.to_bytes(tensors))
    config, read = weights.open_file(path)
    assert config == SMALL
    assert all(torch.equal(read[k], tensors[k]) for k in tensors)


def test_encryption_is_the_sdk_s() -> None:
    key, plain = bytes([42]) * 32, b"test data" * 5
    theirs, _ = soma_sdk.SomaClient.encrypt_weights(plain, key)
    assert weights.crypt(plain, key) == bytes(theirs)
    assert weights.crypt(weights.crypt(plain, key), key) == plain


def _drop(tensors: Tensors) -> None:
    del tensors["predictor.bias"]


def _extra(tensors: Tensors) -> None:
    tensors["other"] = torch.zeros(1)


def _shape(tensors: Tensors) -> None:
    tensors["final_norm.beta"] = torch.zeros(17)


def _half(tensors: Tensors) -> None:
    tensors["final_norm.gamma"] = tensors["final_norm.gamma"].half()


def _nan(tensors: Tensors) -> None:
    tensors["encoder.layers.1.pwff.linear_outer.bias"][3] = float("nan")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (_drop, "predictor.bias"),
        (_extra, "other"),
        (_shape, "final_norm.beta"),
        (_half, "final_norm.gamma"),
        (_nan, "pwff.linear_outer.bias"),
    ],
)
def test_spoiled_weights_are_refused_by_name(spoil: Callable[[Tensors], None], named: str) -> None:
    tensors = weights.initial(SMALL, 1)
    spoil(tensors)
    with pytest.raises(WeightsError, match=named):
        weights.check(tensors)


@pytest.mark.parametrize("size", [0, 7, 100, 5000])
def test_truncated_or_wrongly_decrypted_bytes_are_refused(size: int) -> None:
    plain = weights.to_bytes(weights.initial(SMALL, 1))
    for data in (plain[:size], weights.crypt(plain, b"\1" * 32)):
        with pytest.raises(WeightsError):
            weights.open_bytes(data)


def test_a_key_of_another_size_is_refused() -> None:
    with pytest.raises(WeightsError, match="31 bytes"):
        weights.crypt(b"", bytes(31))


def test_one_pass_opens_or_seals_and_knows_the_checksum() -> None:
    key, plain = b"\7" * 32, bytes(range(256)) * 3000
    sealed = weights.crypt(plain, key)
    for told, wanted, sealing in ((sealed, plain, False), (plain, sealed, True)):
        turning = cipher.Pass(key, sealing=sealing)
        pieces = (told[:100], told[100 : 2 * cipher.STEP + 5], told[2 * cipher.STEP + 5 :])
        assert b"".join(bytes(step) for piece in pieces for step in turning.steps(piece)) == wanted
        assert turning.checksum() == weights.checksum(sealed)


def test_numbers_whose_sum_alone_is_infinite_are_finite() -> None:
    tensors = weights.initial(SMALL, 1)
    tensors["predictor.bias"] = torch.full_like(tensors["predictor.bias"], 3e38)
    assert weights.check(tensors) == SMALL
