"""Listings of targets: which are shown, in what order, and whether there are more (protocol.md 2.4; 9.7, item 6)."""

from __future__ import annotations

import json
import sqlite3

from somatui.practice.ledger.values import Refused
from somatui.wire.objects import Object, Target

STATUSES = ("open", "filled", "claimed", "expired", "claimable")
_STORED = {
    None: ("filled", "open"),
    "open": ("open",),
    "filled": ("filled",),
    "claimed": (),
    "expired": ("open",),
    "claimable": ("open", "filled"),
}
"""What a filter looks through, in its order; each part is ordered by generation and id."""


def token_of(last: Object, target: Target) -> bytes:
    """The token of the page after a target."""
    return json.dumps(["filled" if target.filled else "open", target.generation_epoch, last.id.hex()]).encode()


def read_token(token: bytes) -> tuple[str | int, int, bytes]:
    """The three parts of a token; Refused when it is none."""
    try:
        first, second, last = json.loads(token)
        return first, int(second), bytes.fromhex(last)
    except (ValueError, TypeError):
        raise Refused("INVALID_ARGUMENT", "invalid page_token; ask again without one") from None


def targets(
    sql: sqlite3.Connection,
    now: int,
    status: str | None,
    epoch: int | None,
    submitter: bytes | None,
    limit: int,
    after: bytes | None,
) -> tuple[list[tuple[Object, Target]], bytes | None]:
    """A page as of epoch `now` and the token of the next.

    A full page carries a token while anything at all follows in what the filter looks through, shown or not.
    """
    if status is not None and status not in STATUSES:
        raise Refused("INVALID_ARGUMENT", f"invalid status_filter: {status}; one of {', '.join(STATUSES)}")
    where = {
        "open": f"generation >= {now}",
        "expired": f"generation < {now}",
        "claimable": f"(t.status = 'open' AND generation < {now} OR fill_epoch + 1 < {now})",
    }.get(status or "", "1")
    query = (
        f"SELECT body FROM target t JOIN live l ON l.id = t.id WHERE t.status = ? AND (generation, t.id) > (?, ?)"
        f" AND {where} AND (? IS NULL OR generation = ?) AND (? IS NULL OR t.submitter = ?)"
        " ORDER BY generation, t.id LIMIT ?"
    )
    parts, begin = _STORED[status], (-1, b"")
    if after is not None:
        first, generation, last = read_token(after)
        parts = tuple(parts[parts.index(str(first)) :]) if first in parts else ()
        begin = (generation, last)
    page: list[tuple[Object, Target]] = []
    for part in parts:
        given = (part, *begin, epoch, epoch, submitter, submitter, limit - len(page))
        found = (Object.from_bytes(row[0]) for row in sql.execute(query, given).fetchall())
        page += [(one, Target.from_bytes(one.contents)) for one in found]
        begin = (-1, b"")
    full = len(page) == limit and limit > 0
    return page, token_of(*page[-1]) if full and _more(sql, parts, *page[-1]) else None


def _more(sql: sqlite3.Connection, parts: tuple[str, ...], last: Object, target: Target) -> bool:
    part = "filled" if target.filled else "open"
    query = "SELECT 1 FROM target WHERE status = ? AND (generation, id) > (?, ?) LIMIT 1"
    places = {part: (target.generation_epoch, last.id)}
    rest = parts[parts.index(part) :]
    return any(sql.execute(query, (one, *places.get(one, (-1, b"")))).fetchone() for one in rest)
