"""The data key of an open vault: in the kernel's keyring or in the process, until its time, a lock or a revocation."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from somatui.vault import held as held_module
from somatui.vault.file import FileVault
from somatui.vault.held import Held, KernelKeyring, kernel_keyring
from somatui.vault.patience import Patience
from somatui.vault.sealed import Document, Header

KEY = bytes(range(32))


@pytest.fixture
def kernel() -> KernelKeyring:
    found = kernel_keyring()
    if found is None:
        pytest.skip("this system's kernel gives no user keyring (containers often refuse it)")
    return found


@pytest.fixture
def in_kernel(kernel: KernelKeyring, tmp_path: Path) -> Iterator[Held]:
    held = Held(kernel)
    held.name(f"test-{tmp_path.name}-{time.time_ns()}")
    yield held
    held.drop()


def again(held: Held) -> Held:
    """What another process of the same profile would have."""
    other = Held(kernel_keyring())
    other._name = held._name
    return other


def test_in_the_kernel_it_outlives_its_holder_and_a_drop_is_for_everybody(in_kernel: Held) -> None:
    assert in_kernel.take() is None and in_kernel.where == ""
    in_kernel.put(KEY)
    other = again(in_kernel)
    assert (other.take(), other.where) == (KEY, "kernel")
    other.drop()
    assert in_kernel.take() is None and in_kernel.where == ""
    in_kernel.put(KEY)
    assert other.take() == KEY, "a dropped key kept its successor out"


def test_a_key_that_somebody_revokes_is_a_locked_vault(kernel: KernelKeyring, in_kernel: Held, tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    document = Document.sealed(held_header(), b"", KEY, {"a": b"x"}, 1)
    path.write_bytes(document.to_bytes())
    path.chmod(0o600)
    vault = FileVault.open(path, in_kernel)
    vault.unlock_with(KEY)
    assert not vault.locked and vault.get("a") == b"x"
    kernel._keyctl(held_module._REVOKE, kernel._search(in_kernel._name))
    with pytest.raises(OSError) as refused:
        kernel.read(in_kernel._name)
    assert refused.value.errno == errno.EKEYREVOKED
    assert vault.locked and FileVault.open(path, again(in_kernel)).locked
    vault.unlock_with(KEY)
    assert not vault.locked
    assert not FileVault.open(path, again(in_kernel)).locked, "another process finds it open"


def held_header() -> Header:
    return Header(time.time_ns().to_bytes(16, "big").hex(), bytes(32))


def test_a_key_that_does_not_fit_any_more_is_dropped(in_kernel: Held, tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    path.write_bytes(Document.sealed(held_header(), b"", KEY, {}, 1).to_bytes())
    path.chmod(0o600)
    FileVault.open(path, in_kernel).unlock_with(KEY)
    in_kernel.put(KEY[::-1])
    assert FileVault.open(path, again(in_kernel)).locked and in_kernel.take() is None


@pytest.mark.parametrize("where", ["kernel", "agent"])
def test_after_its_time_it_is_gone(where: str, tmp_path: Path) -> None:
    keyring = kernel_keyring() if where == "kernel" else None
    if where == "kernel" and keyring is None:
        pytest.skip("this system's kernel gives no user keyring (containers often refuse it)")
    held = Held(keyring)
    held.name(f"test-{tmp_path.name}-{time.time_ns()}")
    held.seconds = 1
    held.put(KEY)
    assert (held.take(), held.where) == (KEY, where)
    until = time.monotonic() + 20
    while held.take() is not None and time.monotonic() < until:
        time.sleep(0.05)
    assert held.take() is None and held.where == ""


def kernel_says(held: Held) -> str:
    """The time that a key has left, as the kernel writes it."""
    try:
        lines = Path("/proc/keys").read_text().splitlines()
    except OSError:
        pytest.skip("this system does not show its keys")
    return next(line.split()[3] for line in lines if held._name in line)


def test_without_an_end_it_is_there_on_a_lease_that_only_its_holder_renews(
    kernel: KernelKeyring, in_kernel: Held
) -> None:
    in_kernel.seconds = 0
    in_kernel.put(KEY)
    assert kernel_says(in_kernel) in ("11h", "12h")
    kernel.extend(in_kernel._name, 100)
    assert again(in_kernel).take() == KEY and kernel_says(in_kernel).endswith(("m", "s"))
    in_kernel._renewed_s = float("-inf")
    assert in_kernel.take() == KEY and kernel_says(in_kernel) in ("11h", "12h")


def test_without_a_kernel_keyring_it_is_in_the_process_alone() -> None:
    held = Held(None)
    held.name("x")
    held.put(KEY)
    assert (held.take(), held.where) == (KEY, "agent")
    assert held.same_place(held) and Held(None).take() is None
    held.drop()
    assert held.take() is None


def test_a_refused_keyring_is_no_keyring() -> None:
    code = (
        "import ctypes, sys\n"
        "from somatui.vault import held\n"
        "held._SYSCALLS = {k: (100_000, 100_001) for k in held._SYSCALLS}\n"
        "print(held.kernel_keyring())"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "None\n"


def test_each_wrong_passphrase_makes_the_next_answer_later_and_a_right_one_makes_good() -> None:
    patience, waits = Patience(), []
    for _ in range(9):
        waits.append(patience.wait_s)
        patience.told(right=False)
    assert waits == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    patience.wrong = 10_000
    assert patience.wait_s == 30.0
    patience.told(right=True)
    assert patience.wait_s == 0.0
