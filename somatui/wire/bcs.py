"""Binary Canonical Serialization, as far as the network uses it (protocol.md 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")
MAX_ULEB = 2**32 - 1


class BcsError(ValueError):
    """Bytes that are no canonical encoding of what was asked for."""


class Writer:
    """Collects encoded values; every method returns the writer, so that calls chain."""

    def __init__(self) -> None:
        self._parts = bytearray()

    def raw(self, data: bytes) -> Writer:
        """Bytes as they are: fixed arrays such as addresses and object ids."""
        self._parts += data
        return self

    def uleb128(self, value: int) -> Writer:
        """A length or variant number of at most 32 bits, in its shortest form."""
        if not 0 <= value <= MAX_ULEB:
            raise BcsError(f"{value} does not fit a 32-bit length")
        while value >= 0x80:
            self._parts.append(value & 0x7F | 0x80)
            value >>= 7
        self._parts.append(value)
        return self

    def uint(self, value: int, bits: int) -> Writer:
        """A little-endian unsigned integer of 8 to 256 bits."""
        if not 0 <= value < 1 << bits:
            raise BcsError(f"{value} does not fit {bits} bits")
        return self.raw(value.to_bytes(bits // 8, "little"))

    def u8(self, value: int) -> Writer:
        """One byte."""
        return self.uint(value, 8)

    def u64(self, value: int) -> Writer:
        """Eight bytes, little endian."""
        return self.uint(value, 64)

    def flag(self, value: bool) -> Writer:
        """One byte, 0 or 1."""
        return self.u8(1 if value else 0)

    def blob(self, data: bytes) -> Writer:
        """Length and bytes: digests, checksums, keys and byte vectors."""
        return self.uleb128(len(data)).raw(data)

    def text(self, words: str) -> Writer:
        """Length and UTF-8."""
        return self.blob(words.encode())

    def option(self, value: T | None, write: Callable[[Writer, T], object]) -> Writer:
        """0, or 1 and the value."""
        self.flag(value is not None)
        if value is not None:
            write(self, value)
        return self

    def seq(self, values: Iterable[T], write: Callable[[Writer, T], object]) -> Writer:
        """Length and values."""
        items = list(values)
        self.uleb128(len(items))
        for item in items:
            write(self, item)
        return self

    def mapping(self, entries: Iterable[tuple[bytes, bytes]]) -> Writer:
        """Length and entries of encoded key and value, sorted by encoded key; a key twice is refused."""
        ordered = sorted(entries)
        if any(a[0] == b[0] for a, b in zip(ordered, ordered[1:], strict=False)):
            raise BcsError("a map holds one key twice")
        return self.seq(ordered, lambda w, e: w.raw(e[0]).raw(e[1]))

    def done(self) -> bytes:
        """Everything written so far."""
        return bytes(self._parts)


class Reader:
    """Takes encoded values off the front of some bytes; what is not canonical raises `BcsError`."""

    def __init__(self, data: bytes) -> None:
        self._data = bytes(data)
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes have not been read."""
        return len(self._data) - self._at

    def raw(self, size: int) -> bytes:
        """The next `size` bytes."""
        at, end = self._at, self._at + size
        if end > len(self._data):
            raise BcsError(f"{size} bytes wanted, {self.left} left")
        self._at = end
        return self._data[at:end]

    def uleb128(self) -> int:
        """A 32-bit number; longer or padded forms are refused."""
        at = self._at
        if at < len(self._data) and self._data[at] < 0x80:
            self._at = at + 1
            return self._data[at]
        value = 0
        for shift in range(0, 35, 7):
            byte = self.raw(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if value > MAX_ULEB or (byte == 0 and shift):
                    raise BcsError("a length is not in its shortest 32-bit form")
                return value
        raise BcsError("a length has more than 32 bits")

    def uint(self, bits: int) -> int:
        """A little-endian unsigned integer."""
        return int.from_bytes(self.raw(bits // 8), "little")

    def u8(self) -> int:
        """One byte."""
        return self.uint(8)

    def u64(self) -> int:
        """Eight bytes, little endian."""
        return self.uint(64)

    def flag(self) -> bool:
        """One byte that is 0 or 1."""
        byte = self.u8()
        if byte > 1:
            raise BcsError(f"{byte} is no boolean")
        return byte == 1

    def blob(self) -> bytes:
        """Length and bytes."""
        return self.raw(self.uleb128())

    def fixed(self, size: int) -> bytes:
        """Length-prefixed bytes that must have `size` bytes: digests and keys."""
        data = self.blob()
        if len(data) != size:
            raise BcsError(f"{size} bytes wanted, {len(data)} given")
        return data

    def text(self) -> str:
        """Length and UTF-8."""
        try:
            return self.blob().decode()
        except UnicodeDecodeError:
            raise BcsError("a text is not UTF-8") from None

    def option(self, read: Callable[[Reader], T]) -> T | None:
        """0, or 1 and the value."""
        return read(self) if self.flag() else None

    def seq(self, read: Callable[[Reader], T]) -> tuple[T, ...]:
        """Length and values; a length above the bytes left is refused before anything is kept."""
        count = self.uleb128()
        if count > self.left:
            raise BcsError(f"{count} items announced, {self.left} bytes left")
        return tuple(read(self) for _ in range(count))

    def done(self) -> None:
        """Refuse bytes that were not read."""
        if self.left:
            raise BcsError(f"{self.left} bytes too many")
