"""The file vault gives back what was put in, to the right passphrase alone, or says in a sentence why not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from somatui.vault import sealed
from somatui.vault.base import (
    VaultDamaged,
    VaultError,
    VaultExposed,
    VaultLocked,
    VaultMissing,
    WrongPassphrase,
)
from somatui.vault.file import FileVault
from somatui.vault.practice import open_practice_vault

WORDS = "correct horse"  # pragma: allowlist secret
ITEM = b"\x00\xffMARKED-SECRET\n"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("vault") / "vault.json"
    FileVault.create(path, WORDS).set("wallet/aa", ITEM)
    return path.read_bytes()


@pytest.fixture(scope="module")
def key(sound: bytes) -> bytes:
    return sealed.Document.from_bytes(sound).open_key(WORDS)


def placed(folder: Path, content: bytes) -> Path:
    path = folder / "vault.json"
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_secrets_survive_lock_and_restart(tmp_path: Path, sound: bytes) -> None:
    vault = FileVault.open(placed(tmp_path, sound))
    assert vault.locked
    with pytest.raises(VaultLocked):
        vault.get("wallet/aa")
    vault.unlock(WORDS)
    assert vault.get("wallet/aa") == ITEM
    vault.set("store/access", b"x")
    vault.delete("wallet/aa")
    assert vault.names() == ("store/access",)
    with pytest.raises(KeyError):
        vault.get("wallet/aa")
    vault.lock()
    with pytest.raises(VaultLocked):
        vault.names()


def test_nothing_readable_is_written_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        FileVault.create(tmp_path / "vault.json", WORDS).set("wallet/marked-name", ITEM)
    finally:
        os.umask(old)
    for file in tmp_path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        for trace in (b"MARKED", b"marked-name", WORDS.encode(), b"correct"):
            assert trace not in file.read_bytes()


@pytest.mark.parametrize("wrong", ["", WORDS + " "])
def test_another_passphrase_does_not_open_it(tmp_path: Path, sound: bytes, wrong: str) -> None:
    vault = FileVault.open(placed(tmp_path, sound))
    with pytest.raises(WrongPassphrase) as refused:
        vault.unlock(wrong)
    assert vault.locked
    assert refused.value.__cause__ is None


def test_a_wrong_passphrase_takes_the_work_of_a_right_one(
    tmp_path: Path, sound: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = placed(tmp_path, sound), list[dict[str, object]]()

    def counted(_: bytes, **parameters: object) -> bytes:
        done.append({name: value for name, value in parameters.items() if name != "salt"})
        return bytes(32)

    monkeypatch.setattr(sealed.hashlib, "scrypt", counted)
    for passphrase in (WORDS, WORDS + "x", "", "x" * 10_000):
        with pytest.raises(WrongPassphrase) as refused:
            FileVault.open(path).unlock(passphrase)
        assert str(refused.value).startswith("The passphrase does not open the vault")
    assert len(done) == 4 and all(one == done[0] and one["n"] == 2**17 for one in done)


def test_a_new_passphrase_replaces_the_old_one_and_keeps_the_secrets(tmp_path: Path, sound: bytes) -> None:
    path = placed(tmp_path, sound)
    FileVault.open(path).change_passphrase(WORDS, "another")
    vault = FileVault.open(path)
    with pytest.raises(WrongPassphrase):
        vault.unlock(WORDS)
    vault.unlock("another")
    assert vault.get("wallet/aa") == ITEM


def test_a_file_truncated_anywhere_is_refused(sound: bytes) -> None:
    for size in range(len(sound.rstrip())):
        with pytest.raises(VaultDamaged):
            sealed.Document.from_bytes(sound[:size])


def test_a_bit_flipped_anywhere_is_never_read_as_something_else(sound: bytes, key: bytes) -> None:
    refused = 0
    for at in range(len(sound) * 8):
        spoiled = bytearray(sound)
        spoiled[at // 8] ^= 1 << at % 8
        try:
            items = sealed.Document.from_bytes(bytes(spoiled)).open_items(key)
        except VaultDamaged:
            refused += 1
        else:
            assert items == {"wallet/aa": ITEM}
    assert refused > len(sound) * 7


def test_a_bit_flipped_in_the_wrapped_key_is_a_wrong_passphrase(sound: bytes) -> None:
    document = sealed.Document.from_bytes(sound)
    spoiled = bytes([document.wrapped_key[0] ^ 1]) + document.wrapped_key[1:]
    with pytest.raises(WrongPassphrase):
        replace(document, wrapped_key=spoiled).open_key(WORDS)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("log2_n", 10),
        ("log2_n", 16),
        ("log2_n", True),
        ("log2_n", 17.0),
        ("salt", 7),
        ("log2_n", 31),
        ("log2_n", "17"),
        ("r", 9),
        ("p", 2),
        ("salt", "AAAA"),
        ("name", "md5"),
        ("x", 1),
    ],
)
def test_parameters_out_of_range_are_refused_before_they_are_used(sound: bytes, field: str, value: object) -> None:
    found = json.loads(sound)
    found["header"]["kdf"][field] = value
    with pytest.raises(VaultDamaged):
        sealed.Document.from_bytes(json.dumps(found).encode())


@pytest.mark.parametrize("serial", [-1, 2**62 + 1, "1", True, 2.0, None])
def test_a_serial_out_of_range_is_refused(sound: bytes, serial: object) -> None:
    with pytest.raises(VaultDamaged):
        sealed.Document.from_bytes(json.dumps(json.loads(sound) | {"serial": serial}).encode())


def test_another_serial_does_not_open_the_items(sound: bytes, key: bytes) -> None:
    document = sealed.Document.from_bytes(sound)
    with pytest.raises(VaultDamaged):
        replace(document, serial=document.serial + 1).open_items(key)


def test_a_vault_from_before_states_were_counted_opens_and_is_counted_from_then_on(
    tmp_path: Path, sound: bytes, key: bytes
) -> None:
    document = sealed.Document.from_bytes(sound)
    before = sealed.Document.sealed(document.header, document.wrapped_key, key, {"a": ITEM}, 0).to_bytes()
    path = placed(tmp_path, json.dumps({k: v for k, v in json.loads(before).items() if k != "serial"}).encode())
    vault = FileVault.open(path)
    vault.unlock_with(key)
    vault.set("b", b"x")
    assert vault.names() == ("a", "b") and json.loads(path.read_bytes())["serial"] == 1


def test_a_newer_format_is_named(sound: bytes) -> None:
    found = json.loads(sound)
    found["header"]["version"] = 2
    with pytest.raises(VaultDamaged, match="format 2"):
        sealed.Document.from_bytes(json.dumps(found).encode())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_file_that_others_can_reach_is_refused(tmp_path: Path, sound: bytes, mode: int) -> None:
    path = placed(tmp_path, sound)
    path.chmod(mode)
    with pytest.raises(VaultExposed):
        FileVault.open(path)


def test_a_missing_linked_or_existing_vault_says_so(tmp_path: Path, sound: bytes) -> None:
    with pytest.raises(VaultMissing):
        FileVault.open(tmp_path / "none.json")
    path = placed(tmp_path, sound)
    (tmp_path / "link.json").symlink_to(path)
    with pytest.raises(VaultError):
        FileVault.open(tmp_path / "link.json")
    with pytest.raises(VaultError, match="exists already"):
        FileVault.create(path, WORDS)


WRITER = """
import sys
from pathlib import Path
from somatui.vault.file import FileVault
vault = FileVault.open(Path(sys.argv[1]))
vault.unlock(sys.stdin.readline().strip())
for n in range(20):
    vault.set(f"{sys.argv[2]}/{n}", b"v")
