"""How the secrets of a profile are called in its vault."""

from __future__ import annotations

WALLET = "wallet/"
"""Before an address: that wallet's 32 secret bytes."""
WORDS = "mnemonic/"
"""Before an address: the words that make its key."""
MODEL_KEY = "model-key/"
"""Before the id of a publish intent: the key of the weights that it has published."""
IRREPLACEABLE = (WALLET, WORDS, MODEL_KEY)
"""What nobody can make again."""
HUGGING_FACE, WEBHOOK = "hf/token", "webhook/url"


def store(profile: str, which: str) -> str:
    """The `access` or `secret` key of a profile's store."""
    return f"store/{profile}/{which}"


def node(profile: str, which: str = "auth") -> str:
    """The credentials that a profile's node wants, or the `host` that they are for."""
    return f"rpc/{profile}/{which}"
