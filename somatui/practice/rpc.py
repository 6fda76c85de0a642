"""The protobuf services: each RPC of protocol.md 1.2 as one function of ledger and request, with read masks (2.4)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import grpc

from somatui.practice import standard, subscription
from somatui.practice.answers import details, status
from somatui.practice.codec import masks, network, prologues
from somatui.practice.codec.effects import executed_out, objects_out
from somatui.practice.codec.objects import object_out
from somatui.practice.codec.targets import target_out
from somatui.practice.codec.text import BadField, address_in, digest_in, id_in, invalid, missing
from somatui.practice.codec.transactions import data_in, signed_in
from somatui.practice.desk import Desk, now_ms
from somatui.practice.grpc_server import service, unary
from somatui.practice.ledger.genesis import G1_GENERATOR
from somatui.practice.ledger.ledger import STATUSES, Ledger
from somatui.practice.ledger.values import Checkpoint, Executed, Refused
from somatui.practice.messages import PACKAGE, SERVICES, Method, pb
from somatui.wire.objects import Object, ObjectType, Target
from somatui.wire.text import hex_id

PAGE_BYTES = 512 * 1024
CHANGES = frozenset({"ExecuteTransaction"})
_TYPES = {t.label: t for t in ObjectType}
_EPOCH = (
    "epoch",
    "committee",
    "first_checkpoint",
    "last_checkpoint",
    "start",
    "end",
    "protocol_config.protocol_version",
)


def _mask(request: Any, default: Sequence[str], message: Any) -> masks.Tree:
    paths = list(request.read_mask.paths) if request.HasField("read_mask") else list(default)
    wanted = masks.tree(paths)
    masks.check(wanted, message.DESCRIPTOR)
    return wanted


def _pruned(message: Any, wanted: masks.Tree) -> Any:
    masks.prune(message, wanted)
    return message


def get_service_info(ledger: Ledger, _request: Any) -> Any:
    """Chain, epoch, height, version."""
    first, last = ledger.checkpoint(0), ledger.checkpoint()
    if first is None or last is None:
        raise Refused("UNAVAILABLE", "The network has no checkpoint yet")
    return network.info_out(ledger.state, first, last)


def _object(ledger: Ledger, request: Any, wanted: masks.Tree) -> Any:
    if not request.HasField("object_id"):
        raise missing("object_id")
    object_id = id_in(request.object_id, "object_id")
    version = request.version if request.HasField("version") else None
    found = ledger.get_object(object_id, version) if (version or 0) < 2**63 else None
    if found is None:
        at = "" if version is None else f" with version {version}"
        raise Refused("NOT_FOUND", f"Object {hex_id(object_id)}{at} not found")
    return _pruned(object_out(found), wanted)


_OBJECT = ("object_id", "version", "digest")


def get_object(ledger: Ledger, request: Any) -> Any:
    """One object."""
    return pb.GetObjectResponse(object=_object(ledger, request, _mask(request, _OBJECT, pb.Object)))


def _many(requests: Sequence[Any], answer: Callable[[Any], Any], name: str, result: Any, response: Any) -> Any:
    for number, request in enumerate(requests):
        try:
            getattr(response, name).append(answer(request))
        except Refused as why:
            at = BadField(f"digests[{number}]", why.text, why.reason) if isinstance(why, BadField) else why
            getattr(response, name).append(result(error=status(at)))
    return response


def batch_get_objects(ledger: Ledger, request: Any) -> Any:
    """Several objects; one that is missing is an error among them, an id that is none refuses the call."""
    wanted = _mask(request, _OBJECT, pb.Object)
    for number, one in enumerate(request.requests):
        try:
            id_in(one.object_id, "object_id")
        except BadField as why:
            reason = why.reason if one.HasField("object_id") else "FIELD_MISSING"
            raise BadField(f"requests[{number}].object_id", why.text, reason) from None
    return _many(
        request.requests,
        lambda one: pb.GetObjectResult(object=_object(ledger, one, wanted)),
        "objects",
        pb.GetObjectResult,
        pb.BatchGetObjectsResponse(),
    )


def _transaction(ledger: Ledger, digest: str, wanted: masks.Tree) -> Any:
    known = digest_in(digest, "digest")
    done = ledger.transaction(known)
    if done is not None and done.checkpoint is not None:
        made = ledger.checkpoint(done.checkpoint)
        shown = replace(done, timestamp_ms=made.timestamp_ms) if made else done
        return _executed(ledger, shown, wanted, "")
    place = prologues.place(known)
    made = ledger.checkpoint(place[0]) if place else None
    if place is None or made is None:
        raise Refused("NOT_FOUND", f"Transaction {digest} not found")
    return _pruned(prologues.prologue_out(made, place[1], wanted), wanted)


def _executed(ledger: Ledger, done: Executed, wanted: masks.Tree, prefix: str) -> Any:
    out = executed_out(done, wanted)
    if wanted.get("objects"):
        out.objects.CopyFrom(objects_out((done,), ledger.get_object, prefix))
    return _pruned(out, wanted)


def get_transaction(ledger: Ledger, request: Any) -> Any:
    """One transaction that a checkpoint holds."""
    if not request.HasField("digest"):
        raise missing("digest")
    wanted = _mask(request, ("digest",), pb.ExecutedTransaction)
    return pb.GetTransactionResponse(transaction=_transaction(ledger, request.digest, wanted))


def batch_get_transactions(ledger: Ledger, request: Any) -> Any:
    """Several executed transactions; one that is missing is an error among them."""
    wanted = _mask(request, ("digest",), pb.ExecutedTransaction)
    return _many(
        request.digests,
        lambda digest: pb.GetTransactionResult(transaction=_transaction(ledger, digest, wanted)),
        "transactions",
        pb.GetTransactionResult,
        pb.BatchGetTransactionsResponse(),
    )


def get_checkpoint(ledger: Ledger, request: Any) -> Any:
    """The newest checkpoint, or one by number or digest."""
    wanted = _mask(request, ("sequence_number", "digest"), pb.Checkpoint)
    which = request.WhichOneof("checkpoint_id")
    if which == "digest":
        made = ledger.checkpoint_by_digest(digest_in(request.digest, "digest"))
    else:
        made = ledger.checkpoint(request.sequence_number if which else None)
    if made is None:
        raise Refused("NOT_FOUND", f"Checkpoint {getattr(request, which or 'sequence_number')} not found")
    return pb.GetCheckpointResponse(checkpoint=checkpoint_out(ledger, made, wanted))


def checkpoint_out(ledger: Ledger, made: Checkpoint, wanted: masks.Tree) -> Any:
    """A checkpoint with the wanted parts."""
    following = None
    if masks.wants(wanted, "summary"):
        ended = ledger.closes(made.sequence)
        following = None if ended is None else ledger.epoch(ended, with_portrait=True)
    out = network.checkpoint_out(made, G1_GENERATOR, wanted, ledger.transaction, ledger.get_object, following)
    return _pruned(out, wanted)


def get_epoch(ledger: Ledger, request: Any) -> Any:
    """The current epoch or any other; a past one shows the state it began with."""
    wanted = _mask(request, _EPOCH, pb.Epoch)
    current = ledger.state.epoch
    number = request.epoch if request.HasField("epoch") else current
    known = ledger.epoch(number, with_portrait=number != current) if number <= current else None
    return pb.GetEpochResponse(epoch=_pruned(network.epoch_out(ledger.state, number, known, wanted), wanted))


def _page_size(request: Any, default: int) -> int:
    return min(max(request.page_size, 1), 1000) if request.HasField("page_size") else default


def _cut(rows: Sequence[Any]) -> int:
    """How many rows fit a page by bytes; the row that crosses the limit still goes out."""
    total = 0
    for number, row in enumerate(rows, 1):
        total += row.ByteSize()
        if total >= PAGE_BYTES:
            return number
    return len(rows)


def list_owned_objects(ledger: Ledger, request: Any) -> Any:
    """An owner's objects, coins by balance from small to large."""
    wanted = _mask(request, ("object_id", "version", "object_type"), pb.Object)
    if not request.owner:
        raise missing("owner")
    owner = address_in(request.owner, "owner")
    kind = None
    if request.HasField("object_type"):
        kind = _TYPES.get(request.object_type)
        if kind is None:
            raise invalid("object_type", request.object_type)
    after = request.page_token if request.page_token else None
    size = _page_size(request, 50)
    with _tokens():
        page, _ = ledger.owned(owner, kind, size + 1, after)
    rows = [_pruned(object_out(one), wanted) for one in page[:size]]
    kept = _cut(rows)
    token = ledger.owned_token(page[kept - 1]) if kept < len(page) else None
    return pb.ListOwnedObjectsResponse(objects=rows[:kept], next_page_token=token)


