"""What a transaction costs, computed from the chain's own parameters (protocol.md 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

from somatui.domain.money import bps
from somatui.domain.snapshot import Parameters

USUAL_BYTES = 10_000
"""Bytes of a submission as most are."""


@dataclass(frozen=True, slots=True)
class Fee:
    """A fee in its three parts, in shannons."""

    base_shannons: int
    write_shannons: int
    value_shannons: int

    @property
    def total_shannons(self) -> int:
        """What leaves the gas coin."""
        return self.base_shannons + self.write_shannons + self.value_shannons


def fee(parameters: Parameters, writes: int, value_shannons: int = 0, *, half_rate: bool = False) -> Fee:
    """The fee of a transaction that writes `writes` objects and moves `value_shannons`.

    Stake, unstake and claim pay half the value rate, with the rate itself halved and rounded down.
    """
    rate = parameters.value_fee_bps // 2 if half_rate else parameters.value_fee_bps
    return Fee(parameters.base_fee_shannons, writes * parameters.write_fee_shannons, bps(value_shannons, rate))


def create_fee(parameters: Parameters, stake_shannons: int) -> Fee:
    """CreateModel: gas coin, system state and the new StakedSoma are written."""
    return fee(parameters, 3, stake_shannons, half_rate=True)


def state_fee(parameters: Parameters) -> Fee:
    """CommitModel, RevealModel and their like: gas coin and system state are written."""
    return fee(parameters, 2)


def submit_fee(parameters: Parameters, *, separate_bond_coin: bool) -> Fee:
    """SubmitData at its dearest: coin, target, replacement target, system state, and a bond coin if there is one."""
    return fee(parameters, 5 if separate_bond_coin else 4)


def usual_submission(parameters: Parameters) -> int:
    """Shannons that one coin must hold for bond and fee of a submission of `USUAL_BYTES`, with something over (R9)."""
    return bond(parameters, USUAL_BYTES) + 10 * parameters.base_fee_shannons


def claim_fee(parameters: Parameters, reward_shannons: int, *, filled: bool) -> Fee:
    """ClaimRewards: 6 writes for a filled target (four new coins), 3 for an expired one (protocol.md 8, item 7)."""
    return fee(parameters, 6 if filled else 3, reward_shannons, half_rate=True)


def bond(parameters: Parameters, size_bytes: int) -> int:
    """The bond of a submission of that size, locked until the claim (R6)."""
    return size_bytes * parameters.bond_shannons_per_byte
