"""The signer: what a lost reply, a dead line, a refusal or a kill may and may not lead to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from soma_sdk import Keypair

from somatui.agent import books, signer, states
from somatui.agent.alerts import stranger_alerts
from somatui.agent.flows import ActRefused
from somatui.agent.journal import Intent, Journal
from somatui.chain import build
from somatui.domain.coins import NoCoin
from somatui.wire.hashes import blake2b256, derive_id
from somatui.wire.kinds import TransferObjects
from somatui.wire.text import b58decode32, b58encode, hex_id, parse_address
from somatui.wire.transaction import SignedTransaction, TransactionData
from tests.agent.cut import KillAt, Killed, Rough, until
from tests.agent.world import EMBEDDING, World, operator, world

pytestmark = pytest.mark.slow

ACTS = [(action, state) for action in ("publish", "reveal", "submit", "claim") for state in states.ORDER[action]]


@pytest.fixture
async def one(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        yield made


def rough(made: World) -> Rough:
    made.ground.chain = Rough(made.ground.chain)
    return made.ground.chain


async def test_a_reply_that_is_lost_is_looked_for_and_nothing_is_signed_twice(one: World) -> None:
    line = rough(one)
    line.executing = ["lost", "lost"]
    done = await one.publish()
    assert len(line.executed) == 2 and len(set(line.executed)) == 2
    assert done["commit_epoch"] == 0 and await one.difference() == 0


async def test_a_refusal_is_not_believed_while_nobody_says_whether_the_bytes_landed(one: World) -> None:
    line = rough(one)
    line.executing, line.finding = ["lost", "stale"], ["away"] * (1 + signer.LOOKS_AFTER_REFUSAL)
    await one.publish()
    events = [s for s, _ in one.ground.journal.events(one.ground.journal.intents("publish")[0].id)]
    assert events.count("create_signed") == 1, "a second stake was sent after the first"
    assert await one.difference() == 0


async def test_while_the_network_is_away_the_same_bytes_wait(one: World) -> None:
    line = rough(one)
    line.executing = ["away", "unsent", "away"]
    await one.publish()
    create = [b for b in line.executed if SignedTransaction.from_bytes(b).data.kind.__class__.__name__ == "CreateModel"]
    assert len(create) == 1 and sum(m.mine for m in (await one.look()).models) == 1
    events = [s for s, _ in one.ground.journal.events(one.ground.journal.intents("publish")[0].id)]
    assert events.count("create_signed") == 1 and await one.difference() == 0


async def test_what_is_signed_is_journalled_before_it_is_sent_and_the_digest_is_the_chains(one: World) -> None:
    line, journal = rough(one), one.ground.journal

    async def look() -> None:
        intent = journal.intents("publish")[0]
        assert intent.state == "create_signed" and intent.signed and intent.digest
        data = SignedTransaction.from_bytes(intent.signed).data
        assert b58encode(data.digest) == intent.digest
        assert intent.result["model_id"] == hex_id(derive_id(b58decode32(intent.digest), 0))

    line.before_execute = look
    done = await one.publish()
    assert line.before_execute is None and any(m.id == done["model_id"] for m in (await one.look()).models)
    assert journal.intents("publish")[0].signed is None


async def test_bytes_refused_for_good_are_signed_anew_with_the_coin_as_it_is(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else who has the key spends the coin: the first bytes can never land, so a second try is safe."""
    line, ground = rough(one), one.ground
    monkeypatch.setattr(books, "MOST_STRANGERS", 1)

    async def spend() -> None:
        line.before_execute = None
        for coin in await ground.chain.coins(ground.address):
            data = build.transfer(ground.address, coin, recipient=ground.address, amount_shannons=5)
            await line.settled((await line.execute(one.signer._signed(data))).digest)

    line.before_execute = spend
    done = await one.publish()
    states_seen = [s for s, _ in ground.journal.events(ground.journal.intents("publish")[0].id)]
    assert states_seen.count("create_signed") == 2 and done["commit_epoch"] == 0
    assert sum(m.mine for m in (await one.look()).models) == 1
    (alert,) = stranger_alerts(one.signer.books.strangers)
    assert alert.severity == "bad" and "not by this agent" in alert.text, "nobody was told of the other signer"


async def test_a_coin_that_somebody_hands_over_whole_is_money_and_no_alarm(one: World) -> None:
    chain, friend = one.ground.chain, Keypair.generate()
    for _ in range(2):
        for sent in await chain.faucet(friend.address()):
            await chain.settled(sent.digest, 10)
    pays, given = (await chain.coins(friend.address()))[:2]
    kind = TransferObjects((build.reference(given),), parse_address(one.ground.address))
    data = TransactionData(kind, parse_address(friend.address()), (build.reference(pays),))
    done = await chain.execute(bytes(friend.sign(data.to_bytes())))
    await chain.settled(done.digest, 10)
    await one.look()
    assert done.success and given.id in {c.id for c in one.signer.coins} and await one.difference() == 0
    assert one.signer.books.strangers == set()


