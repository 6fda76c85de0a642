"""The model that has learnt something which tests share, made once."""

from __future__ import annotations

from functools import cache

from somatui.engine.bench import school
from somatui.engine.weights import ModelConfig, Tensors

CONFIG = ModelConfig(64, 128, 2, 4)


@cache
def texts() -> bytes:
    """Sources of the running interpreter."""
    return school.texts()


@cache
def trained() -> Tensors:
    """Weights after a few steps."""
    return school.taught(CONFIG, 24, 1, texts())
