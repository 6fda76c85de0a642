"""How ids and addresses are written, and how people may shorten them; hashing is left to `wire`."""

from __future__ import annotations

from collections.abc import Iterable

ID_DIGITS = 64


class IdError(ValueError):
    """An id that cannot be read or that fits more than one thing; the text is one sentence."""


def normalise_id(text: str) -> str:
    """Write an object id as `0x` and 64 hex digits; listings drop leading zeros (protocol.md 8, item 13)."""
    digits = text.strip().lower().removeprefix("0x")
    if not digits or len(digits) > ID_DIGITS or any(c not in "0123456789abcdef" for c in digits):
        raise IdError(f"“{text}” is not an id: ids are 0x and up to 64 hex digits.")
    return "0x" + digits.rjust(ID_DIGITS, "0")


def normalise_address(text: str) -> str:
    """Write an address as 64 hex digits without `0x`, the way the network shows it (protocol.md 2.1)."""
    return normalise_id(text)[2:]


def short(text: str) -> str:
    """Shorten an id, address or digest for a narrow column: `7c1f…9a0b`."""
    digits = text.removeprefix("0x")
    return digits if len(digits) <= 9 else f"{digits[:4]}…{digits[-4:]}"


def tiny(identifier: str) -> str:
    """The first four digits of an id: enough beside its neighbours, and what commands accept."""
    return identifier.removeprefix("0x")[:4]


def resolve(prefix: str, known: Iterable[str], what: str) -> str:
    """Find the one id that begins with `prefix` (at least 4 hex digits, with or without `0x`).

    Raises:
        IdError: nothing or more than one fits, or the prefix is too short; says which.
    """
    digits = prefix.strip().lower().removeprefix("0x")
    if len(digits) == ID_DIGITS:
        return normalise_id(digits)
    if len(digits) < 4 or any(c not in "0123456789abcdef" for c in digits):
        raise IdError(f"“{prefix}” is not a {what} id: type at least 4 hex digits of it.")
    found = sorted({k for k in known if k.removeprefix("0x").startswith(digits)})
    if not found:
        raise IdError(f"No {what} begins with {digits}: list them to see the ids.")
    if len(found) > 1:
        raise IdError(
            f"{len(found)} {what}s begin with {digits} ({', '.join(short(f) for f in found[:3])}…): type more digits."
        )
    return normalise_id(found[0])