def get_balance(ledger: Ledger, request: Any) -> Any:
    """The sum of an owner's coins."""
    return pb.GetBalanceResponse(balance=ledger.balance(address_in(request.owner, "owner")))


@contextlib.contextmanager
def _tokens() -> Iterator[None]:
    """A token that cannot be read is the field's fault."""
    try:
        yield
    except BadField:
        raise
    except Refused:
        raise BadField("page_token", "invalid page_token") from None


_TARGET = ("id", "status", "generation_epoch", "reward_pool")


def get_target(ledger: Ledger, request: Any) -> Any:
    """One target."""
    wanted = _mask(request, (*_TARGET, "distance_threshold"), pb.Target)
    target_id = id_in(request.target_id, "target_id")
    found = ledger.get_target(target_id)
    if found is None:
        raise Refused("NOT_FOUND", f"Object {hex_id(target_id)} not found")
    return pb.GetTargetResponse(target=_pruned(target_out(*found, ledger.state.epoch), wanted))


def _filters(request: Any) -> list[Any]:
    return [
        request.status_filter.lower() if request.HasField("status_filter") else None,
        min(request.epoch_filter, 2**63 - 1) if request.HasField("epoch_filter") else None,
        request.submitter_filter if request.HasField("submitter_filter") else None,
    ]


