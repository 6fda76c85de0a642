"""Alerts on their way to a real HTTP server, through the worker: once each, tried again, nothing secret in them."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.ground import Ground
from somatui.agent.herald import READ_EVERY_MS, Herald
from somatui.agent.journal import Journal
from somatui.agent.outbox import FIRST_PAUSE_MS, GATHER_MS, OVER_MS
from somatui.chain.client import Chain, Endpoints
from somatui.config import Profile, Settings
from somatui.domain.secret_names import WEBHOOK
from somatui.domain.snapshot import Alert, Snapshot
from somatui.paths import Paths
from somatui.vault.file import FileVault
from tests import servers
from tests.domain.worlds import NOW_MS, world

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_vaults")]
PATH = "/services/T0/planted"
SLASH = Alert("bad", "Reveal <alpha> of @everyone: key missing.", NOW_MS, "duty:reveal:a")


@dataclass
class Channel:
    """A webhook's server and the clock; `status` is what it answers."""

    status: int = 200
    now: int = NOW_MS
    heard: list[dict[str, Any]] = field(default_factory=list)

    def reply(self, _method: str, path: str, _headers: Any, body: bytes) -> servers.Reply:
        assert path == PATH
        if self.status == 200:
            self.heard.append(json.loads(body))
        return self.status, {}, b""

    @property
    def texts(self) -> list[str]:
        """The lines of each message but its first."""
        return ["\n".join(message["text"].splitlines()[1:]) for message in self.heard]


@pytest.fixture
async def channel() -> Channel:
    return Channel()


@contextlib.asynccontextmanager
async def ground(folder: Path, channel: Channel) -> AsyncIterator[Ground]:
    """An agent's ground whose vault holds the address of a server."""
    paths = Paths.for_profile("ops", folder).create()
    vault, journal = FileVault.create(paths.vault, "words"), Journal.open(paths.journal)
    profile, chain = Profile("ops", "testnet"), Chain(Endpoints(""))
    made = Ground(paths, profile, Settings(), journal, chain, vault, now_ms=lambda: channel.now,
                  steady_ms=lambda: channel.now)  # fmt: skip
    with servers.answering(channel.reply) as url:
        vault.set(WEBHOOK, f"{url}{PATH}".encode())
        yield made
    made.journal.close()


def seen(*alerts: Alert) -> Snapshot:
    return replace(world(), alerts=alerts)


async def until(herald: Herald, picture: Snapshot, holds: Callable[[], bool]) -> None:
    """Look until it holds."""
    async with asyncio.timeout(20):
        while not holds():
            herald.look(picture)
            await asyncio.sleep(0.02)


async def test_a_bad_alert_arrives_once_and_its_end_over_a_restart(tmp_path: Path, channel: Channel) -> None:
    async with ground(tmp_path, channel) as agent:
        herald = Herald(agent)
        await until(herald, seen(SLASH), lambda: len(channel.heard) == 1)
        await herald.close()
        said = await herald.status()
        assert (said["set"], said["level"], said["waiting"], said["error"]) == (True, "all", 0, "")
        herald = Herald(agent)
        channel.now += GATHER_MS
        herald.look(seen(SLASH))
        herald.look(seen())
        channel.now += OVER_MS
        await until(herald, seen(), lambda: len(channel.heard) == 2)
        await herald.close()
        assert channel.texts == [
            "✗ Reveal ‹alpha› of @\u200beveryone: key missing.",
            "✓ over: Reveal ‹alpha› of @\u200beveryone: key missing.",
        ]
        assert channel.heard[0]["allowed_mentions"] == {"parse": []}
        kept = [f for f in agent.paths.profile_dir.rglob("*") if f.is_file() and b"planted" in f.read_bytes()]
        assert kept == [], "the webhook's address lies outside the vault"


async def test_where_there_is_no_vault_there_is_no_webhook_to_be_unlocked(tmp_path: Path, channel: Channel) -> None:
    async with ground(tmp_path, channel) as agent:
        agent.vault = None
        assert (await Herald(agent).status())["set"] is False


async def test_what_was_not_taken_goes_out_again_and_is_said_meanwhile(tmp_path: Path, channel: Channel) -> None:
    channel.status = 500
    async with ground(tmp_path, channel) as agent:
        herald = Herald(agent)
        herald.look(seen(SLASH))

        async def failed() -> bool:
            return bool((await herald.status())["error"])

        async with asyncio.timeout(20):
            while not await failed():
                await asyncio.sleep(0.02)
        said = await herald.status()
        assert "server fails" in said["error"] and (said["waiting"], said["failed_ms"]) == (1, NOW_MS)
        assert said["cure"] and said["cure"] not in said["error"]
        assert "planted" not in said["error"]
        channel.status = 200
        herald.look(seen(SLASH))
        await asyncio.sleep(0)
        assert herald._sending is None, "it did not wait before the next try"
        channel.now += FIRST_PAUSE_MS
        await until(herald, seen(SLASH), lambda: len(channel.heard) == 1)
        await herald.close()


async def test_what_nobody_foresaw_is_told_and_tried_again_after_a_pause(
    tmp_path: Path, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def odd(*_: Any) -> dict[str, Any]:
        raise ValueError

    monkeypatch.setattr("somatui.agent.herald.run_worker", odd)
    async with ground(tmp_path, channel) as agent:
        herald = Herald(agent)
        for _ in range(3):
            herald.look(seen(SLASH))
            await asyncio.sleep(0)
        assert ((await herald.status())["error"], herald._outbox.tries) == ("ValueError", 1)


async def test_a_vault_that_locks_itself_is_told_of_all_the_same(tmp_path: Path, channel: Channel) -> None:
    locked = Alert("bad", "The key is locked: unlock the vault, the keeper cannot act.", NOW_MS, "key")
    async with ground(tmp_path, channel) as agent:
        herald = Herald(agent)
        herald.look(seen())
        assert agent.vault is not None
        agent.vault.lock()
        channel.now += READ_EVERY_MS
        await until(herald, seen(locked), lambda: len(channel.heard) == 1)
        await herald.close()
        after = Herald(agent)
        after.look(seen(SLASH))
        assert (await after.status())["set"] is None and after._sending is None


async def test_nothing_is_sent_where_it_is_switched_off_or_no_webhook_is_kept(tmp_path: Path, channel: Channel) -> None:
    async with ground(tmp_path, channel) as agent:
        agent.settings = replace(agent.settings, alerts_to_webhook="off")
        herald = Herald(agent)
        herald.look(seen(SLASH))
        assert herald._sending is None and (await herald.status())["level"] == "off"
        agent.settings = Settings()
        assert agent.vault is not None
        agent.vault.delete(WEBHOOK)
        channel.now += READ_EVERY_MS
        herald.look(seen(SLASH))
        assert herald._sending is None and (await herald.status())["set"] is False
