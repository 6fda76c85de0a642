"""Leases: one agent per profile, one signer per wallet, and none left behind by the dead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from somatui.agent.lease import LeaseHeld, profile_lease, wallet_lease

HOLD = """
import sys
from pathlib import Path
from somatui.agent.lease import wallet_lease
lease = wallet_lease(Path(sys.argv[1]), "ab" * 32, "other")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_agent_of_the_same_profile_is_refused_in_one_sentence(tmp_path: Path) -> None:
    first = profile_lease(tmp_path / "agent.lock", "practice")
    with pytest.raises(LeaseHeld, match=r"^Another agent runs for profile practice \(process \d+\): .*agent stop\.$"):
        profile_lease(tmp_path / "agent.lock", "practice")
    first.release()
    profile_lease(tmp_path / "agent.lock", "practice").release()


def test_a_wallet_has_one_signer_across_profiles_until_that_one_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == b"held\n"
    with pytest.raises(LeaseHeld, match="profile other, process"):
        wallet_lease(tmp_path, "ab" * 32, "mine")
    wallet_lease(tmp_path, "cd" * 32, "mine").release()
    process.kill()
    process.communicate()
    wallet_lease(tmp_path, "ab" * 32, "mine").release()
