"""How calls end: the real node's response headers, and refusals with their typed details (protocol.md 1.5, 2.4)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import grpc

from somatui.practice.codec.network import SERVER
from somatui.practice.codec.text import BadField
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import Checkpoint, Refused
from somatui.practice.messages import pb

BAD_REQUEST = "/google.rpc.BadRequest"
"""As recorded; without the usual host before it."""
DETAILS = "grpc-status-details-bin"


class Headers:
    """What stands above every answer of one network: where its chain is."""

    def __init__(self) -> None:
        self._first: Checkpoint | None = None

    def __call__(self, ledger: Ledger) -> tuple[tuple[str, str], ...]:
        """As of the newest checkpoint."""
        self._first = self._first or ledger.checkpoint(0)
        last = ledger.checkpoint()
        return () if self._first is None or last is None else _headers(ledger, self._first, last)


def _headers(ledger: Ledger, first: Checkpoint, last: Checkpoint) -> tuple[tuple[str, str], ...]:
    when = datetime.fromtimestamp(last.timestamp_ms / 1000, UTC)
    return (
        ("x-soma-chain-id", first.digest[:4].hex()),
        ("x-soma-chain", ledger.state.chain),
        ("x-soma-epoch", str(last.epoch)),
        ("x-soma-checkpoint-height", str(last.sequence)),
        ("x-soma-timestamp-ms", str(last.timestamp_ms)),
        ("x-soma-timestamp", f"{when:%Y-%m-%dT%H:%M:%S}.{last.timestamp_ms % 1000:03d}Z"),
        ("x-soma-lowest-available-checkpoint", "0"),
        ("x-soma-lowest-available-checkpoint-objects", "0"),
        ("server", SERVER),
    )


def status(why: Refused) -> Any:
    """A google.rpc.Status; the refusal of a field says which and why (BadRequest)."""
    out = pb.Status(code=grpc.StatusCode[why.code].value[0], message=why.text)
    if isinstance(why, BadField):
        violation = pb.BadRequest.FieldViolation(field=why.field, description=why.text, reason=why.reason)
        body = pb.BadRequest(field_violations=[violation]).SerializeToString()
        out.details.add(type_url=BAD_REQUEST, value=body)
    return out


def details(why: Refused) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of a refusal."""
    return ((DETAILS, status(why).SerializeToString()),)
