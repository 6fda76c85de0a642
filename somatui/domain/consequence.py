"""What an act costs, what is at stake and until when: the sentences of the confirm panel."""

from __future__ import annotations

from somatui.domain import fees
from somatui.domain.checks import Consequence
from somatui.domain.figures import many
from somatui.domain.ids import short
from somatui.domain.money import bps, soma, soma_exact
from somatui.domain.snapshot import EpochView, ModelView, Parameters, Snapshot, TargetView, WalletName

__all__ = ["claim", "claim_income", "publish", "reveal", "score", "submit", "use_wallet"]


def claim_income(parameters: Parameters, target: TargetView) -> int:
    """What a claim by this operator brings before fees, in shannons: shares as the chain splits them, and the bond.

    The submitter also takes what rounding leaves (protocol.md 4.3); a claimer takes its share in any case.
    """
    reward = target.reward_shannons
    claimer = bps(reward, parameters.claimer_share_bps)
    if target.fill_epoch is None:
        return claimer
    model = bps(reward, parameters.model_share_bps)
    submitter = reward - model - claimer
    return claimer + (submitter + target.bond_shannons if target.mine else 0) + (model if target.own_model_won else 0)


def publish(snapshot: Snapshot, label: str, stake_shannons: int) -> Consequence:
    """Create and commit in one guarded step: the stake is locked, and half of it burns if the reveal is missed."""
    epoch: EpochView = snapshot.epoch
    cost = (
        fees.create_fee(epoch.parameters, stake_shannons).total_shannons
        + fees.state_fee(epoch.parameters).total_shannons
    )
    lost = bps(stake_shannons, epoch.parameters.reveal_slash_bps)
    return Consequence(
        title=f"Publish {label}",
        effect=f"Stakes {soma(stake_shannons)} SOMA on a new model and commits its encrypted weights.",
        fee_shannons=cost,
        locks_shannons=stake_shannons,
        at_stake_shannons=lost,
        irreversible=True,
        at_stake_text=(
            f"{soma(lost)} SOMA if the key is not revealed in epoch {epoch.number + 1}, "
            f"before epoch {epoch.number + 2} begins. The keeper reveals it by itself."
        ),
    )


def reveal(snapshot: Snapshot, model: ModelView) -> Consequence:
    """Publish the key; what is lost otherwise differs for a first reveal and for an update (R1, R2)."""
    epoch = snapshot.epoch
    first = model.state == "pending"
    lost = bps(model.stake_shannons, epoch.parameters.reveal_slash_bps) if first else 0
    return Consequence(
        title=f"Reveal {model.label or short(model.id)}",
        effect="Publishes the key of the weights committed in the epoch before.",
        fee_shannons=fees.state_fee(epoch.parameters).total_shannons,
        at_stake_shannons=lost,
        irreversible=True,
        at_stake_text=(
            f"{soma(lost)} SOMA if this is not on chain by the end of epoch {epoch.number}; then the model is Inactive."
            if first
            else f"the update if this is not on chain by the end of epoch {epoch.number}; no stake."
        ),
    )


def score(snapshot: Snapshot, what: str, max_hits: int | None) -> Consequence:
    """A job that submits by itself: what each of its hits costs and binds, and when it ends."""
    p = snapshot.epoch.parameters
    until = "until it is stopped" if max_hits is None else f"at most {many(max_hits, 'hit')}"
    return Consequence(
        title="Score and submit",
        effect=f"Scores {what} against the open targets and submits what hits, {until}. Each hit pays a fee of "
        f"{soma_exact(fees.submit_fee(p, separate_bond_coin=False).total_shannons)} SOMA and locks a bond of "
        f"{p.bond_shannons_per_byte} shannons a byte for two epochs.",
        at_stake_text=f"the bond of each hit whose data cannot be fetched in the epoch after it: at most "
        f"{soma(fees.bond(p, p.max_data_bytes), 6)} SOMA each.",
    )


def submit(snapshot: Snapshot, target: TargetView, size_bytes: int) -> Consequence:
    """Fill a target: the bond is locked for two epochs and lost if the data URL dies or the scores are wrong (R5)."""
    p = snapshot.epoch.parameters
    locked = fees.bond(p, size_bytes)
    return Consequence(
        title=f"Submit to {short(target.id)}",
        effect=f"Fills the target with {size_bytes:,} bytes; half of {soma(target.reward_shannons)} SOMA from epoch "
        f"{snapshot.epoch.number + 2} on.",
        fee_shannons=fees.submit_fee(p, separate_bond_coin=False).total_shannons,
        locks_shannons=locked,
        gains_shannons=target.reward_shannons - bps(target.reward_shannons, p.model_share_bps + p.claimer_share_bps),
        at_stake_shannons=locked,
        irreversible=True,
        at_stake_text=(
            f"the bond of {soma(locked, 6)} SOMA if the data cannot be fetched in epoch {snapshot.epoch.number + 1}."
        ),
    )


def claim(snapshot: Snapshot, targets: tuple[TargetView, ...]) -> Consequence:
    """Claim one or many: what comes in, what it costs."""
    p = snapshot.epoch.parameters
    gains = sum(claim_income(p, t) for t in targets)
    cost = sum(fees.claim_fee(p, t.reward_shannons, filled=t.fill_epoch is not None).total_shannons for t in targets)
    what = f"{len(targets)} target{'s' if len(targets) != 1 else ''}"
    return Consequence(
        title=f"Claim {what}",
        effect=f"Pays out the rewards and bonds of {what}.",
        fee_shannons=cost,
        gains_shannons=gains,
        at_stake_text="0.5 % of the reward, if somebody else claims first.",
    )


def use_wallet(snapshot: Snapshot, chosen: WalletName) -> Consequence:
    """Another wallet: nothing is signed, but nobody keeps the deadlines of the one that is left."""
    name, left = chosen.label or short(chosen.address), snapshot.wallet.label or short(snapshot.wallet.address)
    due = [d for d in snapshot.duties if d.has_deadline]
    lost = sum(d.at_stake_shannons for d in due)
    what = "is only watched" if chosen.watch_only else "is read and signed for"
    return Consequence(
        title=f"Use {name}",
        effect=f"{name} {what} from now on; {left} stays as it is, and its deadlines are kept again when it is in use.",
        at_stake_shannons=lost,
        at_stake_text=(
            f"{soma(lost, 6)} SOMA: {due[0].title} must be on the chain by the end of epoch {due[0].closes_epoch}, and "
            f"nobody does that while {left} is not in use."
            if due
            else ""
        ),
        typed_word="use" if due else None,
    )
