"""Mnemonics: made and checked against the English list (BIP-39), turned into a key by the network's own SDK.

The path is the SDK's, m/44'/784'/0'/0'/0' with an empty passphrase (protocol.md 3.2).
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from soma_sdk import Keypair

from somatui.wire.secretkey import Found
from somatui.wire.text import TextError

if TYPE_CHECKING:
    from mnemonic import Mnemonic

BITS = {12: 128, 24: 256}


def make(count: int) -> str:
    """A new mnemonic of 12 or 24 words. Raises TextError for another number."""
    if count not in BITS:
        raise TextError("A new mnemonic has 12 or 24 words.")
    return _english().generate(BITS[count])


def seed_of(words: str) -> bytes:
    """The 32-byte key of a mnemonic in small letters. Raises TextError that names places and repeats no word."""
    known = set(_english().wordlist)
    strange = [n for n, word in enumerate(words.split(), 1) if word not in known]
    if strange:
        at = f"{'Words' if len(strange) > 1 else 'Word'} {', '.join(map(str, strange))}"
        raise TextError(
            f"{at} {'are' if len(strange) > 1 else 'is'} not in the list of mnemonics: look at the spelling."
        )
    if not _english().check(words):
        raise TextError("All words are in the list and do not belong together: one is another, or two are swapped.")
    return bytes.fromhex(Keypair.from_mnemonic(words).to_secret_key())


def key_of(found: Found) -> bytes:
    """The 32-byte key of whatever was recognised. Raises TextError."""
    return seed_of(found.words) if found.words else found.seed


def address_of_key(seed: bytes) -> str:
    """The address of a key, 64 hex digits."""
    return Keypair.from_secret_key(seed).address().removeprefix("0x")


@cache
def _english() -> Mnemonic:
    from mnemonic import Mnemonic

    return Mnemonic("english")
