"""Rules of targets: making them, choosing their models, submissions and claims (protocol.md 4.3, 4.5).

numpy is imported by the first of them, so that a network is there again the sooner.
"""

from __future__ import annotations

import struct
from dataclasses import replace

from somatui.domain.money import bps
from somatui.practice.ledger.view import Failure, View
from somatui.wire.kinds import ClaimRewards, SubmitData
from somatui.wire.objects import Filled, ObjectType, Owner, Target
from somatui.wire.text import hex_id
from somatui.wire.values import Tensor

QUORUM = 6667


def f32(value: float) -> float:
    """The nearest f32."""
    rounded: float = struct.unpack("<f", struct.pack("<f", value))[0]
    return rounded


def _spoken(value: float) -> str:
    """An f32 as the node's texts have it: the fewest digits that mean it."""
    import numpy as np

    return np.format_float_positional(np.float32(value), trim="0")


def chosen_models(view: View, embedding: Tensor) -> tuple[bytes, ...]:
    """The active models nearest to a target, weighted by stake, in f32 (protocol.md 4.5)."""
    import numpy as np

    active = [(i, m) for i, m in view.state.active_models() if m.embedding is not None]
    roots = [float(m.staking_pool.soma_balance) ** 0.5 for _, m in active]
    total = sum(roots)
    goal = np.frombuffer(embedding.data, np.float32)
    scored = []
    for (model_id, model), root in zip(active, roots, strict=True):
        weight = np.float32(root / total if total else 1 / len(active))
        own = np.frombuffer(model.embedding.data if model.embedding else b"", np.float32)
        cosine = np.dot(goal, own) / np.float32(np.sqrt(np.dot(goal, goal)) * np.sqrt(np.dot(own, own)))
        scored.append((float((np.float32(1) - cosine) / (weight + np.float32(1e-10))), model_id))
    return tuple(i for _, i in sorted(scored)[: view.state.parameters.target_models_per_target])


def affordable(view: View) -> bool:
    """Whether one more target has models, emission and budget."""
    state, now = view.state, view.state.target_state
    budget = bps(state.emission_pool.emission_per_epoch, state.parameters.target_reward_allocation_bps)
    return (
        bool(state.active_models())
        and state.emission_pool.balance >= now.reward_per_target
        and (now.targets_generated_this_epoch + 1) * now.reward_per_target <= budget
    )


def make_target(view: View, seed: int, target_id: bytes) -> None:
    """One open target; its reward leaves the emission pool."""
    import arrgen

    now, dim = view.state.target_state, view.state.parameters.target_embedding_dim
    embedding = Tensor(arrgen.normal_array(seed, [dim], 0.0, 1.0).astype("<f4").tobytes(), (dim,))
    threshold = Tensor.of([now.distance_threshold])
    target = Target(embedding, chosen_models(view, embedding), threshold, now.reward_per_target, view.epoch)
    view.state.emission_pool.balance -= now.reward_per_target
    now.targets_generated_this_epoch += 1
    view.create(ObjectType.TARGET, target.to_bytes(), Owner(shared_since=1), target_id)


def make_epoch_targets(view: View) -> None:
    """The targets an epoch begins with; seed and id share one number."""
    for _ in range(view.state.parameters.target_initial_targets_per_epoch):
        if not affordable(view):
            return
        seed = view.next_seed()
        view.made -= 1
        make_target(view, seed, view.next_id())


def submit_data(view: View, kind: SubmitData, value_fee: int) -> None:
    """Fill a target; checks in the order of protocol.md 4.3, then bond, then a replacement."""
    parameters = view.state.parameters
    target = Target.from_bytes(view.need(kind.target_id).contents)
    if target.filled is not None:
        raise Failure(35)
    if view.epoch > target.generation_epoch:
        raise Failure(36, f"generation_epoch={target.generation_epoch}, current_epoch={view.epoch}")
    if kind.model_id not in target.model_ids:
        raise Failure(40, f"model_id={hex_id(kind.model_id)}, target_id={hex_id(kind.target_id)}")
    expected, actual = len(target.embedding.floats()), len(kind.embedding.floats())
    if expected != actual:
        raise Failure(41, f"expected={expected}, actual={actual}")
    score, threshold = kind.distance.floats()[0], target.threshold.floats()[0]
    if not score <= threshold:
        raise Failure(42, f"score={_spoken(score)}, threshold={_spoken(threshold)}")
    if kind.manifest.size > parameters.max_submission_data_size:
        raise Failure(52, f"size={kind.manifest.size}, max_size={parameters.max_submission_data_size}")
    bond = kind.manifest.size * parameters.submission_bond_per_byte
    held = view.balance(kind.bond_coin.id)
    if held < bond:
        raise Failure(43, f"required={bond}, provided={held}")
    view.take(kind.bond_coin.id, bond)
    model = view.state.models.get(kind.model_id)
    if model is None or model.state != "active":
        raise Failure(13)
    filled = Filled(
        view.epoch,
        view.sender,
        kind.model_id,
        model.owner,
        bond,
        kind.manifest,
        kind.embedding,
        kind.distance,
        kind.loss,
    )
    view.set_target(kind.target_id, replace(target, filled=filled))
    view.state.target_state.hits_this_epoch += 1
    view.next_id()
    if affordable(view):
        seed = view.next_seed()
        make_target(view, seed, view.next_id())


def claim_rewards(view: View, kind: ClaimRewards, value_fee: int) -> None:
    """Pay a target out; anybody may, and gets the claimer's share."""
    target = Target.from_bytes(view.need(kind.target_id).contents)
    if target.filled is None:
        _claim_expired(view, target)
    else:
        _claim_filled(view, target, target.filled)
    view.delete(kind.target_id)


def _claim_expired(view: View, target: Target) -> None:
    if view.epoch <= target.generation_epoch:
        raise Failure(37)
    share = bps(target.reward, view.state.parameters.target_claimer_incentive_bps)
    view.state.emission_pool.balance += target.reward - share
    view.create_coin(view.sender, share)


def _claim_filled(view: View, target: Target, done: Filled) -> None:
    if view.epoch <= done.epoch + 1:
        raise Failure(38, f"fill_epoch={done.epoch}, current_epoch={view.epoch}")
    if view.state.power(target.reports) >= QUORUM:
        _claim_reported(view, target, done)
        return
    parameters = view.state.parameters
    owner_share = bps(target.reward, parameters.target_model_reward_share_bps)
    claimer_share = bps(target.reward, parameters.target_claimer_incentive_bps)
    view.create_coin(done.submitter, target.reward - owner_share - claimer_share)
    view.create_coin(done.model_owner, owner_share)
    view.create_coin(view.sender, claimer_share)
    view.create_coin(done.submitter, done.bond)


def _claim_reported(view: View, target: Target, done: Filled) -> None:
    """A quorum of validators reported the submission: they share its bond and the reward goes back.

    The claimer's share comes on top of the reward that went back, so it is new money (protocol.md 4.3).
    """
    share, odd = divmod(done.bond, len(target.reports))
    for place, reporter in enumerate(sorted(target.reports)):
        view.create_coin(reporter, share + (odd if place == 0 else 0))
    view.state.emission_pool.balance += target.reward
    view.create_coin(view.sender, bps(target.reward, view.state.parameters.target_claimer_incentive_bps))
