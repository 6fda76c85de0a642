"""What NVML says of a card becomes a row; what it does not say is left out."""

from __future__ import annotations

import pytest
import torch

from somatui.workers.gauges import Gauges, Reading, handle_of, row


def test_a_busy_hot_card_is_told_in_units_for_people() -> None:
    reading = Reading("NVIDIA H100 80GB HBM3", 1, 97, 18_253_611_008, 85_899_345_920, 83, 612_345, 700_000, 0x04 | 0x40)
    assert row(reading) == {
        "card": "H100 80GB HBM3", "index": 1, "busy": 97, "used": 18_253_611_008, "memory": 85_899_345_920,
        "celsius": 83, "watts": 612, "most_watts": 700, "slowed": "power cap, heat (hardware)",
    }  # fmt: skip


def test_an_idle_card_is_not_slowed_and_what_a_card_does_not_tell_is_left_out() -> None:
    assert row(Reading("NVIDIA GeForce RTX 4090", 0, busy=0, reasons=0x01)) == {
        "card": "RTX 4090", "index": 0, "busy": 0, "slowed": "",
    }  # fmt: skip
    assert row(Reading("NVIDIA L4", 0)) == {"card": "L4", "index": 0}


def test_a_card_that_the_driver_does_not_know_has_no_gauges_nor_has_a_machine_without_a_driver() -> None:
    assert handle_of("GPU-00000000-0000-0000-0000-000000000000") is None


def test_a_processor_has_no_gauges() -> None:
    assert Gauges(torch.device("cpu")).rows() == []


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA card")
def test_the_card_s_own_gauges_are_read() -> None:
    (told,) = Gauges(torch.device("cuda")).rows()
    assert 0 <= told["busy"] <= 100
    assert 0 < told["used"] <= told["memory"]
    assert told["card"] in torch.cuda.get_device_name()
