"""A matrix of dark and light modules as lines of half blocks, two rows of it in one line of a terminal."""

from __future__ import annotations

from collections.abc import Sequence

QUIET = 4
"""Light modules around a QR code, as its standard wants them."""
_BLOCKS = {(0, 0): " ", (1, 0): "▀", (0, 1): "▄", (1, 1): "█"}


def half_blocks(matrix: Sequence[Sequence[int]], *, quiet: int = QUIET, light_on_dark: bool = False) -> list[str]:
    """The lines; dark modules are drawn, or, where a terminal's dark ground must serve as dark, the light ones are."""
    width = len(matrix[0]) + 2 * quiet
    margin = [[0] * width for _ in range(quiet)]
    rows = [*margin, *([0] * quiet + [int(bool(m)) for m in row] + [0] * quiet for row in matrix), *margin]
    if len(rows) % 2:
        rows.append([0] * width)
    drawn = 0 if light_on_dark else 1
    return [
        "".join(_BLOCKS[(int(upper == drawn), int(lower == drawn))] for upper, lower in zip(*pair, strict=True))
        for pair in zip(rows[::2], rows[1::2], strict=True)
    ]
