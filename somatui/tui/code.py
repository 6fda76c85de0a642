"""The QR code of an address: its modules, without a screen."""

from __future__ import annotations

from collections.abc import Sequence


def modules(text: str) -> Sequence[bytearray]:
    """Rows of modules, 1 for a dark one: the smallest code of `text`, with no margin."""
    import segno

    return segno.make(text, error="l", micro=False).matrix
