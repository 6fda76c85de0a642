"""The protobuf services: each RPC of protocol.md 1.2 as one function of ledger and request, with read masks (2.4)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc

from somatui.practice.codec import masks, network
from somatui.practice.codec.effects import executed_out, objects_out
from somatui.practice.codec.objects import object_out
from somatui.practice.codec.targets import target_out
from somatui.practice.codec.text import address_in, digest_in, id_in, missing
from somatui.practice.codec.transactions import data_in, signed_in
from somatui.practice.desk import Desk, now_ms
from somatui.practice.grpc_server import service, unary
from somatui.practice.ledger.genesis import G1_GENERATOR
from somatui.practice.ledger.ledger import STATUSES, Ledger
from somatui.practice.ledger.values import Checkpoint, Executed, Refused
from somatui.practice.messages import SERVICES, Method, pb
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
    found = ledger.get_object(object_id, version)
    if found is None:
        at = "" if version is None else f" with version {version}"
        raise Refused("NOT_FOUND", f"Object {hex_id(object_id)}{at} not found")
    return _pruned(object_out(found), wanted)


_OBJECT = ("object_id", "version", "digest")


def get_object(ledger: Ledger, request: Any) -> Any:
    """One object."""
    return pb.GetObjectResponse(object=_object(ledger, request, _mask(request, _OBJECT, pb.Object)))


def _many(requests: Sequence[Any], answer: Callable[[Any], Any], name: str, result: Any, response: Any) -> Any:
    for request in requests:
        try:
            getattr(response, name).append(answer(request))
        except Refused as why:
            code = grpc.StatusCode[why.code].value[0]
            getattr(response, name).append(result(error=pb.Status(code=code, message=why.text)))
    return response


def batch_get_objects(ledger: Ledger, request: Any) -> Any:
    """Several objects; one that is missing is an error among them."""
    wanted = _mask(request, _OBJECT, pb.Object)
    return _many(
        request.requests,
        lambda one: pb.GetObjectResult(object=_object(ledger, one, wanted)),
        "objects",
        pb.GetObjectResult,
        pb.BatchGetObjectsResponse(),
    )


def _transaction(ledger: Ledger, digest: str, wanted: masks.Tree) -> Any:
    done = ledger.transaction(digest_in(digest, "digest"))
    if done is None:
        raise Refused("NOT_FOUND", f"Transaction {digest} not found")
    return _executed(ledger, done, wanted, "")


def _executed(ledger: Ledger, done: Executed, wanted: masks.Tree, prefix: str) -> Any:
    out = executed_out(done, wanted)
    if wanted.get("objects"):
        out.objects.CopyFrom(objects_out((done,), ledger.get_object, prefix))
    return _pruned(out, wanted)


def get_transaction(ledger: Ledger, request: Any) -> Any:
    """One executed transaction."""
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
    """The newest checkpoint, or one by number; digests are not looked up."""
    wanted = _mask(request, ("sequence_number", "digest"), pb.Checkpoint)
    which = request.WhichOneof("checkpoint_id")
    if which == "digest":
        raise Refused("UNIMPLEMENTED", "The practice network finds checkpoints by number only")
    made = ledger.checkpoint(request.sequence_number if which else None)
    if made is None:
        raise Refused("NOT_FOUND", f"Checkpoint {request.sequence_number} not found")
    return pb.GetCheckpointResponse(checkpoint=checkpoint_out(ledger, made, wanted))


def checkpoint_out(ledger: Ledger, made: Checkpoint, wanted: masks.Tree) -> Any:
    """A checkpoint with the wanted parts."""
    out = network.checkpoint_out(made, G1_GENERATOR, wanted, ledger.transaction, ledger.get_object)
    return _pruned(out, wanted)


def get_epoch(ledger: Ledger, request: Any) -> Any:
    """The current epoch or any other; only the current one has a system state."""
    wanted = _mask(request, _EPOCH, pb.Epoch)
    number = request.epoch if request.HasField("epoch") else ledger.state.epoch
    return pb.GetEpochResponse(epoch=_pruned(network.epoch_out(ledger.state, number, wanted), wanted))


def _page_size(request: Any, default: int) -> int:
    return min(max(request.page_size, 1), 1000) if request.HasField("page_size") else default


def _cut(rows: Sequence[Any]) -> int:
    """How many rows fit a page by bytes; at least one."""
    total = 0
    for number, row in enumerate(rows):
        total += row.ByteSize()
        if total > PAGE_BYTES and number:
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
            raise Refused("INVALID_ARGUMENT", f"invalid object_type: {request.object_type}")
    after = request.page_token if request.page_token else None
    page, token = ledger.owned(owner, kind, _page_size(request, 50), after)
    rows = [_pruned(object_out(one), wanted) for one in page]
    kept = _cut(rows)
    if kept < len(rows):
        token = ledger.owned_token(page[kept - 1])
    return pb.ListOwnedObjectsResponse(objects=rows[:kept], next_page_token=token)


def get_balance(ledger: Ledger, request: Any) -> Any:
    """The sum of an owner's coins."""
    return pb.GetBalanceResponse(balance=ledger.balance(address_in(request.owner, "owner")))


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
        request.epoch_filter if request.HasField("epoch_filter") else None,
        request.submitter_filter if request.HasField("submitter_filter") else None,
    ]