def _page_token(token: bytes, filters: list[Any]) -> bytes | None:
    if not token:
        return None
    try:
        *made_with, inner = json.loads(token)
        inner = bytes.fromhex(inner)
    except (ValueError, TypeError):
        raise BadField("page_token", "invalid page_token") from None
    if made_with != filters:
        raise BadField("page_token", "page_token parameters do not match request filters")
    return inner


def list_targets(ledger: Ledger, request: Any) -> Any:
    """Targets by stored status, generation and id."""
    wanted = _mask(request, _TARGET, pb.Target)
    filters = _filters(request)
    status, epoch, submitter = filters
    if status is not None and status not in STATUSES:
        text = "Must be 'open', 'filled', 'claimed', 'expired', or 'claimable'"
        raise invalid("status_filter", f"'{request.status_filter}'. {text}")
    by = None if submitter is None else address_in(submitter, "submitter_filter")
    after = _page_token(request.page_token, filters)
    with _tokens():
        page, token = ledger.targets(status, epoch, by, _page_size(request, 100), after)
    rows = [_pruned(target_out(*one, ledger.state.epoch), wanted) for one in page]
    kept = _cut(rows)
    if kept < len(rows):
        last: tuple[Object, Target] = page[kept - 1]
        token = ledger.target_token(*last)
    next_page = None if token is None else json.dumps([*filters, token.hex()]).encode()
    return pb.ListTargetsResponse(targets=rows[:kept], next_page_token=next_page)


def execute_transaction(ledger: Ledger, request: Any) -> Any:
    """Check, execute, answer with effects; `objects` alone brings nothing, `objects.objects` brings contents."""
    wanted = _mask(request, ("effects",), pb.ExecutedTransaction)
    done = replace(ledger.execute(signed_in(request), now_ms()), checkpoint=None)
    return pb.ExecuteTransactionResponse(transaction=_executed(ledger, done, wanted, "0x"))


def simulate_transaction(ledger: Ledger, request: Any) -> Any:
    """What executing would do; nothing is kept."""
    wanted = _mask(request, ("transaction.effects",), pb.SimulateTransactionResponse)
    if not request.HasField("transaction"):
        raise missing("transaction")
    try:
        done = ledger.simulate(data_in(request.transaction), now_ms())
    except Refused as why:
        raise Refused("INTERNAL" if why.code == "ABORTED" else why.code, why.text) from None
    return pb.SimulateTransactionResponse(transaction=_executed(ledger, done, wanted.get("transaction", {}), "0x"))


CALLS: dict[str, Callable[[Ledger, Any], Any]] = {
    "GetServiceInfo": get_service_info,
    "GetObject": get_object,
    "BatchGetObjects": batch_get_objects,
    "GetTransaction": get_transaction,
    "BatchGetTransactions": batch_get_transactions,
    "GetCheckpoint": get_checkpoint,
    "GetEpoch": get_epoch,
    "ListOwnedObjects": list_owned_objects,
    "GetBalance": get_balance,
    "GetTarget": get_target,
    "ListTargets": list_targets,
    "ExecuteTransaction": execute_transaction,
    "SimulateTransaction": simulate_transaction,
}
"""Every RPC that is served; the two about challenges answer UNIMPLEMENTED, as the real node's list does."""


def _handler(desk: Desk, method: Method) -> grpc.RpcMethodHandler:
    call = CALLS[method.name]
    run = desk.change if method.name in CHANGES else desk.ask

    async def answer(request: bytes) -> bytes:
        try:
            parsed = method.request.FromString(request)
        except Exception:
            raise Refused("INTERNAL", f"failed to decode Protobuf message: not a {method.name}Request") from None
        body: bytes = await run(lambda ledger: call(ledger, parsed).SerializeToString())
        return body

    return unary(answer, lambda: desk.headers, details)


def subscribed(ledger: Ledger, sequence: int, wanted: masks.Tree) -> bytes:
    """The message of one checkpoint to those who listen; unknown paths bring nothing, no path brings the number."""
    made = ledger.checkpoint(sequence)
    out = pb.SubscribeCheckpointsResponse(cursor=sequence)
    if made is not None and wanted:
        out.checkpoint.CopyFrom(checkpoint_out(ledger, made, wanted))
    out.checkpoint.SetInParent()
    body: bytes = out.SerializeToString()
    return body


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """All protobuf services."""
    made = []
    for name, methods in SERVICES.items():
        if name.startswith(PACKAGE):
            handlers = {m.name: _handler(desk, m) for m in methods if m.name in CALLS}
            handlers |= {m.name: subscription.handler(desk, m, subscribed) for m in methods if m.streaming}
            made.append(service(name, handlers))
    return [*made, *standard.services(desk)]
