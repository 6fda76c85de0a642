"""Where workers can compute: each card of this machine, or shares of its processor. No card is touched here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from somatui.workers.gpu import Found
from somatui.workers.session import JobError


@dataclass(frozen=True, slots=True)
class Place:
    """Room for one worker: what its environment and its job line have for it."""

    name: str
    device: str
    env: Mapping[str, str] = field(default_factory=dict)


def places(gpus: object, most: int | None, found: Found, visible: str | None) -> list[Place]:
    """The places of a job that asks for "all" cards, a list of their numbers, "none", or None: those there are.

    `visible` is CUDA_VISIBLE_DEVICES, in whose order cards are numbered where it is set, else by their place on the
    bus. There are no more than `most`; on the processor so many. Raises JobError.
    """
    there = [str(n) for n in range(len(found.cards))] if visible is None else [v for v in visible.split(",") if v]
    if gpus == "none" or (gpus is None and not (found.cards and there)):
        return [Place(f"processor {n}" if most else "processor", "cpu", _hidden()) for n in range(most or 1)]
    if not found.cards or not there:
        why = found.error or ("CUDA_VISIBLE_DEVICES is empty" if visible is not None else "the driver knows none")
        raise JobError(f"There is no card here ({why}): score on the processor with --gpus none.")
    numbers = list(range(len(there))) if gpus in ("all", None) else _numbers(gpus)
    if wrong := [n for n in numbers if n >= len(there)]:
        raise JobError(f"There is no card {wrong[0]}: there are {len(there)}, numbered from 0.")
    order = {} if visible is not None else {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    made = [Place(f"card {n}", "cuda", {"CUDA_VISIBLE_DEVICES": there[n]} | order) for n in numbers]
    return made[:most]


def _hidden() -> dict[str, str]:
    return {"CUDA_VISIBLE_DEVICES": ""}


def _numbers(gpus: object) -> list[int]:
    if not isinstance(gpus, list) or not gpus or any(type(n) is not int or n < 0 for n in gpus):
        raise JobError("The cards of a job are all, none, or a list of their numbers.")
    return list(dict.fromkeys(gpus))


class Xids:
    """The driver's error numbers since the start, by card; none where there is no driver."""

    def __init__(self) -> None:
        import pynvml

        self._nvml: Any = pynvml
        self._events: Any = None
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            events = pynvml.nvmlEventSetCreate()
            for index in range(pynvml.nvmlDeviceGetCount()):
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            self._events = events

    def taken(self) -> dict[str, int]:
        """The last number of each card that had one since the last call, by the card's number on the bus."""
        found: dict[str, int] = {}
        with contextlib.suppress(self._nvml.NVMLError):
            while self._events is not None:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                found[str(self._nvml.nvmlDeviceGetIndex(event.device))] = int(event.eventData)
        return found


def visible() -> str | None:
    """The cards that this process is allowed to see, None for all."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")
