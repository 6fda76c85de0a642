"""Stakes on validators and models: what the real node was recorded paying, and what is refused."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from somatui.practice.ledger import pools
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.state import StakingPool
from somatui.practice.ledger.values import Executed, Refused
from somatui.practice.messages import pb
from somatui.wire.hashes import derive_id
from somatui.wire.kinds import (
    AddStake,
    AddStakeToModel,
    CreateModel,
    PayCoins,
    TransferCoin,
    TransferObjects,
    WithdrawStake,
)
from somatui.wire.objects import ObjectType, StakedSoma, parse_coin
from somatui.wire.values import ObjectRef
from tests.practice.ledgers import DAY, NOW, OTHER, SOMA, Wallet, failure, fees
from tests.recordings import lines


def made(ledger: Ledger, done: Executed) -> ObjectRef:
    found = ledger.get_object(derive_id(done.digest, 0))
    assert found is not None
    return found.ref


def pool_of(message: Any) -> StakingPool:
    names = ("soma_balance", "rewards_pool", "pool_token_balance", "pending_stake", "pending_total_soma_withdraw",
             "pending_pool_token_withdraw")  # fmt: skip
    rates = {e: (r.soma_amount, r.pool_token_amount) for e, r in message.exchange_rates.items()}
    return StakingPool(bytes(32), message.activation_epoch, **{n: getattr(message, n) for n in names},
                       exchange_rates=rates)  # fmt: skip


@pytest.mark.parametrize(("name", "step"), [("day", 116), ("day", 157), ("random", 38), ("clock", 30)])
def test_a_recorded_withdrawal_pays_what_the_pool_s_rates_say(name: str, step: int) -> None:
    replies: dict[str, Any] = {}
    for line in lines(name):
        if str(line.get("step")) in (str(step), f"{step}-before") and line.get("response"):
            replies.setdefault(line["rpc"].split("/")[-1], base64.b64decode(line["response"]))
    state = pb.GetEpochResponse.FromString(replies["GetEpoch"]).epoch.system_state
    staked = StakedSoma.from_bytes(pb.GetObjectResponse.FromString(replies["GetObject"]).object.contents)
    done = pb.ExecuteTransactionResponse.FromString(replies["ExecuteTransaction"]).transaction
    (change,) = done.balance_changes
    pool = pool_of(state.validators.validators[0].staking_pool)
    paid = pools.withdraw(pool, staked.activation_epoch, staked.principal, state.epoch)
    assert int(change.amount) == paid - done.effects.fee.total_fee
    assert (paid > staked.principal) == (name == "clock")
    rate = state.parameters.value_fee_bps // 2
    assert done.effects.fee.value_fee == staked.principal * rate // 10_000
    for line in lines(name):
        if line.get("step") == f"{step + 1}-before" and line["rpc"].endswith("GetEpoch"):
            after = pb.GetEpochResponse.FromString(base64.b64decode(line["response"])).epoch
            if after.epoch == state.epoch:
                assert pool == pool_of(after.system_state.validators.validators[0].staking_pool)


def test_a_validator_s_stake_earns_from_the_next_epoch_on(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=3)
    validator = ledger.state.validators[0].soma_address
    rich, other = wallet.coins()[:2]
    staked = wallet.send(AddStake(validator, rich.ref, SOMA), [other])
    assert fees(staked) == (1000, 1200, 500_000)
    assert ledger.state.validators[0].staking_pool.pending_stake == SOMA
    assert ledger.state.validators[0].next_epoch_stake == 20_001 * SOMA
    ref = made(ledger, staked)
    ledger.advance_epoch(NOW)
    ledger.advance_epoch(NOW + DAY)
    pool = ledger.state.validators[0].staking_pool
    before = ledger.balance(wallet.address)
    back = wallet.send(WithdrawStake(ref))
    rate = ledger.state.parameters.value_fee_bps // 2
    assert fees(back) == (1000, 900, SOMA * rate // 10_000)
    earned = ledger.balance(wallet.address) - before + back.effects.fee.total - SOMA
    soma, tokens = pool.exchange_rates[1]
    assert earned == (SOMA * tokens // soma) * pool.soma_balance // pool.pool_token_balance - SOMA > 0
    assert ledger.state.validators[0].staking_pool.pending_total_soma_withdraw == SOMA + earned
    assert ledger.get_object(ref.id) is None
    ledger.advance_epoch(NOW + DAY)
    kept = ledger.state.validators[0].staking_pool
    assert kept.pending_total_soma_withdraw == kept.pending_pool_token_withdraw == 0
    assert ledger.state.validators[0].next_epoch_stake == kept.soma_balance


def test_a_whole_coin_is_staked_without_what_the_fees_take(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=2)
    validator = ledger.state.validators[0].soma_address
    gas, whole = wallet.coins()
    done = wallet.send(AddStake(validator, whole.ref, None), [gas])
    assert fees(done) == (1000, 900, 1_000_000)
    assert ledger.get_object(whole.id) is None
    (gas,) = wallet.coins()
    held = parse_coin(gas.contents)
    done = wallet.send(AddStake(validator, gas.ref, None), [gas])
    fee = held * 5 // 10_000
    assert fees(done) == (1000, 900, fee)
    assert not wallet.coins()
    stakes = ledger.owned(wallet.address, ObjectType.STAKED_SOMA, 9, None)[0]
    assert sorted(StakedSoma.from_bytes(s.contents).principal for s in stakes) == [held - 1900 - fee, 2 * SOMA]


def test_bad_stakes_fail_with_the_chain_s_reasons(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=2)
    validator = ledger.state.validators[0].soma_address
    assert failure(wallet.send(AddStake(OTHER, wallet.coins()[0].ref, 5))) == 16
    zero = wallet.send(AddStake(validator, wallet.coins()[0].ref, 0))
    assert failure(zero) == 6 and zero.effects.error is not None
    assert zero.effects.error.other_error == "reason=Stake amount cannot be 0!"
    gas, other = wallet.coins()
    assert failure(wallet.send(AddStake(validator, other.ref, 3 * SOMA), [gas])) == 14
    gas = wallet.coins()[0]
    assert failure(wallet.send(AddStake(validator, gas.ref, parse_coin(gas.contents) - 5), [gas])) == 14
    gas, other = wallet.coins()
    assert failure(wallet.send(WithdrawStake(other.ref), [gas])) == 4


def test_withdrawals_that_would_stop_the_real_network_are_refused_with_the_reason(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=4)
    created = wallet.send(CreateModel(SOMA, 0, 1))
    stake = ledger.get_object(derive_id(created.digest, 2))
    assert stake is not None
    before = ledger.balance(wallet.address)
    with pytest.raises(Refused, match="counted at once"):
        wallet.send(WithdrawStake(stake.ref))
    ledger.advance_epoch(NOW)
    with pytest.raises(Refused, match="not revealed"):
        wallet.send(WithdrawStake(stake.ref))
    ledger.advance_epoch(NOW)
    with pytest.raises(Refused, match="it was slashed"):
        wallet.send(WithdrawStake(stake.ref))
    assert ledger.balance(wallet.address) == before


def test_a_stake_on_an_active_model_comes_back_whole(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=3)
    model_id = ledger.state.active_models()[0][0]
    total = ledger.state.total_model_stake
    gas, coin = wallet.coins()[:2]
    staked = wallet.send(AddStakeToModel(model_id, coin.ref, SOMA), [gas])
    assert ledger.state.total_model_stake == total + SOMA
    back = wallet.send(WithdrawStake(made(ledger, staked)))
    assert (fees(back)[:2], ledger.state.total_model_stake) == ((1000, 900), total)
    gas, coin = wallet.coins()[:2]
    staked = wallet.send(AddStakeToModel(model_id, coin.ref, SOMA), [gas])
    ledger.advance_epoch(NOW)
    before = ledger.balance(wallet.address)
    back = wallet.send(WithdrawStake(made(ledger, staked)))
    assert ledger.balance(wallet.address) - before == SOMA - back.effects.fee.total


def test_paying_everything_needs_no_amounts(ledger: Ledger) -> None:
    wallet = Wallet(ledger, faucet=4)
    gas, *others = wallet.coins()
    refs = tuple(c.ref for c in others[:2])
    assert failure(wallet.send(PayCoins(refs, None, (OTHER, wallet.address)), [gas])) == 6
    gas, *others = wallet.coins()
    refs = tuple(c.ref for c in others[:2])
    paid = wallet.send(PayCoins(refs, None, (OTHER,)), [gas])
    assert fees(paid)[:2] == (1000, 600)
    held = sum(parse_coin(c.contents) for c in others[:2])
    assert ledger.balance(OTHER) == held and fees(paid)[2] == held * 10 // 10_000
    left = wallet.coins()
    before = ledger.balance(wallet.address)
    paid = wallet.send(PayCoins(tuple(c.ref for c in left), None, (OTHER,)), left[:1])
    assert fees(paid) == (1000, 600, before * 10 // 10_000)
    assert ledger.balance(wallet.address) == 0
    assert ledger.balance(OTHER) == held + before - paid.effects.fee.total


def test_a_stake_can_be_handed_over_and_its_new_owner_withdraws(ledger: Ledger) -> None:
    wallet, other = Wallet(ledger, 1, faucet=2), Wallet(ledger, 2, faucet=1)
    validator = ledger.state.validators[0].soma_address
    gas, coin = wallet.coins()
    staked = wallet.send(AddStake(validator, coin.ref, SOMA), [gas])
    wallet.send(TransferObjects((made(ledger, staked),), other.address))
    back = other.send(WithdrawStake(made(ledger, staked)))
    assert back.effects.success and ledger.balance(other.address) == 3 * SOMA - back.effects.fee.total
    sent = other.send(TransferCoin(other.coins()[0].ref, 5, wallet.address))
    assert sent.effects.success
