"""One recording as typed events, and what of it a replay needs in advance: objects, digests, clocks. No judging."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from somatui.practice.faucet import parse_response
from somatui.practice.messages import SERVICES
from somatui.wire.hashes import derive_id
from somatui.wire.objects import Object, ObjectType, Owner
from somatui.wire.text import b58decode32, parse_id

METHODS = {m.path: m for methods in SERVICES.values() for m in methods}
_TYPES = {t.label: t for t in ObjectType}
DERIVED = 200
"""How many ids of a transaction are tried when the transaction that made a target is looked for."""


@dataclass(frozen=True)
class Event:
    """One recorded RPC; `request` and `responses` are messages, or bytes where the service speaks BCS."""

    n: int
    step: str
    path: str
    request: Any
    responses: tuple[Any, ...] = ()
    error: tuple[str, str, bytes] | None = None

    @property
    def method(self) -> str:
        """The RPC's name."""
        return self.path.rpartition("/")[2]


def _event(line: dict[str, Any]) -> Event:
    method = METHODS.get(line["rpc"])

    def ask(raw: str) -> Any:
        return method.request.FromString(base64.b64decode(raw)) if method else base64.b64decode(raw)

    def reply(raw: str) -> Any:
        return method.response.FromString(base64.b64decode(raw)) if method else base64.b64decode(raw)

    raws = line["stream"] if "stream" in line else [line["response"]] if "response" in line else []
    error = None
    if "error" in line:
        found = line["error"]
        details = dict(map(tuple, found.get("details") or [])).get("grpc-status-details-bin", "")
        error = found["code"], found["message"], base64.b64decode(details)
    replies = tuple(map(reply, raws))
    return Event(line["n"], str(line["step"]), line["rpc"], ask(line["request"]), replies, error)


def object_in(message: Any) -> Object | None:
    """A recorded object; None when its mask left parts out."""
    needed = ("object_id", "version", "object_type", "owner", "contents", "previous_transaction")
    if not all(message.HasField(name) for name in needed):
        return None
    owner = message.owner
    held = Owner(parse_id(owner.address)) if owner.HasField("address") else Owner(shared_since=owner.version)
    previous = b58decode32(message.previous_transaction)
    kind = _TYPES[message.object_type]
    return Object(parse_id(message.object_id), kind, message.version, message.contents, held, previous)


def messages_in(message: Any, name: str) -> Iterator[Any]:
    """Every message of one type inside a message."""
    if message.DESCRIPTOR.name == name:
        yield message
    for one, value in message.ListFields():
        if one.message_type is None or one.message_type.GetOptions().map_entry:
            continue
        for inner in value if one.is_repeated else (value,):
            yield from messages_in(inner, name)


@dataclass
class Tape:
    """A recording read whole: its events in order, and everything later lines tell about earlier ones."""

    path: Path
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Read the file."""
        with gzip.open(self.path, "rt", encoding="utf-8") as recording:
            self.events = [_event(line) for line in map(json.loads, recording) if "rpc" in line]

    @property
    def replies(self) -> Iterator[Any]:
        """Every recorded protobuf answer."""
        for event in self.events:
            if event.path in METHODS:
                yield from event.responses

    @cached_property
    def objects(self) -> dict[tuple[bytes, int], Object]:
        """Every version of an object whose whole content is told somewhere, by id and version."""
        found = {}
        for reply in self.replies:
            for message in messages_in(reply, "Object"):
                one = object_in(message)
                if one is not None:
                    found[one.id, one.version] = one
        return found | self._faucet_coins

    @property
    def _faucet_coins(self) -> dict[tuple[bytes, int], Object]:
        """Coins of the faucet that no listing shows before they change: rebuilt, and checked by their digest."""
        found = {}
        given = {}
        for event in self.events:
            if event.method == "RequestGas" and event.responses:
                owner = event.request[1:].decode()
                for amount, object_id, digest in parse_response(event.responses[0])[1]:
                    given[parse_id(object_id)] = amount, parse_id(owner), b58decode32(digest)
        for reply in self.replies:
            for change in messages_in(reply, "ChangedObject"):
                coin = parse_id(change.object_id)
                if coin in given and change.HasField("input_version"):
                    amount, owner, digest = given[coin]
                    contents = amount.to_bytes(8, "little")
                    one = Object(coin, ObjectType.COIN, change.input_version, contents, Owner(owner), digest)
                    if one.digest == b58decode32(change.input_digest):
                        found[coin, one.version] = one
        return found

    def first_version(self, object_id: bytes, made_by: bytes) -> Object | None:
        """The version of an object that a transaction made."""
        versions = (o for (i, _), o in self.objects.items() if i == object_id and o.previous_transaction == made_by)
        return min(versions, key=lambda o: o.version, default=None)

    @cached_property
    def states(self) -> list[Any]:
        """Every recorded system state."""
        return [s for reply in self.replies for s in messages_in(reply, "SystemState")]

    @cached_property
    def epoch_starts(self) -> dict[int, int]:
        """When each epoch began in ms, as far as a state told it."""
        return {state.epoch: state.epoch_start_timestamp_ms for state in self.states}

    @cached_property
    def digests(self) -> set[bytes]:
        """Every transaction that any answer names."""
        found = {o.previous_transaction for o in self.objects.values()}
        for reply in self.replies:
            for effects in messages_in(reply, "TransactionEffects"):
                found |= set(map(b58decode32, effects.dependencies))
            for done in messages_in(reply, "ExecutedTransaction"):
                if done.HasField("digest"):
                    found.add(b58decode32(done.digest))
        return found

    @cached_property
    def epoch_digests(self) -> dict[int, bytes]:
        """The transaction that began each epoch, known by the targets it made."""
        born = {}
        for reply in self.replies:
            for target in messages_in(reply, "Target"):
                if target.HasField("generation_epoch"):
                    born[parse_id(target.id)] = target.generation_epoch
        made: dict[int, dict[bytes, int]] = defaultdict(lambda: defaultdict(int))
        for digest in self.digests:
            for number in range(DERIVED):
                epoch = born.get(derive_id(digest, number))
                if epoch is not None:
                    made[epoch][digest] += 1
        return {epoch: max(counts, key=lambda d: counts[d]) for epoch, counts in made.items()
                if max(counts.values()) > 3}  # fmt: skip

    @cached_property
    def stamps(self) -> dict[bytes, tuple[int, int]]:
        """Checkpoint and time in ms of transactions, as GetTransaction told them."""
        found = {}
        for event in self.events:
            if event.method == "GetTransaction" and event.responses:
                done = event.responses[0].transaction
                if done.HasField("timestamp"):
                    at = done.timestamp.seconds * 1000 + done.timestamp.nanos // 1_000_000
                    found[b58decode32(done.digest)] = done.checkpoint, at
        return found

    @cached_property
    def executed(self) -> dict[bytes, Any]:
        """The recorded effects of every transaction, by digest."""
        return {
            b58decode32(effects.transaction_digest): effects
            for event in self.events
            if event.method == "ExecuteTransaction"
            for reply in event.responses
            for effects in messages_in(reply, "TransactionEffects")
        }
