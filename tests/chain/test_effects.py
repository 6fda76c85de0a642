"""Effects of every recorded transaction are read whole, and failures have words."""

from __future__ import annotations

import base64
import string
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from somatui.chain.effects import EffectsError, read_effects
from somatui.chain.failures import OTHER, SENTENCES, named
from somatui.wire.kinds import SubmitData
from somatui.wire.transaction import SignedTransaction
from tests.chain.replay import as_sdk
from tests.recordings import FILES, calls, lines


def recorded(name: str) -> Iterator[Any]:
    for line in lines(name):
        if isinstance(line.get("result"), dict) and "V1" in line["result"].get("ns", {}):
            yield as_sdk(line["result"])


@pytest.mark.parametrize("name", [f for f in FILES if f != "wide"])
def test_every_recorded_outcome_is_read(name: str) -> None:
    outcomes = [(value, read_effects(value)) for value in recorded(name)]
    assert len(outcomes) > 5
    for value, found in outcomes:
        body, fee = value.V1, found.fee
        assert found.digest == body.transaction_digest and found.version == body.version
        assert fee.total == fee.base + fee.operation + fee.value == body.transaction_fee.total_fee
        assert found.success == (body.status == "Success") == (found.error_text is None)
        assert len(found.changed) == len(body.changed_objects)
        assert found.gas_id == body.changed_objects[body.gas_object_index][0]
        assert all(len(c.id) == 66 for c in found.changed)
        assert all(c.output is None or c.output.version == found.version for c in found.changed)
        for c in found.changed:
            assert (c.input_version is None) == (c.operation == "created")
            assert c.output is not None or (c.operation == "deleted" and c.id in found.gone)


def test_failures_in_the_recordings_are_named_and_explained() -> None:
    failed = [read_effects(v) for name in FILES for v in recorded(name) if v.V1.status != "Success"]
    told = {f.error_kind: f.error_text for f in failed}
    assert set(told) == {
        "TargetNotOpen", "DistanceExceedsThreshold", "AuditWindowOpen", "TargetNotFilled", "TargetExpired",
        "InputObjectDeleted",
    }  # fmt: skip
    assert "filled in epoch 2" in str(told["AuditWindowOpen"])
    assert "expired with epoch 2" in str(told["TargetExpired"])


def test_the_next_transaction_on_a_coin_is_built_from_the_last_ones_effects() -> None:
    chained = 0
    before = None
    for call in calls("lanes", "execute_transaction"):
        if "result" not in call or "bytes" not in call["args"][0]:
            continue
        data = SignedTransaction.from_bytes(base64.b64decode(call["args"][0]["bytes"])).data
        if before is not None and "chained" in call.get("note", ""):
            ours = [before.ref("0x" + coin.id.hex()) for coin in data.gas_payment]
            chained += data.gas_payment[0] in ours
        before = read_effects(as_sdk(call["result"]))
    assert chained > 10


def test_a_fill_creates_one_shared_target() -> None:
    for call in calls("lanes", "execute_transaction"):
        if "result" not in call or "bytes" not in call["args"][0]:
            continue
        data = SignedTransaction.from_bytes(base64.b64decode(call["args"][0]["bytes"])).data
        found = read_effects(as_sdk(call["result"]))
        if isinstance(data.kind, SubmitData) and found.success:
            assert len(found.created()) == 1
            assert found.created(data.sender.hex()) == ()
            return
    raise AssertionError("no fill is recorded")


@pytest.mark.parametrize("kind", sorted(SENTENCES))
def test_every_failure_has_one_whole_sentence(kind: str) -> None:
    fields = {f for _, f, _, _ in string.Formatter().parse(SENTENCES[kind]) if f}
    name, text = named(kind, dict.fromkeys(fields, 7))
    assert name == kind and text.endswith(".") and "{" not in text
    assert named(kind, {})[1].endswith(".")


def test_failures_that_carry_only_a_text_keep_it() -> None:
    def failed(text: str) -> Any:
        error = SimpleNamespace(SomaError=SimpleNamespace(GenericAuthorityError=SimpleNamespace(error=text)))
        return next(effects_like(SimpleNamespace(Failure=SimpleNamespace(error=error))))

    found = read_effects(failed("Model in invalid state for this operation"))
    assert found.error_kind == "ModelInvalidState"
    other = read_effects(failed("Arithmetic overflow in execution"))
    assert (other.error_kind, other.success) == (OTHER, False)
    assert "Arithmetic overflow in execution" in str(other.error_text)
    unknown = read_effects(next(effects_like(SimpleNamespace(Failure=SimpleNamespace(error="MoonNotFull")))))
    assert "MoonNotFull" in str(unknown.error_text)


def effects_like(status: Any) -> Iterator[Any]:
    value = next(recorded("day"))
    value.V1.status = status
    yield value


@pytest.mark.parametrize(
    ("part", "value"),
    [("status", "Maybe"), ("changed_objects", [("0x1", {})]), ("transaction_fee", None), ("gas_object_index", 99)],
)
def test_another_shape_is_refused_whole(part: str, value: Any) -> None:
    effects = next(recorded("day"))
    setattr(effects.V1, part, value)
    with pytest.raises(EffectsError):
        read_effects(effects)
    with pytest.raises(EffectsError):
        read_effects(SimpleNamespace(V2=effects.V1))
