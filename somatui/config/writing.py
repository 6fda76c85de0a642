"""Changing config.toml: comments kept, replaced in one step, mode 0600, and never into something that cannot be read.

What values make sense is decided where they are read; secrets are the vault's and never come here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from somatui.config.document import ConfigError, document, parsed
from somatui.config.profiles import KEYS, Profile, address_of, profile_names, read
from somatui.config.settings import Value, checked
from somatui.config.store import StoreConfig
from somatui.files import write_whole
from somatui.paths import Paths

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def save_setting(paths: Paths, name: str, value: object) -> Value:
    """Write one setting of this profile and return it as stored. Raises ConfigError, with nothing changed."""
    stored = checked(name, value)

    def change(content: TOMLDocument) -> None:
        _own(content, paths.profile, "settings")[name] = stored

    _changed(paths, change)
    return stored


def save_profile(paths: Paths, **changes: str | None) -> Profile:
    """Write keys of this profile's table (network, rpc_url, rpc_url_2, faucet_url, scoring_url, admin_url, chain,
    wallet, vault, colour), a new table where there is none; None or an empty text takes a key away.

    Returns the profile as it now is. Raises ConfigError, with nothing changed.
    """
    for name in changes:
        if name not in KEYS:
            raise ConfigError(f"A profile has no key {name!r} to save; it may have {', '.join(KEYS)}.")

    def change(content: TOMLDocument) -> None:
        own = _own(content, paths.profile)
        for name, value in changes.items():
            if not value:
                own.pop(name, None)
            elif name == "wallet":
                own[name] = address_of(value, name, str(paths.config_file))
            else:
                own[name] = value

    return _changed(paths, change)


def save_store(paths: Paths, store: StoreConfig) -> Profile:
    """Write which bucket this profile keeps its data in. Raises ConfigError, with nothing changed."""

    def change(content: TOMLDocument) -> None:
        table = _own(content, paths.profile, "store")
        for name, value in asdict(store).items():
            table[name] = value

    return _changed(paths, change)


def save_wallet(paths: Paths, address: str, *, label: str | None = None, watch_only: bool | None = None) -> Profile:
    """Write what is known of one wallet; None leaves a value as it is. Raises ConfigError, with nothing changed."""
    known = address_of(address, "wallet", str(paths.config_file))

    def change(content: TOMLDocument) -> None:
        table = _own(content, paths.profile, "wallets", known)
        for name, value in (("label", label), ("watch_only", watch_only)):
            if value is not None:
                table[name] = value

    return _changed(paths, change)


def remove_wallet(paths: Paths, address: str) -> Profile:
    """Forget what is known of one wallet; its key is not touched. Raises ConfigError, with nothing changed."""
    known = address_of(address, "wallet", str(paths.config_file))

    def change(content: TOMLDocument) -> None:
        own = _own(content, paths.profile)
        for written in [w for w in own.get("wallets", {}) if w.lower().removeprefix("0x") == known]:
            del own["wallets"][written]
        if own.get("wallet", "").lower().removeprefix("0x") == known:
            del own["wallet"]

    return _changed(paths, change)


def save_default(paths: Paths) -> None:
    """Make this profile the one that is used when none is named. Raises ConfigError, also where there is no such."""
    if paths.profile not in profile_names(paths):
        read(paths, document(paths.config_file))

    def change(content: TOMLDocument) -> None:
        content["profile"] = paths.profile

    _changed(paths, change)


def _own(content: TOMLDocument, *names: str) -> Any:
    """The table of profile `names[0]`, or one below it, made where it is missing."""
    import tomlkit

    table: Any = content
    for place, part in enumerate(("profiles", *names)):
        empty_head = place == 0 or (part == "wallets" and place == 2)
        table = table.setdefault(part, tomlkit.table(is_super_table=empty_head))
        if not isinstance(table, dict):
            raise ConfigError(f"{part} must be a table in the settings file, written [{part}].")
    return table


def _changed(paths: Paths, change: Callable[[TOMLDocument], None]) -> Profile:
    """Change the file under its folder's lock, look at what would be read out of it, and only then replace it."""
    import tomlkit

    file = paths.config_file
    with _alone(paths):
        document(file)
        content = tomlkit.parse(file.read_text("utf-8") if file.exists() else "")
        change(content)
        text = tomlkit.dumps(content).rstrip("\n") + "\n"
        profile = read(paths, parsed(text, file)).profile
        try:
            write_whole(file, text.encode())
        except OSError as failure:
            raise _unwritable(paths, failure) from failure
    return profile


@contextlib.contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    """Keep other processes from changing the file between our look at it and our writing it."""
    try:
        paths.config_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(paths.config_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as failure:
        raise _unwritable(paths, failure) from failure
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _unwritable(paths: Paths, failure: OSError) -> ConfigError:
    return ConfigError(f"{paths.config_file} cannot be written ({failure.strerror}): free space or correct its mode.")
