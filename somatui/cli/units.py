"""The agent as a systemd unit: its text, where it belongs, and the commands that follow."""

from __future__ import annotations

import getpass
import os
import sys
from pathlib import Path

from somatui.paths import Paths, user_folder

CREDENTIAL = "somatui-passphrase"
SYSTEM = Path("/etc/systemd/system")


def start_words(paths: Paths) -> tuple[str, ...]:
    """The command line of the profile's agent; no secret is ever in it."""
    return (sys.executable, "-P", "-m", "somatui.agent", *paths.options())


def agent_unit(paths: Paths, *, system: bool, credential: Path | None) -> str:
    """The unit's text. With `credential` systemd decrypts the passphrase for the agent alone, in memory that is not
    swapped; without it the agent starts with its vault locked unless a keyring opens it."""
    wanted = f"LoadCredentialEncrypted={CREDENTIAL}:{_escaped(str(credential))}" if credential is not None else ""
    lines = [
        "[Unit]",
        f"Description=somatui agent of profile {paths.profile}: signs, watches, keeps deadlines",
        "Wants=network-online.target" if system else "",
        "After=network-online.target" if system else "",
        "StartLimitIntervalSec=600",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=exec",
        f"User={getpass.getuser()}" if system else "",
        "ExecStart=" + " ".join(_quoted(word.replace("$", "$$")) for word in start_words(paths)),
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in _folders(paths)),
        wanted,
        "Restart=on-failure",
        "RestartSec=10",
        "KillMode=mixed",
        "TimeoutStopSec=60",
        "UMask=0077",
        "LimitCORE=0",
        "NoNewPrivileges=yes",
        "KeyringMode=shared" if system else "",
        "",
        "[Install]",
        "WantedBy=multi-user.target" if system else "WantedBy=default.target",
    ]
    kept = [line for i, line in enumerate(lines) if line or lines[i + 1].startswith("[")]
    return "\n".join(kept) + "\n"


def place(paths: Paths, *, system: bool) -> Path:
    """Where the unit belongs."""
    folder = SYSTEM if system else _users()
    return folder / f"somatui-agent-{paths.profile}.service"


def places() -> tuple[Path, ...]:
    """Every folder where a unit of an agent may be."""
    return SYSTEM, _users(), Path("/etc/systemd/user")


def _users() -> Path:
    return user_folder("XDG_CONFIG_HOME", ".config") / "systemd" / "user"


def commands(paths: Paths, *, system: bool) -> tuple[str, ...]:
    """What to type after the unit is in its place; the first two only for a start without anybody."""
    name, control = place(paths, system=system).name, "systemctl" if system else "systemctl --user"
    ask = "systemd-ask-password -n | systemd-creds encrypt"
    file = f"{paths.profile}.passphrase.cred"
    unattended = (
        f"{ask} --name={CREDENTIAL} - {file}   # then: somatui agent install --system --credential {file} --write"
        if system
        else f"{ask} --user --name={CREDENTIAL} - {file}   # systemd 256 or newer; before that use --system"
    )
    lingering = () if system else (f"loginctl enable-linger {getpass.getuser()}",)
    return (unattended, *lingering, f"{control} daemon-reload", f"{control} enable --now {name}")


def put(file: Path, text: str) -> None:
    """Write a unit, which everybody may read: there is nothing secret in it."""
    from somatui.files import write_whole

    write_whole(file, text.encode())
    file.chmod(0o644)


def _folders(paths: Paths) -> list[tuple[str, str]]:
    """The variables that say where the profile is, where they differ from what the unit would have."""
    if paths.home is not None:
        return []
    names = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME")
    return [(name, value) for name in names if os.path.isabs(value := os.environ.get(name, ""))]


def _quoted(word: str) -> str:
    """A word as systemd reads it."""
    plain = _escaped(word)
    return (
        plain
        if plain and not set(plain) & set(" \t\"'\\;")
        else '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
    )


def _escaped(word: str) -> str:
    return word.replace("%", "%%")
