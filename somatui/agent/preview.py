"""The act as the node itself would do it now, tried unsigned: for the panel that asks before anything is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from somatui.agent.ground import Ground
from somatui.chain import build
from somatui.chain.build import BuildError
from somatui.chain.errors import ChainError
from somatui.domain import fees
from somatui.domain.coins import NoCoin, choose
from somatui.domain.snapshot import CoinView
from somatui.domain.versions import ARCHITECTURE
from somatui.wire.transaction import TransactionData

if TYPE_CHECKING:
    from somatui.agent.signer import Signer


async def preview(ground: Ground, signer: Signer, action: str, args: dict[str, Any]) -> dict[str, Any] | None:
    """`{"fee_shannons", "error"}`; the fee is that of all transactions of the act, `error` a sentence or None.

    A reveal is never tried, since trying it would show the key; a submission not before its bytes are in the store.
    """
    try:
        if action == "claim":
            return await _claims(ground, signer, args)
        if action == "publish":
            return await _publish(ground, signer, args)
    except (ChainError, NoCoin, BuildError, ValueError) as failure:
        return {"fee_shannons": None, "error": str(failure)}
    return None


async def _tried(ground: Ground, data: TransactionData) -> tuple[int, str | None]:
    effects = await ground.chain.simulate(data.to_bytes())
    return effects.fee.total, None if effects.success else effects.error_text


def _coin(signer: Signer, need_shannons: int, *, reserved: bool) -> CoinView:
    return choose(signer.coins, need_shannons, reserved_too=reserved)


async def _claims(ground: Ground, signer: Signer, args: dict[str, Any]) -> dict[str, Any] | None:
    ids = args.get("target_ids") or [t.id for t in ground.snapshot().claimable]
    total = 0
    for target_id in ids:
        data = build.claim(ground.address, _coin(signer, 1, reserved=True), target_id=target_id)
        fee, error = await _tried(ground, data)
        if error is not None:
            return {"fee_shannons": fee, "error": error}
        total += fee
    return {"fee_shannons": total, "error": None} if ids else None


async def _publish(ground: Ground, signer: Signer, args: dict[str, Any]) -> dict[str, Any]:
    p = ground.snapshot().epoch.parameters
    stake = int(args.get("stake_shannons") or p.model_min_stake_shannons)
    commit = fees.state_fee(p).total_shannons
    data = build.create_model(
        ground.address,
        _coin(signer, stake + fees.create_fee(p, stake).total_shannons + commit, reserved=False),
        stake_shannons=stake,
        commission_bps=int(args.get("commission_bps", 1_000)),
        architecture_version=ARCHITECTURE,
    )
    fee, error = await _tried(ground, data)
    return {"fee_shannons": fee + commit, "error": error}
