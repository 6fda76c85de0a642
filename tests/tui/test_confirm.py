"""The consequence is shown before the act, nothing goes without a yes, and one yes sends one call."""

from __future__ import annotations

import pytest

from somatui.paths import Paths
from tests.tui.consoles import console
from tests.tui.serve import busy


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


async def test_claim_shows_what_it_means_and_y_sends_it_once(paths: Paths) -> None:
    async with console(paths) as c:
        await c.press("c")
        await c.shows("Claim 2 targets")
        await c.shows("0.000 001 600 SOMA tried by the node")
        assert not c.agent.calls("act")
        await c.press("y")
        await c.shows("Claim 2 targets: done, earned 0.025 370 370 SOMA.")
        (sent,) = c.agent.calls("act")
        assert sent["action"] == "claim"
        assert sent["args"]["target_ids"] == [t.id for t in busy().claimable]
        assert len(sent["key"]) == 32
