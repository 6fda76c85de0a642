"""Amounts are exact at the keyboard, on the wire and on the screen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from somatui.domain.money import MAX_SHANNONS, AmountError, bps, parse_amount, soma, soma_exact


@pytest.mark.parametrize(
    ("text", "shannons"),
    [("1.5", 1_500_000_000), ("1500sh", 1500), ("0.000000001", 1), ("2", 2_000_000_000), (".5", 500_000_000)],
)
def test_amounts_are_read_as_shannons(text: str, shannons: int) -> None:
    assert parse_amount(text) == shannons


@pytest.mark.parametrize("text", ["", "-1", "+1", "1e9", "1.0000000001", "1.5sh", "abc", "1..2", "٣", "18446744074"])
def test_amounts_that_could_be_misread_are_refused(text: str) -> None:
    with pytest.raises(AmountError):
        parse_amount(text)


@given(st.integers(0, MAX_SHANNONS))
def test_every_amount_survives_screen_and_keyboard(shannons: int) -> None:
    assert parse_amount(soma(shannons, 9)) == shannons
    assert parse_amount(soma_exact(shannons).replace(" ", "")) == shannons


@given(st.integers(0, MAX_SHANNONS), st.integers(0, 9))
def test_the_screen_never_shows_more_than_there_is(shannons: int, decimals: int) -> None:
    assert parse_amount(soma(shannons, decimals)) <= shannons


def test_amounts_are_written_with_sign_and_groups() -> None:
    assert soma(-1_500_000_000) == "-1.5000"
    assert soma(76_200_000, sign=True) == "+0.0762"
    assert soma_exact(1_600) == "0.000 001 600"
    assert soma(1_234_567_000_000_000, 0) == "1,234,567"


def test_basis_points_round_down() -> None:
    assert bps(12_685_185, 50) == 63_425