"""


def test_two_processes_that_write_lose_nothing(tmp_path: Path, sound: bytes) -> None:
    path = placed(tmp_path, sound)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdin=subprocess.PIPE, text=True)
        for name in ("a", "b")
    ]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write(WORDS + "\n")
        writer.stdin.close()
    assert [w.wait(120) for w in writers] == [0, 0]
    vault = FileVault.open(path)
    vault.unlock(WORDS)
    assert len(vault.names()) == 41


def test_the_practice_vault_opens_by_itself_and_says_when_its_passphrase_is_gone(tmp_path: Path) -> None:
    vault, words = tmp_path / "vault.json", tmp_path / "passphrase"
    open_practice_vault(vault, words).set("wallet/aa", ITEM)
    assert stat.S_IMODE(words.stat().st_mode) == 0o600
    assert open_practice_vault(vault, words).get("wallet/aa") == ITEM
    words.unlink()
    with pytest.raises(VaultMissing, match="practice reset"):
        open_practice_vault(vault, words)


HARDENED = """
import os, resource
from somatui.hardening import harden_process
harden_process()
print(resource.getrlimit(resource.RLIMIT_CORE), oct(os.umask(0)))
"""


def test_a_hardened_process_leaves_no_core() -> None:
    done = subprocess.run([sys.executable, "-c", HARDENED], capture_output=True, text=True, check=True)
    assert done.stdout.split(") ") == ["(0, 0", "0o77\n"]
