"""Random valid and invalid actions of several wallets over epochs; after each the books must balance."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from somatui.practice.ledger.epoch import change_epoch
from somatui.practice.ledger.genesis import address_of_key, key_of
from somatui.practice.ledger.values import Checkpoint, Refused
from somatui.practice.ledger.view import View
from somatui.wire import kinds as k
from somatui.wire.hashes import derive_id
from somatui.wire.objects import Object, Owner, Target
from tests.practice.ledgers import DAY, KEY, NOW, Wallet, commit, network, reveal, submit
from tests.practice.oracles import COIN, STAKE, TARGET, Life, Mirror, fee, held, supply, target_in

SOMA = 10**9
RUNS = int(os.environ.get("MODEL_RUNS", "6"))
WALLETS = st.integers(0, 2)
PICKS = st.integers(0, 30)
SHARES = st.sampled_from([None, 0, 1, 1000, 10**6, SOMA // 3, SOMA, 3 * SOMA, 2**63])


class Books(RuleBasedStateMachine):
    """Three operators, one validator and a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = network(Path(self.folder.name) / "ledger.sqlite3")
        self.mirror, self.now = Mirror(), NOW
        self.burnt = self.minted = 0
        self.lives = {i: Life(m.owner, 0, m.state, 0) for i, m in self.ledger.state.all_models().items()}
        self.gone: list[bytes] = []
        self.old: list[tuple[k.TransferCoin, int]] = []

    @initialize()
    def begin(self) -> None:
        self._follow(self.ledger.checkpoint(0))
        self.total = supply(self.ledger.state, self.mirror.objects)
        assert self.total == 5 * 300_000 * SOMA + 300_000 * SOMA + 20_000 * SOMA + 680_000 * SOMA
        self.wallets = [Wallet(self.ledger, seed, faucet=4) for seed in (1, 2, 3)]
        validator = Wallet(self.ledger, faucet=0)
        validator.key = Ed25519PrivateKey.from_private_bytes(key_of(1, "validator"))
        validator.address = address_of_key(key_of(1, "validator"))
        self.wallets.append(validator)
        self._catch_up()

    def _catch_up(self) -> None:
        self._follow(self.ledger.seal_checkpoint(self.now))

    def _follow(self, sealed: Checkpoint | None) -> None:
        for digest in sealed.digests if sealed else ():
            done = self.ledger.transaction(digest)
            assert done is not None
            self.mirror.follow(done)

    def coins(self, who: int) -> list[Object]:
        """A wallet's coins, richest first."""
        return self.mirror.owned(self.wallets[who].address, COIN)[::-1]

    def send(self, who: int, kind: k.Kind, gas: list[Object] | None = None) -> int | None:
        """Send, check fee and books; the failure's number, None for success, -1 when refused."""
        wallet, before = self.wallets[who], dict(self.mirror.objects)
        purse = gas or self.coins(who)[:1]
        if not purse:
            return -1
        state, rate = self.ledger.state, self.ledger.state.parameters.value_fee_bps
        fees = sum(state.epoch_fees)
        try:
            done = wallet.send(kind, purse)
        except Refused:
            assert self.ledger.state == state
            return -1
        charged = (done.effects.fee.base, done.effects.fee.operation, done.effects.fee.value)
        assert charged == fee(kind, [c.id for c in purse], before, rate, done)
        assert sum(self.ledger.state.epoch_fees) == fees + sum(charged)
        assert done.effects.epoch == self.epoch
        self._catch_up()
        return done.effects.error.kind if done.effects.error else None

    @property
    def epoch(self) -> int:
        """The current epoch."""
        return self.ledger.state.epoch

    def expect(self, found: int | None, wanted: int | None) -> bool:
        """Whether it went well; anything but the wanted answer, or gas that ran out, is an error."""
        assert found == wanted or found == 1, (found, wanted)
        return found is None

    @rule(who=WALLETS, pick=PICKS, gas=PICKS, amount=SHARES, to=WALLETS)
    def transfer(self, who: int, pick: int, gas: int, amount: int | None, to: int) -> None:
        coins = self.coins(who)
        if not coins:
            return
        coin, payer = coins[pick % len(coins)], coins[gas % len(coins)]
        before = self._balance(to)
        kind = k.TransferCoin(coin.ref, amount, self.wallets[to].address)
        found = self.send(who, kind, [payer])
        if amount == 0:
            assert found == -1
        elif found is None and to != who and (amount is not None or payer.id != coin.id):
            assert self._balance(to) - before == (held(coin) if amount is None else amount)
        if found is None:
            self.old.append((kind, who))

    def _balance(self, who: int) -> int:
        return sum(held(c) for c in self.mirror.owned(self.wallets[who].address, COIN))

    @rule(
        who=WALLETS, count=st.integers(1, 3), amounts=st.lists(SHARES.filter(bool), min_size=0, max_size=3), to=WALLETS
    )
    def pay(self, who: int, count: int, amounts: list[int], to: int) -> None:
        coins = self.coins(who)[:count]
        people = (self.wallets[to].address,) * max(len(amounts), 1)
        if coins:
            self.send(who, k.PayCoins(tuple(c.ref for c in coins), tuple(amounts) or None, people), coins[:1])

    @rule(who=WALLETS, count=st.integers(2, 6), to=WALLETS)
    def melt(self, who: int, count: int, to: int) -> None:
        coins, held_before = self.coins(who), self._balance(who)
        if len(coins) > 2:
            moved = coins[-1]
            found = self.send(who, k.TransferObjects((moved.ref,), self.wallets[to].address), coins[:-1][:count])
            if found is None and to != who:
                assert self._balance(who) == held_before - held(moved) - 1600

    @precondition(lambda self: self.old)
    @rule(pick=PICKS)
    def stale(self, pick: int) -> None:
        kind, who = self.old[pick % len(self.old)]
        assert self.send(who, kind) == -1

    @rule(who=WALLETS)
    def faucet(self, who: int) -> None:
        self.ledger.faucet(self.wallets[who].address, self.now)
        self._catch_up()

    @rule(who=WALLETS, pick=PICKS, amount=SHARES, model=st.booleans(), which=PICKS)
    def stake(self, who: int, pick: int, amount: int | None, model: bool, which: int) -> None:
        coins = self.coins(who)
        if not coins:
            return
        coin = coins[pick % len(coins)]
        chosen = sorted(self.lives)[which % len(self.lives)]
        validator = self.ledger.state.all_validators()[0].soma_address
        kind = k.AddStakeToModel(chosen, coin.ref, amount) if model else k.AddStake(validator, coin.ref, amount)
        found = self.send(who, kind, coins[:1])
        if model and (self.lives[chosen].state == "inactive" or self.lives[chosen].closed):
            self.expect(found, 26)

    @rule(who=WALLETS, pick=PICKS)
    def unstake(self, who: int, pick: int) -> None:
        stakes = self.mirror.owned(self.wallets[who].address, STAKE)
        if stakes:
            self.send(who, k.WithdrawStake(stakes[pick % len(stakes)].ref))

    @rule(who=WALLETS, stake=st.sampled_from([SOMA - 1, SOMA, 3 * SOMA // 2, 10 * SOMA]))
    def create(self, who: int, stake: int) -> None:
        purse = self.coins(who)[:2]
        if not purse:
            return
        data = self.wallets[who].signed(k.CreateModel(stake, 0, 1), purse).data
        value = stake * (self.ledger.state.parameters.value_fee_bps // 2) // 10_000
        rich = sum(held(c) for c in purse) >= 1000 + stake + value + 900
        wanted = 32 if stake < SOMA else None if rich else 14
        if self.expect(self.send(who, data.kind, purse), wanted):
            self.lives[derive_id(data.digest, 0)] = Life(self.wallets[who].address, self.epoch)

    def _own_model(self, pick: int) -> tuple[bytes, Life, int] | None:
        people = [w.address for w in self.wallets]
        mine = sorted(i for i, life in self.lives.items() if life.owner in people)
        if not mine:
            return None
        model_id = mine[pick % len(mine)]
        who = people.index(self.lives[model_id].owner)
        return (model_id, self.lives[model_id], who) if self._can_pay(who) else None

    def _can_pay(self, who: int) -> bool:
        return any(held(c) > 10**6 for c in self.coins(who)[:1])

    @rule(pick=PICKS, stranger=st.booleans())
    def commit(self, pick: int, stranger: bool) -> None:
        if (found := self._own_model(pick)) is None:
            return
        model_id, life, who = found
        if stranger:
            other = (who + 1) % 3
            if self._can_pay(other):
                self.expect(self.send(other, commit(model_id)), 12)
            return
        self.expect(self.send(who, commit(model_id)), life.commit(self.epoch))

    @rule(pick=PICKS, right=st.booleans())
    def reveal(self, pick: int, right: bool) -> None:
        if (found := self._own_model(pick)) is None:
            return
        model_id, life, who = found
        made = reveal(model_id)
        kind = made if right else k.RevealModel(model_id, KEY[::-1].replace(b"\x07", b"\x08"), made.embedding)
        self.expect(self.send(who, kind), life.reveal(self.epoch, right))

    @rule(pick=PICKS)
    def retire(self, pick: int) -> None:
        if (found := self._own_model(pick)) is None:
            return
        model_id, life, who = found
        if self.expect(self.send(who, k.DeactivateModel(model_id)), None if life.state == "active" else 13):
            life.state, life.closed = "inactive", True

    def _targets(self) -> list[tuple[bytes, Target]]:
        found = [(o.id, target_in(o.contents)) for o in self.mirror.objects.values() if o.type == TARGET]
        return sorted(found, key=lambda t: (t[1].filled is None, -t[1].generation_epoch, t[0]))

    @rule(who=WALLETS, pick=st.integers(0, 250), good=st.booleans(), size=st.sampled_from([1, 1000, 2 * 10**6]))
    def fill(self, who: int, pick: int, good: bool, size: int) -> None:
        targets = self._targets()
        if targets and self._can_pay(who):
            self._fill(who, *targets[pick % len(targets)], good, size)

    def _fill(self, who: int, target_id: bytes, target: Target, good: bool, size: int) -> bool:
        coin = self.coins(who)[0]
        found = self.send(who, submit(target_id, target, coin, size, 0.5 if good else 2.5), [coin])
        wanted = None
        if target.filled is not None:
            wanted = 35
        elif self.epoch > target.generation_epoch:
            wanted = 36
        elif not good:
            wanted = 42
        elif size > 2**20:
            wanted = 52
        elif held(coin) - 1000 < 65 * size:
            wanted = 43
        elif self.lives[target.model_ids[0]].state != "active":
            wanted = 13
        return self.expect(found, wanted)

    @rule(who=WALLETS, pick=st.integers(0, 250))
    def claim(self, who: int, pick: int) -> None:
        targets = self._targets()
        if targets and self._can_pay(who):
            self._claim(who, *targets[pick % len(targets)])

    def _claim(self, who: int, target_id: bytes, target: Target) -> None:
        done = target.filled
        if done is None:
            wanted = None if self.epoch > target.generation_epoch else 37
        else:
            wanted = None if self.epoch > done.epoch + 1 else 38
        if not self.expect(self.send(who, k.ClaimRewards(target_id)), wanted):
            return
        self.gone.append(target_id)
        if done is not None and target.reports:
            self.minted += target.reward * 50 // 10_000
        if self._can_pay(who):
            self.expect(self.send(who, k.ClaimRewards(target_id)), 21)

    @precondition(lambda self: self.gone)
    @rule(who=WALLETS, pick=PICKS)
    def claim_again(self, who: int, pick: int) -> None:
        assert self.send(who, k.ClaimRewards(self.gone[pick % len(self.gone)])) in (21, 1, -1)

    @rule(pick=st.integers(0, 60), stranger=st.booleans(), undo=st.booleans())
    def report_submission(self, pick: int, stranger: bool, undo: bool) -> None:
        targets = [t for t in self._targets() if t[1].filled] or self._targets()
        if targets and (not stranger or self._can_pay(0)):
            self._report(targets[pick % len(targets)][0], stranger, undo)

    def _report(self, target_id: bytes, stranger: bool, undo: bool) -> None:
        target = target_in(self.mirror.objects[target_id].contents)
        kind = k.UndoReportSubmission(target_id) if undo else k.ReportSubmission(target_id)
        found = self.send(0 if stranger else 3, kind)
        if stranger:
            self.expect(found, 8)
        elif target.filled is None:
            self.expect(found, 37)
        elif self.epoch != target.filled.epoch + 1:
            self.expect(found, 45)
        else:
            self.expect(found, 20 if undo and not target.reports else None)

    @rule(who=WALLETS, late=st.booleans(), update=st.booleans())
    def train(self, who: int, late: bool, update: bool) -> None:
        """From creation to reveal, in time or an epoch too late, perhaps with an update."""
        known = set(self.lives)
        self.create(who=who, stake=SOMA)
        for model_id in set(self.lives) - known:
            life = self.lives[model_id]
            for again in (False, True) if update else (False,):
                if self._can_pay(who):
                    self.expect(self.send(who, commit(model_id)), life.commit(self.epoch))
                    for _ in range(2 if late and again == update else 1):
                        self.advance(whole=False)
                    self.expect(self.send(who, reveal(model_id)), life.reveal(self.epoch, True))

    @rule(who=WALLETS, reports=st.lists(st.booleans(), max_size=3))
    def audit(self, who: int, reports: list[bool]) -> None:
        """From a fill through what the validator says of it to the claim."""
        fresh = [t for t in self._targets() if t[1].filled is None and t[1].generation_epoch == self.epoch]
        if not fresh or not self._can_pay(who) or not self._fill(who, *fresh[0], True, 1000):
            return
        self.advance(whole=False)
        for undo in reports:
            self._report(fresh[0][0], False, undo)
        self.advance(whole=True)
        if self._can_pay(who):
            self._claim(who, fresh[0][0], target_in(self.mirror.objects[fresh[0][0]].contents))

    @rule(pick=PICKS, undo=st.booleans())
    def report_model(self, pick: int, undo: bool) -> None:
        model_id = sorted(self.lives)[pick % len(self.lives)]
        known = model_id in self.ledger.state.model_reports
        kind = k.UndoReportModel(model_id) if undo else k.ReportModel(model_id)
        wanted = 13 if self.lives[model_id].state != "active" else 20 if undo and not known else None
        self.expect(self.send(3, kind), wanted)

    @rule(whole=st.booleans())
    def advance(self, whole: bool) -> None:
        self.now += DAY if whole else 1
        state = self.ledger.state
        for model_id, life in self.lives.items():
            pool = state.all_models()[model_id].staking_pool
            rate = life.age(state.epoch + 1, bool(state.model_reports.get(model_id)))
            self.burnt += pool.soma_balance * rate // 10_000
        assert self.ledger.advance_epoch(self.now) == state.epoch + 1
        self._catch_up()

    @invariant()
    def money_is_only_burnt_by_slashes(self) -> None:
        now = supply(self.ledger.state, self.mirror.objects)
        assert now == self.total - self.burnt + self.minted

    @invariant()
    def models_live_by_their_deadlines(self) -> None:
        assert {i: life.state for i, life in self.lives.items()} == {
            i: m.state for i, m in self.ledger.state.all_models().items()
        }

    @invariant()
    def listings_show_each_object_once(self) -> None:
        self.mirror.agrees(self.ledger, [w.address for w in self.wallets])

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()


def run(examples: int, steps: int, **more: Any) -> None:
    """The machine, so many times for so many steps."""
    quiet = settings(deadline=None, suppress_health_check=list(HealthCheck), **more)
    run_state_machine_as_test(Books, settings=settings(quiet, max_examples=examples, stateful_step_count=steps))


@pytest.mark.slow
@pytest.mark.timeout(50 * RUNS)
def test_the_books_balance_whatever_operators_do() -> None:
    run(RUNS, 40)


def broken_coin(view: View, owner: bytes, amount: int) -> None:
    if amount > 0:
        view.create(COIN, (amount + 1).to_bytes(8, "little"), Owner(owner))


def broken_change(view: View, now_ms: int) -> None:
    change_epoch(view, now_ms)
    for model_id in view.state.all_models():
        view.state.models[model_id].state = "inactive"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "wrong"),
    [
        ("somatui.practice.ledger.view.View.create_coin", broken_coin),
        ("somatui.practice.ledger.ledger.change_epoch", broken_change),
    ],
)
def test_a_ledger_that_errs_is_found_out(monkeypatch: pytest.MonkeyPatch, place: str, wrong: object) -> None:
    monkeypatch.setattr(place, wrong)
    with pytest.raises(AssertionError):
        run(5, 30, phases=[Phase.generate], database=None, print_blob=False)
