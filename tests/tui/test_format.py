"""Values as text: aligned, cut and never rounded up, the same for at least a minute."""

from __future__ import annotations

import pytest

from somatui.tui import format as f


@pytest.mark.parametrize(
    ("shannons", "text"),
    [
        (0, "0.000000000"),
        (1, "0.000000001"),
        (-412_600, "−0.000412600"),
        (412_883_113_300, "412.883113300"),
        (1_000_000_000_000, "1,000.000000000"),
    ],
)
def test_an_exact_amount_has_all_nine_decimals(shannons: int, text: str) -> None:
    assert f.plain(f.amount_exact(shannons)) == text


def test_the_decimals_behind_the_fourth_are_muted_unless_they_are_all_there_is() -> None:
    assert f.amount_exact(12_685_185) == (("0.0126", ""), ("85185", "muted"))
    assert f.amount_exact(2_200, tone="bad") == (("0.0000", "bad"), ("02200", "bad"))
    assert f.amount_exact(0) == (("0.0000", "muted"), ("00000", "muted"))


def test_no_line_ends_within_an_amount() -> None:
    text = "Each hit pays a fee of 0.000 002 200 SOMA and locks a bond."
    for room in range(18, 60):
        lines = f.wrapped(text, room)
        assert " ".join(lines) == text and max(map(len, lines)) <= room
        assert any("0.000 002 200 SOMA" in line for line in lines)


def test_an_amount_is_cut_and_never_rounded_up() -> None:
    assert f.plain(f.amount(1_999_999_999)) == "1.9999"
    assert f.plain(f.amount(5_000_000, sign=True)) == "+0.0050"


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(-5, "<1m"), (59_999, "<1m"), (60_000, "1m"), (3_600_000 * 9 + 12 * 60_000, "9h 12m"), (3 * 86_400_000, "3d 0h")],
)
def test_a_length_of_time_is_told_in_minutes_so_that_it_does_not_tick(milliseconds: int, text: str) -> None:
    assert f.coarse(milliseconds) == text


def test_a_percentage_is_full_only_when_it_is() -> None:
    assert [f.percent(x) for x in (0.0, 0.29, 0.999, 1.0)] == ["0%", "29%", "99%", "100%"]


def test_a_bar_reads_without_colour_and_stays_in_its_width() -> None:
    assert f.plain(f.bar(0.5, 6)) == "━━━───"
    assert f.plain(f.bar(7.0, 4)) == "━━━━"
    assert f.plain(f.bar(-1.0, 4)) == "────"


def test_a_sparkline_shows_the_newest_values_between_least_and_greatest() -> None:
    assert f.sparkline((9.0, 0.0, 1.0), 2) == "▁█"
    assert f.sparkline((3.0, 3.0), 4) == "▁▁"
    assert f.sparkline((), 4) == ""


def test_sizes_and_numbers_carry_their_unit_and_a_true_minus() -> None:
    assert f.bytes_text(88_712) == "88.7 kB"
    assert f.bytes_text(4_840_000_000) == "4.84 GB"
    assert f.bytes_text(12) == "12 B"
    assert f.number(-0.0081, 3, sign=True) == "−0.008"
    assert f.many(1, "coin") == "1 coin"
    assert f.many(2_000, "coin") == "2,000 coins"


def test_parts_are_joined_without_the_empty_ones() -> None:
    assert f.plain(f.joined([f.cell("a"), (), f.cell("b")])) == "a b"
