"""Wallets in a real agent: made, imported, watched, switched under its feet, tried again, exported; no secret left."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from soma_sdk import Keypair

from somatui.agent import importing
from somatui.agent.client import AgentError
from somatui.agent.journal import Journal
from somatui.agent.lease import wallet_lease
from somatui.agent.server import RpcError
from somatui.config import StoreConfig, load, save_store
from tests.agent.operators import PASSPHRASE, Operator, operator

pytestmark = pytest.mark.slow

PLANTED = {name: secrets.token_bytes(32) for name in ("first", "second", "third", "fourth", "env", "store", "hf")}


def address_of(seed: bytes) -> str:
    return str(Keypair.from_secret_key(seed).address())


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with operator(tmp_path_factory.mktemp("wallets")) as made:
        made.ask("wallet.import", text=PLANTED["first"].hex() + "\n", label="ops-1")
        yield made


def refused(ops: Operator, says: str, method: str, **params: Any) -> None:
    with pytest.raises(AgentError, match=says) as wrong:
        ops.ask(method, **params)
    assert not any(seed.hex() in str(wrong.value) for seed in PLANTED.values())


def alert(ops: Operator, about: str) -> str:
    """The text of the first alert whose name begins so; empty where there is none."""
    return next((str(a["text"]) for a in ops.look()["alerts"] if a["about"].startswith(about)), "")


def test_the_first_wallet_is_the_one_in_use(ops: Operator) -> None:
    wallet = ops.wallets()[address_of(PLANTED["first"])]
    assert wallet["active"] and wallet["label"] == "ops-1" and not wallet["watch_only"] and not wallet["has_words"]
    shown = ops.look()["wallet"]
    assert (shown["address"], shown["label"], shown["watch_only"]) == (wallet["address"], "ops-1", False)


def test_each_import_says_what_it_saw(ops: Operator) -> None:
    entry = base64.b64encode(b"\0" + PLANTED["second"]).decode()
    found = ops.ask("wallet.import", text=f' "{entry}"\n', label="ops-2")
    assert found["format"] == "keystore entry (base64 of flag and key)" and "quotes stood around it" in found["notes"]
    assert (found["address"], found["known"]) == (address_of(PLANTED["second"]), False)
    again = ops.ask("wallet.import", text=Keypair.from_secret_key(PLANTED["second"]).to_encoded())
    assert (again["known"], again["label"]) == (True, "ops-2")
    file = base64.b64encode(f"X=1\nSOMA_SECRET_KEY={PLANTED['second'].hex()}\n".encode()).decode()
    assert ops.ask("wallet.import", text=file, raw=True)["format"] == ".env file, hex"
    raw = base64.b64encode(PLANTED["second"]).decode()
    assert ops.ask("wallet.import", text=raw, raw=True)["format"] == "32 raw bytes"


def test_a_keystore_of_several_keys_wants_to_know_which(ops: Operator) -> None:
    store = json.dumps([base64.b64encode(b"\0" + PLANTED[n]).decode() for n in ("third", "fourth")])
    refused(ops, "holds 2 keys", "wallet.import", text=store)
    found = ops.ask("wallet.import", text=store, address=address_of(PLANTED["third"])[:8], label="ops-3")
    assert found["address"] == address_of(PLANTED["third"]) and "2 keys" in found["format"]


def test_an_address_in_the_place_of_a_key_is_known_as_one(ops: Operator) -> None:
    refused(ops, "address of wallet ops-1, not its key", "wallet.import", text="0x" + address_of(PLANTED["first"]))
    refused(ops, "That is a secret, not an address", "wallet.watch", address=PLANTED["first"].hex())
    refused(ops, "That is a secret, not an address", "wallet.watch", address="abandon " * 11 + "about")
    refused(ops, "64 hex digits", "wallet.watch", address="0x1234")
    refused(ops, "called ops-1 already", "wallet.new", label="ops-1")
    refused(ops, "begins with a letter", "wallet.label", address="ops-1", label="7 days")


def test_new_words_bring_the_wallet_back_and_a_drill_says_whether_they_would(ops: Operator) -> None:
    made = ops.ask("wallet.new", label="fresh", words=24)
    assert len(made["mnemonic"].split()) == 24
    assert made["address"] == Keypair.from_mnemonic(made["mnemonic"]).address()
    assert ops.wallets()[made["address"]]["has_words"]
    drill = ops.ask("wallet.test", text=made["mnemonic"].upper(), address="fresh")
    assert (drill["matches"], drill["label"], drill["format"]) == (True, "fresh", "mnemonic of 24 words")
    assert not ops.ask("wallet.test", text=made["mnemonic"])["matches"]
    told = ops.ask("wallet.export", address="fresh", form="words", word="export", passphrase=PASSPHRASE)
    assert told["secret"] == made["mnemonic"]


def test_a_key_is_exported_for_the_word_and_the_passphrase_alone(ops: Operator) -> None:
    asked = {"address": "ops-1", "form": "bech32", "word": "export", "passphrase": PASSPHRASE}
    refused(ops, "typed word", "wallet.export", **asked | {"word": "yes"})
    refused(ops, "hex, bech32, words", "wallet.export", **asked | {"form": "pem"})
    refused(ops, "passphrase", "wallet.export", **asked | {"passphrase": "another one"})
    refused(ops, "no words of", "wallet.export", **asked | {"form": "words"})
    assert ops.ask("wallet.export", **asked)["secret"] == Keypair.from_secret_key(PLANTED["first"]).to_encoded()
    assert ops.ask("wallet.export", **asked | {"form": "hex"})["secret"] == PLANTED["first"].hex()


def test_another_wallet_comes_into_use_with_its_own_money_and_journal(ops: Operator) -> None:
    ops.ask("act", action="faucet", args={}, key="faucet-1")
    before = ops.look()
    assert before["wallet"]["coins"] and before["ledger"]["received_shannons"]
    ops.ask("wallet.use", address="ops-2")
    other = ops.look()
    assert (other["wallet"]["label"], other["wallet"]["coins"]) == ("ops-2", [])
    assert other["ledger"]["received_shannons"] == 0 and other["intents"] == []
    assert ops.ask("ledger.reconcile")["difference_shannons"] == 0
    assert {o["label"] for o in other["wallet"]["others"]} >= {"ops-1", "ops-3"}
    ops.ask("wallet.use", address="ops-1")
    after = ops.look()
    assert after["wallet"]["coins"] == before["wallet"]["coins"] and after["ledger"] == before["ledger"]
    assert ops.ask("ledger.reconcile")["difference_shannons"] == 0
    refused(ops, "there are .*ops-2", "wallet.use", address="nobody")


def test_a_watched_wallet_can_be_read_and_acts_say_why_not(ops: Operator) -> None:
    address = address_of(PLANTED["fourth"])
    ops.ask("wallet.watch", address="0x" + address, label="cold")
    ops.ask("wallet.use", address="cold")
    try:
        shown = ops.look()["wallet"]
        assert (shown["address"], shown["watch_only"], shown["label"]) == (address, True, "cold")
        ops.ask("act", action="faucet", args={}, key="faucet-cold")
        assert ops.look()["wallet"]["coins"]
        said = ops.ask("preview", action="claim", args={})
        assert said["refused"]
        weights = ops.network.publishing("cold")
        refused(ops, "watch-only: import its key", "act", action="publish", args=weights, key="publish-cold")
        refused(ops, "no key of", "wallet.export", address="cold", form="hex", word="export", passphrase=PASSPHRASE)
        ops.ask("wallet.import", text=PLANTED["fourth"].hex())
        assert not ops.look()["wallet"]["watch_only"] and ops.wallets()[address]["label"] == "cold"
    finally:
        ops.ask("wallet.use", address="ops-1")


def test_a_wallet_that_another_agent_signs_for_is_left_alone(ops: Operator) -> None:
    lease = wallet_lease(ops.paths.leases_dir, address_of(PLANTED["second"]), "other")
    try:
        refused(ops, "Another agent signs for the wallet", "wallet.use", address="ops-2")
        assert ops.look()["wallet"]["label"] == "ops-1"
        assert load(ops.paths).profile.wallet == address_of(PLANTED["first"])
    finally:
        lease.release()


def test_while_the_vault_is_locked_wallets_are_listed_and_none_is_made(ops: Operator) -> None:
    ops.ask("vault.lock")
    try:
        assert {w["label"] for w in ops.wallets().values()} >= {"ops-1", "ops-2"}
        refused(ops, "locked", "wallet.new", label="late")
        refused(ops, "locked", "wallet.export", address="ops-1", form="hex", word="export", passphrase=PASSPHRASE)
        assert ops.ask("wallet.test", text=PLANTED["first"].hex())["matches"]
    finally:
        ops.ask("vault.unlock", passphrase=PASSPHRASE)


def test_after_a_restart_the_same_wallet_is_in_use(ops: Operator) -> None:
    before = ops.look()
    ops.ask("wallet.use", address="ops-2")
    ops.restart()
    assert ops.look()["wallet"]["label"] == "ops-2"
    assert alert(ops, "left:") == ""
    journal = Journal.open(ops.paths.journal)
    act = journal.begin("claim", "0x71", {}, "left", 1)
    ops.restart()
    assert "ops-1 was left with acts" in alert(ops, "left:"), "config.toml was changed while no agent ran"
    journal.enter(act.id, "refused", 2)
    journal.close()
    ops.ask("vault.unlock", passphrase=PASSPHRASE)
    ops.ask("wallet.use", address="ops-1")
    assert ops.look()["ledger"] == before["ledger"]


def env_file(folder: Path, **values: str) -> Path:
    folder.mkdir()
    file = folder / ".env"
    lines = {
        "SOMA_SECRET_KEY": f'"{PLANTED["env"].hex()}"',
        "S3_BUCKET": "soma-data",
        "S3_ENDPOINT_URL": "acc.r2.cloudflarestorage.com/soma-data",
        "S3_ACCESS_KEY_ID": "a1" * 16,
        "S3_SECRET_ACCESS_KEY": PLANTED["store"].hex(),
        "S3_PUBLIC_URL": "https://pub-1.r2.dev",
        "HF_TOKEN": f"hf_{PLANTED['hf'].hex()}",
    }
    file.write_text("# quickstart\n" + "".join(f"export {n}={v}\n" for n, v in (lines | values).items()))
    file.chmod(0o600)
    return file


def test_a_quickstart_file_is_shown_masked_moved_and_deleted(ops: Operator, tmp_path: Path) -> None:
    file = env_file(tmp_path / "plain")
    seen = ops.ask("env.look", path=str(file))
    assert [f["name"] for f in seen["found"]][:2] == ["SOMA_SECRET_KEY", "S3_BUCKET"]
    assert all(f["moves"] for f in seen["found"]) and (seen["tracked_by_git"], seen["exposed"]) == (False, False)
    assert not any(secret.hex() in json.dumps(seen) for secret in PLANTED.values())
    said = ops.ask("env.move", path=str(file), shred=True, label="from-env")
    assert (said["file"], said["left"]) == ("deleted", []) and not file.exists() and "solid-state" in said["copies"]
    assert said["address"] == address_of(PLANTED["env"])
    assert ops.wallets()[said["address"]]["label"] == "from-env"
    assert {"hf/token", "store/ops/access", "store/ops/secret"} <= set(ops.ask("vault.list")["names"])
    store = load(ops.paths).profile.store
    assert store is not None
    assert (store.endpoint, store.bucket) == ("https://acc.r2.cloudflarestorage.com", "soma-data")
    assert (store.public_url, store.public_mode) == ("https://pub-1.r2.dev", "public_url")


def test_what_is_not_known_is_left_in_the_file(ops: Operator, tmp_path: Path) -> None:
    file = env_file(tmp_path / "more", DATABASE_URL="postgres://x", HF_TOKEN="paste here")
    said = ops.ask("env.move", path=str(file), shred=True)
    assert (said["file"], [i["name"] for i in said["left"]]) == ("cleaned", ["HF_TOKEN", "DATABASE_URL"])
    assert file.read_text() == "# quickstart\nexport HF_TOKEN=paste here\nexport DATABASE_URL=postgres://x\n"
    refused(ops, "Nothing in .env can be moved", "env.move", path=str(file))


def test_what_is_left_in_a_file_is_written_before_its_bytes_are_destroyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / ".env"
    file.write_text("HF_TOKEN=moved\nDATABASE_URL=kept\n")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing, "write_whole", full)
    with pytest.raises(RpcError, match="no space left"):
        importing._shred(file, "DATABASE_URL=kept\n")
    assert file.read_text() == "HF_TOKEN=moved\nDATABASE_URL=kept\n"


def test_a_file_that_git_tracks_or_others_can_read_is_warned_of(ops: Operator, tmp_path: Path) -> None:
    file = env_file(tmp_path / "repo")
    file.chmod(0o644)
    git = ["git", "-C", str(file.parent)]
    subprocess.run([*git, "init", "-q"], check=True)
    assert ops.ask("env.look", path=str(file))["tracked_by_git"] is False
    subprocess.run([*git, "add", ".env"], check=True)
    seen = ops.ask("env.look", path=str(file))
    assert (seen["tracked_by_git"], seen["exposed"]) == (True, True)


def test_what_is_no_file_of_that_kind_is_refused(ops: Operator, tmp_path: Path) -> None:
    refused(ops, "whole path", "env.look", path=".env")
    refused(ops, "cannot be read", "env.look", path=str(tmp_path / "none"))
    refused(ops, "is a directory", "env.look", path=str(tmp_path))
    refused(ops, "no .env file", "env.look", path="/dev/null")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfd")
    refused(ops, "not UTF-8", "env.look", path=str(tmp_path / "bytes"))
    linked = env_file(tmp_path / "linked")
    (tmp_path / "twin").hardlink_to(linked)
    refused(ops, "another name too", "env.move", path=str(linked), shred=True)
    assert linked.exists()


async def busy_while_publishing(ops: Operator) -> str:
    """What the agent says to another wallet while an act is on its way."""
    async with ops.connect() as first, ops.connect() as second:
        args = ops.network.publishing("latex-01")
        act = asyncio.ensure_future(first.call("act", action="publish", args=args, key="publish-1"))
        while (await second.call("intents"))["intents"][-1]["action"] != "publish":
            assert not act.done(), act.result()
            await asyncio.sleep(0)
        try:
            await second.call("wallet.use", address="ops-2")
            said = "nothing"
        except AgentError as refusal:
            said = str(refusal)
        await act
    return said


def test_another_wallet_waits_for_acts_and_deadlines_of_the_one_in_use(ops: Operator) -> None:
    card = ops.network.card
    save_store(
        ops.paths, StoreConfig(card["store_url"], card["bucket"], public_url=f"{card['store_url']}/{card['bucket']}")
    )
    ops.ask("profile.reload")
    for name, key in (("access", "access_key"), ("secret", "secret_key")):
        ops.ask("vault.set", name=f"store/ops/{name}", value_b64=base64.b64encode(card[key].encode()).decode())
    assert "not finished" in asyncio.run(busy_while_publishing(ops))
    assert ops.look()["duties"][0]["action"] == "reveal"
    refused(ops, "Reveal latex-01 must be on the chain by the end of epoch 1", "wallet.use", address="ops-2")
    assert ops.ask("vault.lock")["waits"].startswith("reveal latex-01, on the chain by the end of epoch 1")
    locked = ops.look()["duties"][0]
    assert (locked["armed"], locked["note"]) == (False, "vault locked")
    ops.ask("vault.unlock", passphrase=PASSPHRASE)
    assert ops.look()["duties"][0]["armed"]
    refused(ops, "not finished or due", "vault.remove", name=f"wallet/{address_of(PLANTED['first'])}")
    assert ops.look()["wallet"]["label"] == "ops-1"
    ops.ask("wallet.use", address="ops-2", anyway=True)
    assert ops.look()["duties"] == [] and "somatui wallet use ops-1" in alert(ops, "other:")
    ops.ask("wallet.use", address="ops-1")
    assert ops.look()["duties"][0]["armed"]


def test_no_key_is_in_any_file_but_the_vault(ops: Operator) -> None:
    home = ops.paths.home
    assert home is not None
    forms = [
        form
        for seed in PLANTED.values()
        for form in (
            seed,
            seed.hex().encode(),
            base64.b64encode(seed).rstrip(b"="),
            base64.b64encode(b"\0" + seed),
            Keypair.from_secret_key(seed).to_encoded().encode(),
        )
    ]
    for file in (f for f in Path(home).rglob("*") if f.is_file()):
        data = file.read_bytes()
        assert not any(form in data for form in forms), file.name
