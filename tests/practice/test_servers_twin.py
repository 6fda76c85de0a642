"""What the servers add to the ledger, held against the recordings of the real node wherever these show it."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from soma_sdk import Keypair, SomaClient

from somatui.practice.answers import status
from somatui.practice.card import NetworkInfo
from somatui.practice.codec.text import BadField
from somatui.practice.ledger import quiet
from somatui.practice.ledger.numbered import number_in, numbered
from somatui.practice.ledger.values import Refused
from somatui.practice.messages import pb
from somatui.practice.rpc import PAGE_BYTES, _cut
from somatui.practice.standard import SERVED
from somatui.wire.hashes import address_of
from somatui.wire.kinds import TransferCoin
from somatui.wire.text import b58decode32
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData, signing_message
from somatui.wire.values import ObjectRef
from tests.practice.calls import METHODS, node
from tests.practice.ledgers import NOW, network
from tests.practice.standins import running
from tests.recordings import FILES, lines

ALICE = "22" * 32
PRIVATE = Ed25519PrivateKey.from_private_bytes(b"\x07" * 32)
PUBLIC = PRIVATE.public_key().public_bytes_raw()


async def connected(info: NetworkInfo) -> Any:
    return await SomaClient(
        rpc_url=info.rpc_url, faucet_url=info.faucet_url, scoring_url=info.scoring_url, admin_url=info.admin_url
    )


def shape(message: Any, prefix: str = "") -> set[str]:
    """Which fields a message has, and how ids, addresses and digests in it are written."""
    found = set()
    for field, value in message.ListFields():
        name = prefix + field.name
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else (value,):
                found |= shape(one, f"{name}.") or {name}
        else:
            one = value[0] if field.is_repeated and field.message_type is None else value
            written = f" {one[:2] == '0x'} {len(one) > 60}" if isinstance(one, str) else ""
            found.add(name + written)
    return found


def recorded(name: str, method: str) -> Iterator[tuple[Any, list[Any]]]:
    """Requests and answers of one method."""
    found = METHODS[method]
    for line in lines(name):
        if line.get("rpc") == found.path and "error" not in line:
            raw = line.get("stream", [line["response"]] if "response" in line else [])
            request = found.request.FromString(base64.b64decode(line["request"]))
            yield request, [found.response.FromString(base64.b64decode(one)) for one in raw]


def streams() -> dict[tuple[str, ...], list[Any]]:
    """Every recorded stream's messages by their mask."""
    found: dict[tuple[str, ...], list[Any]] = {}
    for request, answers in recorded("lanes", "SubscribeCheckpoints"):
        found.setdefault(tuple(request.read_mask.paths), []).extend(answers)
    return found


async def test_the_checkpoint_stream_has_the_recorded_fields_for_every_recorded_mask(tmp_path: Path) -> None:
    async with running(tmp_path, lag_ms=100) as info, node(info.rpc_url) as raw:
        sdk, key = await connected(info), Keypair.generate()
        await sdk.request_faucet(key.address())
        target = (await sdk.get_targets(limit=1))[0]
        for paths, answers in streams().items():
            stream = raw.subscribe(*paths)
            await stream.read()
            await sdk.submit_data(key, target.id, b"x" * 9, "http://h/x", target.model_ids[0], target.embedding, 0.5,
                                  [1.0])  # fmt: skip
            seen, wanted, idle = set[str](), set[str](), None
            for one in answers:
                wanted |= shape(one)
            while not wanted <= seen:
                message = await asyncio.wait_for(stream.read(), 20)
                seen |= shape(message)
                idle = idle or (message if len(message.checkpoint.transactions) == 4 else None)
            assert seen <= wanted | {"checkpoint.objects"}, paths
            stream.cancel()
            target = (await sdk.get_targets(limit=1))[0]
            assert idle is None or shape(idle) == shape(answers[0]), paths


async def test_no_listener_misses_a_checkpoint_while_transactions_and_idle_ones_alternate(tmp_path: Path) -> None:
    async with running(tmp_path, lag_ms=20) as info, node(info.rpc_url) as raw:
        sdk = await connected(info)
        slow, quick = raw.subscribe("sequence_number"), raw.subscribe("transactions.digest")
        first = (await quick.read()).cursor
        for _ in range(10):
            await sdk.request_faucet(ALICE)
        await sdk.advance_epoch()
        seen = [first] + [(await quick.read()).cursor for _ in range(12)]
        assert seen == list(range(first, first + 13))
        late = [(await slow.read()).cursor for _ in range(8)]
        assert late == list(range(late[0], late[0] + 8))


