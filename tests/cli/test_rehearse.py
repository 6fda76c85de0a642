"""Rehearsals: each ends with exactly the loss that the rules say, read from the chain, and leaves nothing running."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from somatui.cli.rehearse.registry import WORLDS
from tests.cli.shell import Ended, one_sentence, somatui
from tests.conftest import with_seeds

Played = Future[tuple[Path, Ended]]

CREATE, COMMIT, BASE = 1_000 + 3 * 300 + 500_000, 1_000 + 2 * 300, 1_000
"""Fees in shannons of a create with 1 SOMA, of a commit, and of what fails (protocol.md 4.1)."""
HALF = 500_000_000
REWARD, BOND, SUBMISSION = 12_685_185, 10_000 * 65, 1_000 + 4 * 300
SUBMITTERS = REWARD - REWARD * 4_975 // 10_000 - REWARD * 50 // 10_000
"""A submitter's share with the rounding's rest (protocol.md 4.3)."""
LOSSES = {
    "missed-reveal": [HALF, CREATE + COMMIT],
    "missed-update": [0, COMMIT],
    "never-committed": [HALF, HALF // 2, HALF // 4, CREATE],
    "wrong-key": [HALF, 2 * BASE, CREATE + COMMIT],
    "expired-target": [BASE],
    "lost-race": [BASE],
    "dust-wallet": [BASE],
    "two-signers": [0],
    "coin-locked": [BASE],
    "timeout-that-landed": [HALF, CREATE],
    "late-epoch": [HALF, BASE, CREATE + COMMIT],
    "safe-mode": [HALF, BASE, CREATE + COMMIT],
    "version-jump": [BASE],
    "dead-url": [BOND, SUBMITTERS, SUBMISSION],
    "wrong-winner": [BOND, SUBMITTERS, SUBMISSION],
}


def left_running(state: Path) -> list[list[str]]:
    found = (p.info["cmdline"] or [] for p in psutil.process_iter(["cmdline"]))
    return [words for words in found if any(str(state) in word for word in words)]


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, seeds: Path
) -> Iterator[dict[str, Played]]:
    """Every rehearsal that is asked for, two at a time, since each waits for its own processes to start."""
    home = str(with_seeds(tmp_path_factory.mktemp("home"), seeds))
    calls = (getattr(item, "callspec", None) for item in request.session.items if item.path == request.path)
    wanted = [str(call.params["name"]) for call in calls if call is not None]

    def play(name: str) -> tuple[Path, Ended]:
        state = tmp_path_factory.mktemp("rehearsal") / name
        return state, somatui(
            "practice", "rehearse", name, "--state", str(state), "--json", timeout_s=110, SOMATUI_HOME=home
        )

    with ThreadPoolExecutor(2) as pool:
        yield {name: pool.submit(play, name) for name in wanted}


@pytest.mark.slow
@pytest.mark.parametrize("name", [w.name for w in WORLDS])
def test_a_rehearsal_loses_exactly_what_the_rules_say(name: str, played: dict[str, Played]) -> None:
    state, ended = played[name].result()
    assert ended.status == 0, ended.err
    told = ended.json
    print(f"{name}: {told['seconds']} s, lost {told['lost_shannons']:,} shannons")
    assert told["ok"] is True and told["rehearsal"] == name
    assert [loss["lost_shannons"] for loss in told["losses"]] == LOSSES[name]
    assert [loss["by_the_rules_shannons"] for loss in told["losses"]] == LOSSES[name]
    assert told["lost_shannons"] == sum(LOSSES[name])
    assert told["seen"] and told["prevented_by"].endswith(".")
    before = ended.err.index("What will happen"), ended.err.index("On the real network it costs")
    assert max(before) < ended.err.index("practice network at")
    until = time.monotonic() + 20
    while left := left_running(state):
        assert time.monotonic() < until, left
        time.sleep(0.05)


def test_the_list_names_every_rehearsal_with_its_rule_and_its_price() -> None:
    told = somatui("practice", "rehearse", "--list", "--json").json["rehearsals"]
    assert [one["name"] for one in told] == list(LOSSES)
    for one in told:
        assert one["rule"].startswith("R")
        assert all(one[text].endswith((".", ".)")) for text in ("happens", "costs", "prevented_by"))
    shown = somatui("practice", "rehearse", "--list")
    assert shown.status == 0 and all(name in shown.out for name in LOSSES)


def test_a_rehearsal_that_does_not_exist_is_refused_with_the_names_of_those_that_do() -> None:
    unknown, unnamed = somatui("practice", "rehearse", "ruin"), somatui("practice", "rehearse")
    assert (unknown.status, unnamed.status) == (2, 2)
    assert one_sentence(unknown.err) and "missed-reveal" in unknown.err
    assert one_sentence(unnamed.err) and "--list" in unnamed.err
