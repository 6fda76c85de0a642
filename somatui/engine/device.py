"""One device that many threads have chunks computed on: what waits for the same model goes through it together.

A thread of its own takes first what waits for models that are on the device, the most at once, and only when there is
none of that exchanges models. So while candidates wait side by side, models come in the outer loop and candidates in
the inner one, without anybody's planning it (scoring.md A).
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import torch

from somatui.engine import resident, screen
from somatui.engine.contract import Part
from somatui.engine.resident import Resident
from somatui.engine.weights import ModelConfig, Tensors

AT_ONCE = {"cpu": 16, "cuda": 64}
"""Chunks that are taken together, so that those who wait for another model get their turn, or hear of an end."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """What a model on the device is made of: weights as they are in their file, and the type of its matrices."""

    config: ModelConfig
    tensors: Tensors
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        """Bytes that it takes on the device."""
        return sum(
            t.numel() * (self.dtype.itemsize if resident.is_matrix(name) else t.element_size())
            for name, t in self.tensors.items()
        )


class Closed(Exception):
    """The device was closed while somebody waited for it."""


@dataclass(slots=True, eq=False)
class _Asked:
    """Chunks of one file that wait for a model, with the seed of their noise."""

    key: str
    source: Source
    seed: int
    chunks: Sequence[bytes]
    parts: Future[list[Part]]


class Device:
    """Models by key, as many on the device as `room` bytes hold; the others wait in the host's memory or their files.

    `keep` are the bytes that prepared copies may take in the host's memory; on a card those are pinned. `ready` is
    told of each model that came there.
    """

    def __init__(
        self, device: torch.device, room: int, keep: int = 0,
        ready: Callable[[str, Resident], None] = lambda key, model: None,
    ) -> None:  # fmt: skip
        self.device, self._room, self._keep, self._ready = device, room, keep, ready
        self._expected: dict[str, int] = {}
        self._here: OrderedDict[str, Resident] = OrderedDict()
        self._copies: dict[str, Tensors] = {}
        self._asked: deque[_Asked] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="device", daemon=True)
        self._thread.start()

    def follow(self, sources: Mapping[str, Source]) -> None:
        """These models are to be expected from now on; others do not stay."""
        self._expected = {key: source.nbytes for key, source in sources.items()}

    def parts(self, key: str, source: Source, chunks: Sequence[bytes], seed: int = 0) -> list[Part]:
        """Wait for the parts of some chunks. Raises Closed, and whatever the device has met."""
        asked = _Asked(key, source, seed, chunks, Future())
        with self._changed:
            if self._closed:
                raise Closed
            self._asked.append(asked)
            self._changed.notify()
        return asked.parts.result()

    def close(self) -> None:
        """Let nobody wait any more; what is under way on the device ends by itself."""
        with self._changed:
            self._closed = True
            for asked in self._asked:
                asked.parts.set_exception(Closed())
            self._asked.clear()
            self._changed.notify()

    def _serve(self) -> None:
        while (taken := self._next()) is not None:
            try:
                made = self._made(taken)
            except BaseException as failure:  # whoever waits has to hear of it
                for asked in taken:
                    asked.parts.set_exception(failure)
                continue
            for asked in taken:
                asked.parts.set_result(made[: len(asked.chunks)])
                del made[: len(asked.chunks)]

    def _made(self, taken: Sequence[_Asked]) -> list[Part]:
        """The parts of all, in a row. No name outlives this that would keep a model from making place for the next."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        model = self._model(taken[0].key, taken[0].source)
        return screen.parts(model, [chunk for asked in taken for chunk in asked.chunks], taken[0].seed)

    def _next(self) -> list[_Asked] | None:
        """What to compute next, all for one model and one seed; None once the device is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._closed)
            if self._closed:
                return None
            waiting: Counter[tuple[str, int]] = Counter()
            for asked in self._asked:
                waiting[asked.key, asked.seed] += len(asked.chunks)
            of = max(waiting, key=lambda pair: (pair[0] in self._here, waiting[pair]))
            taken: list[_Asked] = []
            chunks = 0
            for asked in list(self._asked):
                if (asked.key, asked.seed) == of and chunks < AT_ONCE[self.device.type]:
                    taken.append(asked)
                    chunks += len(asked.chunks)
                    self._asked.remove(asked)
            return taken

    def _model(self, key: str, source: Source) -> Resident:
        """The model on the device, brought there in the place of those that were used least lately."""
        for gone in {*self._here, *self._copies} - {*self._expected, key}:
            self._here.pop(gone, None)
            self._copies.pop(gone, None)
        if key in self._here:
            self._here.move_to_end(key)
            return self._here[key]
        while self._here and sum(model.nbytes for model in self._here.values()) + source.nbytes > self._room:
            self._here.popitem(last=False)
        made = Resident(source.config, self._prepared(key, source), self.device)
        self._here[key] = made
        self._ready(key, made)
        return made

    def _prepared(self, key: str, source: Source) -> Tensors:
        """Its tensors as the device wants them; kept where not all models fit on the device and there is memory."""
        if key in self._copies:
            return self._copies[key]
        made = resident.prepared(source.config, source.tensors, source.dtype)
        exchanged = sum(self._expected.values()) > self._room
        if exchanged and sum(map(resident.size_of, self._copies.values())) + source.nbytes <= self._keep:
            if self.device.type == "cuda":
                made = {name: t.pin_memory() for name, t in made.items()}
            self._copies[key] = made
        return made