async def test_a_refusal_for_no_known_reason_is_not_believed_at_once_and_never_while_a_try_may_still_land(
    one: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signer, "FIRST_PAUSE_S", 0.01)
    line, journal = rough(one), one.ground.journal

    async def creates(label: str, *executing: str) -> int:
        line.executing = list(executing)
        await one.publish(label, weights=str(one.weights(label)))
        seen = journal.events(journal.intents("publish")[-1].id)
        return [state for state, _ in seen].count("create_signed")

    assert await creates("first", "refused", "refused") == 1 and len(line.executed) == 2
    assert await creates("second", "away", *["refused"] * (signer.REFUSALS + 1)) == 1
    await one.fund(1)
    assert await creates("third", *["refused"] * signer.REFUSALS) == 2, "where no try may land, refusals are believed"
    assert await one.difference() == 0


async def test_a_coin_that_another_transaction_holds_is_done_without_until_the_epoch_ends(one: World) -> None:
    await one.publish()
    model_id = str((await one.publish("second", stake_shannons=1_000_000_000))["model_id"])
    await one.advance()
    line, before = rough(one), {c.id for c in one.signer.coins}
    payer = max((c for c in one.signer.coins if c.role == "working"), key=lambda c: c.balance_shannons).id
    line.executing = [f"locked {payer}"]
    await one.flows.act("reveal", {"model_id": model_id}, "r")
    await one.signer.refresh()
    assert {c.id for c in one.signer.coins} == before - {payer}
    await one.advance()
    await one.signer.refresh()
    assert {c.id for c in one.signer.coins} == before


async def test_without_a_coin_that_is_large_enough_nothing_is_signed(one: World) -> None:
    line = rough(one)
    with pytest.raises(ActRefused, match="No single coin holds"):
        await one.publish(stake_shannons=2_000_000_000)
    assert line.executed == []


async def test_a_transaction_that_would_fail_is_not_signed(one: World) -> None:
    intent = one.ground.journal.begin("reveal", "0x0", {}, "k", 1)
    coin_ids = {c.id for c in one.signer.coins}
    with pytest.raises(Exception, match="knows no such model|no such model"):
        await one.signer.send(
            intent,
            states.SIGNED,
            lambda coin, _: build.deactivate_model(one.ground.address, coin, model_id="0x" + "1" * 64),
            1_600,
        )
    assert one.ground.journal.get(intent.id).state == "planned" and one.signer.idle
    with pytest.raises(NoCoin):
        await one.signer.send(intent, states.SIGNED, lambda *_: None, 10**12)  # type: ignore[arg-type, return-value]
    assert {c.id for c in one.signer.coins} == coin_ids


async def test_coins_of_unfinished_transactions_stay_taken_after_a_restart(one: World) -> None:
    line = rough(one)
    line.executing = ["away"] * 1_000
    task = asyncio.ensure_future(one.publish())
    await until(lambda: any(i.in_flight for i in one.ground.journal.unfinished()))
    task.cancel()
    signed = one.ground.journal.unfinished()[0].signed
    assert signed is not None
    used = {hex_id(r.id) for r in SignedTransaction.from_bytes(signed).data.gas_payment}
    await one.restart()
    taken = one.signer._purse.take(1_000, one.picture.epoch.parameters, reveal_pending=False, reserved=True, sweep=True)
    assert taken is not None and not used & set(taken.ids)
    one.signer._release(taken.ids)
    line.executing = []
    await one.flows.resume()
    assert one.ground.journal.intents("publish")[0].state == "done" and await one.difference() == 0


async def test_money_from_another_wallet_is_received_once(one: World, tmp_path: Path) -> None:
    async with operator(one.info, tmp_path / "friend") as friend:
        await friend.fund(1)
        data = build.transfer(
            friend.ground.address, friend.signer.coins[0], recipient=one.ground.address, amount_shannons=12_345
        )
        effects = await friend.ground.chain.execute(friend.signer._signed(data))
        await one.ground.chain.settled(effects.digest)
    await one.look()
    assert one.ground.journal.sums()["received"] == 4_000_012_345
    await one.restart()
    assert one.ground.journal.sums()["received"] == 4_000_012_345 and await one.difference() == 0


