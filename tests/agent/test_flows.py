"""The acts on a live practice network: a whole day, refusals, races, limits, and the money to the shannon."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.flows import ActLost, ActRefused, OutcomeUnknown
from somatui.agent.flows.base import key_name
from somatui.agent.flows.run import TRIES
from somatui.agent.ground import UploadFailed
from somatui.agent.journal import Journal, JournalError
from somatui.agent.main import Agent
from somatui.agent.preview import preview
from somatui.agent.server import RpcError
from somatui.agent.vaulting import Vaulting
from somatui.agent.wallet_in_use import WalletInUse
from somatui.vault.base import VaultLocked
from tests.agent.cut import Rough, until
from tests.agent.world import KeptUploads, World, operator, world

pytestmark = pytest.mark.slow


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


async def active_model(made: World) -> str:
    """Publish, wait, reveal; the model's id. Targets are open afterwards."""
    model_id = str((await made.publish())["model_id"])
    await made.advance()
    await made.flows.act("reveal", {"model_id": model_id}, "reveal")
    await made.advance()
    return model_id


async def test_a_day_from_faucet_to_claim_is_in_the_books_to_the_shannon(one: World) -> None:
    model_id = await active_model(one)
    assert next(m for m in one.picture.models if m.id == model_id).state == "active"
    assert one.flows.labels() == {model_id: "first"} and one.flows.keys_at_hand() == {model_id}
    hits = [one.hit(n) for n in range(6)]
    done = await asyncio.gather(*(one.flows.act("submit", {"hit": h}, f"s{i}") for i, h in enumerate(hits)))
    assert {d["target_id"] for d in done} == {h["target_id"] for h in hits}
    assert await one.difference() == 0
    await one.advance(2)
    claimed = await one.flows.act("claim", {"target_ids": None}, "c")
    assert set(claimed["claimed"]) == {h["target_id"] for h in hits} and not claimed["not_claimed"]
    said = await one.flows.reconcile()
    assert said["difference_shannons"] == 0
    assert said["bonded_shannons"] == said["bonds_returned_shannons"] == sum(h["size"] * 65 for h in hits)
    assert said["earned_shannons"] == claimed["earned_shannons"] > 0
    ledger = one.ground.journal.ledger()
    assert (ledger.hits, ledger.claims, ledger.reveals) == (6, 6, 1)


async def test_the_same_key_is_the_same_act(one: World) -> None:
    calls = (one.publish(key) for key in ("k", "k", "another"))
    first, second, third = await asyncio.gather(*calls, return_exceptions=True)
    assert first == second == await one.publish("k")
    assert isinstance(third, ActRefused) and "being published already" in str(third), "one file was staked for twice"
    assert sum(m.mine for m in (await one.look()).models) == 1


async def test_the_models_key_is_in_the_vault_before_anything_is_uploaded(one: World) -> None:
    vault, ground, seen = one.ground.vault, one.ground, []
    assert vault is not None and isinstance(ground, KeptUploads)

    def away(key: bytes | None) -> None:
        assert [vault.get(n) for n in vault.names() if n.startswith("model-key/")] == [key]
        seen.append(key)
        raise UploadFailed("The store does not answer.")

    ground.before_upload = away
    with pytest.raises(ActRefused, match="store does not answer"):
        await one.publish("k")
    assert len(seen) > 1 and len(set(seen)) == 1


async def test_a_hit_that_came_while_the_vault_was_locked_is_submitted_once_it_is_open(one: World) -> None:
    agent, vault, hit = Agent(one.ground, WalletInUse(one.ground)), one.ground.vault, one.hit()
    await agent.watcher.look()
    assert vault is not None
    vault.lock()
    with pytest.raises(VaultLocked):
        await agent._submit("score-1", hit)
    agent._compose()
    assert [a.text for a in agent._picture.alerts if a.about == "hits"][0].startswith("1 hit waits for the vault")
    vault.unlock("practice")
    agent._go_on()
    await until(lambda: one.ground.journal.done("submit", str(hit["target_id"])) is not None)
    agent._compose()
    assert not any(a.about == "hits" for a in agent._picture.alerts)
    await agent.flows.close()


