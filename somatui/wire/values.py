"""Values that stand inside transactions and objects: references, manifests, tensors (protocol.md 3.4, 3.5, 3.8)."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.hashes import blake2b256


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """One version of one object: id and digest have 32 bytes."""

    id: bytes
    version: int
    digest: bytes

    def write(self, writer: Writer) -> None:
        """Append the 73 bytes."""
        writer.raw(self.id).u64(self.version).blob(self.digest)

    @classmethod
    def read(cls, reader: Reader) -> ObjectRef:
        """Take one off the front."""
        return cls(reader.raw(32), reader.u64(), reader.fixed(32))


@dataclass(frozen=True, slots=True)
class Manifest:
    """Where bytes lie: URL, Blake2b-256 checksum (32 bytes), size in bytes."""

    url: str
    checksum: bytes
    size: int

    def write(self, writer: Writer) -> None:
        """Append manifest version 1 with metadata version 1."""
        writer.uleb128(0).text(self.url).uleb128(0).blob(self.checksum).u64(self.size)

    @classmethod
    def read(cls, reader: Reader) -> Manifest:
        """Take one off the front."""
        _variant(reader, "Manifest")
        url = reader.text()
        _variant(reader, "Metadata")
        return cls(url, reader.fixed(32), reader.u64())


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of f32 as it goes on chain: little-endian bytes and shape; a scalar has shape (1,)."""

    data: bytes
    shape: tuple[int, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Tensor:
        """A vector; each value is rounded to f32."""
        return cls(struct.pack(f"<{len(values)}f", *values), (len(values),))

    def floats(self) -> tuple[float, ...]:
        """The values, each exactly an f32."""
        return struct.unpack(f"<{len(self.data) // 4}f", self.data)

    def write(self, writer: Writer) -> None:
        """Append dtype F32, bytes and shape."""
        writer.uleb128(0).blob(self.data).seq(self.shape, Writer.u64)

    @classmethod
    def read(cls, reader: Reader) -> Tensor:
        """Take one off the front; bytes and shape must agree."""
        _variant(reader, "dtype")
        tensor = cls(reader.blob(), reader.seq(Reader.u64))
        if len(tensor.data) != 4 * math.prod(tensor.shape):
            raise BcsError("a tensor's bytes do not fill its shape")
        return tensor

    @property
    def commitment(self) -> bytes:
        """The hash that an embedding's commitment holds (protocol.md 3.9)."""
        writer = Writer()
        self.write(writer)
        return blake2b256(writer.done())


def _variant(reader: Reader, what: str) -> None:
    number = reader.uleb128()
    if number != 0:
        raise BcsError(f"{what} has variant {number}, only 0 is known")
