"""All the checks that the chain will make, made here first, on a Snapshot (protocol.md 4.3, R1–R9)."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from somatui.domain import fees
from somatui.domain.checks import Check, check
from somatui.domain.coins import NoCoin, choose
from somatui.domain.deadline import claim_window, opens_in, reveal_window
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.domain.snapshot import EpochView, ModelView, Snapshot, TargetView
from somatui.domain.versions import fits

WATCH_ONLY = "This wallet is watch-only: import its key to act."


def answers(snapshot: Snapshot) -> Check:
    """Whether there is anybody to ask."""
    return check(
        snapshot.network.reachable,
        "the network answers",
        "The network does not answer: wait, or check the address of its RPC.",
    )


def can_sign(snapshot: Snapshot, *, urgent: bool = False) -> tuple[Check, ...]:
    """Checks common to everything that is signed; in safe mode what is `urgent` goes on (R21)."""
    wallet = snapshot.wallet
    return (
        answers(snapshot),
        check(not wallet.watch_only, "the wallet can sign", WATCH_ONLY),
        Check(
            wallet.unlocked or wallet.watch_only,
            "the key is unlocked" if wallet.unlocked else "The key is locked: unlock the vault first.",
        ),
        Check(
            urgent or not snapshot.network.safe_mode,
            "the network is not in safe mode"
            if not snapshot.network.safe_mode
            else "the network is in safe mode, and the deadline runs on"
            if urgent
            else "The network is in safe mode: acts are held until it recovers (R21).",
        ),
    )


def _pays(snapshot: Snapshot, need_shannons: int, *, reserved_too: bool = False) -> Check:
    try:
        coin = choose(snapshot.wallet.coins, need_shannons, reserved_too=reserved_too)
    except NoCoin as refused:
        return Check(False, str(refused))
    return Check(True, f"coin {short(coin.id)} pays {soma_exact(need_shannons)} SOMA")


def publish(
    snapshot: Snapshot, stake_shannons: int, commission_bps: int, embedding: Sequence[float]
) -> tuple[Check, ...]:
    """Create and commit: stake, commission, the model's own embedding, one coin that pays both (R3, R4b, R12)."""
    p = snapshot.epoch.parameters
    dim, sound = len(embedding), any(embedding) and all(map(isfinite, embedding))
    need = stake_shannons + fees.create_fee(p, stake_shannons).total_shannons + fees.state_fee(p).total_shannons
    return (
        *can_sign(snapshot),
        fits(p),
        check(
            stake_shannons >= p.model_min_stake_shannons,
            "stake is at least the minimum",
            f"Stake at least {soma_exact(p.model_min_stake_shannons)} SOMA: the network asks for it.",
        ),
        check(
            0 <= commission_bps <= 10_000,
            "commission is between 0 and 100 %",
            "Commission must be between 0 and 10,000 basis points: 10 % is 1,000.",
        ),
        check(
            dim == p.embedding_dim,
            f"embedding has {p.embedding_dim} numbers",
            f"The embedding has {dim} numbers, the network wants {p.embedding_dim}: train with its architecture.",
        ),
        check(
            sound,
            "embedding is finite and not zero",
            "The embedding is zero or holds numbers that are not finite: train the model again.",
        ),
        _pays(snapshot, need),
    )


def reveal(snapshot: Snapshot, model: ModelView, now_ms: int) -> tuple[Check, ...]:
    """Reveal: owner, the one epoch that accepts it, the key at hand, a coin for the fee (R1, R4)."""
    window = reveal_window(model)
    epoch = snapshot.epoch
    if window is None:
        opens = Check(False, f"Nothing waits to be revealed: the model is {model.state}.")
    elif epoch.number < window.first:
        opens = Check(False, f"Reveal opens {opens_in(epoch, window.first, now_ms)}; the keeper will do it by itself.")
    elif not window.contains(epoch.number):
        opens = Check(False, f"Epoch {window.first} was the only one that accepted this reveal: commit again.")
    else:
        opens = Check(True, f"epoch is {epoch.number}, the only one that accepts it")
    return (
        *can_sign(snapshot, urgent=True),
        check(model.mine, "the model is this wallet's", "The model belongs to another wallet."),
        opens,
        check(
            model.key_at_hand,
            "the key is in the vault",
            "The decryption key is not in this vault: restore the vault that committed the model.",
        ),
        _pays(snapshot, fees.state_fee(epoch.parameters).total_shannons, reserved_too=True),
    )


def submit(
    snapshot: Snapshot, target: TargetView | None, model_id: str, distance: float, size_bytes: int
) -> tuple[Check, ...]:
    """SubmitData's checks in the chain's own order (protocol.md 4.3), and a coin for bond and fee (R6–R9)."""
    p = snapshot.epoch.parameters
    if target is None:
        return (*can_sign(snapshot), Check(False, "The target is gone: it was filled and claimed, or it expired."))
    active = {m.id for m in snapshot.models if m.state == "active"}
    current = snapshot.epoch.number <= target.generation_epoch
    need = fees.bond(p, size_bytes) + fees.submit_fee(p, separate_bond_coin=False).total_shannons
    return (
        *can_sign(snapshot),
        check(
            target.status == "open",
            "the target is open",
            f"The target is {target.status}: somebody was faster, or the epoch turned.",
        ),
        check(
            current,
            "the target lives in this epoch",
            f"The target expired with epoch {target.generation_epoch}.",
        ),
        check(
            model_id in target.model_ids,
            "the winner is one of the target's models",
            "The winning model is not one of the target's models: score against its own three.",
        ),
        check(
            distance <= target.threshold,
            f"distance {distance:.4f} is within {target.threshold:.4f}",
            f"Distance {distance:.4f} exceeds the threshold {target.threshold:.4f}: score more varied data.",
        ),
        check(
            0 < size_bytes <= p.max_data_bytes,
            f"{size_bytes:,} bytes are within the limit",
            f"{size_bytes:,} bytes are outside 1 to {p.max_data_bytes:,}: use a smaller file.",
        ),
        check(
            model_id in active,
            "the winning model is active",
            "The winning model is no longer active: its submission would lock the bond coin (protocol.md 8, 5a).",
        ),
        _pays(snapshot, need),
    )


def claim(snapshot: Snapshot, targets: Sequence[TargetView], now_ms: int) -> tuple[Check, ...]:
    """ClaimRewards for each target: its window, and one coin that pays for all of them (R13)."""
    epoch = snapshot.epoch
    cost = sum(
        fees.claim_fee(epoch.parameters, t.reward_shannons, filled=t.fill_epoch is not None).total_shannons
        for t in targets
    )
    return (
        *can_sign(snapshot),
        *(_claim_opens(epoch, target, now_ms) for target in targets),
        _pays(snapshot, cost, reserved_too=True),
    )


def _claim_opens(epoch: EpochView, target: TargetView, now_ms: int) -> Check:
    window, name = claim_window(target), short(target.id)
    if window.contains(epoch.number):
        return Check(True, f"the claim of {name} is open")
    return Check(False, f"Claim of {name} opens {opens_in(epoch, window.first, now_ms)}: the audit epoch comes first.")
