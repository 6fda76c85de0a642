"""What a forward costs: operations as PyTorch counts them, memory as it is taken, and what cards could do at most."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from somatui.engine import contract, resident, weights
from somatui.engine.contract import BATCH, CHUNK
from somatui.engine.resident import Resident
from somatui.engine.roofline import bf16_peak, chunk_flops
from somatui.engine.weights import FULL
from somatui.workers.gpu import ACTIVATIONS

META = torch.device("meta")
"""Where shapes are computed and no numbers."""


def a_model(dtype: torch.dtype) -> Resident:
    tensors = {name: torch.empty(shape, device=META) for name, shape in weights.tensor_shapes(FULL).items()}
    return Resident(FULL, resident.prepared(FULL, tensors, dtype), META)


def forward(model: Resident) -> None:
    """What a card is sent at most at once."""
    with torch.inference_mode():
        model._means(torch.empty((BATCH, CHUNK), dtype=torch.int16, device=META), model._noise)


class Taken(TorchDispatchMode):
    """Bytes of what is made while it is on, and the most at once."""

    def __init__(self, before: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self._known = {t.untyped_storage()._cdata for t in before.values()}
        self._now = self.most = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if (storage := tensor.untyped_storage())._cdata not in self._known:
                self._known.add(storage._cdata)
                self._now += storage.nbytes()
                self.most = max(self.most, self._now)
                weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
        return made

    def _gone(self, which: int, size: int) -> None:
        self._known.discard(which)
        self._now -= size


def test_a_chunk_costs_what_the_sheet_says() -> None:
    assert chunk_flops(FULL) == pytest.approx(2.58e12, rel=0.002)


def test_a_chunk_costs_what_pytorch_counts() -> None:
    with FlopCounterMode(display=False) as counted:
        forward(a_model(torch.bfloat16))
    # Attention is counted with the half that its mask hides, and so taken apart here.
    by_kind = {str(kind): count / BATCH for kind, count in counted.get_flop_counts()["Global"].items()}
    attention = by_kind.pop("aten.bmm")
    assert chunk_flops(FULL) == pytest.approx(sum(by_kind.values()) + attention / 2, rel=0.001)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_card_has_room_for_what_goes_through_a_model(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    def fused(query: torch.Tensor, *_: torch.Tensor, **__: object) -> torch.Tensor:
        """A card's attention keeps no scores."""
        return torch.empty_like(query)

    monkeypatch.setattr(contract.functional, "scaled_dot_product_attention", fused)
    model = a_model(dtype)
    with Taken(model.tensors) as taken:
        forward(model)
    assert BATCH * CHUNK * FULL.hidden * dtype.itemsize < taken.most <= 0.75 * ACTIVATIONS


@pytest.mark.parametrize(("name", "peak"), [
    ("NVIDIA L4", 121e12), ("NVIDIA L40S", 362e12), ("NVIDIA GeForce RTX 4090", 165e12),
    ("NVIDIA GeForce RTX 5090", 209e12), ("NVIDIA A100-SXM4-80GB", 312e12), ("NVIDIA A100 80GB PCIe", 312e12),
    ("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA H100 NVL", 835e12),
    ("NVIDIA H200", 989e12), ("NVIDIA H200 NVL", 835e12), ("NVIDIA B200", 2250e12),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GeForce RTX 4090 D", None),
    ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", None), ("NVIDIA L40", None), ("NVIDIA GH200 480GB", None), ("", None),
])  # fmt: skip
def test_the_peak_of_a_card_is_known_by_its_name_or_not_told(name: str, peak: float | None) -> None:
    assert bf16_peak(name) == peak
