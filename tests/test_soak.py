"""A whole profile under load for seconds; that nothing grows in minutes is a proof of its own (tests.long.soak)."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.usefixtures("seeded_home")
def test_a_profile_under_load_is_sampled_process_by_process_and_ends_in_order() -> None:
    done = subprocess.run([sys.executable, "-m", "tests.long.soak", "--short"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("network", "agent", "console", "workers.score", "workers.train"):
        assert f"\n{name} " in done.stdout, done.stdout
    assert "difference 0 shannons" in done.stdout