def _page_token(token: bytes, filters: list[Any]) -> bytes | None:
    if not token:
        return None
    try:
        *made_with, inner = json.loads(token)
        inner = bytes.fromhex(inner)
    except (ValueError, TypeError):
        raise Refused("INVALID_ARGUMENT", "invalid page_token") from None
    if made_with != filters:
        raise Refused("INVALID_ARGUMENT", "page_token parameters do not match request filters")
    return inner


def list_targets(ledger: Ledger, request: Any) -> Any:
    """Targets by stored status, generation and id."""
    wanted = _mask(request, _TARGET, pb.Target)
    filters = _filters(request)
    status, epoch, submitter = filters
    if status is not None and status not in STATUSES:
        text = "Must be 'open', 'filled', 'claimed', 'expired', or 'claimable'"
        raise Refused("INVALID_ARGUMENT", f"invalid status_filter: '{request.status_filter}'. {text}")
    by = None if submitter is None else address_in(submitter, "submitter_filter")
    after = _page_token(request.page_token, filters)
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
    done = ledger.execute(signed_in(request), now_ms())
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
            raise Refused("INVALID_ARGUMENT", f"not a {method.request.DESCRIPTOR.name}") from None
        body: bytes = await run(lambda ledger: call(ledger, parsed).SerializeToString())
        return body

    return unary(answer)


def _subscribe(desk: Desk, method: Method) -> grpc.RpcMethodHandler:
    async def stream(request: bytes, context: Any) -> AsyncIterator[bytes]:
        wanted = masks.tree(method.request.FromString(request).read_mask.paths) or {"sequence_number": {}}

        def message(ledger: Ledger, sequence: int) -> bytes:
            made = ledger.checkpoint(sequence)
            checkpoint = checkpoint_out(ledger, made, wanted) if made else pb.Checkpoint()
            body: bytes = method.response(cursor=sequence, checkpoint=checkpoint).SerializeToString()
            return body

        with desk.listening() as queue:
            await context.send_initial_metadata(())
            while True:
                sequence = await queue.get()
                yield await desk.ask(lambda ledger, number=sequence: message(ledger, number))  # type: ignore[misc]

    return grpc.unary_stream_rpc_method_handler(stream)


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """All protobuf services."""
    made = []
    for name, methods in SERVICES.items():
        handlers = {m.name: _handler(desk, m) for m in methods if m.name in CALLS}
        handlers |= {m.name: _subscribe(desk, m) for m in methods if m.streaming}
        made.append(service(name, handlers))
    return made