async def test_idle_checkpoints_come_like_the_real_nodes_and_hold_what_they_hold(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        stream = raw.subscribe("sequence_number", "transactions", "summary")
        before = await stream.read()
        began = time.monotonic()
        found = [await stream.read() for _ in range(6)]
        assert 6 * quiet.PERIOD_MS / 1000 * 0.7 < time.monotonic() - began < 10
        assert [one.cursor for one in found] == list(range(before.cursor + 1, before.cursor + 7))
        times = [one.checkpoint.summary.timestamp.ToMilliseconds() for one in (before, *found)]
        assert times == sorted(times)
        for one in found:
            made = one.checkpoint
            kinds = [t.transaction.kind.WhichOneof("kind") for t in made.transactions]
            assert kinds == ["consensus_commit_prologue"] * 4
            answer = await raw.ask("GetCheckpoint", pb.GetCheckpointRequest(digest=made.summary.digest))
            assert answer.checkpoint == pb.Checkpoint(sequence_number=one.cursor, digest=made.summary.digest)
            request = pb.GetTransactionRequest(digest=made.transactions[2].digest)
            request.read_mask.paths.extend(("digest", "checkpoint"))
            assert (await raw.ask("GetTransaction", request)).transaction.checkpoint == one.cursor
        totals = [one.checkpoint.summary.total_network_transactions for one in found]
        assert totals == [totals[0] + 4 * n for n in range(6)]
        links = [(a.checkpoint.summary.digest, b.checkpoint.summary.previous_digest)
                 for a, b in zip(found, found[1:], strict=False)]  # fmt: skip
        assert all(digest == previous for digest, previous in links)


async def test_reads_lag_behind_execution_until_the_checkpoint(tmp_path: Path) -> None:
    async with running(tmp_path, lag_ms=600) as info, node(info.rpc_url) as raw:
        sdk, address = await connected(info), address_of(PUBLIC).hex()
        await sdk.request_faucet(address)
        (coin,) = await sdk.list_owned_objects(address, "coin")
        transfer, shown = await _sent(sdk, coin)
        began = time.monotonic()
        code, text, _ = await raw.refused("GetTransaction", pb.GetTransactionRequest(digest=transfer))
        assert (code, text) == ("NOT_FOUND", f"Transaction {transfer} not found")
        assert (await sdk.list_owned_objects(address, "coin"))[0].version == coin.version
        chained = SimpleNamespace(id=coin.id, version=shown, digest=coin.digest)
        text = f"Could not find the referenced object {coin.id} at version Some(Version({shown}))"
        with pytest.raises(RuntimeError, match=re.escape(text)):
            await sdk.simulate_transaction(_data(chained).to_bytes())
        async for message in raw.subscribe("transactions.digest"):
            if transfer in {t.digest for t in message.checkpoint.transactions}:
                break
        await raw.ask("GetTransaction", pb.GetTransactionRequest(digest=transfer))
        assert 0.4 < time.monotonic() - began < 5
        assert (await sdk.list_owned_objects(address, "coin"))[0].version == shown
        stale = await sdk.simulate_transaction(_data(coin).to_bytes())
        assert stale.V1.status == "Success"


def _data(coin: Any) -> TransactionData:
    ref = ObjectRef(bytes.fromhex(coin.id[2:]), coin.version, b58decode32(coin.digest))
    return TransactionData(TransferCoin(ref, 5, bytes.fromhex(ALICE)), address_of(PUBLIC), (ref,))


async def _sent(sdk: Any, coin: Any) -> tuple[str, int]:
    """A transfer executed without waiting for its checkpoint: its digest and version."""
    data = _data(coin)
    signature = Signature(PRIVATE.sign(signing_message(data.to_bytes())), PUBLIC)
    effects = await sdk.execute_transaction(SignedTransaction(data, signature).to_bytes())
    return effects.V1.transaction_digest, effects.V1.version


def test_refusals_carry_the_recorded_details_byte_for_byte() -> None:
    seen = 0
    for name in FILES:
        for line in lines(name):
            error = line.get("error", {})
            for _, body in error.get("details", ()):
                kept = pb.Status.FromString(base64.b64decode(body))
                why: Refused = Refused(error["code"], error["message"])
                if kept.details:
                    violation = pb.BadRequest.FromString(kept.details[0].value).field_violations[0]
                    why = BadField(violation.field, violation.description, violation.reason)
                assert status(why).SerializeToString() == base64.b64decode(body)
                seen += 1
    assert seen > 40


async def test_bad_fields_are_refused_with_the_field_and_the_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        cases: list[tuple[str, Any, str, str]] = [
            ("ListTargets", pb.ListTargetsRequest(status_filter="nonsense"), "status_filter", "FIELD_INVALID"),
            ("ListTargets", pb.ListTargetsRequest(page_token=b"\xff"), "page_token", "FIELD_INVALID"),
            ("ListOwnedObjects", pb.ListOwnedObjectsRequest(), "owner", "FIELD_MISSING"),
            ("ListOwnedObjects", pb.ListOwnedObjectsRequest(owner="xyz"), "owner", "FIELD_INVALID"),
            ("ListOwnedObjects", pb.ListOwnedObjectsRequest(owner=ALICE, page_token=b"x"), "page_token",
             "FIELD_INVALID"),
            ("ListOwnedObjects", pb.ListOwnedObjectsRequest(owner=ALICE, object_type="Cow"), "object_type",
             "FIELD_INVALID"),
            ("GetObject", pb.GetObjectRequest(), "object_id", "FIELD_MISSING"),
            ("GetTransaction", pb.GetTransactionRequest(), "digest", "FIELD_MISSING"),
            ("GetTransaction", pb.GetTransactionRequest(digest="0"), "digest", "FIELD_INVALID"),
            ("GetCheckpoint", pb.GetCheckpointRequest(digest="l"), "digest", "FIELD_INVALID"),
            ("BatchGetObjects", pb.BatchGetObjectsRequest(requests=[pb.GetObjectRequest(object_id="0x5"),
             pb.GetObjectRequest(object_id="no")]), "requests[1].object_id", "FIELD_INVALID"),
            ("ExecuteTransaction", pb.ExecuteTransactionRequest(), "transaction", "FIELD_MISSING"),
        ]  # fmt: skip
        for name, request, field, reason in cases:
            code, text, kept = await raw.refused(name, request)
            violation = pb.BadRequest.FromString(kept.details[0].value).field_violations[0]
            assert (code, violation.field, violation.reason) == ("INVALID_ARGUMENT", field, reason), name
            assert violation.description == text == kept.message
        request = pb.GetEpochRequest()
        request.read_mask.paths.append("cow")
        code, text, kept = await raw.refused("GetEpoch", request)
        assert text == "invalid read_mask path: cow"
        assert kept.details[0].type_url == "/google.rpc.BadRequest"
        for version in (2**63, 2**64 - 1):
            code, _, _ = await raw.refused("GetObject", pb.GetObjectRequest(object_id="0x5", version=version))
            assert code == "NOT_FOUND"
        code, _, _ = await raw.refused("GetCheckpoint", pb.GetCheckpointRequest(sequence_number=2**64 - 1))
        assert code == "NOT_FOUND"


async def test_every_answer_says_where_the_chain_is(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        call = raw.call("GetServiceInfo", pb.GetServiceInfoRequest())
        said, found = dict(await call.initial_metadata()), await call
        names = {f"x-soma-{name}" for name in ("chain-id", "chain", "epoch", "checkpoint-height", "timestamp-ms",
                 "timestamp", "lowest-available-checkpoint", "lowest-available-checkpoint-objects")}  # fmt: skip
        assert names | {"server"} <= said.keys()
        assert (said["x-soma-chain"], said["x-soma-epoch"], said["server"]) == ("practice", "0", found.server)
        assert int(said["x-soma-checkpoint-height"]) <= found.checkpoint_height + 1
        assert said["x-soma-timestamp"].endswith(f"{int(said['x-soma-timestamp-ms']) % 1000:03d}Z")
        refused = raw.call("GetObject", pb.GetObjectRequest(object_id="0x99"))
        assert names <= dict(await refused.initial_metadata()).keys()
        with pytest.raises(grpc.aio.AioRpcError):
            await refused
        stream = raw.subscribe("sequence_number")
        assert names <= dict(await stream.initial_metadata()).keys()
        for request, (answer,) in recorded("day", "GetServiceInfo"):
            assert shape(await raw.ask("GetServiceInfo", request)) == shape(answer)


async def test_epochs_past_present_and_to_come_are_told_as_recorded(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        sdk, key = await connected(info), Keypair.generate()
        await sdk.request_faucet(key.address())
        await sdk.create_model(key, 1000, 1.0)
        assert [await sdk.advance_epoch(), await sdk.advance_epoch()] == [1, 2]
        everything = pb.GetEpochRequest()
        everything.read_mask.paths.append("*")
        told = []
        for number in range(3):
            everything.epoch = number
            told.append((await raw.ask("GetEpoch", everything)).epoch)
        assert [len(one.system_state.model_registry.models) for one in told] == [3, 4, 4]
        assert [one.system_state.epoch for one in told] == [one.committee.epoch for one in told] == [0, 1, 2]
        assert told[0].first_checkpoint == 0
        for before, after in zip(told, told[1:], strict=False):
            assert (before.end, before.last_checkpoint + 1) == (after.start, after.first_checkpoint)
        assert not told[2].HasField("last_checkpoint") and not told[2].HasField("end")
        last = pb.GetCheckpointRequest(sequence_number=told[0].last_checkpoint)
        last.read_mask.paths.append("summary")
        closing = (await raw.ask("GetCheckpoint", last)).checkpoint.summary
        assert (closing.epoch, closing.end_of_epoch_data.next_epoch_protocol_version) == (0, 5)
        assert closing.end_of_epoch_data.next_epoch_validator_committee.epoch == 1
        seen = 0
        for name in ("day", "lanes"):
            for request, (answer,) in recorded(name, "GetEpoch"):
                if request.HasField("epoch"):
                    assert shape((await raw.ask("GetEpoch", request)).epoch) == shape(answer.epoch)
                    seen += 1
        assert seen >= 2
        ahead = pb.GetEpochRequest(epoch=9)
        assert (await raw.refused("GetEpoch", ahead))[:2] == ("NOT_FOUND", "Committee for epoch 9 not found")


async def test_checkpoints_have_the_recorded_fields_by_number_by_digest_and_when_none_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        await raw.subscribe("sequence_number").read()
        for name in ("day", "lanes", "clock"):
            for request, (answer,) in recorded(name, "GetCheckpoint"):
                if not answer.checkpoint.summary.sequence_number:
                    request.sequence_number = 0
                found = (await raw.ask("GetCheckpoint", request)).checkpoint
                assert shape(found) == shape(answer.checkpoint), request
                again = pb.GetCheckpointRequest(digest=found.summary.digest, read_mask=request.read_mask)
                assert (await raw.ask("GetCheckpoint", again)).checkpoint == found
        text = f"Checkpoint {'1' * 32} not found"
        assert (await raw.refused("GetCheckpoint", pb.GetCheckpointRequest(digest="1" * 32)))[:2] == ("NOT_FOUND", text)


async def test_health_and_reflection_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as info, node(info.rpc_url) as raw:
        for name in ("", "soma.rpc.LedgerService"):
            found = await raw.ask("Check", pb.HealthCheckRequest(service=name))
            assert found.status == pb.HealthCheckResponse.SERVING
        assert (await raw.refused("Check", pb.HealthCheckRequest(service="cow")))[0] == "NOT_FOUND"
        for version in ("v1", "v1alpha"):
            talk = raw.channel.stream_stream(
                f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=pb.ServerReflectionResponse.FromString,
            )()
            await talk.write(pb.ServerReflectionRequest(list_services=""))
            listed = {one.name for one in (await talk.read()).list_services_response.service}
            assert listed == set(SERVED)
            await talk.write(pb.ServerReflectionRequest(file_containing_symbol="soma.rpc.LedgerService"))
            assert b"GetServiceInfo" in (await talk.read()).file_descriptor_response.file_descriptor_proto[0]
            await talk.write(pb.ServerReflectionRequest(file_by_filename="cow.proto"))
            assert (await talk.read()).error_response.error_code == 5
            await talk.done_writing()


def test_a_page_ends_with_the_row_that_crosses_512_kib_as_recorded() -> None:
    sizes = []
    for _, (answer,) in recorded("wide", "ListTargets"):
        rows = list(answer.targets)
        sizes.append(len(rows))
        if len(rows) == 63:
            assert sum(r.ByteSize() for r in rows) >= PAGE_BYTES > sum(r.ByteSize() for r in rows[:-1])
            assert _cut([*rows, *rows]) == 63
        else:
            assert _cut(rows) == len(rows)
    assert sizes == [63, 37, 100]


def test_digests_carry_their_number_and_no_other_does() -> None:
    for number in (0, 1, 2**40):
        assert number_in(b"idle", numbered(b"idle", number, 3)) == (number, 3)
    assert number_in(b"idle", numbered(b"prol", 7)) is None
    assert number_in(b"idle", bytes(32)) is None


def test_idle_checkpoints_take_one_row_and_their_numbers_survive_a_crash(tmp_path: Path) -> None:
    ledger = network(tmp_path / "ledger")
    for n in range(1, 400):
        made = ledger.seal_checkpoint(NOW + n * quiet.PERIOD_MS, idle=True)
        assert made is not None and made.sequence == n
    rows = ledger._store.sql.execute("SELECT COUNT(*) FROM quiet").fetchone()[0]
    assert rows == 1
    before = [ledger.checkpoint(n) for n in range(400)]
    ledger._store.close()
    again = type(ledger).open(tmp_path / "ledger")
    assert [again.checkpoint(n) for n in range(400)] == before
    assert again.newest >= 399
    made = again.seal_checkpoint(NOW, idle=True)
    assert made is not None and made.sequence == again.newest and made.timestamp_ms >= before[-1].timestamp_ms  # type: ignore[union-attr]
    again.close()
