"""Which models stay on which device, and what is said of it before a job starts; pure functions of what there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from somatui.workers.gpu import ACTIVATIONS, GB, Card

HOST_SHARE = 0.5
"""Of a machine's free memory, what copies of models may take."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Models on one device, those whose copies wait in the host's memory, and those that are read from their files."""

    device: str
    here: tuple[str, ...]
    host: tuple[str, ...]
    file: tuple[str, ...]
    says: str


def plan(cards: Sequence[Card], sizes: Mapping[str, int], precision: str, host: int) -> list[Fit]:
    """One for each card, since each goes through all models; `sizes` are bytes by model, those first that matter most.

    `precision` is a word for the sentence, `host` the free bytes of the machine's own memory, which all cards share.
    What does not fit is exchanged, one model at a time, so the last place on a card belongs to all of those.
    """
    return [_on(c.name, c.memory, c.free - ACTIVATIONS, sizes, precision, int(host * HOST_SHARE) // len(cards))
            for c in cards]  # fmt: skip


def on_processor(sizes: Mapping[str, int], precision: str, host: int) -> Fit:
    """The same where the processor computes: models stay in the machine's own memory."""
    return _on("this machine", host, int(host * HOST_SHARE), sizes, precision, 0)


def _on(device: str, size: int, room: int, sizes: Mapping[str, int], precision: str, host: int) -> Fit:
    here, rest = _first(sizes, room)
    # All that are exchanged have a copy, as far as there is memory, and so has the one that makes place for them.
    waiting, file = _first({model: sizes[model] for model in rest}, host)
    count = len(here)
    says = f"{device}: {count} model{'' if count == 1 else 's'} of {precision} in {size / GB:.0f} GB"
    if waiting:
        says += f", {len(waiting)} more in host memory"
    if file:
        says += f", {len(file)} more read from {'its file' if len(file) == 1 else 'their files'} each time"
    return Fit(device, tuple(here), tuple(waiting), tuple(file), says)


def _first(sizes: Mapping[str, int], room: int) -> tuple[list[str], list[str]]:
    """The first models that have room together, and the others."""
    fitting: list[str] = []
    for model, size in sizes.items():
        if size > room:
            break
        room -= size
        fitting.append(model)
    return fitting, [model for model in sizes if model not in fitting]
