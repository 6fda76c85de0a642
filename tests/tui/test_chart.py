"""Curves: every part of the course counts, the axis names its ends, nothing leaves its box."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from somatui.tui.chart import area, curve, resample, smoothed
from somatui.tui.format import plain


def test_a_falling_course_falls() -> None:
    assert area((4.0, 3.0, 2.0, 1.0), 4, 2) == [
        "█▃  ",
        "░░▆▁",
    ]


def test_a_flat_course_stands_half_way() -> None:
    assert area((2.0, 2.0), 3, 2) == ["   ", "██ "]


def test_the_axis_names_the_greatest_and_the_least() -> None:
    lines = [plain(line) for line in curve((5.5, 4.0, 2.1), 12, 3)]
    assert lines == ["5.500 ┤█    ", "      │░▆   ", "2.100 ┤░░▁  "]


def test_a_long_course_is_resampled_by_means() -> None:
    assert resample((1.0, 3.0, 5.0, 7.0), 2) == [2.0, 6.0]
    assert resample((1.0, 2.0), 5) == [1.0, 2.0]


def test_a_noisy_course_is_drawn_by_the_mean_of_its_last_values() -> None:
    assert smoothed((4.0, 2.0) * 8) == [4.0] + [3.0] * 15
    assert smoothed((4.0, 2.0)) == [4.0, 2.0]


def test_nothing_to_draw_draws_nothing() -> None:
    assert curve((), 20, 5) == ()
    assert area((), 3, 2) == ["   ", "   "]


@given(
    st.lists(st.floats(-1e6, 1e6, allow_nan=False), min_size=1, max_size=300),
    st.integers(1, 80),
    st.integers(1, 12),
)
def test_every_course_stays_in_its_box(values: list[float], width: int, height: int) -> None:
    lines = area(values, width, height)
    assert len(lines) == height
    assert all(len(line) == width for line in lines)
    assert lines[-1].strip(), "the least value is still one step high"
