"""The one table of differences from the real node that are meant, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from tests.practice.replaying.compare import Difference
from tests.practice.replaying.tape import Event


def _always(_event: Event, _difference: Difference) -> bool:
    return True


@dataclass(frozen=True)
class Intended:
    """A difference by name: where it may stand, and when it is one."""

    name: str
    reason: str
    method: str
    path: str
    holds: Callable[[Event, Difference], bool] = _always

    def covers(self, event: Event, difference: Difference) -> bool:
        """Whether this is what the difference is, in an answer of a method that it is about."""
        return re.fullmatch(self.path, difference.path) is not None and self.holds(event, difference)


def _reason_inside(event: Event, difference: Difference) -> bool:
    """The node waited 90 s and tells the reason in brackets, or only that it waited; the practice network tells it."""
    text = str(difference.theirs)
    return "before finality could be reached" in text and (
        str(difference.ours) in text or text == "timed-out before finality could be reached"
    )


def _named_digests(event: Event) -> set[str]:
    """Every object digest that the recorded effects name."""
    changed = event.responses[0].transaction.effects.changed_objects
    return {c.input_digest for c in changed} | {c.output_digest for c in changed}


TABLE: tuple[Intended, ...] = (
    Intended(
        "refused at once instead of after 90 s",
        "protocol.md 8, item 3: the node retries for 90 s and answers Unavailable with the same reason inside",
        "ExecuteTransaction",
        r"error\.message",
        _reason_inside,
    ),
    Intended(
        "refused at once instead of after 90 s: code",
        "protocol.md 8, item 3: the reason's own code stands where the node says that it gave up waiting",
        "ExecuteTransaction",
        r"error\.code",
        lambda _e, d: d.theirs == "UNAVAILABLE",
    ),
    Intended(
        "content and digest of the system state's object",
        "its content is not kept as the node's bytes (GetEpoch tells the state), so its digest differs",
        "ExecuteTransaction|SimulateTransaction|GetTransaction|SubscribeCheckpoints|GetObject",
        r".*(digest|contents) \(system state\)",
    ),
    Intended(
        "page token",
        "protocol.md 2.4: opaque bytes; that there is one, and that it leads on to the same page, is compared",
        "ListOwnedObjects|ListTargets",
        r"next_page_token",
        lambda _e, d: isinstance(d.ours, bytes) and isinstance(d.theirs, bytes),
    ),
    Intended(
        "the faucet's coin",
        "this network's own faucet account pays it, so id and digest are others; amount and status are compared",
        "RequestGas",
        r"coins\[\d+\]\.(id|digest)",
    ),
    Intended(
        "the bond stays in the balance",
        "protocol.md 8, item 5a: the node's sum leaves out exactly the bonds that its effects reported as gone",
        "GetBalance",
        r"balance \(of lost bonds\)",
    ),
    Intended(
        "a bond coin among the coins that are melted",
        "protocol.md 9.1: the node takes it and its balance comes out wrong; the practice network refuses it",
        "SimulateTransaction|ExecuteTransaction",
        r"error",
        lambda _e, d: "A coin that is melted into the gas cannot be used again" in str(d.ours),
    ),
    Intended(
        "what only consensus can make of a checkpoint",
        "the digest of its contents is over digests that consensus chose, its signature over the validators' keys",
        "GetCheckpoint",
        r"checkpoint\.(summary\.(content_digest|commitments\.length|commitments\[0\]\.digest)|signature\.signature)",
    ),
    Intended(
        "consensus's own transactions",
        "how many of them a checkpoint holds is chance; they change nothing and nobody was asked to execute them",
        "SubscribeCheckpoints",
        r"message\[\d+\] consensus transactions",
    ),
    Intended(
        "digest of an object in an execution's answer",
        "the node writes one that no reference can name: its own effects have another; here both are the same",
        "ExecuteTransaction",
        r"transaction\.objects\.objects\[\d+\]\.digest",
        lambda e, d: d.theirs not in _named_digests(e),
    ),
    Intended(
        "targets whose making is not on record",
        "their ids and embeddings follow from the digest of the epoch change, which no answer in the recording tells",
        "ListTargets",
        r"targets\[\d+\]\.(id|embedding|model_ids).* \(maker not on record\)",
    ),
    Intended(
        "server version",
        "protocol.md 1.5; 8, item 11: the version that the SDK's check_api_version accepts; 0.1.21 fails it",
        "GetServiceInfo",
        r"server",
    ),
)

OFF_RECORD: tuple[tuple[str, str], ...] = (
    (
        "proof of possession of a new validator",
        "that its bytes are a point of the curve is checked as by the node, that it belongs to the key is not: "
        "it would take a pairing, and a validator here validates nothing",
    ),
    (
        "unknown compression of a request",
        "the gRPC library refuses it as INTERNAL before anybody here is asked, the node as UNIMPLEMENTED",
    ),
    (
        "gRPC-web and CORS",
        "not served: they are for pages in a browser, and no page of a stranger should reach a network on this machine",
    ),
)
"""Differences, by name with the reason, that no recording could show."""


@cache
def _rows(method: str) -> tuple[Intended, ...]:
    """The rows about one method: few, while a listing may differ in tens of thousands of places."""
    return tuple(row for row in TABLE if re.fullmatch(row.method, method))


def name_of(event: Event, difference: Difference) -> str | None:
    """The table's name of a difference; None when it is not meant."""
    return next((row.name for row in _rows(event.method) if row.covers(event, difference)), None)
