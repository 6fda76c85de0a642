"""The ledger's arithmetic against what the real node was recorded doing."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import arrgen
import pytest

from somatui.practice.ledger.epoch import change_epoch
from somatui.practice.ledger.execute import RULES
from somatui.practice.ledger.state import Model, StakingPool
from somatui.practice.ledger.system import ChangeEpoch
from somatui.practice.ledger.targets import chosen_models
from somatui.practice.ledger.view import View
from somatui.wire.hashes import derive_id, seed_of
from somatui.wire.kinds import ClaimRewards, PayCoins, SubmitData, TransferCoin
from somatui.wire.objects import ObjectType
from somatui.wire.text import hex_id, parse_id
from somatui.wire.transaction import SignedTransaction, TransactionData
from somatui.wire.values import Tensor
from tests.practice.ledgers import DAY, NOW, network
from tests.recordings import calls, lines, plain


def own_transactions(name: str) -> list[tuple[TransactionData, dict[str, Any]]]:
    found = []
    for call in calls(name, "execute_transaction"):
        raw = plain(call["args"])[0]
        if isinstance(raw, bytes) and "result" in call:
            found.append((SignedTransaction.from_bytes(raw).data, plain(call["result"])["V1"]))
    return found


def states(name: str) -> list[dict[str, Any]]:
    return [plain(c["result"]) for c in calls(name, "get_latest_system_state") if "result" in c]


def number(tensor: dict[str, Any]) -> float:
    value: float = struct.unpack("<f", bytes(tensor["bytes"]))[0]
    return value


@pytest.mark.parametrize("name", ["day", "lanes"])
def test_recorded_fees_follow_from_writes_and_status(name: str) -> None:
    seen = own_transactions(name)
    assert seen
    for data, effects in seen:
        written = sum(1 for _, change in effects["changed_objects"] if change["output_state"] != "NotExist")
        fee, good = effects["transaction_fee"], effects["status"] == "Success"
        assert type(data.kind) in RULES
        assert (fee["base_fee"], fee["operation_fee"]) == (1000, 300 * written if good else 0)
        amount = 0
        if isinstance(data.kind, PayCoins):
            amount = sum(data.kind.amounts or ())
        elif isinstance(data.kind, TransferCoin) and data.kind.amount is not None:
            amount = data.kind.amount
        elif isinstance(data.kind, (TransferCoin, ClaimRewards)):
            continue
        assert fee["value_fee"] in ({amount * bps // 10_000 for bps in range(7, 11)} if good else {0})


def test_recorded_created_ids_are_derived_in_order() -> None:
    for name in ("day", "lanes"):
        for data, effects in own_transactions(name):
            made = [i for i, change in effects["changed_objects"] if change["id_operation"] == "Created"]
            first = 2 if isinstance(data.kind, SubmitData) else 0
            assert {hex_id(derive_id(data.digest, first + n)) for n in range(len(made))} == set(made)


def test_spawned_targets_have_the_recorded_embeddings() -> None:
    listed = {}
    for call in calls("lanes", "list_targets"):
        for item in plain(call.get("result") or {"targets": []}).get("targets", []):
            listed[parse_id(item["id"])] = item["embedding"]
    seen = 0
    for data, _ in own_transactions("lanes"):
        if isinstance(data.kind, SubmitData) and derive_id(data.digest, 2) in listed:
            wanted = listed[derive_id(data.digest, 2)]
            assert arrgen.normal_array(seed_of(data.digest, 1), [len(wanted)], 0.0, 1.0).tolist() == wanted
            seen += 1
    assert seen


def test_recorded_targets_name_the_models_that_the_rule_chooses(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3", 0)
    state = ledger.state.copy()
    ledger.close()
    now, seen, longest = -1, 0, 0
    for line in lines("day"):
        if line.get("call") == "get_latest_system_state":
            recorded = plain(line["result"])
            now, state.models = recorded["epoch"], _active(recorded)
        if line.get("call") == "list_targets" and "result" in line:
            view = View(state, bytes(32), bytes(32), {})
            for item in plain(line["result"])["targets"]:
                if item["generation_epoch"] == now and item["embedding"] and item["status"] == "open":
                    wanted = [parse_id(i) for i in item["model_ids"]]
                    if set(wanted) <= set(state.models):
                        assert list(chosen_models(view, Tensor.of(item["embedding"]))) == wanted
                        seen, longest = seen + 1, max(longest, len(wanted))
    assert seen > 20 and longest > 1


def _active(recorded: dict[str, Any]) -> dict[bytes, Model]:
    found = {}
    for name, held in recorded["model_registry"]["models"].items():
        model = held["V1"].get("Active")
        if model and model["embedding"]:
            raw = bytes(model["embedding"]["bytes"])
            pool = StakingPool(bytes(32), soma_balance=model["staking_pool"]["soma_balance"])
            tensor = Tensor(raw, (len(raw) // 4,))
            found[parse_id(name)] = Model(bytes(32), 1, "active", 0, pool, 0, 0, None, None, tensor)
    return found


def test_recorded_epochs_pay_validators_and_move_difficulty_as_the_rules_do(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3", 0)
    recorded = states("clock")[1:]
    compared = 0
    for before, after in zip(recorded, recorded[1:], strict=False):
        old, new = (s["validators"]["validators"][0]["staking_pool"] for s in (before, after))
        state = ledger.state.copy()
        state.epoch = before["epoch"]
        pool = state.validators[0].staking_pool
        for name in ("soma_balance", "rewards_pool", "pool_token_balance", "activation_epoch"):
            setattr(pool, name, old[name])
        state.emission_pool.balance = before["emission_pool"]["balance"]
        given = before["target_state"]
        made = after["target_state"]["targets_generated_this_epoch"]
        state.target_state.distance_threshold = number(given["distance_threshold"])
        state.target_state.hits_ema = given["hits_ema"]
        state.parameters.value_fee_bps = before["parameters"]["value_fee_bps"]
        earned = new["rewards_pool"] - old["rewards_pool"]
        view = View(state, bytes(32), bytes(32), {})
        fees = _fees_behind(earned)
        if fees is None:
            continue
        state.epoch_fees = (fees, 0, 0)
        state.target_state.hits_this_epoch = given["hits_this_epoch"]
        change_epoch(view, NOW + DAY)
        assert state.parameters.value_fee_bps == after["parameters"]["value_fee_bps"]
        assert pool.rewards_pool == new["rewards_pool"]
        if given["hits_ema"] and given["hits_this_epoch"] == 0:
            wanted = number(after["target_state"]["distance_threshold"])
            assert state.target_state.distance_threshold == wanted
            assert state.target_state.hits_ema == after["target_state"]["hits_ema"]
        if made == 0 and new["pool_token_balance"] - old["pool_token_balance"] < 2 * 10**10:
            assert abs(state.emission_pool.balance - after["emission_pool"]["balance"]) <= 40
        compared += 1
    ledger.close()
    assert compared >= 5


def _fees_behind(earned: int) -> int | None:
    """The epoch's fees that make the validator's pool earn this; None when a withdrawal hides it."""
    guess = (earned * 100 // 98 - 959 * 10**9) * 10 // 7
    for fees in range(max(guess - 40, 0), guess + 40):
        part = (1370 * 10**9 + fees) * 7 // 10
        if part - part * 200 // 10_000 == earned:
            return fees
    return None


def test_an_epoch_change_is_a_transaction_like_any_other(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3")
    ledger.advance_epoch(NOW)
    sealed = ledger.seal_checkpoint(NOW)
    assert sealed is not None
    done = ledger.transaction(sealed.digests[0])
    assert done is not None and isinstance(done.data.kind, ChangeEpoch)
    assert sum(c.type == ObjectType.TARGET for c in done.effects.changed) == 100
    ledger.close()
