"""How a candidate's scores are made: screened where that is quick, exactly where it matters, and both now and then.

Screened numbers decide what is looked at closer and nothing else (`lazy`, `hits`). Every candidate whose numbers are
made both ways shows how far apart they are; beyond the margins screening ends.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import psutil
import torch

from somatui.engine import resident
from somatui.engine.chunks import KEPT_BYTES, Chunks
from somatui.engine.contract import Score
from somatui.engine.device import Device, Source
from somatui.engine.resident import FEWEST_DIMENSIONS, Resident, bf16_is_native
from somatui.engine.screen import DISTANCE_MARGIN, LOSS_MARGIN
from somatui.engine.weights import ModelConfig, Tensors
from somatui.workers import fitting
from somatui.workers.gpu import ACTIVATIONS, Card
from somatui.workers.lazy import Plan
from somatui.workers.matching import Aims
from somatui.workers.session import JobError, ParkedError

VERIFY_EVERY = 1000
"""Each so many-th candidate is verified whatever its numbers are."""
Loaded = tuple[ModelConfig, Tensors]
_SCREENED, _EXACT = "screened", "exact"


def device_of(job: Mapping[str, Any]) -> torch.device:
    """The device that a job asks for, else a card if PyTorch can use one. Raises JobError."""
    asked = job.get("device") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(asked)
    except (RuntimeError, TypeError):
        raise JobError(f"There is no device {asked}: use cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise ParkedError(
            f"No card: PyTorch can use no card {asked} here: see somatui doctor, or score with the device cpu."
        )
    if device.type not in ("cpu", "cuda"):
        raise JobError(f"Nothing is computed on a device {asked}: use cpu, cuda or cuda:N.")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def screens(job: Mapping[str, Any], device: torch.device) -> bool:
    """Whether a job's candidates are screened: as it asks, else where bf16 is native. Raises JobError."""
    asked = job.get("precision") or ("screen" if device.type == "cuda" or bf16_is_native() else "exact")
    if asked not in ("screen", "exact"):
        raise JobError(f"There is no precision {asked}: use screen or exact.")
    return bool(asked == "screen")


def _is_wide(loaded: Loaded) -> bool:
    return loaded[0].dim >= FEWEST_DIMENSIONS


