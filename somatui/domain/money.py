"""Amounts: integer shannons inside, SOMA on the screen and at the keyboard."""

from __future__ import annotations

SHANNONS_PER_SOMA = 1_000_000_000
MAX_SHANNONS = 2**64 - 1


class AmountError(ValueError):
    """An amount that cannot be read; the text is one sentence with the cure."""


def bps(amount_shannons: int, rate_bps: int) -> int:
    """`amount · rate / 10,000`, rounded down as the chain does (protocol.md 4)."""
    return amount_shannons * rate_bps // 10_000


def parse_amount(text: str) -> int:
    """Read `1.5` (SOMA, at most nine decimals) or `1500sh` (shannons) as shannons.

    Raises:
        AmountError: signs, exponents, more decimals, or more than 2^64 - 1 shannons.
    """
    cleaned = text.strip().replace("_", "").replace(",", "")
    if cleaned.endswith("sh") and cleaned[:-2].isascii() and cleaned[:-2].isdigit():
        shannons = int(cleaned[:-2])
    else:
        whole, _, fraction = cleaned.partition(".")
        if not (whole + fraction).isascii() or not (whole + fraction).isdigit():
            raise AmountError(f"“{text}” is not an amount: type SOMA like 1.5, or shannons like 1500sh.")
        if len(fraction) > 9:
            raise AmountError(f"“{text}” has more than nine decimals: the smallest amount is 0.000000001 SOMA.")
        shannons = int(whole or "0") * SHANNONS_PER_SOMA + int(fraction.ljust(9, "0") or "0")
    if shannons > MAX_SHANNONS:
        raise AmountError(f"“{text}” is more than the network can hold.")
    return shannons


def soma(shannons: int, decimals: int = 4, *, sign: bool = False) -> str:
    """Show shannons as SOMA with a fixed number of decimals, cut and never rounded up: `412.8831`."""
    mark = "-" if shannons < 0 else "+" if sign and shannons > 0 else ""
    whole, rest = divmod(abs(shannons), SHANNONS_PER_SOMA)
    if decimals == 0:
        return f"{mark}{whole:,}"
    return f"{mark}{whole:,}.{rest:09d}"[: len(f"{mark}{whole:,}.") + decimals]


def soma_exact(shannons: int) -> str:
    """Show every decimal that counts, in groups of three: `0.000 001 600`."""
    mark = "-" if shannons < 0 else ""
    whole, rest = divmod(abs(shannons), SHANNONS_PER_SOMA)
    digits = f"{rest:09d}"
    return f"{mark}{whole:,}.{digits[:3]} {digits[3:6]} {digits[6:]}"
