"""What a weights file says of itself at its beginning, judged before anything of it is believed; without torch."""

from __future__ import annotations

import json
from typing import Any

from somatui.engine.cipher import WeightsError

MOST = 1024 * 1024
"""Bytes of a header; the full architecture's has about 40,000, and safetensors itself would parse 100 MB."""
HEAD = 8 + MOST
"""So many bytes of a file's beginning are enough to judge it."""
PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How PyTorch's own files begin, zipped or not, and any other pickle of today."""


def check(head: bytes, size: int) -> None:
    """Refuse what is no safetensors file of `size` bytes whose tensors fill it side by side. Raises WeightsError.

    `head` is the first HEAD bytes, or all there are. Names, shapes and numbers are looked at once it is loaded.
    """
    length = int.from_bytes(head[:8], "little")
    if len(head) < 8 or length > MOST or 8 + length > size:
        if head.startswith(PICKLES):
            raise WeightsError("The weights are a pickle, which could run anything: only safetensors are read.")
        raise WeightsError("The weights do not begin as safetensors do (a wrong key gives such bytes too).")
    try:
        told: dict[str, dict[str, Any]] = json.loads(head[8 : 8 + length])
        parts = sorted(tuple(told[name]["data_offsets"]) for name in told if name != "__metadata__")
        edges = [0, *(end for _, end in parts)]
        whole = [start for start, _ in parts] == edges[:-1] and edges[-1] == size - 8 - length
    except (ValueError, TypeError, KeyError, RecursionError):
        raise WeightsError("The header of the weights cannot be read: they are no safetensors.") from None
    if not whole:
        raise WeightsError("The tensors that the header of the weights tells of do not fill the file.")
