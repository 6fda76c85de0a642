"""The gauges of the graphics card that a worker computes on, asked of the driver by NVML a few times a second."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

_SLOWED = (
    (0x04, "power cap"), (0x80, "power brake"), (0x20, "heat"), (0x40, "heat (hardware)"), (0x08, "hardware"),
    (0x02, "clocks set by hand"), (0x10, "waits for other cards"), (0x100, "clocks set for a display"),
)  # fmt: skip
"""Bits of NVML's nvmlClocksEventReasons that stand for less speed than the card has; idle (0x01) does not."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What NVML says of one card, each None where it does not say: shares in %, memory in bytes, power in mW."""

    name: str
    index: int
    busy: int | None = None
    used: int | None = None
    memory: int | None = None
    celsius: int | None = None
    power: int | None = None
    most_power: int | None = None
    reasons: int | None = None


def row(reading: Reading) -> dict[str, Any]:
    """A row of the table of gauges: card, index, busy (%), used and memory (bytes), celsius, watts, most_watts, slowed.

    What the card does not tell is left out.
    """
    told = {
        "card": reading.name.removeprefix("NVIDIA ").removeprefix("GeForce "), "index": reading.index,
        "busy": reading.busy, "used": reading.used, "memory": reading.memory, "celsius": reading.celsius,
        "watts": None if reading.power is None else round(reading.power / 1000),
        "most_watts": None if reading.most_power is None else round(reading.most_power / 1000),
        "slowed": None if reading.reasons is None else ", ".join(slowed(reading.reasons)),
    }  # fmt: skip
    return {name: value for name, value in told.items() if value is not None}


def slowed(reasons: int) -> list[str]:
    """Why the card runs slower than it could, in words."""
    return [words for bit, words in _SLOWED if reasons & bit]


def handle_of(uuid: str) -> Any:
    """NVML's handle of a card, None where the driver does not know it or does not answer."""
    import pynvml

    try:
        pynvml.nvmlInit()
        return pynvml.nvmlDeviceGetHandleByUUID(uuid)
    except pynvml.NVMLError:
        return None


class Gauges:
    """The card behind a device of PyTorch; a processor has no gauges, nor has a card whose driver does not answer."""

    def __init__(self, device: torch.device) -> None:
        self._handle: Any = None
        self.name = ""
        if device.type == "cuda":
            self.name = torch.cuda.get_device_name(device)
            self._handle = handle_of(f"GPU-{torch.cuda.get_device_properties(device).uuid}")

    def rows(self) -> list[dict[str, Any]]:
        """The card as a row of the table, or no row."""
        return [] if self._handle is None else [row(self._reading())]

    def _reading(self) -> Reading:
        import pynvml

        def ask(call: Callable[..., Any], *more: int) -> Any:
            try:
                return call(self._handle, *more)
            except pynvml.NVMLError:
                return None

        busy, memory = ask(pynvml.nvmlDeviceGetUtilizationRates), ask(pynvml.nvmlDeviceGetMemoryInfo)
        return Reading(
            self.name, ask(pynvml.nvmlDeviceGetIndex) or 0,
            None if busy is None else int(busy.gpu),
            None if memory is None else int(memory.used), None if memory is None else int(memory.total),
            ask(pynvml.nvmlDeviceGetTemperature, pynvml.NVML_TEMPERATURE_GPU),
            ask(pynvml.nvmlDeviceGetPowerUsage), ask(pynvml.nvmlDeviceGetEnforcedPowerLimit),
            ask(pynvml.nvmlDeviceGetCurrentClocksEventReasons),
        )  # fmt: skip
