"""A locked vault is opened from the console, and what is typed for that is seen nowhere."""

from __future__ import annotations

from dataclasses import replace

import pytest
from textual.widgets import Input

from somatui.agent.server import RpcError
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths
from tests.tui.consoles import console
from tests.tui.serve import busy

WORDS = "quiet queens quote quartz"


@pytest.fixture
def paths() -> Paths:
    return Paths.for_profile("practice")


def locked() -> Snapshot:
    return replace(busy(), wallet=replace(busy().wallet, unlocked=False))


async def test_the_passphrase_goes_to_the_agent_and_is_not_shown(paths: Paths) -> None:
    async with console(paths, locked()) as c:
        await c.shows("✗ key locked: press u")
        assert "u open the vault" in c.flat
        c.agent.answers["vault.unlock"] = RpcError(-32010, "That is not this vault's passphrase.")
        await c.press("u")
        await c.until(lambda: isinstance(c.app.focused, Input), "the entry")
        await c.press(*"quite")
        assert "quite" not in c.flat
        await c.press("enter")
        await c.shows("That is not this vault's passphrase.")
        c.agent.answers["vault.unlock"] = {}
        await c.type(WORDS)
        await c.shows("The vault is open: the agent can sign.")
        assert [asked["passphrase"] for asked in c.agent.calls("vault.unlock")] == ["quite", WORDS]
        assert WORDS not in c.flat


async def test_esc_leaves_it_and_an_open_vault_is_not_opened_again(paths: Paths) -> None:
    async with console(paths, locked()) as c:
        await c.press("u")
        await c.shows("Open the vault")
        await c.press("escape")
        await c.until(lambda: c.app.screen is c.app.home, "home")
        assert not c.agent.calls("vault.unlock")
    async with console(paths) as c:
        await c.press("u")
        await c.shows("The vault is open already.")
