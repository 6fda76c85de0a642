"""Whether bytes are a validator's key, proof or address at all; a client cannot read a state that holds others.

Keys and proofs are compressed points of BLS12-381 (protocol.md 2.2) and Ed25519. That a proof belongs to its key would
take a pairing and is not decided here.
"""

from __future__ import annotations

from functools import lru_cache

_P = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
_R = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
_ED = 2**255 - 19
_ED_D = -121665 * pow(121666, -1, _ED) % _ED
_WITH_VALUE = {"ip4", "ip6", "dns", "dns4", "dns6", "tcp", "udp"}
_WITHOUT_VALUE = {"http", "https", "tls", "ws", "wss", "quic", "quic-v1"}

Complex = tuple[int, int]
"""a + b·u with u² = −1, over the base field; b is 0 for points of the first group."""
Point = tuple[Complex, Complex]


def is_protocol_key(data: bytes) -> bool:
    """96 bytes: a point of the second group, not infinity."""
    return len(data) == 96 and _in_group(data)


def is_proof(data: bytes) -> bool:
    """48 bytes: a point of the first group, not infinity."""
    return len(data) == 48 and _in_group(data)


def is_ed25519_key(data: bytes) -> bool:
    """32 bytes: a point of the curve."""
    if len(data) != 32:
        return False
    square = (int.from_bytes(data, "little") & (2**255 - 1)) ** 2
    wanted = (square - 1) * pow(_ED_D * square + 1, -1, _ED) % _ED
    return pow(wanted, (_ED - 1) // 2, _ED) in (0, 1)


def is_multiaddr(text: str) -> bool:
    """Text such as `/ip4/127.0.0.1/tcp/8080/http`."""
    first, *parts = text.split("/")
    if first or not parts:
        return False
    while parts:
        name = parts.pop(0)
        if name in _WITH_VALUE and parts and parts[0]:
            value = parts.pop(0)
            if name in ("tcp", "udp") and not (value.isascii() and value.isdigit() and int(value) < 65_536):
                return False
        elif name not in _WITHOUT_VALUE:
            return False
    return True


@lru_cache(maxsize=64)
def _in_group(data: bytes) -> bool:
    if data[0] & 0xC0 != 0x80:
        return False
    words = [data[i : i + 48] for i in range(0, len(data), 48)]
    numbers = [int.from_bytes(bytes([words[0][0] & 0x1F]) + words[0][1:], "big")]
    numbers += [int.from_bytes(word, "big") for word in words[1:]]
    if any(n >= _P for n in numbers):
        return False
    second = len(words) == 2
    x: Complex = (numbers[1], numbers[0]) if second else (numbers[0], 0)
    cube = _times(_times(x, x), x)
    y = _root((cube[0] + 4, cube[1] + (4 if second else 0)))
    if y is None or (not second and y[1]):
        return False
    return _multiple((x, y), _R) is None


def _times(a: Complex, b: Complex) -> Complex:
    return (a[0] * b[0] - a[1] * b[1]) % _P, (a[0] * b[1] + a[1] * b[0]) % _P


def _minus(a: Complex, b: Complex) -> Complex:
    return (a[0] - b[0]) % _P, (a[1] - b[1]) % _P


def _inverse(a: Complex) -> Complex:
    scale = pow(a[0] * a[0] + a[1] * a[1], -1, _P)
    return a[0] * scale % _P, -a[1] * scale % _P


def _power(a: Complex, exponent: int) -> Complex:
    result: Complex = (1, 0)
    for bit in bin(exponent)[2:]:
        result = _times(result, result)
        if bit == "1":
            result = _times(result, a)
    return result


def _root(a: Complex) -> Complex | None:
    """A square root; the field's size is 3 modulo 4."""
    a = (a[0] % _P, a[1] % _P)
    part = _power(a, (_P - 3) // 4)
    found = _times(part, a)
    sign = _times(part, found)
    if sign == (_P - 1, 0):
        found = (-found[1] % _P, found[0])
    else:
        found = _times(_power((sign[0] + 1, sign[1]), (_P - 1) // 2), found)
    return found if _times(found, found) == a else None


def _multiple(point: Point, times: int) -> Point | None:
    """`times` · point; None is infinity."""
    result: Point | None = None
    for bit in bin(times)[2:]:
        result = _sum(result, result)
        if bit == "1":
            result = _sum(result, point)
    return result


def _sum(one: Point | None, other: Point | None) -> Point | None:
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 != x2:
        slope = _times(_minus(y2, y1), _inverse(_minus(x2, x1)))
    elif y1 != y2 or y1 == (0, 0):
        return None
    else:
        slope = _times(_times((3, 0), _times(x1, x1)), _inverse((2 * y1[0], 2 * y1[1])))
    x3 = _minus(_minus(_times(slope, slope), x1), x2)
    return x3, _minus(_times(slope, _minus(x1, x3)), y1)
