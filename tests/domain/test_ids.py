"""Ids are written one way and may be typed short."""

from __future__ import annotations

import pytest

from somatui.domain.ids import IdError, normalise_address, normalise_id, resolve, short


def test_ids_that_lost_their_leading_zeros_are_padded() -> None:
    assert normalise_id("0xAB") == "0x" + "ab".rjust(64, "0")
    assert normalise_address("0x" + "1" * 63) == "0" + "1" * 63


@pytest.mark.parametrize("text", ["", "0x", "0xzz", "1" * 65])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(IdError):
        normalise_id(text)


def test_an_unambiguous_prefix_is_enough() -> None:
    known = ["0x7c1f" + "0" * 60, "0x7c1e" + "0" * 60]
    assert resolve("7c1f", known, "target") == known[0]
    with pytest.raises(IdError, match="at least 4"):
        resolve("7c", known, "target")
    with pytest.raises(IdError, match="No target"):
        resolve("beef", known, "target")
    with pytest.raises(IdError, match="2 targets"):
        resolve("0x7c1f", [known[0], "0x7c1f" + "1" * 60], "target")


def test_short_ids_keep_both_ends() -> None:
    assert short("0x7c1f" + "0" * 56 + "9a0b") == "7c1f…9a0b"
