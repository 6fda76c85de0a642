"""One transaction from checks to effects: what is refused, gas, fees, versions (protocol.md 2.4, 4.1, 4.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from somatui.domain.money import bps
from somatui.practice.ledger import coins, members, models, reports, staking, targets
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Changed, Effects, ExecError, Executed, Fee, Locked, Refused, Stale
from somatui.practice.ledger.view import (
    INSUFFICIENT_GAS,
    INVALID_ARGUMENTS,
    OBJECT_NOT_FOUND,
    OTHER_ERROR,
    Deletion,
    Failure,
    View,
)
from somatui.wire import kinds as k
from somatui.wire.bcs import BcsError
from somatui.wire.objects import SYSTEM_STATE_ID, Object, ObjectType, Target, parse_coin
from somatui.wire.text import address_hex, b58encode, hex_id
from somatui.wire.transaction import MAX_TRANSACTION_BYTES, TransactionData
from somatui.wire.values import ObjectRef

MODEL_NOT_ACTIVE = 13
INPUT_OBJECT_DELETED = 21
Find = Callable[[bytes], Object | None]
Lost = Callable[[bytes], Deletion | None]
"""How an object was deleted, if it was in the current epoch."""


@dataclass(frozen=True)
class Rule:
    """How one kind runs: its rule, the objects it names, the amount and rate its value fee is on."""

    run: Callable[[View, Any, int], None]
    refs: Callable[[Any], tuple[ObjectRef, ...]] = lambda kind: ()
    target: Callable[[Any], bytes | None] = lambda kind: None
    value: Callable[[View, Any], int] = lambda view, kind: 0
    half: bool = True
    system: bool = True


def _or_all(view: View, ref: ObjectRef, amount: int | None) -> int:
    return view.balance(ref.id) if amount is None else amount


def _reward(view: View, kind: k.ClaimRewards) -> int:
    return Target.from_bytes(view.need(kind.target_id).contents).reward


RULES: dict[type[k.Kind], Rule] = {
    k.TransferCoin: Rule(
        coins.transfer_coin,
        lambda q: (q.coin,),
        value=lambda v, q: _or_all(v, q.coin, q.amount),
        half=False,
        system=False,
    ),
    k.PayCoins: Rule(coins.pay_coins, lambda q: q.coins, value=coins.paid, half=False, system=False),
    k.TransferObjects: Rule(coins.transfer_objects, lambda q: q.objects, system=False),
    k.AddStake: Rule(staking.add_stake, lambda q: (q.coin,), value=lambda v, q: _or_all(v, q.coin, q.amount)),
    k.WithdrawStake: Rule(
        staking.withdraw_stake, lambda q: (q.staked,), value=lambda v, q: staking.principal(v, q.staked)
    ),
    k.CreateModel: Rule(models.create_model, value=lambda v, q: q.stake),
    k.CommitModel: Rule(models.commit_model),
    k.RevealModel: Rule(models.reveal_model),
    k.AddStakeToModel: Rule(models.add_stake, lambda q: (q.coin,), value=lambda v, q: _or_all(v, q.coin, q.amount)),
    k.SetModelCommissionRate: Rule(models.set_commission),
    k.DeactivateModel: Rule(models.deactivate),
    k.ReportModel: Rule(reports.report_model),
    k.UndoReportModel: Rule(reports.undo_report_model),
    k.SubmitData: Rule(targets.submit_data, lambda q: (q.bond_coin,), target=lambda q: q.target_id),
    k.ClaimRewards: Rule(targets.claim_rewards, target=lambda q: q.target_id, value=_reward),
    k.ReportSubmission: Rule(reports.report_submission, target=lambda q: q.target_id),
    k.UndoReportSubmission: Rule(reports.undo_report_submission, target=lambda q: q.target_id),
    k.AddValidator: Rule(members.add_validator),
    k.RemoveValidator: Rule(members.remove_validator),
    k.ReportValidator: Rule(reports.report_validator),
    k.UndoReportValidator: Rule(reports.undo_report_validator),
    k.UpdateValidatorMetadata: Rule(members.update_metadata),
    k.SetCommissionRate: Rule(members.set_commission),
}


def _ref_text(ref: ObjectRef) -> str:
    return f"Object ({hex_id(ref.id)}, Version({ref.version}), o#{b58encode(ref.digest)})"


def locked(ref: ObjectRef, holder: bytes) -> Locked:
    """The refusal of what another transaction holds."""
    text = f"{_ref_text(ref)} already locked by a different transaction: TransactionDigest({b58encode(holder)})"
    return Locked("FAILED_PRECONDITION", text)


def nothing_lost(object_id: bytes) -> Deletion | None:
    """No lock stands in the way."""
    return None


def _owned_input(ref: ObjectRef, sender: bytes, find: Find, held: Lost) -> Object:
    found = find(ref.id)
    if found is None:
        raise Refused("ABORTED", f"Could not find the referenced object {hex_id(ref.id)} at version None")
    if found.version != ref.version:
        text = f"{_ref_text(ref)} is not available for consumption, its current version: Version({found.version})"
        raise Stale(text, found.previous_transaction)
    if found.digest != ref.digest:
        text = f"Invalid Object digest for object {hex_id(ref.id)}. Expected digest : o#{b58encode(found.digest)}"
        raise Refused("INTERNAL", text)
    holder = held(ref.id)
    if holder is not None:
        raise locked(ref, holder[1])
    if found.owner.address != sender:
        owner = address_hex(found.owner.address) if found.owner.address else "nobody: it is shared"
        raise Refused(
            "INVALID_ARGUMENT",
            f"Transaction was not signed by the correct sender: Object {hex_id(ref.id)} is owned by account address "
            f"{owner}, but given owner/signer address is {address_hex(sender)}",
        )
    return found


def _refuse_dangers(data: TransactionData, state: SystemState) -> None:
    """What would harm a real network or its sender is refused with a sentence (protocol.md 8)."""
    kind = data.kind
    amounts = (
        (kind.amount,)
        if isinstance(kind, k.TransferCoin)
        else kind.amounts or ()
        if isinstance(kind, k.PayCoins)
        else ()
    )
    if 0 in amounts:
        text = "An amount of 0 would make a coin of zero, which can stop a network; send at least 1 shannon"
        raise Refused("INVALID_ARGUMENT", text)
    if isinstance(kind, k.RevealModel):
        dim, given = state.parameters.target_embedding_dim, len(kind.embedding.floats())
        if given != dim:
            text = (
                f"The embedding has {given} numbers, this network uses {dim}; revealing it would break every new target"
            )
            raise Refused("INVALID_ARGUMENT", text)
    if isinstance(kind, k.SubmitData) and len(kind.distance.floats()) != 1:
        raise Refused("INVALID_ARGUMENT", "A submission's distance is one number")


def gather(
    data: TransactionData, rule: Rule, state: SystemState, find: Find, lost: Lost, held: Lost = nothing_lost
) -> View:
    """The view with every input checked; a shared input that was deleted earlier in this epoch is among the lost.

    `held` tells which transaction holds an owned input until the epoch ends (protocol.md 8, item 5a).
    """
    if len(data.to_bytes()) > MAX_TRANSACTION_BYTES:
        raise Refused("INVALID_ARGUMENT", f"A transaction has at most {MAX_TRANSACTION_BYTES} bytes; name fewer coins")
    named, gas = [r.id for r in rule.refs(data.kind)], [r.id for r in data.gas_payment]
    for group in (named, gas):
        if len(set(group)) != len(group):
            raise Refused("INVALID_ARGUMENT", "Duplicate object ref: one object is named twice in this transaction")
    if not gas:
        raise Refused("INVALID_ARGUMENT", "No coin pays the gas; name at least one coin in gas_payment")
    if set(named) & set(gas[1:]):
        text = "A coin that is melted into the gas cannot be used again; name it as the first gas coin or not as gas"
        raise Refused("INVALID_ARGUMENT", text)
    _refuse_dangers(data, state)
    inputs = {}
    for ref in (*data.gas_payment, *rule.refs(data.kind)):
        inputs[ref.id] = _owned_input(ref, data.sender, find, held)
    for coin in gas:
        if inputs[coin].type != ObjectType.COIN:
            raise Refused("INVALID_ARGUMENT", f"Object {hex_id(coin)} is no coin and cannot pay gas")
    if not any(parse_coin(inputs[coin].contents) for coin in gas):
        raise Refused(
            "INVALID_ARGUMENT", "A coin of zero cannot pay gas: it can stop a network; add it behind a full coin"
        )
    deleted: dict[bytes, Deletion] = {}
    if rule.system:
        inputs[SYSTEM_STATE_ID] = _shared(SYSTEM_STATE_ID, find)
    target_id = rule.target(data.kind)
    if target_id is not None:
        deletion = lost(target_id)
        if deletion is None:
            inputs[target_id] = _shared(target_id, find)
        else:
            deleted[target_id] = deletion
    return View(state, data.digest, data.sender, inputs, gas[0], lost=deleted)


def _shared(object_id: bytes, find: Find) -> Object:
    found = find(object_id)
    if found is None or found.owner.shared_since is None:
        raise Refused("ABORTED", f"Could not find the referenced object {hex_id(object_id)} at version None")
    return found


def run(
    data: TransactionData, state: SystemState, find: Find, lost: Lost, now_ms: int, held: Lost = nothing_lost
) -> tuple[Executed, SystemState]:
    """Execute on a copy of `state`; the caller keeps both results or neither. Raises Refused."""
    rule = RULES[type(data.kind)]
    view = gather(data, rule, state.copy(), find, lost, held)
    for ref in data.gas_payment[1:]:
        view.set_balance(view.gas, view.balance(view.gas) + view.balance(ref.id))
        view.delete(ref.id)
    error, fee = _pay_and_run(view, data.kind, rule, state)
    base, operation, value = view.state.epoch_fees
    view.state.epoch_fees = (base + fee.base, operation + fee.operation, value + fee.value)
    return finish(view, data, error, fee, now_ms), view.state


def _pay_and_run(view: View, kind: k.Kind, rule: Rule, untouched: SystemState) -> tuple[ExecError | None, Fee]:
    p = view.state.parameters
    held = view.balance(view.gas)
    if held < p.base_fee:
        view.delete(view.gas)
        return ExecError(INSUFFICIENT_GAS), Fee(held, 0, 0)
    before = dict(view.now), set(view.gone)
    try:
        if view.lost:
            raise Failure(INPUT_OBJECT_DELETED)
        rate = p.value_fee_bps // 2 if rule.half else p.value_fee_bps
        value = bps(rule.value(view, kind), rate)
        view.set_balance(view.gas, held - p.base_fee)
        rule.run(view, kind, value)
        if view.get(view.gas) is None:
            raise Failure(OBJECT_NOT_FOUND, object_id=view.gas)
        operation = p.write_object_fee * len(view.written())
        left = parse_coin(view.need(view.gas).contents) - operation - value
        if left < 0:
            raise Failure(INSUFFICIENT_GAS)
        _settle(view, left)
        return None, Fee(p.base_fee, operation, value)
    except (Failure, BcsError, OverflowError) as why:
        (view.now, view.gone), view.state = before, untouched.copy()
        if isinstance(why, Failure) and why.kind == MODEL_NOT_ACTIVE and isinstance(kind, k.SubmitData):
            view.lose(kind.bond_coin.id)
        _settle(view, held - p.base_fee)
        if isinstance(why, Failure):
            return _described(why), Fee(p.base_fee, 0, 0)
        return ExecError(OTHER_ERROR, description="Arithmetic overflow in execution"), Fee(p.base_fee, 0, 0)


def _settle(view: View, left: int) -> None:
    if left:
        coin = view.need(view.gas)
        view.now[view.gas] = replace(coin, contents=left.to_bytes(8, "little"))
    else:
        view.delete(view.gas)


def _described(why: Failure) -> ExecError:
    if why.kind == INVALID_ARGUMENTS:
        return ExecError(why.kind, other_error=f"reason={why.detail}")
    if why.kind == OTHER_ERROR:
        return ExecError(why.kind, description=why.detail)
    return ExecError(why.kind, why.object_id, why.detail)


def finish(view: View, data: TransactionData, error: ExecError | None, fee: Fee, now_ms: int) -> Executed:
    """Versions, effects and balance changes of what the view holds."""
    met = [o.version for o in view.inputs.values()] + [before for before, _ in view.lost.values()]
    version = max(met, default=0) + 1
    written: list[Object] = []
    changed: list[Changed] = []
    for object_id in sorted(set(view.inputs) | set(view.now)):
        old, new = view.inputs.get(object_id), view.get(object_id)
        if new is not None:
            new = replace(new, version=version, previous_transaction=view.digest)
            written.append(new)
        elif old is None:
            continue
        changed.append(
            Changed(
                object_id,
                (new or old).type,  # type: ignore[union-attr]
                None if old is None else (old.version, old.digest, old.owner),
                None if new is None else (new.version, new.digest, new.owner),
                "created" if old is None else "deleted" if new is None and object_id not in view.held else "none",
            )
        )
    index = next((i for i, c in enumerate(changed) if c.id == view.gas), None)
    needs = sorted({o.previous_transaction for o in view.inputs.values()} | {by for _, by in view.lost.values()})
    gone = [(object_id, before) for object_id, (before, _) in sorted(view.lost.items())]
    epoch = view.epoch
    effects = Effects(error is None, error, epoch, fee, view.digest, index, needs, version, changed, gone)
    return Executed(view.digest, None, data, effects, _balance_changes(view, written), None, now_ms, written)


def _balance_changes(view: View, written: list[Object]) -> list[tuple[bytes, int]]:
    sums: dict[bytes, int] = {}
    for sign, objects in ((-1, view.inputs.values()), (1, written)):
        for one in objects:
            if one.type == ObjectType.COIN and one.owner.address is not None:
                sums[one.owner.address] = sums.get(one.owner.address, 0) + sign * parse_coin(one.contents)
    return sorted((address, amount) for address, amount in sums.items() if amount)
