"""Copies of a vault: out and back, an old one put back by hand, a new data key, and what a full disk leaves."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from somatui.vault import note, sealed
from somatui.vault.base import VaultDamaged, VaultError, VaultLocked, VaultMissing, WrongPassphrase
from somatui.vault.file import FileVault

WORDS = "correct horse"  # pragma: allowlist secret


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> FileVault:
    made = FileVault.create(tmp_path_factory.mktemp("vault") / "vault.json", WORDS)
    made.set("hf/token", b"one")
    return made


@pytest.fixture
def vault(tmp_path: Path, made: FileVault) -> FileVault:
    shutil.copy(made.path, tmp_path)
    shutil.copy(note.place(made.path), tmp_path)
    copied = FileVault.open(tmp_path / "vault.json")
    copied.unlock_with(made.data_key())
    return copied


def test_an_old_copy_put_back_is_noticed_until_somebody_takes_it_for_good(vault: FileVault, tmp_path: Path) -> None:
    kept = vault.path.read_bytes()
    vault.set("model-key/a", b"two")
    assert not vault.copy_is_old
    vault.path.write_bytes(kept)
    found = FileVault.open(vault.path)
    assert found.copy_is_old and found.locked
    found.unlock_with(vault.data_key())
    for n in range(3):
        found.set(f"later/{n}", b"x")
        assert FileVault.open(vault.path).copy_is_old, "writing to an old copy hid that it is one"
    found.change_passphrase(WORDS, "another horse")
    assert FileVault.open(vault.path).copy_is_old, "a new passphrase hid that it is an old copy"
    found.rotate("another horse")
    assert not found.copy_is_old and "later/2" in found.names()
    vault.path.write_bytes(kept)
    assert FileVault.open(vault.path).copy_is_old


def test_a_lost_or_foreign_note_claims_nothing(vault: FileVault) -> None:
    place = note.place(vault.path)
    for content in (b"", b"[]", b'{"serial": "9"}', b'{"serial": 9, "more": 1}', b"\xff"):
        place.write_bytes(content)
        assert note.read(vault.path) == note.Note()
        assert not vault.copy_is_old
    place.write_text(json.dumps({"vault_id": "another", "serial": 99}))
    assert not vault.copy_is_old
    vault.set("b", b"x")
    assert note.read(vault.path).serial == 3


def test_a_new_data_key_takes_back_the_old_one(vault: FileVault) -> None:
    old = vault.data_key()
    vault.rotate(WORDS)
    assert vault.data_key() != old and vault.get("hf/token") == b"one"
    with pytest.raises(VaultDamaged):
        FileVault.open(vault.path).unlock_with(old)
    with pytest.raises(WrongPassphrase):
        vault.rotate("another")


def test_a_copy_goes_out_and_comes_back_and_says_what_it_lacks(vault: FileVault, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    vault.export(copy, WORDS)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with pytest.raises(VaultDamaged):
        sealed.Document.from_bytes(copy.read_bytes()).open_items(vault.data_key())
    with pytest.raises(VaultError, match="exists already"):
        vault.export(copy, WORDS)
    vault.set("later/a", b"x")
    vault.set("later/b", b"x")
    copy.chmod(0o644)
    here = vault.path.read_bytes()
    restored, lacks = FileVault.restore(copy, vault.path, WORDS)
    assert (restored.names(), lacks, restored.copy_is_old) == (("hf/token",), 2, False)
    assert (tmp_path / "vault-before-1.json").read_bytes() == here

    here = vault.path.read_bytes()
    with pytest.raises(WrongPassphrase):
        FileVault.restore(copy, vault.path, "another")
    with pytest.raises(VaultMissing):
        FileVault.restore(tmp_path / "none", vault.path, WORDS)
    copy.write_bytes(copy.read_bytes()[:-40])
    with pytest.raises(VaultDamaged):
        FileVault.restore(copy, vault.path, WORDS)
    assert vault.path.read_bytes() == here


def test_an_unlocking_lasts_as_long_as_was_said(vault: FileVault) -> None:
    vault.hold_for(3600)
    assert not vault.locked and vault.held_in == "agent"
    vault.lock()
    with pytest.raises(VaultLocked):
        vault.data_key()
    assert vault.locked and vault.held_in == ""


LIMITED = """
import resource, signal, sys
from pathlib import Path
from somatui.vault.base import VaultError
from somatui.vault.file import FileVault
vault = FileVault.open(Path(sys.argv[1]))
vault.unlock_with(bytes.fromhex(sys.stdin.readline()))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for size in range(0, 6000, 500):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        vault.set("big", b"x" * 4000)
    except VaultError as failure:
        print(failure)
    else:
        raise SystemExit("written in too little room")
"""


def test_a_write_that_the_disk_breaks_off_anywhere_leaves_the_vault_as_it_was(vault: FileVault) -> None:
    before = vault.path.read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(vault.path)], input=vault.data_key().hex(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 12 and all("as it was" in line for line in done.stdout.splitlines())
    assert vault.path.read_bytes() == before and vault.get("hf/token") == b"one"
    assert {p.name for p in vault.path.parent.iterdir()} <= {"vault.json", "vault-note.json", ".vault.json.lock"}


FULL = """
import sys, os, subprocess
from pathlib import Path
from somatui.vault.base import VaultError
from somatui.vault.file import FileVault
disk = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", str(disk)], check=True)
path = disk / "vault.json"
vault = FileVault.create(path, sys.stdin.readline().strip())
vault.set("a", b"first")
(disk / "filler").write_bytes(b"x" * (os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
try:
    vault.set("b", b"second")
except VaultError as failure:
    print(failure)
assert FileVault.open(path).locked and vault.names() == ("a",)
(disk / "filler").unlink()
vault.set("b", b"second")
assert vault.names() == ("a", "b")
"""


def test_a_full_disk_is_named_and_costs_nothing(tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("this system gives no mount namespace to a user, so no small disk can be made")
    words = ["unshare", "-Urm", sys.executable, "-c", FULL, str(tmp_path)]
    done = subprocess.run(words, input=WORDS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "is full: free some space; the vault is as it was." in done.stdout


def test_unlocking_takes_scrypt_of_at_least_two_to_the_17_and_no_more_than_a_second(vault: FileVault) -> None:
    document = sealed.Document.from_bytes(vault.path.read_bytes())
    assert document.header.log2_n >= 17
    began = time.process_time()
    FileVault.open(vault.path).unlock(WORDS)
    assert time.process_time() - began < 1.0


def test_drafts_of_writers_that_were_killed_are_swept_up(vault: FileVault) -> None:
    (draft := vault.path.with_name(".vault.json.0123abcd")).write_bytes(b"half")
    vault.set("a", b"x")
    assert not draft.exists()


def test_writers_killed_at_any_moment_leave_a_whole_vault() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.long.vault_kill", "--kills", "8", "--seed", "1"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 kills" in done.stdout
