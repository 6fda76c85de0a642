"""The process that speaks to one keyring: a question as JSON on standard input, the answer on standard output.

It may hang for ever in somebody's prompt, which is why it is a process; whoever asked ends it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from typing import Any, Protocol

from somatui.hardening import harden_process
from somatui.vault.backends.asking import Unusable


class _Keyring(Protocol):
    """What every keyring of the package keyring has."""

    def get_password(self, service: str, username: str) -> str | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...

    def delete_password(self, service: str, username: str) -> None: ...


class Pass:
    """The standard Unix password manager by its program; values go through standard input, names are not secret."""

    def get_password(self, service: str, username: str) -> str | None:
        """The value, None where there is none."""
        done = self._run("show", f"{service}/{username}")
        if done.returncode:
            if "not in the password store" in done.stderr:
                return None
            raise Unusable("pass refused to show it; is gpg's agent unlocked")
        return done.stdout.strip()

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep a value."""
        if self._run("insert", "--multiline", "--force", f"{service}/{username}", given=password).returncode:
            raise Unusable("pass refused to keep it; has pass init been run")

    def delete_password(self, service: str, username: str) -> None:
        """Forget a value."""
        if self._run("rm", "--force", f"{service}/{username}").returncode:
            raise Unusable("pass refused to forget it")

    @staticmethod
    def _run(*words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(["pass", *words], input=given, capture_output=True, text=True, check=False)


def secret_service() -> _Keyring:
    """The Secret Service, if its default collection is there and open: else a question would be a prompt."""
    import secretstorage
    from keyring.backends.SecretService import Keyring
    from secretstorage.exceptions import ItemNotFoundException

    with closing(secretstorage.dbus_init()) as bus:
        if not secretstorage.check_service_availability(bus):
            raise Unusable("no such service runs in this D-Bus session")
        try:
            locked = secretstorage.Collection(bus).is_locked()
        except ItemNotFoundException:
            raise Unusable("it has no default collection yet") from None
    if locked:
        raise Unusable("its default collection is locked")
    made: _Keyring = Keyring()  # type: ignore[no-untyped-call]
    return made


def keychain() -> _Keyring:
    """The Keychain of macOS."""
    from keyring.backends.macOS import Keyring

    made: _Keyring = Keyring()  # type: ignore[no-untyped-call]
    return made


BUILT = {"secret-service": secret_service, "keychain": keychain, "pass": Pass}


def answer(what: str, backend: str, service: str, name: str, value: str) -> str | None:
    """Do it. Raises Unusable, and whatever the keyring raises."""
    keyring = BUILT[backend]()
    if what == "read":
        return keyring.get_password(service, name)
    if what in ("write", "try"):
        keyring.set_password(service, name, value)
        if keyring.get_password(service, name) != value:
            raise Unusable("it gave back something else than it was given")
    if what in ("delete", "try") and keyring.get_password(service, name) is not None:
        keyring.delete_password(service, name)
    if what == "try" and keyring.get_password(service, name) is not None:
        raise Unusable("it does not forget")
    return None


def main() -> None:
    """Answer one question."""
    harden_process()
    question = json.loads(sys.stdin.buffer.read())
    said: dict[str, Any]
    try:
        said = {"value": answer(**question)}
    except Unusable as failure:
        said = {"why": str(failure)}
    except Exception as failure:
        said = {"why": f"it failed ({type(failure).__name__})"}
    sys.stdout.write(json.dumps(said))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
