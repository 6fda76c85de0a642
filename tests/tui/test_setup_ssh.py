"""The guided setup as a new user meets it: a bare machine over SSH whose line breaks twice; all breaks: tests/long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.long.setup_over_ssh import set_up
from tests.tui.setups import network
from tests.tui.ssh import can_leave_root

pytestmark = pytest.mark.slow


async def test_over_ssh_from_nothing_to_a_tested_profile_though_the_line_breaks_twice(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    with network(tmp_path / "network") as net:
        found = await set_up(home, net, {"vault", "storage"}, unprivileged=can_leave_root())
    assert found["resumed"] == ["vault", "storage"]
    assert found["typing_seconds"] <= 180
    assert found["free_shannons"] == 2_000_000_000
    assert found["storage"] and set(found["storage"]) == {"ok"}
    assert found["leaks"] == []
