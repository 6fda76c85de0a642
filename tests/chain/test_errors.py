"""What the real node's refusals are taken for, and that every one reads as one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from somatui.chain.errors import ChainError, NotFound, Refused, Timeout, Unreachable, from_grpc, from_sdk
from somatui.chain.failures import named
from somatui.chain.snapshot import read_target
from tests.recordings import FILES, lines

RAISED = {"RuntimeError": RuntimeError, "ValueError": ValueError}
RAW = ("execute_transaction", "simulate_transaction", "get_object", "get_transaction", "list_targets", "get_epoch")


def raised(*methods: str) -> Iterator[tuple[dict[str, Any], ChainError]]:
    for name in FILES:
        for line in lines(name):
            if "raises" in line and (not methods or line.get("call") in methods):
                kind, text = line["raises"]
                yield line, from_sdk(RAISED[kind](text), "the network")


def test_every_recorded_refusal_is_one_printable_sentence() -> None:
    seen = 0
    for _, found in raised():
        text = str(found)
        assert text.endswith(".") and text.isprintable() and len(text) < 400 and "metadata" not in text
        seen += 1
    assert seen > 80


def test_what_the_node_refuses_to_execute_is_told_apart() -> None:
    kinds = {f.kind for _, f in raised("execute_transaction") if isinstance(f, Refused)}
    assert {"stale", "locked", "wrong_digest"} & kinds >= {"stale"}
    for _, found in raised("execute_transaction"):
        if isinstance(found, Refused) and found.kind in ("stale", "locked", "wrong_digest", "missing", "wrong_owner"):
            assert found.object_id is not None and len(found.object_id) == 66
            assert not found.outcome_unknown


def test_ninety_seconds_without_an_end_leave_the_outcome_open_and_give_the_reason() -> None:
    waits = [f for _, f in raised("execute_transaction", "submit_data", "transfer_objects", "claim_rewards")
             if isinstance(f, Timeout)]  # fmt: skip
    assert waits and all(f.outcome_unknown for f in waits)
    reasons = {f.reason.kind for f in waits if f.reason is not None}
    assert reasons == {"missing", "wrong_owner"}
    assert any(f.reason is None for f in waits)


def test_unknown_things_are_not_found() -> None:
    found = [f for _, f in raised("get_object", "get_transaction") if isinstance(f, NotFound)]
    assert len(found) >= 4


def test_a_coin_that_a_simulation_misses_is_named() -> None:
    found = [f for _, f in raised("simulate_transaction")]
    assert {f.kind for f in found if isinstance(f, Refused)} >= {"missing", "wrong_digest"}


def test_a_locked_coin_is_recognised_inside_a_rejection_by_the_validators() -> None:
    text = next(
        line["raises"][1] for name in FILES for line in lines(name)
        if "raises" in line and "already locked by a different transaction" in line["raises"][1]
    )  # fmt: skip
    found = from_sdk(RuntimeError(text), "the network")
    assert isinstance(found, Refused) and found.kind == "locked" and found.object_id is not None


def status(code: str, message: str) -> RuntimeError:
    return RuntimeError(f'status: {code}, message: "{message}", details: [], metadata: MetadataMap {{ headers: {{}} }}')


@pytest.mark.parametrize(
    ("failure", "kind", "unknown"),
    [
        (status("Unavailable", "tcp connect error"), Unreachable, False),
        (status("Unavailable", "dns error"), Unreachable, False),
        (status("Unknown", "transport error"), Unreachable, True),
        (status("Cancelled", "operation was canceled"), Unreachable, True),
        (status("DeadlineExceeded", "late"), Timeout, True),
        (status("OutOfRange", "Error, decoded message length too large"), Refused, True),
        (status("Internal", "a thing broke"), Refused, True),
        (status("InvalidArgument", 'bad \\"mask\\"'), Refused, False),
        (RuntimeError("transport error"), Refused, True),
        (RuntimeError("something without a shape"), Refused, True),
        (RuntimeError("Service not configured: No admin_url was provided when creating SomaClient"), Refused, False),
        (RuntimeError('Error initializing RPC client: status: Unknown, message: "empty string"'), Refused, False),
        (ValueError("Invalid digest length. Expected 32 bytes"), Refused, False),
    ],
)
def test_only_what_surely_was_not_sent_has_a_known_outcome(
    failure: Exception, kind: type[ChainError], unknown: bool
) -> None:
    found = from_sdk(failure, "the network")
    if str(failure) == "transport error":
        kind = Unreachable
    assert type(found) is kind
    assert found.outcome_unknown is unknown


def test_what_a_node_says_moves_no_terminal_and_has_an_end() -> None:
    hostile = "gone\x1b]0;title\x07\x1b[2J\u202egnp.exe\r" + "x" * 5_000
    told = [str(from_grpc("INTERNAL", hostile, "the network")), str(from_sdk(RuntimeError(hostile), "the faucet"))]
    told += [named("InvalidArguments", {"reason": hostile})[1], named("OtherKind", {"error": hostile})[1]]
    for text in told:
        assert text.isprintable() and len(text) < 400 and "gone" in text and text.endswith("."), text
    body = SimpleNamespace(
        id="0x1", submitter=None, generation_epoch=1, reward_pool=1, model_ids=(), distance_threshold=1.0,
        status="open", winning_model_id=None, bond_amount=0, data_url="https://a.example/\x1b[2J",
    )  # fmt: skip
    assert read_target(body).data_url is None
