"""Deadlines, fees, coins, preflight, consequences and duties, on literal worlds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from somatui.domain import consequence, duties, fees, preflight, versions
from somatui.domain.actions import Context, by_name
from somatui.domain.checks import refusal
from somatui.domain.coins import NoCoin, assign_roles, choose, dust
from somatui.domain.deadline import Window, claim_window, commit_window, opens_in, pause_s, reveal_window, span
from somatui.domain.snapshot import EpochView, Parameters, WalletView
from tests.domain.worlds import HOUR_MS, ME, NOW_MS, OTHER, an_id, coin, model, target, world

P = Parameters()


def test_fees_are_those_the_real_node_charged() -> None:
    assert fees.state_fee(P).total_shannons == 1_600
    assert fees.create_fee(P, 1_000_000_000).total_shannons == 501_900
    assert fees.submit_fee(P, separate_bond_coin=True).total_shannons == 2_500
    assert fees.submit_fee(P, separate_bond_coin=False).total_shannons == 2_200
    assert fees.bond(P, 10_000) == 650_000


def test_claiming_an_expired_target_nets_what_the_real_node_paid() -> None:
    quiet = Parameters(value_fee_bps=7)
    expired = target(status="expired")
    cost = fees.claim_fee(quiet, expired.reward_shannons, filled=False).total_shannons
    assert (consequence.claim_income(quiet, expired), cost) == (63_425, 5_705)


@pytest.mark.parametrize(
    ("mine", "own_model", "income"),
    [
        (False, False, 63_425),
        (True, False, 63_425 + 6_310_881 + 325_000),
        (False, True, 63_425 + 6_310_879),
        (True, True, 12_685_185 + 325_000),
    ],
)
def test_a_claim_pays_by_what_one_did(mine: bool, own_model: bool, income: int) -> None:
    filled = target(status="claimable", fill_epoch=410, bond_shannons=325_000, mine=mine, own_model_won=own_model)
    assert consequence.claim_income(P, filled) == income


def test_a_reveal_has_exactly_one_epoch() -> None:
    assert reveal_window(model(state="pending", commit_epoch=411)) == Window(412, 412)
    assert reveal_window(model(update_commit_epoch=412)) == Window(413, 413)
    assert reveal_window(model()) is None


def test_a_created_model_has_two_epochs_to_commit() -> None:
    assert commit_window(model(state="created", create_epoch=411)) == Window(411, 412)
    assert commit_window(model()) is None


def test_claims_open_after_the_audit_epoch() -> None:
    assert claim_window(target(fill_epoch=412)).first == 414
    assert claim_window(target()).first == 413


@pytest.mark.parametrize(
    ("length", "words"),
    [(14_000, "14s"), (190_000, "3m 10s"), (9 * HOUR_MS + 720_000, "9h 12m"), (74 * HOUR_MS, "3d 2h")],
)
def test_spans_have_two_units_at_most(length: int, words: str) -> None:
    assert span(length) == words


@pytest.mark.parametrize(("left_s", "pause"), [(86_400, 300.0), (400, 100.0), (8, 2.0), (0, 1.0), (-60, 15.0)])
def test_what_an_epochs_end_makes_too_late_is_tried_ever_sooner_towards_it(left_s: int, pause: float) -> None:
    epoch = EpochView(number=7, starts_at_ms=1_000_000, duration_ms=90_000_000)
    now = epoch.starts_at_ms + epoch.duration_ms - left_s * 1_000
    assert pause_s(300.0, epoch, now) == pause and pause_s(0.5, epoch, now) == 0.5


def test_opening_times_name_the_epoch_and_the_wait() -> None:
    assert opens_in(world().epoch, 413, NOW_MS) == "in epoch 413, in 10h 00m"
    assert opens_in(world().epoch, 412, NOW_MS) == "now"


def test_one_coin_is_kept_for_reveals_and_dust_never_pays() -> None:
    coins = assign_roles([coin("c1", 2 * 10**9), coin("c2", 10**9), coin("c3", 500)], P)
    assert [c.role for c in coins] == ["working", "reserved", "dust"]
    assert choose(coins, 10**9).id == an_id("c1")
    assert choose(coins, 10**9, reserved_too=True, busy=frozenset({an_id("c1")})).id == an_id("c2")
    assert [c.id for c in dust(coins)] == [an_id("c3")]
    with pytest.raises(NoCoin, match="largest 2"):
        choose(coins, 3 * 10**9)


def test_a_single_coin_is_not_locked_away() -> None:
    assert [c.role for c in assign_roles([coin("c1", 10**9)], P)] == ["working"]


@pytest.mark.parametrize(
    ("changes", "distance", "size", "says"),
    [
        ({}, 1.0, 5_000, None),
        ({"status": "filled"}, 1.0, 5_000, "somebody was faster"),
        ({"generation_epoch": 411}, 1.0, 5_000, "expired with epoch 411"),
        ({"model_ids": (an_id("a9"),)}, 1.0, 5_000, "not one of the target's models"),
        ({}, 1.06, 5_000, "exceeds the threshold"),
        ({}, 1.0, 2_000_000, "outside 1 to"),
        ({}, 1.0, 0, "outside 1 to"),
    ],
)
def test_a_submission_is_refused_as_the_chain_would(
    changes: dict[str, object], distance: float, size: int, says: str | None
) -> None:
    said = refusal(preflight.submit(world(), target(**changes), an_id("a1"), distance, size))
    assert said is None if says is None else said is not None and says in said


def test_a_submission_for_a_model_that_left_is_refused() -> None:
    gone = world(models=(model(state="inactive"),))
    assert "no longer active" in (refusal(preflight.submit(gone, target(), an_id("a1"), 1.0, 5_000)) or "")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"commit_epoch": 411}, None),
        ({"commit_epoch": 412}, "Reveal opens in epoch 413, in 10h 00m"),
        ({"commit_epoch": 409}, "Epoch 410 was the only one"),
        ({"commit_epoch": 411, "key_at_hand": False}, "not in this vault"),
        ({"commit_epoch": 411, "mine": False, "owner": OTHER}, "another wallet"),
        ({"commit_epoch": None}, "Nothing waits"),
    ],
)
def test_a_reveal_says_why_it_cannot_be_done(changes: dict[str, object], says: str | None) -> None:
    waiting = replace(model(state="pending", key_at_hand=True), **changes)  # type: ignore[arg-type]
    said = refusal(preflight.reveal(world(models=(waiting,)), waiting, NOW_MS))
    assert said is None if says is None else said is not None and says in said


@pytest.mark.parametrize(
    ("wallet", "says"),
    [(WalletView(address=ME), "locked"), (WalletView(address=ME, watch_only=True), "watch-only")],
)
def test_nothing_is_signed_without_a_key(wallet: WalletView, says: str) -> None:
    assert says in (refusal(preflight.claim(world(wallet=wallet), [target(fill_epoch=410)], NOW_MS)) or "")


@pytest.mark.parametrize(
    ("stake", "commission", "embedding", "says"),
    [
        (10**9, 1_000, [1.0] * 16, None),
        (10**9 - 1, 1_000, [1.0] * 16, "at least"),
        (10**9, 10_001, [1.0] * 16, "basis points"),
        (10**9, 0, [1.0] * 2_048, "wants 16"),
        (10**9, 0, [], "wants 16"),
        (10**9, 0, [0.0] * 16, "zero"),
        (10**9, 0, [1.0] * 15 + [float("nan")], "not finite"),
        (2 * 10**9, 0, [1.0] * 16, "No single coin"),
    ],
)
def test_publishing_is_checked_before_anything_is_staked(
    stake: int, commission: int, embedding: list[float], says: str | None
) -> None:
    said = refusal(preflight.publish(world(), stake, commission, embedding))
    assert said is None if says is None else said is not None and says in said


def test_a_missed_first_reveal_costs_half_the_stake_and_an_update_none() -> None:
    first = consequence.reveal(world(), model(state="pending", commit_epoch=411))
    update = consequence.reveal(world(), model(update_commit_epoch=411))
    assert (first.at_stake_shannons, update.at_stake_shannons) == (500_000_000, 0)


def test_duties_come_by_urgency_and_say_whether_they_are_armed() -> None:
    pending = model("a1", state="pending", commit_epoch=411, key_at_hand=True)
    created = model("a2", state="created", create_epoch=410)
    paid = target(status="claimable", fill_epoch=410, mine=True, bond_shannons=1)
    picture = world(models=(pending, created), targets=(paid,))
    found = duties.duties(picture, auto_reveal=True, auto_claim=False)
    assert [d.action for d in found] == ["reveal", "commit", "claim"]
    assert [d.armed for d in found] == [True, False, False]
    assert found[1].note == "slashed again at every boundary until committed"


def test_a_duty_is_not_armed_while_the_vault_is_locked_and_says_so() -> None:
    pending = model("a1", state="pending", commit_epoch=411, key_at_hand=True)
    paid = target(status="claimable", fill_epoch=410, mine=True, bond_shannons=1)
    picture = world(models=(pending, replace(pending, id="a2", key_at_hand=False)), targets=(paid,))
    locked = replace(picture, wallet=replace(picture.wallet, unlocked=False))
    reveal, lost, claim = duties.duties(locked, auto_reveal=True, auto_claim=True)
    assert (reveal.armed, reveal.severity, reveal.note) == (False, "bad", "vault locked")
    assert lost.note == "key missing" and not claim.armed


def test_a_claim_that_costs_more_than_it_brings_is_no_duty() -> None:
    paid = target(status="claimable", fill_epoch=410, mine=True, reward_shannons=100)
    assert duties.duties(world(models=(), targets=(paid,)), auto_reveal=True, auto_claim=True) == ()


def test_models_for_another_architecture_are_neither_trained_nor_published_and_the_versions_are_told() -> None:
    moved = Parameters(embedding_dim=16, architecture_version=2)
    there = world(epoch=replace(world().epoch, parameters=moved))
    asked = preflight.publish(there, 1_000_000_000, 1_000, [1.0] * 16)
    assert "wants models of architecture version 2" in (refusal(asked) or "")
    assert refusal(preflight.publish(world(), 1_000_000_000, 1_000, [1.0] * 16)) is None
    train = by_name("train")
    assert train is not None and "update somatui" in (train.unavailable(Context(there, NOW_MS)) or "")
    assert versions.news(5, P) == versions.news(0, P) == ()
    assert ["version 6" in text or "version 2" in text for text in versions.news(6, moved)] == [True, True]
