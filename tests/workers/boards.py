"""Boards with real models, of the small architecture unless told, whose encrypted weights lie in a real store."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import base58
import numpy as np

from somatui.engine import cipher, contract, weights
from somatui.engine.weights import SMALL, ModelConfig, Tensors
from somatui.storage.s3 import Bucket, Store
from tests.storage import stores


@dataclass
class Board:
    """A board file, and what its models answer according to the contract."""

    store: Store
    path: Path
    config: ModelConfig = SMALL
    models: dict[str, Tensors] = field(default_factory=dict)
    answers: dict[tuple[str, bytes], contract.Score] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=lambda: {"epoch": 7, "threshold": 0.0, "targets": [], "models": []})

    def add_model(self, seed: int) -> str:
        """Publish a model as an operator would; returns its id."""
        tensors, name, key = weights.initial(self.config, seed), f"0x{seed:064x}", bytes([seed]) * 32
        sent = cipher.crypt(weights.to_bytes(tensors), key)
        Bucket(self.store, **stores.KEYS).put(f"models/{seed}", sent, "application/octet-stream")
        checksum = base58.b58encode(cipher.checksum(sent)).decode()
        self.told["models"].append({
            "id": name, "url": self.store.address(f"models/{seed}"), "checksum": checksum, "size": len(sent),
            "key": base58.b58encode(key).decode(),
        })  # fmt: skip
        self.models[name] = tensors
        return name

    def add_target(self, number: int, model_ids: list[str], seed: int | None = None) -> str:
        """List a target of random direction."""
        name = f"0x{number:064x}"
        vector = np.random.default_rng(seed or number).standard_normal(self.config.dim).astype(np.float32)
        self.told["targets"].append({"id": name, "embedding": vector.tolist(), "model_ids": model_ids})
        return name

    def write(self, **more: Any) -> Path:
        """Write the file as the agent does."""
        self.told |= more
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(self.told))
        beside.replace(self.path)
        return self.path

    def _answer(self, model: str, data: bytes) -> contract.Score:
        if (model, data) not in self.answers:
            self.answers[model, data] = contract.score(self.config, self.models[model], data)
        return self.answers[model, data]

    def expected(self, target_id: str, data: bytes) -> tuple[int, contract.Score, float]:
        """Winner, its score and its distance, by the contract alone."""
        target = next(t for t in self.told["targets"] if t["id"] == target_id)
        scores = [self._answer(m, data) for m in target["model_ids"]]
        winner = contract.winner(scores)
        distance = contract.distance(scores[winner].embedding, np.array(target["embedding"], dtype=np.float32))
        return winner, scores[winner], distance
