"""The unmodified SDK, served with the real node's own answers, read into the domain's values."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from somatui.chain.client import Chain, Endpoints
from somatui.chain.errors import Refused, Timeout, Unreachable
from somatui.chain.snapshot import marked_models, marked_targets
from somatui.domain.snapshot import Parameters, TargetView
from tests.chain.replay import Replay, replayed
from tests.recordings import calls, lines, plain

A = next(lines("day"))["keys"]["A"]["address"]
M1 = "0x5f1dfd16d9a606647dc8b5795f55d93df7ea6b1687a220610770041535a50592"
M2 = "0x43382e52b092f535e4f9e12dda8e829ddd567c17644f4bb32950bcf84eacd835"


@pytest.fixture(scope="module")
def day() -> Iterator[Replay]:
    with replayed("day") as replay:
        yield replay


@pytest.fixture(scope="module")
def lanes() -> Iterator[Replay]:
    with replayed("lanes") as replay:
        yield replay


def line_of(name: str, step: int) -> int:
    """The first line of a step."""
    return next(line["n"] for line in lines(name) if line.get("step") == step)


async def test_the_epoch_carries_the_chains_own_parameters(day: Replay) -> None:
    day.at = line_of("day", 162)
    chain = await Chain.connect(Endpoints(day.url))
    epoch = await chain.epoch()
    assert (epoch.number, epoch.duration_ms, epoch.hits_wanted) == (2, 86_400_000, 86_400)
    assert epoch.threshold == pytest.approx(1.05) and struct.unpack("<f", struct.pack("<f", epoch.threshold))[0] == (
        epoch.threshold
    )
    assert epoch.reward_shannons == 12_685_185
    assert epoch.targets_generated == 100
    assert epoch.parameters == Parameters(embedding_dim=16, value_fee_bps=epoch.parameters.value_fee_bps)


async def test_models_are_told_in_every_state(day: Replay) -> None:
    seen: dict[str, Any] = {}
    for call in calls("day", "get_latest_system_state"):
        day.at = call["n"] - 1
        system = await Chain(Endpoints(day.url)).system()
        assert [m.id for m in system.models] == sorted(m.id for m in system.models)
        for model in system.models:
            seen.setdefault(model.state, (model, system))
            if model.update_commit_epoch is not None:
                seen.setdefault("update", (model, system))
    assert set(seen) == {"created", "pending", "active", "inactive", "update"}
    created, _ = seen["created"]
    assert (created.create_epoch, created.url, created.stake_shannons) == (0, None, 1_500_000_000)
    pending, system = seen["pending"]
    assert (pending.commit_epoch, pending.size_bytes) == (0, 56_304)
    assert system.coming[pending.id] == system.weights[pending.id]
    assert system.weights[pending.id].key is None
    active, system = seen["active"]
    assert len(str(system.weights[active.id].key)) > 40 and active.id in system.pools.values()
    inactive, system = seen["inactive"]
    assert system.weights[inactive.id].key is None, "a key of zeros is no key"
    assert inactive.id in system.closed_pools
    assert active.id not in seen["active"][1].coming
    updated, system = seen["update"]
    assert updated.update_commit_epoch == 2
    assert system.coming[updated.id].checksum != system.weights[updated.id].checksum
    assert (system.coming[updated.id].key, system.weights[updated.id].key is None) == (None, False)


async def test_all_pages_are_read_and_ids_get_their_zeros_back(lanes: Replay) -> None:
    lanes.at = line_of("lanes", 134)
    lanes.asked.clear()
    filled = await Chain(Endpoints(lanes.url)).targets(("filled",))
    assert len(filled) == len({t.id for t in filled}) == 58
    assert lanes.asked.count("ListTargets") == 12
    lanes.at = line_of("lanes", 259)
    claimable = await Chain(Endpoints(lanes.url)).targets(("claimable",))
    assert len(claimable) == 260
    assert {t.status for t in claimable} == {"claimable", "expired"}
    assert all(len(t.id) == 66 for t in (*filled, *claimable))
    shown = {t["id"] for c in calls("lanes", "list_targets") if c["step"] == 259 for t in plain(c["result"])["targets"]}
    assert any(len(s) < 66 for s in shown), "the listing drops leading zeros"
    assert {t.id for t in claimable} >= {"0x" + s[2:].rjust(64, "0") for s in shown}


async def test_targets_are_told_with_what_the_wallet_has_to_do_with_them(day: Replay) -> None:
    day.at = line_of("day", 200)
    (mine,) = await Chain(Endpoints(day.url)).targets(("filled",))
    assert (mine.status, mine.submitter, mine.bond_shannons, mine.fill_epoch) == ("filled", A, 45_500, 2)
    assert mine.id == "0x01642905b31724f1a78dd309cc7a4bfda23cdcc86b77826e0f9287a8b690813b"
    assert (mine.winning_model_id, mine.data_url) == (M1, "http://127.0.0.1:9200/c0.bin")
    (marked,) = marked_targets((mine,), A, frozenset({M1}))
    assert marked.mine and marked.own_model_won
    (foreign,) = marked_targets((mine,), "", frozenset())
    assert not foreign.mine and not foreign.own_model_won


async def test_targets_that_nobody_filled_are_expired_though_they_are_listed_as_claimable(lanes: Replay) -> None:
    lanes.at = line_of("lanes", 245)
    expired = await Chain(Endpoints(lanes.url)).targets(("expired",))
    assert len(expired) == 100 and {t.status for t in expired} == {"expired"}


async def test_a_target_told_by_its_object_is_the_one_that_is_listed(day: Replay) -> None:
    chain = Chain(Endpoints(day.url))
    day.at = line_of("day", 200)
    (listed,) = await chain.targets(("filled",))
    day.at = line_of("day", 199)
    assert await chain.target(listed.id, 2) == listed
    later = await chain.target(listed.id, 4)
    assert later is not None and later.status == "claimable"
    day.at = line_of("day", 187)
    open_ = await chain.target(listed.id, 2)
    assert open_ is not None and (open_.status, open_.fill_epoch, open_.submitter) == ("open", None, None)
    assert await chain.target("0x" + "ab" * 32, 2) is None


async def test_the_board_holds_the_open_targets_and_their_models(day: Replay) -> None:
    day.at = line_of("day", 164)
    chain = Chain(Endpoints(day.url))
    system = await chain.system()
    board = await chain.board(system)
    assert json.loads(json.dumps(board)) == board
    assert board["epoch"] == 2 and board["threshold"] == system.epoch.threshold
    assert len(board["targets"]) == 100
    for target in board["targets"]:
        assert len(target["id"]) == 66 and len(target["embedding"]) == 16
        assert set(target["model_ids"]) <= {M1, M2}
    assert [m["id"] for m in board["models"]] == sorted([M1, M2])
    assert all(m["key"] and m["size"] == 56_304 for m in board["models"])
    unread = await chain.board(
        type(system)(system.epoch, 5, False, system.models, {M1: system.weights[M1]}, {}, frozenset())
    )
    assert unread["targets"] == [] and unread["models"] == []


async def test_models_know_their_share_of_the_open_targets(day: Replay) -> None:
    day.at = line_of("day", 164)
    chain = Chain(Endpoints(day.url))
    models = marked_models(await chain.models(), A, await chain.targets(("open",)))
    assert {m.id: m.targets_share for m in models if m.state == "active"} == {M1: 1.0, M2: 1.0}
    assert {m.id for m in models if m.mine} >= {M1}
    assert not any(m.mine for m in marked_models(models, "", ()))


async def test_wide_targets_come_in_two_pages() -> None:
    with replayed("wide") as wide:
        wide.at = line_of("wide", 10)
        found: tuple[TargetView, ...] = await Chain(Endpoints(wide.url)).targets(("open",))
    assert len(found) == 100


async def test_coins_and_stakes_are_told_to_the_shannon(day: Replay, lanes: Replay) -> None:
    call = next(c for c in calls("lanes", "list_owned_objects") if len(c.get("result") or ()) == 22)
    lanes.at = call["n"] - 1
    coins = await Chain(Endpoints(lanes.url)).coins(call["args"][0])
    raw = plain(call["result"])
    assert [c.balance_shannons for c in coins] == [int.from_bytes(o["data"]["contents"][32:], "little") for o in raw]
    assert [(c.id, c.version, c.digest) for c in coins] == [(o["id"], o["version"], o["digest"]) for o in raw]
    call = next(c for c in calls("day", "list_owned_objects") if c["args"][1:] == ["staked_soma"] and c["result"])
    day.at = call["n"] - 1
    chain = Chain(Endpoints(day.url))
    stakes = await chain.staked(call["args"][0])
    assert stakes and stakes[0].principal_shannons > 0 and stakes[0].model_id is None
    known = await chain.staked(call["args"][0], {stakes[0].pool_id: M1})
    assert known[0].model_id == M1


async def test_the_balance_is_exact(day: Replay) -> None:
    for call in (c for c in calls("day", "get_balance") if "result" in c):
        day.at = call["n"] - 1
        assert await Chain(Endpoints(day.url)).balance_shannons(call["args"][0]) == round(call["result"] * 1e9)


async def test_a_transaction_is_known_from_its_checkpoint_on(day: Replay, lanes: Replay) -> None:
    call = next(c for c in calls("day", "get_transaction") if "result" in c)
    day.at = call["n"] - 1
    chain = Chain(Endpoints(day.url))
    found = await chain.transaction(call["args"][0])
    assert found is not None and found.digest == call["args"][0]
    assert (await chain.settled(call["args"][0])).digest == call["args"][0]
    missing = next(c for c in calls("lanes", "get_transaction") if "raises" in c)
    lanes.at = missing["n"] - 1
    early = Chain(Endpoints(lanes.url))
    assert await early.transaction(missing["args"][0]) is None


async def test_simulation_and_execution_answer_alike(day: Replay) -> None:
    simulated = next(c for c in calls("day", "simulate_transaction") if "result" in c)
    executed = next(c for c in calls("day", "execute_transaction") if "result" in c)
    day.at = simulated["n"] - 1
    chain = Chain(Endpoints(day.url))
    before = await chain.simulate(base64.b64decode(simulated["args"][0]["bytes"]))
    day.at = executed["n"] - 1
    after = await chain.execute(base64.b64decode(executed["args"][0]["bytes"]))
    assert before == after and after.success and after.fee.total == 1605


async def test_a_lost_race_is_told_by_effects_and_a_stale_coin_by_a_refusal(lanes: Replay) -> None:
    chain = Chain(Endpoints(lanes.url))
    lost = stale = 0
    for call in calls("lanes", "execute_transaction"):
        if "bytes" not in call["args"][0]:
            continue
        lanes.at = call["n"] - 1
        signed = base64.b64decode(call["args"][0]["bytes"])
        if "raises" in call and "not available for consumption" in call["raises"][1]:
            with pytest.raises(Refused) as refused:
                await chain.execute(signed)
            assert refused.value.kind == "stale" and not refused.value.outcome_unknown
            stale += 1
        elif "result" in call and "TargetNotOpen" in json.dumps(call["result"]):
            effects = await chain.execute(signed)
            assert (effects.success, effects.error_kind, effects.fee.total) == (False, "TargetNotOpen", 1000)
            lost += 1
    assert lost and stale


async def test_the_faucet_and_the_epochs_end(day: Replay) -> None:
    asked = next(c for c in calls("day", "request_faucet") if "result" in c)
    day.at = asked["n"] - 1
    chain = Chain(Endpoints(day.url, faucet_url=day.url, admin_url=day.url))
    coins = await chain.faucet(asked["args"][0])
    shown = plain(asked["result"])["coins_sent"]
    assert [(c.amount_shannons, c.id) for c in coins] == [(s["amount"], s["id"]) for s in shown]
    ended = next(calls("day", "advance_epoch"))
    day.at = ended["n"] - 1
    assert await chain.advance_epoch() == ended["result"]
    with pytest.raises(Unreachable, match="faucet"):
        await Chain(Endpoints(day.url)).faucet(A)


async def test_who_answers_and_why_nobody_does(day: Replay) -> None:
    day.at = 0
    found = await Chain(Endpoints(day.url)).network("mine", "localnet", 77)
    assert (found.chain, found.server_version, found.reachable) == ("localnet", "soma-node/0.1.21", True)
    assert (found.protocol_version, found.synced_at_ms, found.error) == (5, 77, None)
    nobody = await Chain(Endpoints("http://127.0.0.1:1")).network("mine", "localnet", 77)
    assert not nobody.reachable and "does not answer" in str(nobody.error)
    nowhere = await Chain(Endpoints("")).network("mine", "practice", 77)
    assert not nowhere.reachable and "No address" in str(nowhere.error)
    with pytest.raises(Unreachable) as refused:
        await Chain.connect(Endpoints("http://127.0.0.1:1"))
    assert not refused.value.outcome_unknown


async def test_a_silent_node_holds_nothing_up_and_is_heard_again_when_it_speaks(day: Replay) -> None:
    day.at = 0
    chain = Chain(Endpoints(day.url), lanes=1, read_limit_s=0.3)
    executed = next(c for c in calls("day", "execute_transaction") if "result" in c)
    signed = base64.b64decode(executed["args"][0]["bytes"])
    day.silent = {"GetEpoch", "ExecuteTransaction"}
    try:
        sending = asyncio.create_task(chain.execute(signed, limit_s=0.6))
        with pytest.raises(Timeout):
            await chain.epoch()
        assert await chain.balance_shannons(A) >= 0, "another read goes through while one transaction hangs"
        with pytest.raises(Timeout) as late:
            await sending
        assert late.value.outcome_unknown
    finally:
        day.silent = set()
    assert (await chain.execute(signed)).success
    assert (await chain.epoch()).number >= 0


async def test_a_connection_that_breaks_under_a_transaction_leaves_its_outcome_open() -> None:
    listening = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        connection, _ = listening.accept()
        connection.recv(64)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    executed = next(c for c in calls("day", "execute_transaction") if "result" in c)
    chain = Chain(Endpoints(f"http://127.0.0.1:{listening.getsockname()[1]}"))
    with pytest.raises(Unreachable) as broken:
        await chain.execute(base64.b64decode(executed["args"][0]["bytes"]), limit_s=5)
    assert broken.value.outcome_unknown
    thread.join()
    listening.close()
