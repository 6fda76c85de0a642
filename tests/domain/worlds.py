"""Literal pictures of the world that the domain's tests start from."""

from __future__ import annotations

from dataclasses import replace

from somatui.domain.snapshot import (
    CoinView,
    EpochView,
    ModelView,
    NetworkView,
    Parameters,
    Snapshot,
    TargetView,
    WalletView,
)

HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000
ME = "aa" * 32
OTHER = "bb" * 32


def an_id(digits: str) -> str:
    return "0x" + digits.rjust(64, "0")


def model(digits: str = "a1", **changes: object) -> ModelView:
    base = ModelView(id=an_id(digits), owner=ME, state="active", mine=True, stake_shannons=1_000_000_000)
    return replace(base, **changes)  # type: ignore[arg-type]


def target(digits: str = "71", **changes: object) -> TargetView:
    base = TargetView(
        id=an_id(digits),
        status="open",
        model_ids=(an_id("a1"), an_id("a2"), an_id("a3")),
        threshold=1.05,
        reward_shannons=12_685_185,
        generation_epoch=412,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def coin(digits: str, balance_shannons: int) -> CoinView:
    return CoinView(id=an_id(digits), version=1, digest="d", balance_shannons=balance_shannons)


def world(**changes: object) -> Snapshot:
    base = Snapshot(
        profile="practice",
        at_ms=NOW_MS,
        network=NetworkView(name="practice", kind="practice", reachable=True),
        epoch=EpochView(
            number=412,
            starts_at_ms=NOW_MS - 14 * HOUR_MS,
            threshold=1.05,
            reward_shannons=12_685_185,
            parameters=Parameters(embedding_dim=16),
        ),
        wallet=WalletView(address=ME, unlocked=True, coins=(coin("c1", 2_000_000_000), coin("c2", 500_000_000))),
        models=(model(),),
    )
    return replace(base, **changes)  # type: ignore[arg-type]
