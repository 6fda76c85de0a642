"""The guided setup on its screens, with a real agent, a practice network and its store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.tui.setups import PASSPHRASE, Hand, Network, end_agent, network, setting_up

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    with network(tmp_path_factory.mktemp("net") / "n") as made:
        yield made


@pytest_asyncio.fixture
async def home(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path
    await end_agent(tmp_path, "ops")


async def choose_own_network(hand: Hand, net: Network) -> None:
    """Step 1: submit, a node of one's own, profile ops."""
    await hand.step("What do you want to do?")
    await hand.press("enter", "down", "enter")
    await hand.paste(net.rpc_url, net.faucet_url, "ops")
    await hand.press("enter")
    await hand.step("Network")


async def make_vault(hand: Hand) -> None:
    await hand.step("Vault")
    await hand.paste(PASSPHRASE)
    await hand.press("enter")
    await hand.paste(PASSPHRASE)
    await hand.press("enter")
    await hand.shows("✓ vault")
    await hand.press("enter")
    await hand.step("Wallet")


def words_on(hand: Hand) -> list[str]:
    """The words, in order, as the screen shows them."""
    parts = hand.flat.split()
    places = {
        int(parts[i]): parts[i + 1] for i in range(len(parts) - 1) if parts[i].isdigit() and parts[i + 1].isalpha()
    }
    return [places[n] for n in range(1, 13)]


async def make_wallet(hand: Hand) -> None:
    await hand.press("enter", "enter")
    await hand.shows("shown once")
    words = words_on(hand)
    await hand.press("enter")
    await hand.shows("Which are word")
    asked = hand.app.screen._asked  # type: ignore[attr-defined]
    await hand.paste(words[asked[0]])
    await hand.press("enter")
    await hand.paste(words[asked[1]])
    await hand.press("enter")
    await hand.step("Storage")


async def test_from_nothing_to_a_funded_wallet_with_a_tested_store(home: Path, net: Network) -> None:
    async with setting_up(home) as hand:
        await choose_own_network(hand, net)
        await hand.press("enter")
        await hand.shows("enter next")
        await hand.press("enter")
        await make_vault(hand)
        await make_wallet(hand)
        await hand.paste(net.store_url, net.bucket, net.access_key, net.secret_key, net.public_url)
        await hand.press("enter")
        await hand.shows("delete")
        await hand.press("enter")
        await hand.step("Hugging Face")
        await hand.press("f8")
        await hand.shows("F8 again skips it")
        await hand.press("f8")
        await hand.step("GPU and alerts")
        await hand.shows("enter next")
        await hand.press("enter")
        await hand.step("Ready")
        await hand.shows("What next")
        print(hand.screen)
