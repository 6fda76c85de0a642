"""How bytes are written for people: Base58 digests, hex ids and addresses, Bech32 keys (protocol.md 2.1, 3.2)."""

from __future__ import annotations

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_BASE58)}
_PAIRS = [first + second for first in _BASE58 for second in _BASE58]
_TEN = 58**10
"""Ten digits fit a machine word: long numbers are cut into such pieces, and pieces into pairs."""
_LONGEST = 100
"""What is longer is not even reckoned: the work grows with the square."""
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
SECRET_PREFIX = "somaprivkey"


class TextError(ValueError):
    """Text that is no digest, id, address or key; the message never repeats a secret."""


def b58encode(data: bytes) -> str:
    """Base58 with the Bitcoin alphabet."""
    left, pairs = int.from_bytes(data, "big"), []
    while left:
        left, piece = divmod(left, _TEN)
        for _ in range(5):
            piece, pair = divmod(piece, 3364)
            pairs.append(_PAIRS[pair])
    digits = "".join(reversed(pairs)).lstrip("1")
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def b58decode32(text: str) -> bytes:
    """A digest, checksum or key of exactly 32 bytes."""
    number, digits = 0, text.rstrip()
    if len(digits) > _LONGEST:
        raise TextError(f"a digest has 32 bytes, this text of {len(digits)} letters has more")
    try:
        for digit in digits:
            number = number * 58 + _VALUES[digit]
    except KeyError:
        raise TextError("not Base58: digests use letters and digits without 0, O, I and l") from None
    size = len(digits) - len(digits.lstrip("1")) + (number.bit_length() + 7) // 8
    if size != 32:
        raise TextError(f"a digest has 32 bytes, this text has {size}")
    return number.to_bytes(32, "big")


def hex_id(data: bytes) -> str:
    """An object id as `0x` and 64 hex digits."""
    return "0x" + data.hex()


def address_hex(data: bytes) -> str:
    """An address as 64 hex digits, without `0x`."""
    return data.hex()


def parse_id(text: str) -> bytes:
    """An object id with or without `0x`; listings drop leading zeros, which are put back (protocol.md 8, item 13)."""
    digits = text.removeprefix("0x")
    if not 1 <= len(digits) <= 64 or not digits.isascii() or not digits.isalnum():
        raise TextError("an id is 0x and up to 64 hex digits")
    try:
        return bytes.fromhex(digits.rjust(64, "0"))
    except ValueError:
        raise TextError("an id is 0x and up to 64 hex digits") from None


def parse_address(text: str) -> bytes:
    """An address: 64 hex digits, or a short form that begins with `0x`."""
    if len(text) != 64 and not text.startswith("0x"):
        raise TextError("an address has 64 hex digits; a shorter one begins with 0x")
    return parse_id(text)


def _checksum_state(values: list[int]) -> int:
    state = 1
    for value in values:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, term in enumerate(_GENERATOR):
            if top >> bit & 1:
                state ^= term
    return state


def _regroup(values: bytes | list[int], from_bits: int, to_bits: int, *, pad: bool) -> list[int]:
    held = bits = 0
    out: list[int] = []
    for value in values:
        held = held << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            out.append(held >> bits & (1 << to_bits) - 1)
    if pad and bits:
        out.append(held << to_bits - bits & (1 << to_bits) - 1)
    elif not pad and (bits >= from_bits or held & (1 << bits) - 1):
        raise TextError("a secret key in Bech32 ends in bits that should be zero")
    return out


def _expanded(prefix: str) -> list[int]:
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def encode_secret(seed: bytes) -> str:
    """A 32-byte Ed25519 seed as `somaprivkey1…`."""
    data = _regroup(b"\x00" + seed, 8, 5, pad=True)
    check = _checksum_state([*_expanded(SECRET_PREFIX), *data, 0, 0, 0, 0, 0, 0]) ^ 1
    data += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return SECRET_PREFIX + "1" + "".join(_BECH32[d] for d in data)


def decode_secret(text: str) -> bytes:
    """The 32-byte seed of `somaprivkey1…`; other schemes than Ed25519 are refused."""
    prefix, _, body = text.strip().lower().rpartition("1")
    if prefix != SECRET_PREFIX or any(c not in _BECH32 for c in body):
        raise TextError(f"a secret key in Bech32 begins with {SECRET_PREFIX}1")
    values = [_BECH32.index(c) for c in body]
    if _checksum_state([*_expanded(prefix), *values]) != 1:
        raise TextError("the secret key has a typing error: its checksum does not match")
    data = bytes(_regroup(values[:-6], 5, 8, pad=False))
    if len(data) != 33 or data[0] != 0:
        raise TextError("the secret key is not an Ed25519 key of 32 bytes")
    return data[1:]
