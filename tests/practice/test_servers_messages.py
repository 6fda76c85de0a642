"""The schema is what its sources say, and the codec reads and writes what was recorded of the real node."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc_tools
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.unknown_fields import UnknownFieldSet
from grpc_tools import protoc

import somatui.practice
from somatui.practice.codec import masks
from somatui.practice.codec.effects import error_out
from somatui.practice.codec.transactions import data_in, data_out, signature_out, signed_in
from somatui.practice.ledger.values import ExecError, Refused
from somatui.practice.messages import SERVICES, Method, pb, schema
from tests.recordings import FILES, lines

METHODS = {m.path: m for methods in SERVICES.values() for m in methods}


def recorded(name: str) -> Iterator[tuple[Method, Any, list[Any]]]:
    """Method, request and responses of every protobuf RPC of one recording."""
    for line in lines(name):
        method = METHODS.get(line.get("rpc", ""))
        if method is not None:
            raw = line.get("stream", [line["response"]] if "response" in line else [])
            request = method.request.FromString(base64.b64decode(line["request"]))
            yield method, request, [method.response.FromString(base64.b64decode(r)) for r in raw]


def unknown(message: Any) -> bool:
    """Whether a message, or one inside it, has a field that the schema does not name."""
    if len(UnknownFieldSet(message)):  # type: ignore[no-untyped-call]
        return True
    for field, value in message.ListFields():
        if field.message_type is not None:
            single = not field.is_repeated
            inner = [value] if single else value.values() if field.message_type.GetOptions().map_entry else value
            if any(unknown(one) for one in inner if hasattr(one, "ListFields")):
                return True
    return False


def test_the_schema_is_what_its_sources_compile_to(tmp_path: Path) -> None:
    sources = Path(somatui.practice.__file__).parent / "proto"
    made = tmp_path / "schema.binpb"
    known = Path(grpc_tools.__file__).parent / "_proto"
    names = [str(p.relative_to(sources)) for p in sorted(sources.rglob("*.proto"))]
    words = ["protoc", f"-I{sources}", f"-I{known}", "--include_imports", f"--descriptor_set_out={made}", *names]
    assert protoc.main(words) == 0
    fresh = descriptor_pb2.FileDescriptorSet.FromString(made.read_bytes())
    kept = descriptor_pb2.FileDescriptorSet.FromString(schema())
    ours = [f for f in kept.file if not f.name.startswith("google/protobuf/")]
    assert len(ours) == len(names)
    assert ours == [f for f in fresh.file if not f.name.startswith("google/protobuf/")]


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_message_has_only_known_fields(name: str) -> None:
    seen = 0
    for _, request, responses in recorded(name):
        assert not unknown(request)
        assert not any(unknown(r) for r in responses)
        seen += 1
    assert seen > 20


@pytest.mark.parametrize("name", FILES)
def test_recorded_transactions_are_rebuilt_with_their_digest_and_written_back_as_they_came(name: str) -> None:
    for method, request, _ in recorded(name):
        if method.name in ("ExecuteTransaction", "SimulateTransaction"):
            assert data_out(data_in(request.transaction)) == request.transaction
        if method.name == "ExecuteTransaction":
            assert signature_out(signed_in(request).signature) == request.signatures[0]


def test_failures_are_described_as_the_real_node_describes_them() -> None:
    seen = set()
    for name in FILES:
        for method, _, responses in recorded(name):
            if method.name != "ExecuteTransaction":
                continue
            for error in (r.transaction.effects.status.error for r in responses):
                if error.kind:
                    seen.add(error.kind)
                    assert error_out(ExecError(error.kind, other_error=_detail(error))) == error
    assert len(seen) > 15


def _detail(error: Any) -> str | None:
    detail: str = error.other_error
    return f"reason={detail}" if error.description.startswith("InvalidArguments") else detail or None


def test_a_transaction_whose_digest_is_another_is_refused() -> None:
    request = next(q for m, q, _ in recorded("day") if m.name == "ExecuteTransaction")
    request.transaction.kind.transfer_coin.amount += 1
    with pytest.raises(Refused, match=r"transaction\.digest"):
        signed_in(request)


def test_a_read_mask_keeps_what_it_names_and_refuses_what_is_not_there() -> None:
    found = pb.Checkpoint(
        sequence_number=3, digest="x", transactions=[pb.ExecutedTransaction(digest="d", checkpoint=3)]
    )
    wanted = masks.tree(["transactions.digest", "sequence_number"])
    masks.check(wanted, pb.Checkpoint.DESCRIPTOR)
    masks.prune(found, wanted)
    assert found == pb.Checkpoint(sequence_number=3, transactions=[pb.ExecutedTransaction(digest="d")])
    assert masks.tree(["a.b", "a", "a.c"]) == {"a": {}}
    for path in ("nonsense", "digest.x", "transactions.nonsense"):
        with pytest.raises(Refused, match=f"invalid read_mask path: {path}"):
            masks.check(masks.tree([path]), pb.Checkpoint.DESCRIPTOR)
