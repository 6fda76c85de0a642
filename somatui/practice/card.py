"""The practice network's address card and ports: values, files and sentences; the standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields

CARD = "network.json"
LOCK = "network.lock"
VERSION = 1
SMALL, LARGE = 16, 2048
"""The numbers of an embedding: of the small architecture, and of the real network's."""


class ServeError(Exception):
    """The network cannot start, answer or stop; the text is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the five services listen on 127.0.0.1; 0 takes a free port."""

    rpc: int = 9000
    faucet: int = 9123
    scoring: int = 9124
    admin: int = 9125
    store: int = 9126


FREE = Ports(0, 0, 0, 0, 0)


def parse_ports(text: str) -> Ports:
    """`default`, `free`, or five numbers with commas. Raises ServeError."""
    if text == "default":
        return Ports()
    if text == "free":
        return FREE
    parts = text.split(",")
    if len(parts) != len(fields(Ports)) or not all(p.isdigit() and int(p) < 65_536 for p in parts):
        raise ServeError(f"“{text}” are not ports: use default, free, or five numbers with commas.")
    return Ports(*map(int, parts))


@dataclass(frozen=True, slots=True)
class NetworkInfo:
    """The address card: where the services of a running network are; its keys open nothing but its own store."""

    pid: int
    chain: str
    rpc_url: str
    faucet_url: str
    scoring_url: str
    admin_url: str
    store_url: str
    bucket: str
    started_at_ms: int
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    version: int = VERSION

    @classmethod
    def from_json(cls, text: str | bytes) -> NetworkInfo:
        """Read a card. Raises ValueError."""
        found = json.loads(text)
        if not isinstance(found, dict) or found.get("version") != VERSION:
            raise ValueError("the card has another version")
        names = {f.name for f in fields(cls)}
        try:
            return cls(**{name: value for name, value in found.items() if name in names})
        except TypeError:
            raise ValueError("the card lacks a field") from None

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))
