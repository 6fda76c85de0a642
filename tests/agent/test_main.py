"""The whole agent over its socket: what it refuses, what it tells, what it pushes, and how it ends."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.client import AgentError
from somatui.workers.board import read_board
from tests.agent.harness import Household, household

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
REFUSED, LOCKED = -32010, -32011
CORPUS = {"paths": [str(Path(__file__).parent)], "max_bytes": 4_096, "seed": 0}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Household]:
    with household(tmp_path_factory.mktemp("agent") / "h") as made:
        made.start_agent()
        yield made


def code_of(doing: Any) -> int:
    with pytest.raises(AgentError) as refused:
        asyncio.run(doing)
    assert refused.value.message.endswith(".")
    return refused.value.code


def test_it_says_who_it_is_and_has_made_a_wallet(home: Household) -> None:
    async def ask() -> tuple[dict[str, Any], dict[str, Any], Any]:
        return await home.call("hello"), await home.call("vault.status"), await home.look()

    hello, vault, seen = asyncio.run(ask())
    assert (hello["profile"], hello["protocol"]) == ("practice", 1) and hello["pid"] == int(
        home.paths.agent_pid.read_text()
    )
    assert (vault["exists"], vault["locked"], vault["address"]) == (True, False, seen.wallet.address)
    assert seen.network.reachable and len(seen.models) == 3 and seen.epoch.parameters.embedding_dim == 16


def test_files_of_the_profile_are_private(home: Household) -> None:
    paths = home.paths
    modes = {oct(p.stat().st_mode & 0o777) for p in (paths.vault, paths.passphrase, paths.journal, paths.socket)}
    assert modes == {"0o600"}


def test_what_preflight_refuses_is_refused_with_its_checks_and_leaves_no_intent(home: Household) -> None:
    assert code_of(home.act("reveal", {"model_id": "0x" + "0" * 63 + "1"})) == REFUSED
    assert code_of(home.act("claim", {"target_ids": None})) == REFUSED
    assert code_of(home.act("publish", {"label": "x"})) == REFUSED
    assert code_of(home.act("dance")) == REFUSED
    assert asyncio.run(home.call("intents"))["intents"] == []


def test_a_preview_of_what_cannot_be_done_says_why(home: Household) -> None:
    seen = asyncio.run(home.call("preview", action="claim", args={"target_ids": None}))
    assert "claimable" in seen["refused"] and seen["simulated"] is None and seen["checks"][0]["ok"] is False


def test_a_second_training_is_refused_however_soon_it_is_asked_for(home: Household) -> None:
    async def both() -> list[Any]:
        args = {"steps": 100_000, "micro_batch": 1, "accumulate": 1, "corpus": CORPUS}
        async with home.client() as client:
            asked = [client.call("job.start", kind="train", args=args) for _ in range(2)]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            started = next(a for a in answers if isinstance(a, dict))
            await client.call("job.stop", job_id=started["job_id"])
            return list(answers)

    answers = asyncio.run(both())
    refused = [a for a in answers if isinstance(a, AgentError)]
    assert len(refused) == 1 and refused[0].code == REFUSED and "runs already" in refused[0].message


def test_a_setting_holds_at_once_and_a_wrong_one_is_refused(home: Household) -> None:
    assert asyncio.run(home.call("settings.set", key="fill_pace_per_minute", value=7))["value"] == 7
    assert code_of(home.call("settings.set", key="fill_pace_per_minute", value=0)) == REFUSED
    assert code_of(home.call("settings.set", key="no_such", value=0)) == REFUSED


def test_a_locked_vault_answers_that_it_must_be_unlocked(home: Household) -> None:
    passphrase = home.paths.passphrase.read_text().strip()

    async def locked() -> int:
        await home.call("vault.lock")
        try:
            await home.call("vault.unlock", passphrase="not it")
        except AgentError as refused:
            return refused.code
        return 0

    assert asyncio.run(locked()) == LOCKED
    assert asyncio.run(home.look()).wallet.unlocked is False
    assert asyncio.run(home.call("vault.unlock", passphrase=passphrase))["locked"] is False
    assert asyncio.run(home.look()).wallet.unlocked is True


def test_listeners_get_everything_once_then_only_what_changes(home: Household) -> None:
    async def listen() -> tuple[list[set[str]], list[set[str]]]:
        told: list[set[str]] = []
        async with home.client() as client:
            await client.call("refresh")
            await client.subscribe(lambda sections: told.append(set(sections)))
            async with asyncio.timeout(10):
                while not told:
                    await asyncio.sleep(0.02)
            before = list(told)
            await client.call("refresh")
            await client.call("refresh")
            await client.call("act", action="faucet", args={}, key="listen")
            async with asyncio.timeout(10):
                while not any("wallet" in sections for sections in told[len(before) :]):
                    await asyncio.sleep(0.02)
        return before, told[len(before) :]

    first, then = asyncio.run(listen())
    assert {"network", "epoch", "wallet", "targets", "models", "jobs", "ledger"} <= first[0]
    assert all("models" not in sections and "targets" not in sections for sections in then), then
    assert not any(sections <= {"at_ms", "network"} for sections in then), "a look that brought nothing new was told"


def test_the_board_is_a_file_that_workers_read(home: Household) -> None:
    path = asyncio.run(home.call("board"))["path"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    board = read_board(Path(path))
    seen = asyncio.run(home.look())
    assert {t.id for t in board.targets} == {t.id for t in seen.targets if t.status == "open"}
    assert board.threshold == seen.epoch.threshold and board.epoch == seen.epoch.number


def test_it_leaves_when_asked_and_leaves_nothing_open(home: Household) -> None:
    asyncio.run(home.call("shutdown"))
    assert home.stop_agent() == 0
    assert not home.paths.socket.exists() and not os.path.exists(f"{home.paths.journal}-wal")
