"""Which hosts are this machine itself, so that what is sent to them leaves it on no wire."""

from __future__ import annotations

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
"""As `urlsplit` tells a host, without brackets."""
