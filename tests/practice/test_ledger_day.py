"""An operator's day on the ledger, exact to the shannon, and what it refuses."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import LedgerError, Refused
from somatui.wire.hashes import derive_id
from somatui.wire.kinds import (
    AddStakeToModel,
    ClaimRewards,
    CreateModel,
    DeactivateModel,
    PayCoins,
    TransferCoin,
    TransferObjects,
)
from somatui.wire.objects import Target, parse_coin
from somatui.wire.text import b58encode
from somatui.wire.values import ObjectRef, Tensor
from tests.practice.ledgers import DAY, NOW, OTHER, SOMA, Wallet, commit, failure, fees, network, reveal, submit


def open_target(ledger: Ledger) -> tuple[bytes, Target]:
    found, target = ledger.targets("open", None, None, 1, None)[0][0]
    return found.id, target


def test_a_day_pays_what_the_rules_say(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=2)
    created = wallet.send(CreateModel(SOMA, 1000, 1))
    assert fees(created) == (1000, 900, 500_000)
    model_id = derive_id(created.digest, 0)
    assert fees(wallet.send(commit(model_id))) == (1000, 600, 0)
    assert failure(wallet.send(reveal(model_id))) == 27
    ledger.advance_epoch(NOW)
    assert fees(wallet.send(reveal(model_id))) == (1000, 600, 0)
    assert ledger.state.models[model_id].state == "active"

    target_id, target = open_target(ledger)
    coin = wallet.coins()[0]
    filled = wallet.send(submit(target_id, target, coin), [coin])
    assert fees(filled) == (1000, 1200, 0)
    assert filled.balance_changes == [(wallet.address, -65_000 - 2200)]
    assert ledger.get_target(derive_id(filled.digest, 2)) is not None
    assert failure(wallet.send(submit(target_id, target, wallet.coins()[0]))) == 35

    ledger.advance_epoch(NOW)
    assert failure(wallet.send(ClaimRewards(target_id))) == 38
    ledger.advance_epoch(NOW)
    before = ledger.balance(wallet.address)
    claimed = wallet.send(ClaimRewards(target_id))
    half = ledger.state.parameters.value_fee_bps // 2
    assert fees(claimed) == (1000, 1800, target.reward * half // 10_000)
    share = target.reward - target.reward * 4975 // 10_000
    assert ledger.balance(wallet.address) - before == share + 65_000 - claimed.effects.fee.total
    assert failure(wallet.send(ClaimRewards(target_id))) == 21
    ledger.advance_epoch(NOW)
    with pytest.raises(Refused, match="Could not find the referenced object"):
        wallet.send(ClaimRewards(target_id))


def target_of_a_model_that_left(ledger: Ledger, owner: Wallet) -> tuple[bytes, Target]:
    """A target's id, and the target as one that lists this model alone, which is gone since."""
    model_id = derive_id(owner.send(CreateModel(SOMA, 1000, 1)).digest, 0)
    owner.send(commit(model_id))
    ledger.advance_epoch(NOW)
    owner.send(reveal(model_id))
    ledger.advance_epoch(NOW)
    rows, _ = ledger.targets("open", None, None, 1000, None)
    target_id, target = next((one.id, t) for one, t in rows if model_id in t.model_ids)
    owner.send(DeactivateModel(model_id))
    return target_id, replace(target, model_ids=(model_id,))


def test_a_bond_for_a_model_that_left_is_reported_as_gone_and_held_until_the_epoch_ends(ledger: Ledger) -> None:
    """protocol.md 8, item 5a, word for word as recorded."""
    wallet, owner = Wallet(ledger, faucet=3), Wallet(ledger, seed=2, faucet=2)
    target_id, target = target_of_a_model_that_left(ledger, owner)
    rich, gas, other = wallet.coins()
    lost = wallet.send(submit(target_id, target, rich), [gas])
    assert failure(lost) == 13
    (change,) = [c for c in lost.effects.changed if c.id == rich.id]
    assert (change.output, change.operation) == (None, "none")
    assert lost.balance_changes == [(wallet.address, -2 * SOMA - 1000)]
    assert rich in wallet.coins() and ledger.get_object(rich.id) == rich
    held = rf"more than 1/3 .*already locked by a different transaction: TransactionDigest\({b58encode(lost.digest)}\)"
    with pytest.raises(Refused, match=held) as refused:
        wallet.send(TransferCoin(rich.ref, SOMA, OTHER), [other])
    assert refused.value.code == "FAILED_PRECONDITION"
    with pytest.raises(Refused, match="already locked"):
        wallet.send(CreateModel(SOMA, 1000, 1), [rich])
    assert ledger.simulate(wallet.signed(CreateModel(SOMA, 1000, 1), [rich]).data, NOW).effects.error is None
    ledger.advance_epoch(NOW)
    assert wallet.send(CreateModel(SOMA, 1000, 1), [rich]).effects.error is None


