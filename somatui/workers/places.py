"""Where workers can compute: each card of this machine, or shares of its processor. No card is touched here."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from somatui.workers.gpu import Found
from somatui.workers.session import JobError
from somatui.workers.trouble import FOLLOWING


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
    there = [str(n) for n in range(len(found.cards))] if visible is None else _listed(visible)
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


def _listed(visible: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES names; CUDA sees nothing from the first -1 on."""
    return [v for v in takewhile(lambda v: not v.strip().startswith("-"), visible.split(",")) if v]


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
        self._seen: dict[str, int] = {}
        with contextlib.suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            events = pynvml.nvmlEventSetCreate()
            for index in range(pynvml.nvmlDeviceGetCount()):
                # One that is lost, or has no such events, does not take those of the others away.
                with contextlib.suppress(pynvml.NVMLError):
                    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                    pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
            self._events = events

    def taken(self, card: str) -> int | None:
        """The last number of a card, by its number on the bus, since it was asked for last; those that only follow
        from another give way to it. What other cards had is kept for them."""
        with contextlib.suppress(self._nvml.NVMLError):
            while self._events is not None:
                event = self._nvml.nvmlEventSetWait_v2(self._events, 0)
                with contextlib.suppress(self._nvml.NVMLError):
                    index, number = str(self._nvml.nvmlDeviceGetIndex(event.device)), int(event.eventData)
                    if number not in FOLLOWING or index not in self._seen:
                        self._seen[index] = number
        return self._seen.pop(card, None)


def visible() -> str | None:
    """The cards that this process is allowed to see, None for all."""
    return os.environ.get("CUDA_VISIBLE_DEVICES")
