"""Which hosts are this machine itself, so that what is sent there leaves it on no wire; what the nodes of others ask.

Credentials are `Basic user:password` or `Header-Name: value`.
"""

from __future__ import annotations

import re

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""As `urlsplit` tells a host, without brackets."""
BASIC = re.compile(r"basic\s+", re.IGNORECASE)


def as_credentials(entered: str) -> str:
    """What somebody entered for a node: plain user:password is taken for Basic, all else stays as it is."""
    text = entered.strip()
    return text if not text or ": " in text or BASIC.match(text) else f"Basic {text}"
