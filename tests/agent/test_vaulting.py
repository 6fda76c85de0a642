"""The vault over the agent's socket: made, opened, locked, filled, copied, restored, with and without anybody there."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from somatui.agent.client import AgentError
from somatui.agent.mnemonics import address_of_key
from somatui.vault.held import kernel_keyring
from tests.agent.lone import Lone, lone
from tests.vault.desktop import desktop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
WORDS, OTHER = "correct horse battery", "another passphrase"  # pragma: allowlist secret
REFUSED, LOCKED, FAILED = -32010, -32011, -32013


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lone]:
    patch = pytest.MonkeyPatch()
    patch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    with lone(tmp_path_factory.mktemp("vaulting") / "h") as made:
        assert made.start() == b"ready"
        yield made
    patch.undo()


def refused(own: Lone, method: str, **params: Any) -> AgentError:
    with pytest.raises(AgentError) as failure:
        own.call(method, **params)
    assert failure.value.message.endswith("."), failure.value.message
    return failure.value


def keep(own: Lone, name: str, value: bytes) -> None:
    own.call("vault.set", name=name, value_b64=base64.b64encode(value).decode())


def test_before_there_is_one_everything_says_so(own: Lone) -> None:
    said = own.call("vault.status")
    assert (said["exists"], said["locked"], said["backend"]) == (False, True, "")
    for method, params in (("unlock", {"passphrase": "x"}), ("list", {}), ("remove", {"name": "a"})):
        assert "vault create" in refused(own, f"vault.{method}", **params).message
    assert refused(own, "vault.create", passphrase="short").code == REFUSED
    assert "secret-service" in refused(own, "vault.create", passphrase=WORDS, backend="none").message
    assert "no D-Bus session" in refused(own, "vault.create", passphrase=WORDS, backend="secret-service").message
    assert not own.paths.vault.exists()
    for verb in ("unlock", "passphrase", "rotate"):
        assert "vault create" in str(somatui(own, "vault", verb)[1]), "a passphrase was asked for nothing"


def test_it_is_made_open_and_says_what_opens_it_and_where_the_key_is(own: Lone) -> None:
    said = own.call("vault.create", passphrase=WORDS)
    assert (said["exists"], said["locked"], said["backend"], said["copy_is_old"]) == (True, False, "file", False)
    assert said["cached"] == ("kernel" if kernel_keyring() else "agent")
    assert said["why"].endswith(".") and (sys.platform != "linux" or "no D-Bus session" in said["why"])
    assert refused(own, "vault.create", passphrase=WORDS).code == REFUSED


def test_secrets_are_kept_named_and_forgotten_and_wrong_ones_refused(own: Lone) -> None:
    keep(own, "hf/token", b"one")
    keep(own, "store/own/access", b"two")
    assert own.call("vault.list")["names"] == ["hf/token", "store/own/access"]
    own.call("vault.remove", name="store/own/access")
    assert refused(own, "vault.remove", name="store/own/access").code == REFUSED
    for name in ("", "/a", "a//b", "a b", "x" * 201, "a\n"):
        assert refused(own, "vault.set", name=name, value_b64="YQ==").code == REFUSED
    for value in ("", "not base64!", base64.b64encode(b"x" * 65_537).decode()):
        assert refused(own, "vault.set", name="a", value_b64=value).code == REFUSED
    assert own.call("vault.list")["names"] == ["hf/token"]


def test_what_nobody_can_make_again_is_not_written_over(own: Lone) -> None:
    key = os.urandom(32)
    name = f"wallet/{address_of_key(key)}"
    for wrong in (os.urandom(32), b"x"):
        assert (
            "not the key of this wallet"
            in refused(own, "vault.set", name=name, value_b64=base64.b64encode(wrong).decode()).message
        )
    keep(own, "model-key/1", key)
    keep(own, "model-key/1", key)
    other = base64.b64encode(b"another one").decode()
    assert "perhaps its only copy" in refused(own, "vault.set", name="model-key/1", value_b64=other).message
    own.call("vault.remove", name="model-key/1")


def test_the_nodes_credentials_are_kept_with_the_host_that_they_are_for(own: Lone) -> None:
    keep(own, "rpc/own/auth", b"Basic me:hidden")
    assert "rpc/own/host" in own.call("vault.list")["names"]
    for name in ("rpc/own/auth", "rpc/own/host"):
        own.call("vault.remove", name=name)


def test_a_lock_closes_it_for_everybody_and_wrong_passphrases_look_alike_and_take_longer(own: Lone) -> None:
    assert own.call("vault.lock")["locked"] is True
    assert refused(own, "vault.list").code == LOCKED
    assert "give the passphrase" in refused(own, "vault.unlock").message
    said = [refused(own, "vault.unlock", passphrase=wrong) for wrong in ("x", WORDS + " ")]
    assert {(s.code, s.message, json.dumps(s.data)) for s in said} == {(LOCKED, said[0].message, "{}")}
    assert own.call("vault.status")["wait_s"] == 1.0
    began = time.monotonic()
    assert own.call("vault.unlock", passphrase=WORDS)["locked"] is False
    assert time.monotonic() - began >= 1.0
    assert own.call("vault.status")["wait_s"] == 0.0


def test_a_copy_goes_out_the_key_is_renewed_and_the_copy_comes_back(own: Lone, tmp_path: Path) -> None:
    copy = tmp_path / "copy.json"
    assert own.call("vault.export", path=str(copy), passphrase=WORDS) == {"path": str(copy)}
    assert refused(own, "vault.export", path="copy.json", passphrase=WORDS).code == REFUSED
    keep(own, "later", b"x")
    assert own.call("vault.rotate", passphrase=WORDS)["locked"] is False
    assert own.call("vault.passphrase", old=WORDS, new=OTHER)["locked"] is False
    assert own.call("vault.list")["names"] == ["hf/token", "later"]
    assert refused(own, "vault.restore", path=str(copy), passphrase=OTHER).code == LOCKED
    said = own.call("vault.restore", path=str(copy), passphrase=WORDS)
    assert (said["lacks"], said["locked"], said["copy_is_old"]) == (3, False, False)
    assert own.call("vault.list")["names"] == ["hf/token"]


def test_an_old_copy_put_back_by_hand_is_said(own: Lone) -> None:
    before = own.paths.vault.read_bytes()
    keep(own, "model-key/x", b"y")
    newest = own.paths.vault.read_bytes()
    own.paths.vault.write_bytes(before)
    said = own.call("vault.status")
    assert said["copy_is_old"] is True and "somatui vault rotate" in said["copy_sentence"]
    assert own.call("vault.passphrase", old=WORDS, new=WORDS)["copy_sentence"] == said["copy_sentence"]
    own.paths.vault.write_bytes(newest)
    assert own.call("vault.status")["copy_is_old"] is False


def test_the_setting_of_auto_lock_holds_for_the_vault_that_is_open(own: Lone) -> None:
    own.call("settings.set", key="auto_lock_s", value=1)
    until = time.monotonic() + 30
    while not own.call("vault.status")["locked"] and time.monotonic() < until:
        time.sleep(0.1)
    assert own.call("vault.status")["locked"] and own.call("vault.status")["auto_lock_s"] == 1
    own.call("settings.set", key="auto_lock_s", value=0)


def test_a_killed_agent_finds_it_open_again_where_the_kernel_keeps_the_key_and_may_be_given_the_passphrase(
    own: Lone, tmp_path: Path
) -> None:
    assert own.call("vault.unlock", passphrase=WORDS)["locked"] is False
    own.kill()
    assert own.start() == b"ready"
    assert own.call("vault.status")["locked"] is (kernel_keyring() is None)
    own.call("vault.lock")
    own.stop()
    assert own.start() == b"ready" and own.call("vault.status")["locked"] is True
    own.stop()
    assert b"does not open the vault" in own.start(given=b"wrong\n")
    own.stop()
    (tmp_path / "somatui-passphrase").write_text(WORDS)
    assert own.start(CREDENTIALS_DIRECTORY=str(tmp_path)) == b"ready"
    assert own.call("vault.status")["locked"] is False
    own.call("vault.lock")
    own.stop()
    assert own.start(given=WORDS.encode() + b"\n") == b"ready"
    assert own.call("vault.status")["locked"] is False


def test_a_desktop_keyring_opens_it_without_a_passphrase_and_where_it_is_locked_the_passphrase_does(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with desktop(tmp_path) as session, lone(tmp_path_factory.mktemp("kept") / "h") as own:
        assert own.start(**session.environment) == b"ready"
        said = own.call("vault.create", passphrase=WORDS)
        assert (said["backend"], said["why"]) == (
            "secret-service", "A random value came back unchanged from the desktop's Secret Service.",
        )  # fmt: skip
        own.call("vault.rotate", passphrase=WORDS)
        assert own.call("vault.lock")["locked"] is True
        own.stop()
        assert own.start(**session.environment) == b"ready"
        assert own.call("vault.status")["locked"] is False, "the keyring has the key of before the rotation"
        own.call("vault.lock")
        assert own.call("vault.unlock")["locked"] is False
        own.call("vault.lock")
        session.lock()
        assert "its default collection is locked: give the passphrase." in refused(own, "vault.unlock").message
        assert own.call("vault.unlock", passphrase=WORDS)["locked"] is False


def somatui(own: Lone, *words: str, given: bytes | None = None) -> tuple[int, Any, str]:
    """A command line with --json, with `given` on a descriptor named after --passphrase-fd."""
    command, passed = [sys.executable, "-m", "somatui", *words], ()
    if given is not None:
        read, write = os.pipe()
        os.write(write, given)
        os.close(write)
        command, passed = [*command, str(read)], (read,)
    words = ("--json", "--profile", "own", "--home", str(own.paths.home))
    done = subprocess.run([*command, *words], capture_output=True, text=True, pass_fds=passed, stdin=subprocess.DEVNULL)
    for descriptor in passed:
        os.close(descriptor)
    return done.returncode, json.loads(done.stdout), done.stderr


def test_a_passphrase_is_typed_without_echo(own: Lone) -> None:
    own.call("vault.lock")
    where = ["--profile", "own", "--home", str(own.paths.home)]
    typed = pexpect.spawn(sys.executable, ["-m", "somatui", "vault", "unlock", *where], encoding="utf-8", timeout=60)
    typed.expect("Passphrase: ")
    typed.sendline(WORDS)
    typed.expect(pexpect.EOF)
    typed.close()
    assert typed.exitstatus == 0 and "The vault is open." in typed.before and WORDS not in typed.before


def test_the_command_line_does_the_same_with_statuses_for_scripts(own: Lone, tmp_path: Path) -> None:
    status, said, _ = somatui(own, "vault", "status")
    assert (status, said["ok"], said["exists"], said["locked"]) == (0, True, True, False)
    assert somatui(own, "vault", "set", "hf/token", "--value-fd", given=b"two\n")[1] == {"ok": True, "name": "hf/token"}
    assert somatui(own, "vault", "list")[1]["names"] == ["hf/token", "model-key/x"]
    assert somatui(own, "vault", "set", "hf/token")[0] == 2, "a secret was asked for without a terminal"
    assert somatui(own, "vault", "remove", "hf/token")[0] == 2
    assert somatui(own, "vault", "remove", "hf/token", "--yes")[0] == 0
    assert somatui(own, "vault", "lock")[1]["locked"] is True
    assert somatui(own, "vault", "list")[0] == 4
    assert somatui(own, "vault", "unlock", "--passphrase-fd", given=b"wrong")[0] == 4
    assert somatui(own, "vault", "unlock", "--passphrase-fd", given=WORDS.encode())[1]["locked"] is False
    copy = tmp_path / "copy.json"
    assert somatui(own, "vault", "export", str(copy), "--passphrase-fd", given=WORDS.encode())[0] == 0
    assert "exists already" in str(somatui(own, "vault", "export", str(copy))[1]), "it asked for the passphrase first"
    assert "no file" in str(somatui(own, "vault", "restore", str(tmp_path / "nothing"))[1])
    own.stop()
    own.paths.vault.write_bytes(own.paths.vault.read_bytes()[:-100])
    status, said, told = somatui(own, "vault", "status")
    assert status == 1 and "damaged" in said["problem"]
    assert b"damaged" in own.start()
    status, said, told = somatui(own, "vault", "restore", str(copy), "--passphrase-fd", given=WORDS.encode())
    assert (status, said["lacks"], said["problem"]) == (0, 0, ""), told
    status, said, told = somatui(own, "agent", "run", "--background", "--passphrase-fd", given=WORDS.encode())
    assert (status, said["running"]) == (0, True), told
    assert own.call("vault.list")["names"] == ["model-key/x"]
    assert somatui(own, "agent", "stop")[1]["stopped"] is True
