"""What the keeper must do now and next, by when, and what is lost otherwise (R1–R3, R13)."""

from __future__ import annotations

from somatui.domain import fees
from somatui.domain.consequence import claim_income
from somatui.domain.deadline import commit_window, reveal_window
from somatui.domain.ids import short
from somatui.domain.money import bps, soma
from somatui.domain.snapshot import Duty, ModelView, Snapshot, TargetView


def duties(
    snapshot: Snapshot, *, auto_reveal: bool, auto_claim: bool, claim_min_net_shannons: int = 0
) -> tuple[Duty, ...]:
    """Every duty of this wallet, the most urgent first."""
    found: list[Duty] = []
    for model in snapshot.models:
        if model.mine:
            found += _model_duties(snapshot, model, auto_reveal=auto_reveal)
    found += _claim_duty(snapshot, auto_claim=auto_claim, least=claim_min_net_shannons)
    return tuple(
        sorted(found, key=lambda d: (d.closes_epoch is None, d.closes_epoch or 0, -d.at_stake_shannons, d.subject))
    )


def _model_duties(snapshot: Snapshot, model: ModelView, *, auto_reveal: bool) -> list[Duty]:
    epoch = snapshot.epoch
    name = model.label or short(model.id)
    half = bps(model.stake_shannons, epoch.parameters.reveal_slash_bps)
    reveal = reveal_window(model)
    if reveal is not None and reveal.last is not None and epoch.number <= reveal.last:
        first = model.state == "pending"
        able = model.key_at_hand and snapshot.wallet.unlocked
        armed = auto_reveal and able
        hindrance = "key missing" if not model.key_at_hand else "by hand" if able else "vault locked"
        return [
            Duty(
                action="reveal",
                subject=model.id,
                title=f"reveal {name}",
                opens_epoch=reveal.first,
                closes_epoch=reveal.last,
                at_stake_shannons=half if first else 0,
                armed=armed,
                severity="bad" if first and not armed else "warn" if not armed else "info",
                note="armed" if armed else hindrance,
            )
        ]
    commit = commit_window(model)
    if commit is not None:
        late = commit.last is not None and epoch.number > commit.last
        return [
            Duty(
                action="commit",
                subject=model.id,
                title=f"commit {name}",
                opens_epoch=commit.first,
                closes_epoch=max(epoch.number, commit.last or 0),
                at_stake_shannons=half,
                armed=False,
                severity="bad",
                note="slashed again at every boundary until committed" if late else "created but not committed",
            )
        ]
    return []


def worth_claiming(snapshot: Snapshot, least_net_shannons: int) -> tuple[TargetView, ...]:
    """The claimable targets that bring this operator more than `least_net_shannons` after the fee."""
    p = snapshot.epoch.parameters
    return tuple(
        t
        for t in snapshot.claimable
        if claim_income(p, t) - fees.claim_fee(p, t.reward_shannons, filled=t.fill_epoch is not None).total_shannons
        > least_net_shannons
    )


def _claim_duty(snapshot: Snapshot, *, auto_claim: bool, least: int) -> list[Duty]:
    p = snapshot.epoch.parameters
    worth = worth_claiming(snapshot, least)
    if not worth:
        return []
    total = sum(claim_income(p, t) for t in worth)
    return [
        Duty(
            action="claim",
            subject=f"{len(worth)}",
            title=f"claim {len(worth)} target{'s' if len(worth) != 1 else ''}",
            opens_epoch=snapshot.epoch.number,
            closes_epoch=None,
            at_stake_shannons=0,
            armed=auto_claim and snapshot.wallet.unlocked,
            note=f"+{soma(total)} SOMA",
        )
    ]
