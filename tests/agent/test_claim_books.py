"""What a claim brought, told apart: reward, bond that came back, bond that the validators' reports have taken (R5)."""

from __future__ import annotations

import pytest

from somatui.agent.flows.claim import Claim
from somatui.agent.journal import Intent
from somatui.domain.consequence import claim_income
from somatui.domain.snapshot import Parameters
from tests.domain.worlds import ME, target

REWARD = 12_685_185
CLAIMERS_SHARE = 63_425


@pytest.mark.parametrize("bond", [650_000, 45_500])
@pytest.mark.parametrize("own_model", [False, True])
def test_a_bond_comes_back_with_the_reward_or_is_lost_with_it(bond: int, own_model: bool) -> None:
    filled = target(
        status="claimable", reward_shannons=REWARD, fill_epoch=410, submitter=ME, mine=True, bond_shannons=bond,
        own_model_won=own_model,
    )  # fmt: skip
    due = claim_income(Parameters(), filled)
    args = {"bond_shannons": bond, "income_shannons": due}
    intent = Intent("i", "k", "claim", filled.id, "signed", 1, 1, args=args)
    assert Claim._bond(intent, due) == (bond, bond, False)
    assert Claim._bond(intent, CLAIMERS_SHARE) == (bond, 0, True)


def test_a_target_that_was_never_filled_has_no_bond() -> None:
    args = {"bond_shannons": 0, "income_shannons": CLAIMERS_SHARE}
    assert Claim._bond(Intent("i", "k", "claim", "0x1", "signed", 1, 1, args=args), CLAIMERS_SHARE) == (0, 0, False)