class Screening:
    """Scores of the board's models on one device; any number of threads may ask.

    `say` tells a sentence of a level (info, warn). Models of fewer than 64 dimensions are scored exactly, on the
    processor. So many `workers` share the machine's memory, and `kept` bytes are for chunks that have been through.
    """

    def __init__(
        self, device: torch.device, screen: bool, say: Callable[[str, str], None], workers: int = 1,
        kept: int = KEPT_BYTES,
    ) -> None:  # fmt: skip
        self.device, self._say, self._chunks = device, say, Chunks(kept)
        self._screen, self._workers = screen, workers
        self._type = torch.bfloat16 if device.type == "cuda" or bf16_is_native() else torch.float32
        self._device: Device | None = None
        self._card: Card | None = None
        self._host = 0
        self._wide: dict[str, Loaded] = {}
        self._tf32: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._worst_loss = self._worst_distance = 0.0
        self._verified = 0
        self.says: list[str] = []
        """What stays where, in sentences."""

    @property
    def made(self) -> int:
        """Chunks that went through a model."""
        return self._chunks.made

    def follow(self, models: dict[str, Loaded]) -> None:
        """From now on these models, by column; says what stays where if that is new."""
        self._wide = {c: found for c, found in models.items() if _is_wide(found)}
        self._tf32 = {key: good for key, good in self._tf32.items() if key.removeprefix(_EXACT) in models}
        self._chunks.forget(set(models) | {_SCREENED + column for column in models})
        if not self._wide or (self.device.type == "cpu" and not self._screen):
            return
        sources = {_SCREENED + c: Source(*found, self._type) for c, found in self._wide.items()} if self._screen else {}
        if self.device.type == "cuda":
            sources |= {_EXACT + c: Source(*found, torch.float32) for c, found in self._wide.items()}
        if self._device is None:
            self._open()
        assert self._device is not None
        self._device.follow(sources)
        self._plan(sources)

    def _open(self) -> None:
        """Take what memory is free now, before the first model takes its part, for that of models."""
        self._host, keep = psutil.virtual_memory().available // self._workers, 0
        room = int(self._host * fitting.HOST_SHARE)
        if self.device.type == "cuda":
            free, size = torch.cuda.mem_get_info(self.device)
            self._card = Card(torch.cuda.get_device_name(self.device), size, free)
            room, keep = free - ACTIVATIONS, room
        self._device = Device(self.device, room, keep, self._checked)

    def _plan(self, sources: Mapping[str, Source]) -> None:
        """Say what stays where. Models that verify wait for their turn wherever there is place."""
        way = _SCREENED if self._screen else _EXACT
        sizes = {key: source.nbytes for key, source in sources.items() if key.startswith(way)}
        precision = "bf16" if self._screen and self._type == torch.bfloat16 else "f32"
        if self._card is None:
            fit = fitting.on_processor(sizes, precision, self._host)
        else:
            (fit,) = fitting.plan([self._card], sizes, precision, self._host)
        if self.says != [fit.says]:
            self.says = [fit.says]
            self._say("info", fit.says)

    def _checked(self, key: str, model: Resident) -> None:
        """Take a model's f32 products in TF32 where its numbers stay; each is tried once, however often it comes."""
        if not key.startswith(_EXACT):
            return
        if (good := self._tf32.get(key)) is None:
            good = self._tf32[key] = resident.tf32(model)
            if not good:
                self._say("info", "products in TF32 would change the numbers of one of the models: it keeps to f32")
        model.tf32 = good

    @property
    def gathers(self) -> bool:
        """Whether what candidates side by side need goes through a model together."""
        return self._device is not None

    @property
    def at_work(self) -> bool:
        """Whether scores are screened at first."""
        return self._screen and bool(self._wide)

    def go_on(self, plan: Plan, scores: dict[str, Score], models: Mapping[str, Loaded], data: bytes) -> bool:
        """Add the score that the plan wants next; False when it wants no more.

        Once screening has ended, it wants whatever was screened.
        """
        plan = plan if self.at_work else replace(plan, doubt=math.inf)
        if (column := plan.following(scores)) is None:
            return False
        scores[column] = self.score(column, models[column], data, scores.get(column), plan.aims)
        return True

    def score(self, column: str, loaded: Loaded, data: bytes, before: Score | None, aims: Aims) -> Score:
        """The first score of a column, or the exact one for the screened one `before`."""
        if before is None and self._screen and _is_wide(loaded):
            found = self._through(_SCREENED + column, _SCREENED + column, Source(*loaded, self._type), data)
            return replace(found, exact=False)
        exact = self.exact(column, loaded, data)
        if before is not None:
            self._compare(before, exact, aims)
        return exact

    def exact(self, column: str, loaded: Loaded, data: bytes, seed: int = 0) -> Score:
        """What the contract says; on a card in f32 there."""
        if self.device.type == "cuda" and _is_wide(loaded):
            return self._through(column, _EXACT + column, Source(*loaded, torch.float32), data, seed)
        return self._chunks.score(column, *loaded, data, seed)

    def _through(self, name: str, key: str, source: Source, data: bytes, seed: int = 0) -> Score:
        assert self._device is not None
        return self._chunks.through(name, partial(self._device.parts, key, source), data, seed)

    def _compare(self, screened: Score, exact: Score, aims: Aims) -> None:
        if not (math.isfinite(screened.loss) or math.isfinite(exact.loss)):
            # A model whose weights make no numbers says nothing about screening: else one would end it for all.
            return
        loss, distance = abs(screened.loss / exact.loss - 1), aims.apart(screened, exact)
        with self._lock:
            self._verified += 1
            # A difference that is no number is as wrong as can be.
            self._worst_loss = max(self._worst_loss, loss if math.isfinite(loss) else 1.0)
            self._worst_distance = max(self._worst_distance, distance if math.isfinite(distance) else 1.0)
            if self._screen and (self._worst_loss > LOSS_MARGIN or self._worst_distance > DISTANCE_MARGIN):
                self._screen = False
                off = f"{self._worst_loss:.2%} of a loss and {self._worst_distance:.4f} of a distance"
                self._say("warn", f"screened numbers were off by up to {off}: all is scored exactly from here on")

    def figures(self) -> dict[str, float]:
        """How often numbers were made both ways and how far apart they were at worst; nothing while they never were."""
        if not self._verified:
            return {}
        return {"verified": self._verified, "screen_worst_loss": self._worst_loss,
                "screen_worst_distance": self._worst_distance}  # fmt: skip

    def close(self) -> None:
        """Let nobody wait for the device any more."""
        if self._device is not None:
            self._device.close()