async def test_a_fresh_journal_takes_what_the_wallet_holds_as_received(one: World) -> None:
    await one.publish()
    free = one.ground.journal.expected_free_shannons()
    one.ground.journal.close()
    for path in one.ground.paths.profile_dir.glob("journal.sqlite3*"):
        path.unlink()
    one.ground.journal = Journal.open(one.ground.paths.journal)
    await one.restart()
    assert await one.difference() == 0
    assert one.ground.journal.sums()["received"] == one.ground.journal.expected_free_shannons() == free


async def test_a_key_that_reached_the_vault_before_the_kill_is_the_key_that_is_used(one: World) -> None:
    args = {"weights": str(one.weights()), "embedding": EMBEDDING, "label": "first", "commission_bps": 1_000}
    intent = one.ground.journal.begin("publish", "first", args | {"stake_shannons": 10**9}, "k", one.ground.now_ms())
    assert one.ground.vault is not None
    one.ground.vault.set(f"model-key/{intent.id}", b"k" * 32)
    await one.flows.resume()
    ended = one.ground.journal.get(intent.id)
    assert ended.state == "done" and ended.result["key_commitment"] == b58encode(blake2b256(b"k" * 32))


class Acts:
    """Each act made ready, and how often its effect is on the chain."""

    def __init__(self, made: World) -> None:
        self.made = made
        self.args: dict[str, dict[str, object]] = {}

    async def prepare(self, action: str) -> None:
        """The chain in the state in which the act can be done."""
        made = self.made
        if action == "publish":
            return
        model_id = str((await made.publish("earlier"))["model_id"])
        await made.advance()
        self.args["reveal"] = {"model_id": model_id}
        if action == "reveal":
            return
        await made.flows.act("reveal", {"model_id": model_id}, "earlier-reveal")
        await made.advance()
        self.args["submit"] = {"hit": made.hit()}
        if action == "claim":
            done = await made.flows.act("submit", self.args["submit"], "earlier-submit")
            await made.advance(2)
            self.args["claim"] = {"target_ids": [done["target_id"]]}

    async def do(self, action: str) -> dict[str, object]:
        """The act itself, with one key."""
        if action == "publish":
            return await self.made.publish("the act")
        return await self.made.flows.act(action, self.args[action], "the act")

    async def count(self, action: str) -> int:
        """How often the chain shows its effect."""
        seen = await self.made.look()
        if action == "publish":
            return sum(m.mine and m.state == "pending" for m in seen.models)
        if action == "reveal":
            return sum(m.mine and m.state == "active" for m in seen.models)
        if action == "submit":
            return sum(t.mine for t in seen.targets)
        return sum(r["kind"] == "earned" for r in self.made.ground.journal.entries()) - sum(
            t.mine for t in seen.targets
        )


def the_intent(made: World, action: str) -> Intent:
    return next(i for i in made.ground.journal.intents(action) if i.key.startswith("the act"))


@pytest.mark.parametrize(("action", "state"), ACTS)
async def test_killed_in_any_state_an_act_is_done_exactly_once(one: World, action: str, state: str) -> None:
    acts = Acts(one)
    await acts.prepare(action)
    await one.restart(KillAt(action, state))
    with pytest.raises(Killed):
        await killed(one, acts.do(action))
    assert the_intent(one, action).state == state
    await one.restart()
    await one.flows.resume()
    assert the_intent(one, action).state == states.DONE
    assert await acts.count(action) == 1 and await one.difference() == 0
    await acts.do(action)
    assert await acts.count(action) == 1 and await one.difference() == 0


@pytest.mark.parametrize("action", ["publish", "reveal", "submit", "claim"])
async def test_killed_between_execution_and_journal_an_act_is_done_exactly_once(one: World, action: str) -> None:
    acts = Acts(one)
    await acts.prepare(action)
    line = rough(one)
    line.executing = ["killed"]
    with pytest.raises(Killed):
        await killed(one, acts.do(action))
    assert the_intent(one, action).in_flight
    await one.restart()
    await one.flows.resume()
    assert the_intent(one, action).state == states.DONE
    assert await acts.count(action) == 1 and await one.difference() == 0


async def killed(made: World, act: object) -> None:
    """Run an act and raise what killed its task, which `act` itself only sees as unfinished."""
    ended: list[BaseException] = []
    carry = made.flows._carry

    async def watched(intent: Intent) -> None:
        try:
            await carry(intent)
        except Killed as death:
            ended.append(death)
            raise

    made.flows._carry = watched  # type: ignore[method-assign]
    answer = await asyncio.gather(act, return_exceptions=True)  # type: ignore[call-overload]
    deaths = ended or [a for a in answer if isinstance(a, Killed)]
    if deaths:
        raise deaths[0]
