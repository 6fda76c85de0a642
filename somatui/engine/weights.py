"""Weights as files: architecture, safetensors without copies, checks by name (protocol.md 5.2); not their cipher."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, load_file, save

from somatui.engine import header
from somatui.engine.cipher import WeightsError as WeightsError
from somatui.engine.cipher import checksum as checksum
from somatui.engine.cipher import crypt as crypt

VOCABULARY = 264
Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The sizes of one architecture."""

    dim: int
    hidden: int
    layers: int
    heads: int


SMALL = ModelConfig(16, 32, 2, 4)
FULL = ModelConfig(2048, 8192, 24, 8)


def tensor_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Every key of the file with its shape; linear weights are stored as [in, out]."""
    d, h = config.dim, config.hidden
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (VOCABULARY, d),
        "final_norm.gamma": (d,),
        "final_norm.beta": (d,),
        "predictor.weight": (d, VOCABULARY),
        "predictor.bias": (VOCABULARY,),
    }
    for layer in range(config.layers):
        at = f"encoder.layers.{layer}."
        for norm in ("norm_1", "norm_2"):
            shapes[f"{at}{norm}.gamma"] = shapes[f"{at}{norm}.beta"] = (d,)
        for part in ("query", "key", "value", "output"):
            shapes[f"{at}attention.{part}.weight"] = (d, d)
            shapes[f"{at}attention.{part}.bias"] = (d,)
        shapes[f"{at}pwff.linear_inner.weight"], shapes[f"{at}pwff.linear_inner.bias"] = (d, h), (h,)
        shapes[f"{at}pwff.linear_outer.weight"], shapes[f"{at}pwff.linear_outer.bias"] = (h, d), (d,)
    return shapes


def config_of(tensors: Tensors, heads: int | None = None) -> ModelConfig:
    """Read the architecture off the tensors; the number of heads is known for the network's own two sizes."""
    try:
        dim = tensors["embedding.weight"].shape[1]
        hidden = tensors["encoder.layers.0.pwff.linear_inner.weight"].shape[1]
    except (KeyError, IndexError):
        raise WeightsError(
            "The weights lack the embedding or the first layer: they are not a model of this network."
        ) from None
    known = {SMALL.dim: SMALL.heads, FULL.dim: FULL.heads}
    count = heads or known.get(dim)
    if count is None or dim % count:
        raise WeightsError(f"A model of {dim} dimensions is none of the network's: it has {SMALL.dim} or {FULL.dim}.")
    return ModelConfig(dim, hidden, sum(k.endswith("norm_1.gamma") for k in tensors), count)


def check(tensors: Tensors, heads: int | None = None) -> ModelConfig:
    """Refuse missing, extra, misshapen, non-f32 or non-finite tensors by name; returns the architecture."""
    config = config_of(tensors, heads)
    wanted = tensor_shapes(config)
    for name in wanted.keys() - tensors.keys():
        raise WeightsError(f"The weights lack {name}.")
    for name in tensors.keys() - wanted.keys():
        raise WeightsError(f"The weights hold {name}, which no model of this network has.")
    for name, shape in wanted.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or tensor.dtype != torch.float32:
            raise WeightsError(f"{name} is {tensor.dtype} {tuple(tensor.shape)}, not float32 {shape}.")
        if not _finite(tensor):
            raise WeightsError(f"{name} holds numbers that are not finite.")
    return config


def _finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers are finite; a finite sum proves it at the speed of memory, any other leaves it open."""
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


def open_file(path: Path, heads: int | None = None) -> tuple[ModelConfig, Tensors]:
    """Map a plain safetensors file into memory and check it; nothing is initialised or copied."""
    try:
        with path.open("rb") as file:
            header.check(file.read(header.HEAD), path.stat().st_size)
        tensors: Tensors = load_file(path)
    except (OSError, SafetensorError) as failure:
        raise WeightsError(f"{path.name} cannot be read as safetensors: {failure}.") from failure
    return check(tensors, heads), tensors


def open_bytes(data: bytes, heads: int | None = None) -> tuple[ModelConfig, Tensors]:
    """The same for plain safetensors bytes."""
    header.check(data[: header.HEAD], len(data))
    try:
        tensors: Tensors = load(data)
    except (SafetensorError, KeyError) as failure:
        raise WeightsError(f"The bytes are no safetensors (a wrong key gives such bytes too): {failure}.") from failure
    return check(tensors, heads), tensors


def to_bytes(tensors: Tensors) -> bytes:
    """Safetensors bytes as the network stores them, before encryption."""
    return save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})


def initial(config: ModelConfig, seed: int) -> Tensors:
    """Fresh weights for training, the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    tensors: Tensors = {}
    for name, shape in sorted(tensor_shapes(config).items()):
        if name.endswith("gamma"):
            tensors[name] = torch.ones(shape)
        elif name.endswith(("beta", "bias")):
            tensors[name] = torch.zeros(shape)
        else:
            spread = 1.0 if name == "embedding.weight" else shape[0] ** -0.5
            tensors[name] = torch.randn(shape, generator=generator) * spread
    return tensors
