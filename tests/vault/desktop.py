"""A desktop's session bus with a gnome-keyring on it, as real processes that belong to one test."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def need(*programs: str, packages: str) -> None:
    """Skip where programs are missing; in CI only where `.ci/run` says that it could not install them."""
    missing = " and ".join(program for program in programs if shutil.which(program) is None)
    if missing:
        text = f"{missing} missing: apt-get install {packages}"
        if os.environ.get("CI") and not os.environ.get("CI_WITHOUT_PACKAGES"):
            pytest.fail(text)
        pytest.skip(text)


BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy>
</busconfig>
"""
"""A session bus that starts no service by itself: the daemon under test is the only one."""


class Desktop:
    """`environment` is what a program of that session has."""

    def __init__(self, folder: Path, address: str) -> None:
        places = {"HOME": folder, "XDG_RUNTIME_DIR": folder / "run", "XDG_DATA_HOME": folder / "data"}
        self.environment = {name: str(place) for name, place in places.items()} | {"DBUS_SESSION_BUS_ADDRESS": address}
        self._ring: subprocess.Popen[bytes] | None = None

    def unlock(self) -> None:
        """Start the keyring, open. A newline after its password would belong to it."""
        words = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
        self._ring = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=os.environ | self.environment,
        )
        assert self._ring.stdin is not None
        self._ring.stdin.write(b"password")
        self._ring.stdin.close()
        until = time.monotonic() + 30
        while self._locked() is not False:
            assert time.monotonic() < until, "gnome-keyring does not come up"
            time.sleep(0.05)

    def lock(self) -> None:
        """Lock its default collection."""
        import secretstorage

        with self._bus() as bus:
            secretstorage.Collection(bus).lock()
        assert self._locked() is True

    def close(self) -> None:
        """End the keyring."""
        if self._ring is not None:
            self._ring.kill()
            self._ring.wait()

    def _locked(self) -> bool | None:
        import secretstorage

        try:
            with self._bus() as bus:
                return bool(secretstorage.Collection(bus).is_locked())
        except Exception:
            return None

    @contextmanager
    def _bus(self) -> Iterator[object]:
        from jeepney.io.blocking import open_dbus_connection

        with contextlib.closing(open_dbus_connection(self.environment["DBUS_SESSION_BUS_ADDRESS"])) as bus:
            yield bus


@contextmanager
def desktop(folder: Path) -> Iterator[Desktop]:
    """A session with its keyring open."""
    need("dbus-daemon", "gnome-keyring-daemon", packages="dbus gnome-keyring")
    (folder / "run").mkdir(mode=0o700)
    (folder / "bus.conf").write_text(BUS)
    words = ["dbus-daemon", "--config-file", str(folder / "bus.conf"), "--nofork", "--print-address"]
    bus = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert bus.stdout is not None
        made = Desktop(folder, bus.stdout.readline().strip())
        try:
            made.unlock()
            yield made
        finally:
            made.close()
    finally:
        bus.kill()
        bus.communicate()
