"""Which wallet an agent is for, where the profile names another one than the one that is busy."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from somatui.agent.flows.base import key_name, seen_keys
from somatui.agent.ground import Ground
from somatui.agent.journal import Journal
from somatui.agent.server import RpcError
from somatui.agent.vaulting import Vaulting
from somatui.agent.wallet_in_use import WalletBusy, WalletInUse, new_wallet
from somatui.chain.client import Chain, Endpoints
from somatui.config import Profile, Settings
from somatui.domain.secret_names import WALLET
from somatui.paths import Paths
from somatui.vault.file import FileVault
from tests.domain.worlds import model, world

pytestmark = pytest.mark.usefixtures("quick_vaults")


def ground_in(folder: Path) -> tuple[Ground, str]:
    """A profile with two wallets, the first in use, and the passphrase of its vault."""
    paths = Paths.for_profile("ops", folder).create()
    words = os.urandom(8).hex()
    vault = FileVault.create(paths.vault, words)
    first, _ = new_wallet(vault), new_wallet(vault)
    profile = Profile("ops", "custom", "http://127.0.0.1:9", wallet=first)
    return Ground(paths, profile, Settings(), Journal.open(paths.journal), Chain(Endpoints("")), vault), words


def test_a_wallet_whose_acts_are_not_finished_stays_and_signs_whatever_the_profile_names_meanwhile(
    tmp_path: Path,
) -> None:
    ground, words = ground_in(tmp_path)
    first, vault, profile = ground.profile.wallet, ground.vault, ground.profile
    assert vault is not None
    wallet = WalletInUse(ground)
    assert wallet.settle() and ground.can_sign
    ground.journal.begin("reveal", "0x1", {}, "key", 1)
    vault.lock()
    ground.profile = replace(profile, wallet="ab" * 32)
    with pytest.raises(WalletBusy):
        wallet.settle()
    assert not ground.can_sign
    vault.unlock(words)
    with pytest.raises(WalletBusy):
        wallet.settle()
    assert ground.address == first and ground.can_sign and ground.key()
    wallet.release()


def test_a_vault_that_locks_or_breaks_between_two_looks_is_no_end_of_the_looking(tmp_path: Path) -> None:
    ground, words = ground_in(tmp_path)
    assert ground.vault is not None and len(ground.secret_names() or ()) == 2
    ground.vault.lock()
    assert ground.secret_names() is None and seen_keys(ground) == set()
    ground.vault.unlock(words)
    ground.paths.vault.write_bytes(b"{}")
    assert ground.secret_names() == frozenset() and seen_keys(ground) == set()


def test_keys_that_another_wallet_of_the_profile_still_needs_are_not_removed(tmp_path: Path) -> None:
    ground, _ = ground_in(tmp_path)
    vault, wallet, first = ground.vault, WalletInUse(ground), ground.profile.wallet
    assert vault is not None and wallet.settle()
    made = ground.journal.begin("publish", "alpha", {}, "k", 1)
    ground.journal.enter(made.id, "done", 2, result={"model_id": "0x7"})
    key = key_name(made.id)
    vault.set(key, b"k" * 32)
    second = next(n.removeprefix(WALLET) for n in vault.names() if n.startswith(WALLET) and not n.endswith(first))
    ground.profile = replace(ground.profile, wallet=second)
    assert wallet.settle() and ground.address == second
    pictures = [replace(world(), models=())]
    ground.snapshot = lambda: pictures[-1]
    vaulting = Vaulting(ground, lambda: None)

    def refused(name: str, why: str) -> None:
        with pytest.raises(RpcError, match=why):
            asyncio.run(vaulting.remove(name))

    refused(key, "weights of alpha wait for their reveal")
    pictures.append(replace(world(), models=(replace(model(state="pending", commit_epoch=411), owner=first),)))
    refused(WALLET + first, "not finished or due")
    pictures.pop()
    damaged = ground.paths.profile_dir / "journal-0.sqlite3"
    damaged.write_bytes(b"no database at all" * 99)
    refused(key, "cannot be known. The journal .* is damaged")
    damaged.unlink()
    other = Journal.open(ground.paths.journal)
    reveal = other.begin("reveal", "0x7", {}, "r", 3)
    refused(WALLET + first, "not finished or due")
    other.enter(reveal.id, "done", 4)
    other.close()
    for name in (key, WALLET + first):
        asyncio.run(vaulting.remove(name))
    assert vault.names() == (WALLET + second,)
    wallet.release()