def test_a_bond_that_pays_the_gas_too_is_written_and_not_held(ledger: Ledger) -> None:
    wallet, owner = Wallet(ledger, faucet=1), Wallet(ledger, seed=2, faucet=2)
    target_id, target = target_of_a_model_that_left(ledger, owner)
    assert failure(wallet.send(submit(target_id, target, wallet.coins()[0]))) == 13
    assert wallet.send(TransferCoin(wallet.coins()[0].ref, SOMA, OTHER)).effects.error is None


def test_an_upgrade_begins_an_epoch_with_the_next_versions_and_old_architectures_are_refused(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=3)
    model_id = derive_id(wallet.send(CreateModel(SOMA, 1000, 1)).digest, 0)
    wallet.send(commit(model_id))
    assert ledger.advance_epoch(NOW, upgrading=True) == 1
    assert (ledger.state.protocol_version, ledger.state.parameters.model_architecture_version) == (6, 2)
    assert failure(wallet.send(CreateModel(SOMA, 1000, 1))) == 30
    assert wallet.send(reveal(model_id)).effects.error is None
    assert wallet.send(CreateModel(SOMA, 1000, 2)).effects.error is None
    ledger.advance_epoch(NOW)
    assert ledger.state.protocol_version == 6


def test_an_expired_target_pays_the_claimer_s_share_to_anybody(ledger: Ledger) -> None:
    ledger.advance_epoch(NOW)
    target_id, target = open_target(ledger)
    ledger.advance_epoch(NOW)
    wallet = Wallet(ledger, faucet=1)
    claimed = wallet.send(ClaimRewards(target_id))
    assert target.reward == 12_685_185
    assert claimed.balance_changes == [(wallet.address, 63_425 - claimed.effects.fee.total)]