async def test_what_goes_on_beside_and_fails_is_in_the_log(one: World, caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise JournalError("The journal is held by another process: stop that one first.")

    Agent(one.ground, WalletInUse(one.ground))._aside(fails())
    await until(lambda: "held by another process" in caplog.text)


async def test_weights_that_changed_since_their_key_was_made_are_not_encrypted_with_it(one: World) -> None:
    path = one.weights()
    begun = one.ground.journal.begin("publish", "w", {"weights": str(path), "embedding": ""}, "k", 1)
    flow = one.flows._flows["publish"]
    keyed = await flow.step(begun)
    assert keyed.state == "keyed"
    path.write_bytes(b"other weights")
    ended = await flow.step(keyed)
    assert ended.state == "refused" and "have changed" in (ended.note or "")


async def test_a_commit_that_cannot_be_made_is_tried_until_it_can_and_the_create_is_not_repeated(one: World) -> None:
    line = Rough(one.ground.chain)
    one.ground.chain = line
    task = asyncio.ensure_future(one.publish("k"))
    journal = one.ground.journal
    await until(lambda: any(i.state == "create_signed" for i in journal.intents("publish")))
    line.simulating = ["away"] * 3
    done = await task
    assert done["commit_epoch"] == 0 and len(line.executed) == 2
    states = [s for s, _ in journal.events(journal.intents("publish")[0].id)]
    assert states.count("create_signed") == states.count("commit_signed") == 1 and states.count("created") > 1
    assert await one.difference() == 0
    with pytest.raises(RpcError, match="wait for their reveal"):
        await Vaulting(one.ground, lambda: None).remove(key_name(journal.intents("publish")[0].id))


async def test_a_reveal_too_early_or_too_late_is_refused_and_costs_nothing(one: World) -> None:
    model_id = str((await one.publish())["model_id"])
    free = one.ground.journal.expected_free_shannons()
    with pytest.raises(ActRefused, match="opens in epoch 1"):
        await one.flows.act("reveal", {"model_id": model_id}, "early")
    await one.advance(2)
    with pytest.raises(ActRefused, match="Nothing waits|was the only one"):
        await one.flows.act("reveal", {"model_id": model_id}, "late")
    assert one.ground.journal.expected_free_shannons() == free and await one.difference() == 0


@pytest.mark.parametrize("trouble", [JournalError("The disk is full: free some space."), ValueError("odd")])
async def test_a_reveal_that_meets_a_full_disk_or_a_defect_is_made_all_the_same_without_a_restart(
    one: World, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    model_id = str((await one.publish())["model_id"])
    await one.advance()
    enter, journal, left = Journal.enter, one.ground.journal, [3]

    def fails(kept: Journal, intent: str, state: str, *args: Any, **more: Any) -> Any:
        if left[0] and intent.startswith("reveal"):
            left[0] -= 1
            raise trouble
        return enter(kept, intent, state, *args, **more)

    monkeypatch.setattr(Journal, "enter", fails)
    async with asyncio.timeout(30):
        assert (await one.flows.act("reveal", {"model_id": model_id}, "r"))["digest"]
    states = [s for s, _ in journal.events(journal.intents("reveal")[0].id)]
    assert left == [0] and states.count("signed") == 1 and await one.difference() == 0


async def test_a_key_that_was_not_committed_is_never_sent(one: World) -> None:
    model_id = str((await one.publish())["model_id"])
    await one.advance()
    assert one.ground.vault is not None
    name = next(n for n in one.ground.vault.names() if n.startswith("model-key/"))
    one.ground.vault.set(name, b"x" * 32)
    line = Rough(one.ground.chain)
    one.ground.chain = line
    with pytest.raises(ActRefused, match="not those that were committed"):
        await one.flows.act("reveal", {"model_id": model_id}, "r")
    assert line.executed == []


async def test_a_locked_vault_signs_nothing_and_says_so(one: World) -> None:
    assert one.ground.vault is not None
    one.ground.vault.lock()
    with pytest.raises(VaultLocked):
        await one.publish("k")
    assert one.ground.journal.intents("publish") == ()


async def test_a_race_that_is_lost_costs_the_base_fee_and_ends_as_lost(one: World, tmp_path: Path) -> None:
    await active_model(one)
    hit = one.hit()
    async with operator(one.info, tmp_path / "rival") as rival:
        await rival.fund()
        line = Rough(one.ground.chain)
        line.before_execute = lambda: rival.flows.act("submit", {"hit": hit}, "faster")
        one.ground.chain = line
        with pytest.raises(ActLost, match="somebody was faster"):
            await one.flows.act("submit", {"hit": hit}, "slower")
        intent = one.ground.journal.intents("submit")[0]
        assert intent.state == "lost" and one.ground.journal.accounted(intent.digest)
        assert await one.difference() == 0 and await rival.difference() == 0
        with pytest.raises(ActRefused, match="somebody was faster"):
            await one.flows.act("submit", {"hit": hit}, "again")


async def test_a_target_that_expired_before_signing_is_refused_without_a_fee(one: World) -> None:
    await active_model(one)
    hit, fees = one.hit(), one.ground.journal.sums()["fee"]
    begun = await one.flows._flows["submit"].begin({"hit": hit}, "k")
    await one.advance()
    await one.flows.resume()
    ended = one.ground.journal.get(begun.id)
    assert ended.state == "refused" and "expired" in (ended.note or "")
    assert one.ground.journal.sums()["fee"] == fees


async def test_a_hit_waits_for_store_network_and_vault_and_only_until_its_target_is_over(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("somatui.agent.flows.run.MOST_PAUSE_S", 0.02)
    monkeypatch.setattr("somatui.agent.flows.run.FIRST_PAUSE_S", 0.01)
    await active_model(one)
    ground, tries = one.ground, [0]
    assert isinstance(ground, KeptUploads)

    def away(_key: bytes | None) -> None:
        tries[0] += 1
        raise UploadFailed("The store does not answer.")

    ground.before_upload = away
    first = asyncio.ensure_future(one.flows.act("submit", {"hit": one.hit(0)}, "first"))
    await until(lambda: tries[0] > 3 * TRIES)
    ground.before_upload = None
    line = Rough(ground.chain)
    line.simulating, ground.chain = ["away"] * 3 * TRIES, line
    assert (await first)["digest"] and line.simulating == []
    vault = ground.vault
    assert vault is not None
    ground.before_upload = lambda _: vault.lock()
    locked = asyncio.ensure_future(one.flows.act("submit", {"hit": one.hit(2)}, "locked"))
    await until(lambda: any("locked" in (i.note or "") for i in ground.journal.unfinished()))
    vault.unlock("practice")
    assert (await locked)["digest"]
    ground.before_upload = away
    late = asyncio.ensure_future(one.flows.act("submit", {"hit": one.hit(1)}, "late"))
    tries[0] = 0
    await until(lambda: tries[0] > 3 * TRIES)
    await one.advance()
    with pytest.raises(ActRefused, match="expired"):
        await late


async def test_the_operators_limits_refuse_a_hit(one: World) -> None:
    await active_model(one)
    threshold = next(t.threshold for t in one.picture.targets if t.status == "open")

    async def refused(match: str, **changes: object) -> None:
        with pytest.raises(ActRefused, match=match):
            await one.flows.act("submit", {"hit": one.hit(**changes)}, f"k-{match}")

    await refused("distance_margin", distance=threshold - 0.00001)
    await refused("exceeds the threshold", distance=threshold + 0.1)
    await refused("cannot be read", embedding="?")
    await refused("against this target's models", models=[])
    other = [m | {"weights_checksum": "other"} for m in one.hit()["models"]]
    await refused("other weights", models=other)
    one.ground.settings = replace(one.ground.settings, max_bond_ratio=0.001)
    await refused("max_bond_ratio")
    assert one.ground.journal.intents("submit") == ()


async def test_bytes_that_changed_since_they_were_scored_are_not_submitted(one: World) -> None:
    await active_model(one)
    hit = one.hit()
    Path(hit["path"]).write_bytes(b"other")
    with pytest.raises(ActRefused, match="have changed since"):
        await one.flows.act("submit", {"hit": hit}, "k")


async def test_the_pace_of_submissions_is_kept(one: World) -> None:
    await active_model(one)
    clock, wall = [one.ground.steady_ms()], one.ground.now_ms()
    one.ground.steady_ms = lambda: clock[0]
    one.ground.settings = replace(one.ground.settings, fill_pace_per_minute=2)
    tasks = [asyncio.ensure_future(one.flows.act("submit", {"hit": one.hit(n)}, f"s{n}")) for n in range(3)]
    await until(lambda: sum(t.done() for t in tasks) == 2)
    assert one.ground.journal.ledger().hits == 2
    for task in tasks:
        if not task.done():
            task.cancel()
    one.ground.now_ms = lambda: wall - 3_600_000
    await one.restart()
    assert [i.state for i in one.ground.journal.intents("submit")].count("done") == 2
    clock[0] += 60_001
    await one.flows.resume()
    assert one.ground.journal.ledger().hits == 3, "a clock that was set back holds submissions up"


async def test_a_hit_whose_target_went_while_it_waited_takes_no_turn_of_those_that_are_submitted(one: World) -> None:
    await active_model(one)
    one.ground.settings = replace(one.ground.settings, fill_pace_per_minute=1)
    late = await one.flows._flows["submit"].begin({"hit": one.hit()}, "late")
    await one.advance()
    await one.flows.resume()
    assert one.ground.journal.get(late.id).state == "refused"
    async with asyncio.timeout(20):
        assert (await one.flows.act("submit", {"hit": one.hit()}, "k"))["digest"]


async def test_money_that_somebody_elses_claim_brings_is_found_and_counted_once(one: World, tmp_path: Path) -> None:
    await active_model(one)
    hits = [one.hit(n) for n in range(2)]
    for number, hit in enumerate(hits):
        await one.flows.act("submit", {"hit": hit}, f"s{number}")
    await one.advance(2)
    async with operator(one.info, tmp_path / "rival") as rival:
        await rival.fund(1)
        done = await rival.flows.act("claim", {"target_ids": [h["target_id"] for h in hits]}, "c")
        assert len(done["claimed"]) == 2 and await rival.difference() == 0
    assert await one.difference() == 0
    sums = one.ground.journal.sums()
    assert sums["bond_returned"] == sums["bond"] and sums["earned"] > 0
    with pytest.raises(ActRefused, match="somebody else claimed"):
        await one.flows.act("claim", {"target_ids": [hits[0]["target_id"]]}, "c")
    await one.restart()
    assert await one.difference() == 0 and one.ground.journal.sums() == sums


async def test_a_claim_that_is_lost_ends_as_lost_and_its_money_is_counted(one: World, tmp_path: Path) -> None:
    await active_model(one)
    hit = one.hit()
    await one.flows.act("submit", {"hit": hit}, "s")
    await one.advance(2)
    async with operator(one.info, tmp_path / "rival") as rival:
        await rival.fund(1)
        line = Rough(one.ground.chain)
        line.before_execute = lambda: rival.flows.act("claim", {"target_ids": [hit["target_id"]]}, "c")
        one.ground.chain = line
        with pytest.raises(ActLost):
            await one.flows.act("claim", {"target_ids": [hit["target_id"]]}, "c")
    assert await one.difference() == 0
    assert one.ground.journal.sums()["bond_returned"] == hit["size"] * 65


async def test_a_faucet_that_was_asked_when_the_agent_died_counts_what_came_and_asks_no_second_time(one: World) -> None:
    begun = one.ground.journal.begin("faucet", one.ground.address, {}, "k", one.ground.now_ms())
    coins = await one.ground.chain.faucet(one.ground.address)
    await one.ground.chain.settled(coins[0].digest)
    await one.restart()
    await one.flows.resume()
    assert one.ground.journal.get(begun.id).state == "failed"
    assert one.ground.journal.sums()["received"] == 3 * 2_000_000_000 and await one.difference() == 0


async def test_many_submissions_share_few_coins_and_none_is_spent_twice(one: World) -> None:
    await active_model(one)
    line = Rough(one.ground.chain)
    one.ground.chain = line
    await asyncio.gather(*(one.flows.act("submit", {"hit": one.hit(n)}, f"s{n}") for n in range(20)))
    assert len(line.executed) == 20 == one.ground.journal.ledger().hits
    assert await one.difference() == 0


async def test_the_fee_that_a_preview_tells_is_the_fee_that_is_paid(one: World) -> None:
    asked = {"stake_shannons": 1_000_000_000, "commission_bps": 1_000}
    seen = await preview(one.ground, one.signer, "publish", asked)
    done = await one.publish()
    assert seen == {"fee_shannons": done["fees_shannons"], "error": None}
    await one.advance()
    await one.flows.act("reveal", {"model_id": done["model_id"]}, "r")
    await one.advance()
    assert await preview(one.ground, one.signer, "reveal", {"model_id": done["model_id"]}) is None
    hits = [one.hit(n) for n in range(2)]
    for number, hit in enumerate(hits):
        await one.flows.act("submit", {"hit": hit}, f"s{number}")
    await one.advance(2)
    seen = await preview(one.ground, one.signer, "claim", {"target_ids": None})
    claimed = await one.flows.act("claim", {"target_ids": None}, "c")
    assert seen == {"fee_shannons": claimed["fees_shannons"], "error": None}
    late = await preview(one.ground, one.signer, "claim", {"target_ids": [hits[0]["target_id"]]})
    assert late is not None and late["error"]


async def test_a_vault_locked_after_the_create_delays_the_commit_until_it_is_open(one: World) -> None:
    line, vault, journal = Rough(one.ground.chain), one.ground.vault, one.ground.journal
    assert vault is not None

    async def lock() -> None:
        vault.lock()

    line.before_execute = lock
    one.ground.chain = line
    task = asyncio.ensure_future(one.publish("k"))
    await until(lambda: any("locked" in (i.note or "") for i in journal.unfinished()))
    assert journal.unfinished()[0].state == "created" and len(line.executed) == 1
    vault.unlock("practice")
    assert (await task)["commit_epoch"] == 0 and len(line.executed) == 2


async def test_an_act_that_takes_too_long_names_its_digest_and_goes_on(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("somatui.agent.flows.run.ANSWER_LIMIT_S", 1.0)
    line = Rough(one.ground.chain)
    line.executing = ["away"] * 1_000
    one.ground.chain = line
    with pytest.raises(OutcomeUnknown) as unknown:
        await one.publish("k")
    intent = one.ground.journal.intents("publish")[0]
    assert intent.in_flight and unknown.value.digest == intent.digest
    line.executing = []
    await one.flows.resume()
    assert one.ground.journal.get(intent.id).state == "done" and await one.difference() == 0
