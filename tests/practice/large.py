"""A practice ledger with many active models, made through the ledger's own genesis: no training, no engine."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from somatui.practice.genesis import CHAIN, LEDGER
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import GenesisConfig, GenesisModel
from somatui.wire.hashes import blake2b256


def ledger_of(folder: Path, models: int, dim: int) -> None:
    """The ledger of a network in `folder`, to be served from there."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(1)
    made = tuple(
        GenesisModel(blake2b256(b"owner %d" % n), "http://127.0.0.1/w", blake2b256(b"weights %d" % n), 1000,
                     blake2b256(b"key %d" % n), tuple(chance.standard_normal(dim).tolist()), 10**9)
        for n in range(models)
    )  # fmt: skip
    Ledger.create(folder / LEDGER, GenesisConfig(CHAIN, made, time.time_ns() // 1_000_000, 1, dim=dim)).close()
