"""What fits where is said before a job starts, from literal cards."""

from __future__ import annotations

from somatui.workers.fitting import on_processor, plan
from somatui.workers.gpu import ACTIVATIONS, GB, MODEL_BF16, Card

L4 = Card("NVIDIA L4", 24 * GB, 22 * GB)
H100 = Card("NVIDIA H100", 80 * GB, 80 * GB)


def models(count: int, each: int = MODEL_BF16) -> dict[str, int]:
    return {f"m{n}": each for n in range(count)}


def test_what_does_not_fit_on_the_card_waits_in_host_memory_and_then_in_files() -> None:
    (fit,) = plan([L4], models(11), "bf16", host=64 * GB)
    assert (fit.here, fit.host, fit.file) == (tuple(f"m{n}" for n in range(8)), ("m8", "m9", "m10"), ())
    assert fit.says == "NVIDIA L4: 8 models of bf16 in 24 GB, 3 more in host memory"
    (fit,) = plan([L4], models(11), "bf16", host=10 * GB)
    assert fit.says.endswith("8 models of bf16 in 24 GB, 2 more in host memory, 1 more read from its file each time")


def test_every_card_goes_through_all_models_and_shares_the_host_s_memory() -> None:
    one, other = plan([L4, H100], models(34), "bf16", host=64 * GB)
    assert (len(one.here), len(one.host), len(one.file)) == (8, 6, 20)
    assert (len(other.here), other.host, other.file) == (32, ("m32", "m33"), ())


def test_a_card_others_use_or_that_is_too_small_holds_what_it_has_place_for() -> None:
    (fit,) = plan([Card("NVIDIA T4", 16 * GB, ACTIVATIONS + MODEL_BF16)], models(1), "bf16", host=0)
    assert fit.says == "NVIDIA T4: 1 model of bf16 in 16 GB"
    (fit,) = plan([Card("NVIDIA T4", 16 * GB, GB)], models(2), "bf16", host=0)
    assert (fit.here, fit.file) == ((), ("m0", "m1"))


def test_without_a_card_half_of_the_free_memory_is_for_models() -> None:
    assert on_processor(models(3), "bf16", 16 * GB).says == "this machine: 3 models of bf16 in 16 GB"
    assert on_processor(models(4, 2 * MODEL_BF16), "f32", 16 * GB).says == (
        "this machine: 1 model of f32 in 16 GB, 3 more read from their files each time"
    )
