"""The guided setup on its screens, with a real agent, a practice network and its store."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from somatui.config import chosen_profile
from somatui.domain.report import Line, Report
from somatui.domain.setup.state import Setup
from somatui.domain.setup.steps import OWN_WALLETS, Answers, Choices, Field
from somatui.paths import Paths
from somatui.tui.screens.setup.entries import Entry
from somatui.tui.screens.setup.screen import SetupScreen, title
from somatui.tui.screens.setup.words import WordsScreen
from somatui.tui.screenshots import take_setup
from somatui.tui.setup.walk import Say, Walk
from tests.chain.nets import gate_beside
from tests.cli.shell import a_pipe
from tests.tui.setups import PASSPHRASE, Hand, Network, end_agent, everything_written, lock_vault, network, setting_up

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
    await hand.give(net.rpc_url, net.faucet_url, "ops")
    await hand.step("Network")


async def make_vault(hand: Hand) -> None:
    await hand.step("Vault")
    await hand.give(PASSPHRASE)
    await hand.give(PASSPHRASE)
    await hand.passes("✓ vault", "Wallet")


def words_on(hand: Hand) -> list[str]:
    """The words, in order, as the screen shows them."""
    parts = hand.flat.split()
    places = {
        int(parts[i]): parts[i + 1] for i in range(len(parts) - 1) if parts[i].isdigit() and parts[i + 1].isalpha()
    }
    return [places[n] for n in range(1, 13)]


async def make_wallet(hand: Hand, wrong: str = "") -> None:
    await hand.press("enter", "enter")
    await hand.shows("shown once")
    words = words_on(hand)
    await hand.press("enter")
    await hand.shows("Which are word")
    asked = hand.app.screen._asked  # type: ignore[attr-defined]
    await hand.give(words[asked[0]])
    if wrong:
        await hand.give(wrong)
        await hand.shows(f"Word {asked[1] + 1} is another one")
        await hand.press(*["backspace"] * len(wrong))
    await hand.give(words[asked[1]])
    await hand.step("Storage")
    assert not any(f" {word} " in hand.flat for word in words if len(word) > 5)


def test_a_profile_of_the_main_network_says_so_in_words() -> None:
    setup = Setup(Answers(profile="ops")).done()
    assert title(setup, "main").plain == "Setup  2 of 8  Network  ·  MAIN ops"
    assert title(setup, "testnet").plain.endswith("·  ops")


class AtTheWallet(Walk):
    """A setup that stands at its wallet, whose words come at once, with something more to choose."""

    found: Choices = ()

    async def catch_up(self) -> str:
        return ""

    @property
    def fields(self) -> tuple[Field, ...]:
        if self.setup.at != "wallet":
            return (Field("passphrase", "passphrase", secret=True),)
        return (
            Field("wallet", "wallet", choices=OWN_WALLETS),
            Field("which", "which", choices=self.found, only=("wallet", ("new",))),
        )

    async def perform(self, entered: Mapping[str, str], say: Say) -> Report:
        self.found = (("one", ""), ("two", ""))
        return Report((Line("wallet", "ok", "Made"),), {"mnemonic": " ".join(["word"] * 12)})


async def test_who_goes_back_while_a_step_is_told_meets_nothing_of_it_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask_more = SetupScreen._ask_more

    async def while_esc_is_pressed(screen: SetupScreen) -> None:
        await screen.action_back()
        await ask_more(screen)

    monkeypatch.setattr(SetupScreen, "_ask_more", while_esc_is_pressed)
    walk = AtTheWallet(Paths.for_profile("practice", tmp_path), Setup().done().done().done())
    async with setting_up(tmp_path, walk=walk) as hand:
        await hand.step("Wallet")
        await hand.press("enter", "enter")
        await hand.until(lambda: walk.found and hand.app.screen._doing is None, "the end of it")  # type: ignore[attr-defined]
        await hand.pilot.pause()
        assert isinstance(hand.app.screen, SetupScreen), hand.screen
        assert (hand.app.screen._mnemonic, walk.setup.at) == ("", "wallet")
        monkeypatch.setattr(SetupScreen, "_ask_more", ask_more)
        await asyncio.gather(hand.app.screen._open(), hand.app.screen.action_back())
        await hand.step("Vault")
        assert [w.field.name for w in hand.app.screen.query(Entry)] == ["passphrase"]


async def test_a_comparison_that_comes_after_esc_finds_nothing_to_compare(tmp_path: Path) -> None:
    walk = AtTheWallet(Paths.for_profile("practice", tmp_path), Setup().done().done().done())
    async with setting_up(tmp_path, walk=walk) as hand:
        await hand.step("Wallet")
        await hand.app.push_screen(WordsScreen(" ".join(["word"] * 12), lambda count: (0, 1)))
        await hand.press("enter")
        await hand.shows("Which are word 1 and word 2?")
        await hand.press("escape")
        await hand.shows("Write them on paper, in order.")
        assert isinstance(hand.app.screen, WordsScreen)
        hand.app.screen._compare()
        assert isinstance(hand.app.screen, WordsScreen), "the words were not asked back"


async def test_from_nothing_to_a_funded_wallet_with_a_tested_store(home: Path, net: Network) -> None:
    async with setting_up(home) as hand:
        await choose_own_network(hand, net)
        await hand.passes("✓ node", "Vault")
        await make_vault(hand)
        await make_wallet(hand)
        await hand.give(net.store_url, net.bucket, net.access_key, net.secret_key, net.public_url)
        await hand.passes("delete", "Hugging Face")
        await hand.press("f8")
        await hand.shows("F8 again skips it")
        await hand.press("f8")
        await hand.step("GPU and alerts")
        await hand.passes("enter next", "Ready")
        await hand.shows("What next")
        for text in ("2.0000 SOMA came from the faucet", "100 targets are open", "skipped: without a token"):
            await hand.shows(text)
        for file, content in everything_written(home):
            assert PASSPHRASE.encode() not in content and net.secret_key.encode() not in content, file
        await hand.press("enter")
        await hand.until(lambda: hand.app.reopen is not None, "the console's turn")
    assert hand.app.reopen is not None and hand.app.reopen.profile == "ops"
    assert not (hand.app.reopen.profile_dir / "setup.json").exists()
    assert chosen_profile(hand.app.reopen) == ("ops", "config")


async def test_what_goes_wrong_is_said_in_its_place_and_mended_there(home: Path, net: Network) -> None:
    async with setting_up(home, size=(160, 48)) as hand:
        await hand.press("enter", "down", "enter")
        await hand.paste("fullnode.example")
        await hand.press("down", "down", "enter")
        await hand.shows("begins with https:// or http://")
        await hand.press("up", "up", *["backspace"] * 20)
        await hand.give("http://127.0.0.1:9", net.faucet_url, "ops")
        await hand.step("Network")
        await hand.shows("✗ node")
        await hand.press("escape")
        await hand.step("What do you want to do?")
        hand.app.screen.set_focus(hand.app.screen.query_one("#field-rpc_url"))
        await hand.press("end", *["backspace"] * 30)
        await hand.paste(net.rpc_url)
        await hand.press("down", "down", "enter")
        await hand.passes("✓ faucet", "Vault")
        await hand.give(PASSPHRASE, "something else than that")
        await hand.shows("The two are not the same")
        await hand.press("ctrl+u")
        await hand.give(PASSPHRASE, key="f5")
        await hand.shows("✓ vault")
        await hand.press("enter")
        await make_wallet(hand, wrong="elephantine")
        await hand.give(net.store_url, net.bucket, net.access_key, "0" * 40, net.public_url)
        await hand.shows("✗ signed put")
        hand.app.screen.set_focus(hand.app.screen.query_one("#field-secret"))
        await hand.press("ctrl+u")
        await hand.give(net.secret_key, key="f5")
        await hand.shows("✓ delete")


async def test_left_in_the_middle_it_goes_on_there_and_opens_a_vault_that_has_locked_first(
    home: Path, net: Network
) -> None:
    async with setting_up(home) as hand:
        await choose_own_network(hand, net)
        await hand.shows("✓ faucet")
        await hand.press("enter")
        await make_vault(hand)
        await hand.press("f8", "f8")
        await hand.step("Storage")
    await lock_vault(home, "ops")
    async with setting_up(home) as hand:
        await hand.step("Vault")
        await hand.give("a wrong passphrase")
        await hand.shows("✗ vault")
        await hand.press("ctrl+u")
        await hand.give(PASSPHRASE)
        await hand.passes("✓ vault Opened", "Storage")


async def test_who_only_looks_watches_an_address_and_a_secret_in_its_place_is_refused(home: Path, net: Network) -> None:
    async with setting_up(home) as hand:
        hand.of = 4
        await hand.press("down", "down", "down", "enter", "down", "enter")
        await hand.give(net.rpc_url, net.faucet_url, "ops")
        await hand.step("Network")
        await hand.passes("✓ faucet", "Wallet")
        await hand.paste("somaprivkey1qqqq")
        await hand.press("enter", "enter")
        await hand.shows("That is a secret, not an address")
        await hand.press("up", "ctrl+u")
        await hand.give("0x" + "ab" * 32, key="f5")
        await hand.passes("Watched, nothing can be signed here: abab…abab", "Ready")
        await hand.shows("epoch, money, duties in one screen")


async def test_practice_needs_no_keys_and_no_store_of_ones_own_and_the_setup_is_pictured_on_it(home: Path) -> None:
    file = home / "answers.toml"
    file.write_text('purpose = "both"\nnetwork = "practice"\n', "utf-8")
    with network(home / "state" / "practice") as own:
        status, document, said = await asyncio.to_thread(headless, home, file, {})
        await end_agent(home, "practice")
        await take_setup(Paths.for_profile("practice", home), home / "out", "dark")
    assert status == 0, (document, said)
    assert [s["name"] for s in document["steps"]] == ["purpose", "network", "summary"]
    assert document["free_shannons"] > 0
    picture = (home / "out" / "setup.svg").read_text("utf-8").replace("&#160;", " ")
    assert "Setup" in picture and "signed put" in picture
    assert own.secret_key not in picture


def answers(net: Network, **more: str) -> str:
    """A file of answers for that network."""
    lines = {"network": "custom", "profile": "ops", "rpc_url": net.rpc_url, "faucet_url": net.faucet_url}
    lines |= {"endpoint": net.store_url, "bucket": net.bucket, "public_url": net.public_url} | more
    return "".join(f'{name} = "{value}"\n' for name, value in lines.items()) + 'skip = ["huggingface"]\n'


def headless(home: Path, file: Path, secrets: dict[str, str]) -> tuple[int, dict[str, Any], str]:
    """Run `somatui setup --answers` with secrets on descriptors; status, document and progress."""
    words = [sys.executable, "-m", "somatui", "--home", str(home), "setup", "--answers", str(file), "--json"]
    opened: list[int] = []
    for name, value in secrets.items():
        opened.append(a_pipe(value.encode()))
        words += [f"--{name}-fd", str(opened[-1])]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, pass_fds=opened)
    for descriptor in opened:
        os.close(descriptor)
    return ended.returncode, json.loads(ended.stdout), ended.stderr


async def test_the_same_from_a_file_of_answers_and_again_changes_nothing(home: Path, net: Network) -> None:
    file = home / "answers.toml"
    file.write_text(answers(net), "utf-8")
    secrets = {"passphrase": PASSPHRASE, "access": net.access_key, "secret": net.secret_key}
    status, first, said = await asyncio.to_thread(headless, home, file, secrets)
    assert status == 0, (first, said)
    assert (first["ok"], first["profile"], first["free_shannons"]) == (True, "ops", 2_000_000_000)
    assert [(s["name"], s["state"]) for s in first["steps"]][5] == ("huggingface", "skipped")
    assert not any(secrets[name] in said + json.dumps(first) for name in ("passphrase", "secret"))
    status, again, _ = await asyncio.to_thread(headless, home, file, {"passphrase": PASSPHRASE})
    assert status == 0 and again["address"] == first["address"]
    assert again["free_shannons"] == first["free_shannons"]


async def test_a_file_of_answers_stops_at_the_step_that_fails_and_says_how_to_leave_it_out(
    home: Path, net: Network
) -> None:
    file = home / "answers.toml"
    file.write_text(answers(net, bucket="elsewhere", wallet="import"), "utf-8")
    key = home / "key.txt"
    key.write_text("0x" + "17" * 32 + "\n", "utf-8")
    secrets = {"passphrase": PASSPHRASE, "access": net.access_key, "secret": net.secret_key, "key": str(key)}
    status, document, _ = await asyncio.to_thread(headless, home, file, secrets)
    assert status == 1 and not document["ok"] and document["error"].startswith("Storage: ")
    assert "Read as" in document["steps"][3]["detail"]
    assert document["steps"][-1]["state"] == "failed"
    assert not (home / "state" / "profiles" / "ops" / "setup.json").read_text("utf-8").count(net.secret_key)


async def test_a_node_that_asks_for_a_password_gets_it_and_the_vault_keeps_it(home: Path, net: Network) -> None:
    file = home / "answers.toml"
    who = "operator:" + "sesame"
    with gate_beside(net.rpc_url, ("authorization", f"Basic {base64.b64encode(who.encode()).decode()}")) as door:
        lines = {"purpose": "look", "network": "custom", "profile": "ops", "rpc_url": door, "wallet": "watch"}
        lines["address"] = "0x" + "ab" * 32
        file.write_text("".join(f'{name} = "{value}"\n' for name, value in lines.items()), "utf-8")
        status, without, _ = await asyncio.to_thread(headless, home, file, {"passphrase": PASSPHRASE})
        assert status == 1 and without["steps"][-1]["name"] == "network"
        secrets = {"passphrase": PASSPHRASE, "auth": who}
        status, document, said = await asyncio.to_thread(headless, home, file, secrets)
    assert status == 0, (document, said)
    assert [s["name"] for s in document["steps"]] == ["purpose", "network", "vault", "wallet", "summary"]
    assert "targets are open" in json.dumps(document["steps"][-1])
    for written, content in everything_written(home):
        assert b"sesame" not in content and base64.b64encode(who.encode()) not in content, written
