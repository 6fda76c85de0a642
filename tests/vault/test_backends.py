"""Keyrings by the real programs: a Secret Service that works, is locked, hangs or dies; `pass`; and none at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from somatui.vault import backends
from somatui.vault.backends.asking import Unusable, ask
from somatui.vault.base import VaultError
from tests.vault.desktop import BUS, need

KEY = bytes(range(32))


def never(*_: object) -> str | None:
    raise AssertionError("nobody was to be asked")


def test_where_there_is_no_bus_the_passphrase_opens_it_and_the_sentence_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    chosen = backends.choose("auto", never)
    assert chosen.backend == "file" and chosen.why.endswith(".")
    assert backends.choose("file", never).backend == "file"
    if sys.platform == "linux":
        assert "no D-Bus session" in chosen.why
        with pytest.raises(VaultError, match=r"no D-Bus session: cure that, or set vault to file\.$"):
            backends.choose("secret-service", never)
        with pytest.raises(VaultError, match="not a Mac"):
            backends.choose("keychain", never)


def test_a_bus_that_is_not_there_any_more_is_no_keyring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/gone")
    if sys.platform == "linux":
        assert backends.choose("auto").backend == "file"


def runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_an_answer_that_takes_too_long_is_none_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    slow = tmp_path / "pass"
    slow.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/pids\nsleep 1000 &\necho $! >> {tmp_path}/pids\nwait\n")
    slow.chmod(0o755)
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{tmp_path}:{before}"
    try:
        with pytest.raises(Unusable, match="did not answer within 2 s"):
            ask("read", "pass", "somatui/x", "name", limit_s=2)
    finally:
        os.environ["PATH"] = before
    for pid in (tmp_path / "pids").read_text().split():
        while runs(pid):
            time.sleep(0.01)


def test_a_kept_value_that_is_no_key_is_refused() -> None:
    with pytest.raises(Unusable, match="not this vault's key"):
        backends.fetch("pass", "p", "id", lambda *_: "no base64!")
    assert backends.fetch("pass", "p", "id", lambda *_: None) is None


SCRIPT = r"""
import json, os, secretstorage, signal, subprocess, sys, time
from somatui.vault import backends
from somatui.vault.backends.asking import Unusable

KEY = bytes(range(32))
said = {}

def daemon():
    # a newline after the password would belong to it
    words = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.stdin.write(b"password")
    process.stdin.close()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            with secretstorage.dbus_init() as bus:
                if not secretstorage.Collection(bus).is_locked():
                    return process
        except Exception:
            pass
        time.sleep(0.05)
    raise SystemExit("gnome-keyring does not come up")

def told(doing):
    began = time.monotonic()
    try:
        found = doing()
    except Unusable as failure:
        found = str(failure)
    return [found.hex() if isinstance(found, bytes) else found, time.monotonic() - began]

ring = daemon()
chosen = backends.choose("auto")
said["open"] = [chosen.backend, chosen.why]
backends.keep("secret-service", "p", "id", KEY)
said["kept"] = told(lambda: backends.fetch("secret-service", "p", "id"))
said["another"] = told(lambda: backends.fetch("secret-service", "q", "id"))
with secretstorage.dbus_init() as bus:
    secretstorage.Collection(bus).lock()
said["locked"] = [backends.choose("auto").backend, *told(lambda: backends.fetch("secret-service", "p", "id"))]
os.kill(ring.pid, signal.SIGKILL)
ring.wait()
ring = daemon()
said["back"] = told(lambda: backends.fetch("secret-service", "p", "id"))
os.kill(ring.pid, signal.SIGSTOP)
said["hangs"] = told(lambda: backends.fetch("secret-service", "p", "id"))
os.kill(ring.pid, signal.SIGCONT)
backends.forget("secret-service", "p", "id")
said["forgotten"] = told(lambda: backends.fetch("secret-service", "p", "id"))

import threading
threading.Timer(0.25, lambda: os.kill(ring.pid, signal.SIGKILL)).start()
said["dies"] = [told(lambda: backends.keep("secret-service", "p", "id", KEY))[0] for _ in range(2)]
ring.wait()
print(json.dumps(said))
"""


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_secret_service_counts_when_it_is_open_and_not_when_it_is_locked_hangs_or_dies(tmp_path: Path) -> None:
    need("dbus-run-session", "gnome-keyring-daemon", packages="dbus gnome-keyring")
    (runtime := tmp_path / "run").mkdir(mode=0o700)
    (bus := tmp_path / "bus.conf").write_text(BUS)
    places = {"HOME": tmp_path, "XDG_RUNTIME_DIR": runtime, "XDG_DATA_HOME": tmp_path / "data"}
    done = subprocess.run(
        ["dbus-run-session", "--config-file", str(bus), "--", sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        env=os.environ | {name: str(place) for name, place in places.items()},
        timeout=150,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["open"] == ["secret-service", "A random value came back unchanged from the desktop's Secret Service."]
    assert said["kept"][0] == KEY.hex() and said["another"][0] is None
    assert said["locked"][:2] == ["file", "its default collection is locked"]
    assert said["back"][0] == KEY.hex(), "what it keeps survives its daemon"
    assert "did not answer within 5 s" in said["hangs"][0] and said["hangs"][1] < 20
    assert said["forgotten"][0] is None
    assert isinstance(said["dies"][-1], str) and said["dies"][-1], "a daemon that dies is an answer, not a crash"


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_pass_keeps_the_key_when_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("pass", "gpg", packages="pass gnupg")
    gnupg = tmp_path / "g"
    gnupg.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(gnupg))
    monkeypatch.setenv("PASSWORD_STORE_DIR", str(tmp_path / "store"))
    with pytest.raises(VaultError, match="has pass init been run"):
        backends.choose("pass")
    try:
        make = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", "test@example.org", "ed25519", "cert"]
        subprocess.run(make, check=True, capture_output=True)
        listed = subprocess.run(["gpg", "--list-keys", "--with-colons"], capture_output=True, text=True, check=True)
        mark = next(line.split(":")[9] for line in listed.stdout.splitlines() if line.startswith("fpr"))
        add = ["gpg", "--batch", "--passphrase", "", "--quick-add-key", mark, "cv25519", "encr"]
        subprocess.run(add, check=True, capture_output=True)
        subprocess.run(["pass", "init", "test@example.org"], check=True, capture_output=True)
        assert backends.choose("pass").backend == "pass"
        backends.keep("pass", "p", "id", KEY)
        assert backends.fetch("pass", "p", "id") == KEY
        backends.forget("pass", "p", "id")
        assert backends.fetch("pass", "p", "id") is None
    finally:
        subprocess.run(["gpgconf", "--kill", "all"], capture_output=True)
