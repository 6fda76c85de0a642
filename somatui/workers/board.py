"""The board a score worker works on: this epoch's open targets and the models they name, read from its file."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base58
import numpy as np
from numpy.typing import NDArray


class BoardError(ValueError):
    """A board that cannot be read; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class BoardModel:
    """A revealed model: where its encrypted weights lie, and the public key that opens them."""

    id: str
    url: str
    checksum: str
    """Base58 of the Blake2b-256 of the encrypted file."""
    size: int
    key: bytes

    @property
    def column(self) -> str:
        """What two models with the same weights have in common: they are scored once."""
        return f"{self.checksum}.{self.key.hex()}"


@dataclass(frozen=True, slots=True)
class BoardTarget:
    """An open target: its embedding (f32 [dim]) and its models in the order that decides ties."""

    id: str
    embedding: NDArray[np.float32]
    model_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """All of it; a distance of at most `threshold` is a hit."""

    epoch: int
    threshold: float
    targets: tuple[BoardTarget, ...]
    models: dict[str, BoardModel]


def read_board(path: Path) -> Board:
    """Read the whole file. Raises BoardError; a half-understood board would miss or invent hits."""
    try:
        told = json.loads(path.read_text("utf-8"))
        threshold = float(told["threshold"])
        models = {m["id"]: _model(m) for m in told["models"]}
        targets = tuple(_target(t) for t in told["targets"])
        board = Board(int(told["epoch"]), threshold, targets, models)
    except OSError as failure:
        raise BoardError(f"The board {path} cannot be read ({failure.strerror}).") from failure
    except (ValueError, TypeError, KeyError, AttributeError) as failure:
        raise BoardError(
            f"The board {path.name} is not as it should be ({type(failure).__name__}: {failure})."
        ) from None
    if not math.isfinite(threshold):
        raise BoardError(f"The board {path.name} has a threshold that is no number.")
    return board


def _model(told: dict[str, Any]) -> BoardModel:
    key = base58.b58decode(told["key"])
    return BoardModel(str(told["id"]), str(told["url"]), str(told["checksum"]), int(told["size"]), key)


def _target(told: dict[str, Any]) -> BoardTarget:
    embedding = np.array(told["embedding"], dtype=np.float32)
    if embedding.ndim != 1 or not told["model_ids"]:
        raise ValueError("a target lacks numbers or models")
    return BoardTarget(str(told["id"]), embedding, tuple(map(str, told["model_ids"])))