def test_coins_split_merge_and_move(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=3)
    assert fees(wallet.send(TransferCoin(wallet.coins()[0].ref, SOMA, OTHER))) == (1000, 600, SOMA // 1000)
    coins = wallet.coins()
    paid = wallet.send(PayCoins(tuple(c.ref for c in coins), (5, 7), (OTHER, OTHER)), coins[:1])
    assert fees(paid) == (1000, 900, 0)
    assert [parse_coin(ledger.get_object(derive_id(paid.digest, n)).contents) for n in (0, 1)] == [5, 7]  # type: ignore[union-attr]
    assert len(wallet.coins()) == 1
    ledger.faucet(wallet.address, NOW)
    rich, poor = wallet.coins()
    melted = wallet.send(TransferCoin(rich.ref, 1, OTHER), [rich, poor])
    assert fees(melted) == (1000, 600, 0)
    ledger.faucet(wallet.address, NOW)
    moved = wallet.send(TransferObjects((wallet.coins()[1].ref,), OTHER))
    assert fees(moved) == (1000, 600, 0)
    changes = dict(melted.balance_changes)
    assert changes[OTHER] == 1 and sum(changes.values()) == -1600


def test_the_same_transaction_again_gets_the_first_answer(ledger: Ledger) -> None:
    wallet = Wallet(ledger)
    signed = wallet.signed(TransferCoin(wallet.coins()[0].ref, 5, OTHER))
    assert ledger.simulate(signed.data, NOW).effects.fee == ledger.execute(signed, NOW).effects.fee
    ledger.seal_checkpoint(NOW)
    again = ledger.execute(signed, NOW + 9)
    assert again.checkpoint == 1 and again == ledger.transaction(signed.data.digest)
    assert ledger.balance(OTHER) == 5


def test_inputs_that_are_stale_unknown_foreign_or_wrong_are_refused_without_a_fee(ledger: Ledger) -> None:
    wallet, stranger = Wallet(ledger), Wallet(ledger, 2)
    coin = wallet.coins()[0]
    wallet.send(TransferCoin(coin.ref, 5, OTHER), [coin])
    before = ledger.balance(wallet.address)
    good = wallet.coins()[1]
    for wrong, words in (
        (coin.ref, "is not available for consumption, its current version: Version"),
        (ObjectRef(OTHER, 1, OTHER), "Could not find the referenced object"),
        (stranger.coins()[0].ref, "not signed by the correct sender"),
        (ObjectRef(good.id, good.version, OTHER), "Invalid Object digest"),
    ):
        with pytest.raises(Refused, match=words):
            wallet.send(TransferCoin(wrong, 5, OTHER), [good])
    for kind, words in (
        (TransferCoin(good.ref, 0, OTHER), "coin of zero"),
        (reveal(OTHER, Tensor.of([1.0])), "The embedding has 1 numbers"),
        (PayCoins((good.ref, good.ref), (1,), (OTHER,)), "Duplicate object ref"),
    ):
        with pytest.raises(Refused, match=words):
            wallet.send(kind, [good])
    forged = wallet.signed(TransferCoin(good.ref, 5, OTHER), [good])
    other = stranger.signed(TransferCoin(stranger.coins()[0].ref, 5, OTHER))
    with pytest.raises(Refused, match="Invalid signature"):
        ledger.execute(type(forged)(forged.data, other.signature), NOW)
    assert ledger.balance(wallet.address) == before


def test_a_missed_commit_and_a_missed_reveal_are_slashed(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=4)
    ids = []
    for _ in range(2):
        ids.append(derive_id(wallet.send(CreateModel(SOMA, 0, 1)).digest, 0))
    wallet.send(commit(ids[1]))
    ledger.advance_epoch(NOW)
    ledger.advance_epoch(NOW)
    never, late = (ledger.state.models[i] for i in ids)
    assert (never.state, never.staking_pool.soma_balance) == ("created", SOMA // 2)
    assert (late.state, late.staking_pool.soma_balance) == ("inactive", SOMA // 2)
    assert failure(wallet.send(AddStakeToModel(ids[0], wallet.coins()[1].ref, 5))) == 26
    ledger.advance_epoch(NOW)
    assert ledger.state.models[ids[0]].staking_pool.soma_balance == SOMA // 4


def test_a_model_that_left_fails_the_submission_and_keeps_the_bond(ledger: Ledger) -> None:
    owner = Wallet(ledger, faucet=2)
    model_id = derive_id(owner.send(CreateModel(SOMA, 0, 1)).digest, 0)
    owner.send(commit(model_id))
    ledger.advance_epoch(NOW)
    owner.send(reveal(model_id))
    ledger.advance_epoch(NOW)
    owner.send(DeactivateModel(model_id))
    page = ledger.targets("open", None, None, 100, None)[0]
    found, target = next((o, t) for o, t in page if model_id in t.model_ids)
    kind = submit(found.id, target, owner.coins()[0])
    wrong = type(kind)(
        kind.target_id, kind.manifest, model_id, kind.embedding, kind.distance, kind.loss, kind.bond_coin
    )
    assert failure(owner.send(wrong)) == 13


def test_a_whole_epoch_emits_and_a_short_one_does_not(ledger: Ledger) -> None:
    ledger.advance_epoch(NOW + 1)
    short = ledger.state.emission_pool.balance
    validator = ledger.state.validators[0].staking_pool
    assert validator.soma_balance == 20_000 * SOMA
    ledger.advance_epoch(NOW + 1 + DAY)
    assert short - ledger.state.emission_pool.balance == 959 * SOMA + 100 * 12_685_185
    assert (validator := ledger.state.validators[0].staking_pool).soma_balance == 20_959 * SOMA
    assert (validator.rewards_pool, validator.pool_token_balance) == (939_820_000_000, 20_018_319_164_157)
    assert ledger.state.parameters.value_fee_bps == 8


def test_a_second_opener_and_a_newer_file_are_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    ledger = network(path)
    with pytest.raises(LedgerError, match="Another practice network uses"):
        Ledger.open(path)
    ledger.close()
    with sqlite3.connect(path) as sql:
        sql.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    with pytest.raises(LedgerError, match="schema 99"):
        Ledger.open(path)


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    network(path).close()
    script = (
        "import os, sys; from pathlib import Path; from somatui.practice.ledger.ledger import Ledger\n"
        "ledger = Ledger.open(Path(sys.argv[1]))\n"
        "for n in range(40): print(ledger.faucet(b'\\x44' * 32, n)[0][2].hex(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, env=dict(os.environ)
    )
    answered = done.stdout.split()
    assert done.returncode == -9 and len(answered) == 40
    ledger = Ledger.open(path)
    assert all(ledger.transaction(bytes.fromhex(d)) for d in answered)
    assert ledger.balance(OTHER) == 80 * SOMA
    ledger.close()
