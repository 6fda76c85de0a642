"""Base58 here against the library that everybody uses."""

from __future__ import annotations

import base58
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from somatui.wire.text import TextError, b58decode32, b58encode


@given(st.binary(max_size=80))
@example(b"")
@example(bytes(32))
@example(bytes(3) + b"\x01" + bytes(28))
def test_any_bytes_are_written_as_the_library_writes_them(data: bytes) -> None:
    assert b58encode(data) == base58.b58encode(data).decode()


@given(st.binary(min_size=32, max_size=32))
@example(bytes(32))
@example(b"\xff" * 32)
def test_32_bytes_come_back(data: bytes) -> None:
    assert b58decode32(base58.b58encode(data).decode()) == data


@given(st.binary(max_size=60).filter(lambda data: len(data) != 32))
def test_any_other_number_of_bytes_is_refused_and_told(data: bytes) -> None:
    with pytest.raises(TextError, match=f"has {len(data)}$"):
        b58decode32(base58.b58encode(data).decode())


def test_other_letters_and_endless_texts_are_refused() -> None:
    for text in ("0" * 44, "é" * 44, "1 1"):
        with pytest.raises(TextError, match="not Base58"):
            b58decode32(text)
    with pytest.raises(TextError, match="has more"):
        b58decode32("z" * 4_000_000)
