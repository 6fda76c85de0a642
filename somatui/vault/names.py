"""How the secrets of a profile are called in its vault."""

from __future__ import annotations

WALLET = "wallet/"
"""Before an address: that wallet's 32 secret bytes."""
WORDS = "mnemonic/"
"""Before an address: the words that make its key."""
MODEL_KEY = "model-key/"
"""Before the id of a publish intent: the key of the weights that it has published."""
WEBHOOK = "webhook/url"
IRREPLACEABLE = (WALLET, WORDS, MODEL_KEY)
"""What nobody can make again."""
