"""How a network is told from others at sight: one word, which is also the name of its colour."""

from __future__ import annotations

_USUAL = {"practice": ("practice", "localnet"), "testnet": ("testnet", "custom"), "main": ()}
"""The kinds of network that are what their profile's colour says anyway."""


def standing(kind: str, colour: str) -> str:
    """The network's kind, unless the profile is for the main network or has another colour than that kind usually."""
    return kind if not colour or kind in _USUAL.get(colour, ()) else colour


def careful(colour: str, chain: str) -> str:
    """The colour, that of the main network where the chain calls itself so, whatever the profile is called."""
    return "main" if chain.lower().startswith("main") else colour


def words(kind: str, colour: str, name: str) -> str:
    """That word in capitals, and the profile's name where that is another: `TESTNET ops`, `MAIN mainnet`."""
    word = standing(kind, colour)
    return word.upper() if name.lower() in (word, "") else f"{word.upper()} {name}"
