"""Threads that share a device get the parts of their own chunks, whatever waits beside them and however little fits."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch

from somatui.engine import contract, weights
from somatui.engine.device import Closed, Device, Source
from somatui.engine.resident import Resident
from somatui.engine.weights import SMALL

PIECES = [f"piece {n}\n".encode() * 100 for n in range(6)]
OTHER = bytes(1024)
SOURCES = {f"{seed}": Source(SMALL, weights.initial(SMALL, seed), torch.float32) for seed in range(3)}
EACH = SOURCES["0"].nbytes


@contextmanager
def a_device(room: int, keep: int = 0) -> Iterator[tuple[Device, list[str]]]:
    """A device, and the keys of the models in the order in which they came there."""
    came: list[str] = []
    device = Device(torch.device("cpu"), room, keep, lambda key, model: came.append(key))
    device.follow(SOURCES)
    try:
        yield device, came
    finally:
        device.close()


def exact(key: str, piece: bytes, seed: int = 0) -> contract.Part:
    return contract.parts(SMALL, SOURCES[key].tensors, next(contract.batches(piece)), seed)[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_on_a_card_models_are_exchanged_from_pinned_memory() -> None:
    device = Device(torch.device("cuda", 0), EACH, 3 * EACH)
    device.follow(SOURCES)
    for _ in range(2):
        for key, source in SOURCES.items():
            (part,) = device.parts(key, source, [OTHER])
            assert part.cross == pytest.approx(exact(key, OTHER).cross, rel=1e-5)
    assert len(device._copies) == 3
    assert all(t.is_pinned() for copy in device._copies.values() for t in copy.values())
    device.close()


@pytest.mark.parametrize(("room", "keep"), [(3 * EACH, 0), (EACH, 0), (EACH, 3 * EACH)])
def test_every_thread_gets_its_own_parts_however_few_models_fit(room: int, keep: int) -> None:
    asked = [(key, piece, seed) for key in SOURCES for piece in PIECES[:3] for seed in (0, 1)]
    with a_device(room, keep) as (device, came), ThreadPoolExecutor(len(asked)) as pool:
        found = list(pool.map(lambda a: device.parts(a[0], SOURCES[a[0]], [OTHER, a[1]], a[2]), asked))
        if room > EACH:
            assert sorted(came) == [*SOURCES]
    for (key, piece, seed), (_, part) in zip(asked, found, strict=True):
        assert part.cross == pytest.approx(exact(key, piece, seed).cross, rel=1e-3)


def test_what_waits_for_a_model_that_is_there_goes_first_and_together() -> None:
    taken: list[list[str]] = []
    begun, go = threading.Event(), threading.Event()

    def ready(key: str, model: Resident) -> None:
        parts = model.parts

        def watched(chunks: list[bytes], seed: int = 0) -> list[contract.Part]:
            taken.append([key] * len(chunks))
            begun.set()
            assert go.wait(30)
            return parts(chunks, seed)

        model.parts = watched  # type: ignore[assignment, method-assign]

    device = Device(torch.device("cpu"), EACH, 0, ready)
    device.follow(SOURCES)
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(device.parts, "0", SOURCES["0"], [OTHER])]
        assert begun.wait(30)
        waiting += [pool.submit(device.parts, key, SOURCES[key], [OTHER]) for key in "111002"]
        with device._changed:
            assert device._changed.wait_for(lambda: len(device._asked) == 6, 30)
        go.set()
        for one in waiting:
            one.result()
    device.close()
    assert taken == [["0"], ["0"] * 2, ["1"] * 3, ["2"]]


def test_a_model_that_makes_place_for_another_leaves_the_memory() -> None:
    came: list[weakref.ref[Resident]] = []
    there: list[int] = []

    def ready(key: str, model: Resident) -> None:
        came.append(weakref.ref(model))
        there.append(sum(one() is not None for one in came))

    device = Device(torch.device("cpu"), EACH, 0, ready)
    device.follow(SOURCES)
    for key in "0120":
        device.parts(key, SOURCES[key], [OTHER])
    device.close()
    assert there == [1, 1, 1, 1]


def test_a_failure_reaches_whoever_waits_and_nobody_else() -> None:
    broken = Source(SMALL, {}, torch.float32)
    with a_device(3 * EACH) as (device, _):
        with pytest.raises(KeyError):
            device.parts("broken", broken, [PIECES[0]])
        assert len(device.parts("0", SOURCES["0"], PIECES)) == len(PIECES)


def test_a_closed_device_keeps_nobody_waiting() -> None:
    with a_device(EACH) as (device, _):
        pass
    with pytest.raises(Closed):
        device.parts("0", SOURCES["0"], [PIECES[0]])
