"""What speeds are measured against: the published `soma_models` and `arrgen`, put together to the contract.

Their own loss helper would be wrong (scoring.md 0.1 and 0.2), so loss and positions are the network's; everything that
costs time is theirs: loading, tokenising, the modules' forward, SIGReg.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from arrgen import normal_array
from numpy.typing import NDArray
from soma_models.v1.configs import ModelConfig as TheirConfig
from soma_models.v1.configs import SIGRegConfig
from soma_models.v1.tokenizer import tokenize as their_tokenize
from soma_models.v1.torch import Model, SIGReg
from torch.nn import functional

from somatui.engine.contract import BATCH, PAD, Score
from somatui.engine.weights import ModelConfig


def load(path: Path, config: ModelConfig) -> Model:
    """A model as the published package loads it."""
    sizes = TheirConfig(0.0, config.dim, config.hidden, config.layers, config.heads)
    model: Model = Model.load(path, sizes)
    return model.eval()


def tokens(data: bytes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Tokens, targets and positions, each int64 [sequences, 1024], as the published package says to make them."""
    rows = their_tokenize(data)
    return (
        torch.tensor([row.token_ids for row in rows]),
        torch.tensor([row.targets for row in rows]),
        torch.tensor([row.pos_ids for row in rows]),
    )


def regulariser(hidden: torch.Tensor, seed: int) -> torch.Tensor:
    """Their SIGReg, its weight of 0.02 included, with the network's noise for a seed."""
    noise = np.array(normal_array(seed, [hidden.shape[-1], SIGRegConfig().slices], 0.0, 1.0), dtype=np.float32)
    return SIGReg(SIGRegConfig()).compute(hidden, torch.from_numpy(noise))


@torch.inference_mode()
def score(model: Model, data: bytes, seed: int = 0) -> Score:
    """One model's answer."""
    ids, targets, places = tokens(data)
    losses, embeddings = [], []
    for number, at in enumerate(range(0, len(ids), BATCH)):
        part = slice(at, at + BATCH)
        hidden = model.encode(ids[part], places[part])
        logits = model.predict(hidden)
        total = functional.cross_entropy(
            logits.flatten(0, 1), targets[part].flatten(), ignore_index=PAD, reduction="sum"
        )
        losses.append(float(total / targets[part].numel() + regulariser(hidden, seed + number)))
        embeddings.append(hidden.mean(dim=(0, 1)))
    return Score(sum(losses) / len(losses), torch.stack(embeddings).mean(0).numpy())


def matrix(model: Model, name: str) -> NDArray[np.float32]:
    """One of a model's matrices by the name it has in the file, laid out as in the file, [in, out]."""
    found: NDArray[np.float32] = model.get_parameter(name).detach().numpy().T
    return found


def request(paths: Sequence[Path], config: ModelConfig, data: bytes) -> list[Score]:
    """A whole request as the reference service answers it: every model is loaded anew."""
    return [score(load(path, config), data) for path in paths]
