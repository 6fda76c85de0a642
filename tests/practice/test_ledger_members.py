"""Validators: who joins, leaves and reports, and what becomes of it when the epoch changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from somatui.practice.codec.state import state_out
from somatui.practice.ledger import points
from somatui.practice.ledger.committee import share_power
from somatui.practice.ledger.epoch import enter_safe_mode
from somatui.practice.ledger.execute import RULES
from somatui.practice.ledger.genesis import G1_GENERATOR, G2_GENERATOR, address_of_key, key_of
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import Checkpoint, ExecError, Executed, Refused
from somatui.wire import kinds as k
from somatui.wire.bcs import Writer
from somatui.wire.hashes import derive_id
from somatui.wire.objects import ObjectType, StakedSoma, Target
from tests.practice.ledgers import DAY, NOW, Wallet, submit
from tests.practice.oracles import Mirror, supply

SOMA = 10**9
KEYS = [
    bytes.fromhex(
        "8a4edef9c1ed7f729f520e47730a124fd70662a904ba1074728114d1031e1572"  # pragma: allowlist secret
        "c6c886f6b57ec72a6178288c47c335771638533957d540a9d2370f17cc7ed586"  # pragma: allowlist secret
        "3bc0b995b8825e0ee1ea1e1e4d00dbae81f14b0bf3611b78c952aacab827a053"  # pragma: allowlist secret
    ),
    bytes.fromhex(
        "a9380275bbc8e5dcea7dc4dd7e0550ff2ac480905396eda55062650f8d251c96"  # pragma: allowlist secret
        "eb480673937cc6d9d6a44aaa56ca66dc122915c824a0857e2ee414a3dccb23ae"  # pragma: allowlist secret
        "691ae54329781315a0c75df1c04d6d7a50a030fc866f09d516020ef82324afae"  # pragma: allowlist secret
    ),
]


def first(ledger: Ledger) -> Wallet:
    """The validator that a network begins with."""
    wallet = Wallet(ledger, faucet=0)
    wallet.key = Ed25519PrivateKey.from_private_bytes(key_of(1, "validator"))
    wallet.address = address_of_key(key_of(1, "validator"))
    return wallet


def text(words: str) -> bytes:
    return Writer().text(words).done()


def public(seed: int) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32).public_key().public_bytes_raw()


def joining(number: int) -> k.AddValidator:
    where = [text(f"/ip4/127.0.0.1/tcp/{9000 + 10 * number + n}/http") for n in range(4)]
    return k.AddValidator(KEYS[number], public(100 + number), public(110 + number), G1_GENERATOR, *where)


def joined(ledger: Ledger, stake: int, seed: int = 5, number: int = 0) -> Wallet:
    """A second validator, staked by the first, active from the next epoch on."""
    wallet, old = Wallet(ledger, seed, faucet=2), first(ledger)
    done = wallet.send(joining(number))
    assert done.effects.success and done.effects.fee.total == 1600
    assert old.send(k.AddStake(wallet.address, old.coins()[0].ref, stake)).effects.success
    assert ledger.state.pending_validators[0].staking_pool.soma_balance == stake
    ledger.advance_epoch(NOW)
    return wallet


def error(done: Executed) -> ExecError:
    assert done.effects.error is not None and done.effects.fee.total == 1000
    return done.effects.error


def test_every_kind_an_operator_sends_has_a_rule() -> None:
    assert set(RULES) == set(k.BY_NUMBER.values())


def test_a_validator_joins_with_enough_stake_and_power_is_capped_and_shared(ledger: Ledger) -> None:
    wallet = joined(ledger, 100 * SOMA)
    old, new = ledger.state.validators
    assert (new.soma_address, new.commission_rate, new.staking_pool.activation_epoch) == (wallet.address, 10, 1)
    assert (old.voting_power, new.voting_power) == (7476, 2524)
    assert new.staking_pool.exchange_rates == {1: (100 * SOMA, 100 * SOMA)}
    assert ledger.state.total_stake == sum(v.staking_pool.soma_balance for v in ledger.state.validators)
    message = state_out(ledger.state)
    assert len(message.validators.validators) == 2 == len(message.validators.staking_pool_mappings)


def test_too_little_stake_waits(ledger: Ledger) -> None:
    joined(ledger, 23 * SOMA)
    assert len(ledger.state.validators) == 1 == len(ledger.state.pending_validators)
    old = first(ledger)
    old.send(k.AddStake(ledger.state.pending_validators[0].soma_address, old.coins()[0].ref, 5 * SOMA))
    ledger.advance_epoch(NOW)
    assert len(ledger.state.validators) == 2 and not ledger.state.pending_validators


def test_bad_applications_fail_with_the_chain_s_reasons(ledger: Ledger) -> None:
    wallet, other, good = Wallet(ledger, 5), Wallet(ledger, 6), joining(0)
    invalid = "Invalid value was given to the function"
    for wrong, kind, detail in (
        (replace(good, pubkey=KEYS[0][:95] + b"\x00"), 6, f"reason=Invalid protocol public key: {invalid}"),
        (replace(good, network_pubkey=b"\x02" * 31), 6, f"reason=Invalid network public key: {invalid}"),
        (replace(good, worker_pubkey=b""), 6, f"reason=Invalid worker public key: {invalid}"),
        (replace(good, proof_of_possession=bytes(48)), 56, f"reason=Invalid PoP signature bytes: {invalid}"),
        (replace(good, p2p_address=b"/ip4"), 6, "reason=Failed to BCS deserialize p2p address string"),
        (
            replace(good, proxy_address=text("127.0.0.1")),
            6,
            "reason=Invalid proxy address multiaddr format",
        ),
        (replace(good, pubkey=G2_GENERATOR), 54, "field=protocol_pubkey"),
    ):
        found = error(wallet.send(wrong))
        assert found.kind == kind and found.other_error is not None and found.other_error.startswith(detail)
    assert wallet.send(good).effects.success
    assert error(wallet.send(joining(1))).kind == 7
    assert error(other.send(replace(joining(1), worker_pubkey=good.worker_pubkey))).other_error == "field=worker_pubkey"
    crossed = replace(joining(1), worker_pubkey=good.network_pubkey)
    assert error(other.send(crossed)).other_error == "field=worker_pubkey/network_pubkey"


def test_only_a_validator_may_do_what_validators_do(ledger: Ledger) -> None:
    wallet, target_id = Wallet(ledger), ledger.targets("open", None, None, 1, None)[0][0][0].id
    model_id = ledger.state.active_models()[0][0]
    for kind in (
        k.RemoveValidator(KEYS[0]), k.ReportValidator(wallet.address), k.UndoReportValidator(wallet.address),
        k.UpdateValidatorMetadata(*[None] * 8), k.SetCommissionRate(5), k.ReportModel(model_id),
        k.UndoReportModel(model_id), k.ReportSubmission(target_id), k.UndoReportSubmission(target_id),
    ):  # fmt: skip
        assert error(wallet.send(kind)).kind == 8


def test_a_validator_leaves_and_its_stakers_are_paid_afterwards(ledger: Ledger) -> None:
    wallet, old = joined(ledger, 100 * SOMA), first(ledger)
    assert wallet.send(k.RemoveValidator(KEYS[0])).effects.success
    with pytest.raises(Refused, match="last validator cannot leave"):
        old.send(k.RemoveValidator(G2_GENERATOR))
    assert error(wallet.send(k.RemoveValidator(KEYS[0]))).kind == 9
    pool_id = ledger.state.validators[1].staking_pool.id
    mine = ledger.owned(old.address, ObjectType.STAKED_SOMA, 99, None)[0]
    (stake,) = (o for o in mine if StakedSoma.from_bytes(o.contents).pool_id == pool_id)
    ledger.advance_epoch(NOW + DAY)
    assert [v.soma_address for v in ledger.state.validators] == [old.address]
    assert ledger.state.validators[0].voting_power == 10_000
    (left,) = ledger.state.inactive_validators.values()
    assert left.staking_pool.deactivation_epoch == 2 and left.staking_pool.rewards_pool > 0
    before = ledger.balance(old.address)
    back = old.send(k.WithdrawStake(stake.ref))
    assert ledger.balance(old.address) - before + back.effects.fee.total > 100 * SOMA
    (left,) = ledger.state.inactive_validators.values()
    assert left.staking_pool.pending_total_soma_withdraw == 0 and left.staking_pool.rewards_pool <= 20
    assert error(wallet.send(k.AddStake(wallet.address, wallet.coins()[1].ref, 5))).kind == 16


def test_a_reported_validator_loses_half_its_reward_to_the_others(ledger: Ledger) -> None:
    wallet, old = joined(ledger, 100 * SOMA), first(ledger)
    assert error(old.send(k.ReportValidator(old.address))).kind == 19
    assert error(old.send(k.UndoReportValidator(wallet.address))).kind == 20
    assert old.send(k.ReportValidator(wallet.address)).effects.success
    fees = sum(ledger.state.epoch_fees)
    before = ledger.state.validators[0].staking_pool.rewards_pool
    ledger.advance_epoch(NOW + DAY)
    part = (1370 * SOMA + fees) * 7 // 10
    shares = [part * power // 10_000 for power in (7476, 2524)]
    lost = shares[1] // 2
    pools = [v.staking_pool for v in ledger.state.validators]
    assert pools[1].rewards_pool == shares[1] - lost - (shares[1] - lost) * 10 // 10_000
    won = shares[0] + lost
    assert pools[0].rewards_pool - before == won - won * 200 // 10_000
    assert old.send(k.UndoReportValidator(wallet.address)).effects.success
    assert not ledger.state.validator_reports


def test_a_commission_and_new_addresses_hold_from_the_next_epoch_on(ledger: Ledger) -> None:
    old = first(ledger)
    too_high = error(old.send(k.SetCommissionRate(10_001)))
    assert (too_high.kind, too_high.description) == (24, "Commission rate too high")
    assert old.send(k.SetCommissionRate(500)).effects.success
    none = k.UpdateValidatorMetadata(*[None] * 8)
    assert error(old.send(replace(none, protocol_pubkey=KEYS[1]))).kind == 55
    same = replace(none, worker_pubkey=public(9), network_pubkey=public(9))
    assert error(old.send(same)).other_error == "field=network_pubkey == worker_pubkey (self)"
    where = "/dns/validator.example/tcp/8443/https"
    good = replace(none, net_address=text(where), protocol_pubkey=KEYS[1], proof_of_possession=G1_GENERATOR)
    assert old.send(good).effects.success
    assert state_out(ledger.state).validators.validators[0].next_epoch_net_address == where
    assert ledger.state.validators[0].protocol_pubkey == G2_GENERATOR
    ledger.advance_epoch(NOW)
    validator = ledger.state.validators[0]
    assert (validator.commission_rate, validator.net_address, validator.protocol_pubkey) == (500, where, KEYS[1])
    assert not state_out(ledger.state).validators.validators[0].HasField("next_epoch_net_address")


def test_who_sinks_too_low_leaves_at_once_or_after_seven_epochs(ledger: Ledger) -> None:
    wallet, old = joined(ledger, 26 * SOMA), first(ledger)
    assert old.send(k.AddStake(old.address, old.coins()[0].ref, 20_000 * SOMA)).effects.success
    for epochs in range(1, 8):
        ledger.advance_epoch(NOW)
        assert ledger.state.at_risk_validators == {wallet.address: epochs}
    ledger.advance_epoch(NOW)
    assert len(ledger.state.validators) == 1 and not ledger.state.at_risk_validators
    other = joined(ledger, 60 * SOMA, 7, 1)
    assert len(ledger.state.validators) == 2
    assert old.send(k.AddStake(old.address, old.coins()[0].ref, 200_000 * SOMA)).effects.success
    ledger.advance_epoch(NOW)
    assert ledger.state.validator(other.address) is None
    assert {v.soma_address for v in ledger.state.inactive_validators.values()} == {wallet.address, other.address}


def test_a_quorum_of_reports_closes_a_model(ledger: Ledger) -> None:
    old, (model_id, _) = first(ledger), ledger.state.active_models()[0]
    assert error(old.send(k.UndoReportModel(model_id))).kind == 20
    assert error(old.send(k.ReportModel(bytes(32)))).kind == 13
    for kind in (k.ReportModel, k.UndoReportModel, k.ReportModel):
        done = old.send(kind(model_id))
        assert done.effects.success and done.effects.fee.total == 1600
    ledger.advance_epoch(NOW)
    model = ledger.state.models[model_id]
    assert (model.state, model.staking_pool.soma_balance) == ("inactive", SOMA // 20)
    assert not ledger.state.model_reports
    assert model_id not in {m for _, t in ledger.targets("open", None, None, 100, None)[0] for m in t.model_ids}


def filled(ledger: Ledger, wallet: Wallet) -> tuple[bytes, Target]:
    found, target = ledger.targets("open", None, None, 1, None)[0][0]
    assert wallet.send(submit(found.id, target, wallet.coins()[0])).effects.success
    return found.id, target


def test_a_submission_that_validators_reported_loses_bond_and_reward(ledger: Ledger) -> None:
    wallet, old, claimer = Wallet(ledger), first(ledger), Wallet(ledger, 3)
    target_id, target = filled(ledger, wallet)
    early = error(old.send(k.ReportSubmission(target_id)))
    assert (early.kind, early.other_error) == (45, "fill_epoch=0, current_epoch=0")
    spare = ledger.targets("open", None, None, 1, None)[0][0][0].id
    assert error(old.send(k.ReportSubmission(spare))).kind == 37
    ledger.advance_epoch(NOW)
    assert error(old.send(k.UndoReportSubmission(target_id))).kind == 20
    for kind in (k.ReportSubmission, k.UndoReportSubmission, k.ReportSubmission):
        done = old.send(kind(target_id))
        assert done.effects.success and done.effects.fee.total == 1900
    ledger.advance_epoch(NOW)
    assert error(old.send(k.UndoReportSubmission(target_id))).kind == 45
    before = [ledger.balance(w.address) for w in (wallet, old, claimer)]
    pool = ledger.state.emission_pool.balance
    claimed = claimer.send(k.ClaimRewards(target_id))
    after = [ledger.balance(w.address) for w in (wallet, old, claimer)]
    share = target.reward * 50 // 10_000
    assert [b - a for a, b in zip(before, after, strict=True)] == [0, 65_000, share - claimed.effects.fee.total]
    assert claimed.effects.fee.operation == 4 * 300
    assert ledger.state.emission_pool.balance == pool + target.reward
    assert ledger.get_object(derive_id(claimed.digest, 0)) is not None


def test_without_a_quorum_reports_change_nothing(ledger: Ledger) -> None:
    second = joined(ledger, 100 * SOMA)
    wallet = Wallet(ledger)
    target_id, target = filled(ledger, wallet)
    ledger.advance_epoch(NOW)
    assert second.send(k.ReportSubmission(target_id)).effects.success
    ledger.advance_epoch(NOW)
    before = ledger.balance(wallet.address)
    claimed = wallet.send(k.ClaimRewards(target_id))
    share = target.reward - target.reward * 4975 // 10_000
    assert ledger.balance(wallet.address) - before == share + 65_000 - claimed.effects.fee.total


def test_power_is_shared_by_stake_below_the_cap(ledger: Ledger) -> None:
    state = ledger.state.copy()
    made = [replace(state.validators[0], soma_address=bytes([n]) * 32) for n in range(12)]
    for number, validator in enumerate(made):
        validator.staking_pool = replace(validator.staking_pool, soma_balance=(number + 1) * SOMA)
    share_power(made)
    powers = [v.voting_power for v in made]
    assert sum(powers) == 10_000 and powers == sorted(powers)
    assert powers[0] == 128 + 117 and powers[-1] == 1000 + 117 + 1


def test_safe_mode_keeps_what_the_next_good_change_hands_out(ledger: Ledger) -> None:
    twin = ledger.state.copy()
    twin.epoch_fees = (7, 0, 0)
    enter_safe_mode(twin, NOW)
    assert (twin.safe_mode, twin.epoch, twin.safe_mode_accumulated_fees) == (True, 1, 7)
    assert twin.safe_mode_accumulated_emissions == 1370 * SOMA
    assert state_out(twin).safe_mode_accumulated_emissions == 1370 * SOMA
    ledger.state = twin
    ledger.advance_epoch(NOW + 1)
    assert not ledger.state.safe_mode and ledger.state.safe_mode_accumulated_fees == 0
    part = (1370 * SOMA + 7) * 7 // 10
    assert ledger.state.validators[0].staking_pool.rewards_pool == part - part * 200 // 10_000


def test_validators_that_come_earn_and_go_neither_make_nor_lose_money(ledger: Ledger) -> None:
    mirror, old = Mirror(), first(ledger)
    clock = iter(range(NOW + DAY, NOW + 99 * DAY, DAY))

    def books() -> int:
        for number in range(next_checkpoint[0], (ledger.seal_checkpoint(NOW) or newest(ledger)).sequence + 1):
            for digest in ledger.checkpoint(number).digests:  # type: ignore[union-attr]
                mirror.follow(ledger.transaction(digest))  # type: ignore[arg-type]
            next_checkpoint[0] = number + 1
        return supply(ledger.state, mirror.objects)

    next_checkpoint = [0]
    total = books()
    wallets = [joined(ledger, 100 * SOMA, 5, 0), joined(ledger, 3000 * SOMA, 6, 1)]
    assert books() == total
    for kind in (k.ReportValidator(wallets[0].address), k.SetCommissionRate(777)):
        assert old.send(kind).effects.success and wallets[1].send(kind).effects.success
    for _ in range(3):
        ledger.advance_epoch(next(clock))
        assert books() == total
    assert wallets[0].send(k.RemoveValidator(KEYS[0])).effects.success
    ledger.advance_epoch(next(clock))
    assert len(ledger.state.validators) == 2 and books() == total
    for stake in ledger.owned(old.address, ObjectType.STAKED_SOMA, 99, None)[0][:4]:
        assert old.send(k.WithdrawStake(stake.ref)).effects.success
        assert books() == total
    ledger.advance_epoch(next(clock))
    assert books() == total


def newest(ledger: Ledger) -> Checkpoint:
    found = ledger.checkpoint()
    assert found is not None
    return found


def test_only_points_of_the_right_groups_are_keys_and_proofs() -> None:
    assert all(points.is_protocol_key(key) for key in (G2_GENERATOR, *KEYS))
    assert points.is_proof(G1_GENERATOR) and not points.is_proof(G2_GENERATOR[:48])
    outside = bytes([0x80]) + bytes(46) + bytes([4])
    assert not points.is_proof(outside), "on the curve, of another order"
    assert not points.is_protocol_key(bytes([0xC0]) + bytes(95)), "infinity"
    assert points.is_ed25519_key(public(1)) and not points.is_ed25519_key(b"\x02" + bytes(31))
    assert points.is_multiaddr("/ip6/::1/udp/1/quic-v1")
    assert not any(map(points.is_multiaddr, ("", "ip4/1", "/tcp/70000", "/ip4", "/nothing/1", "/")))
