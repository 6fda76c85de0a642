"""Reading config.toml into plain tables; what stands in them is judged by settings and profiles."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


class ConfigError(ValueError):
    """Something in a settings file or variable cannot be used; the text is one sentence with the cure."""


def document(file: Path) -> dict[str, Any]:
    """What stands in a TOML file; nothing where there is none. Raises ConfigError."""
    try:
        return parsed(file.read_text("utf-8"), file)
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError as failure:
        raise ConfigError(f"{file} is not valid TOML ({failure}): correct that line.") from failure
    except OSError as failure:
        raise ConfigError(f"{file} cannot be read ({failure.strerror}): correct its owner or mode.") from failure


def parsed(text: str, file: Path) -> dict[str, Any]:
    """The tables of `text`, which stands or shall stand in `file`. Raises ConfigError."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as failure:
        raise ConfigError(f"{file} is not valid TOML ({failure}): correct that line.") from failure


def table(parent: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    """The table `name` of `parent`, empty where it is missing. Raises ConfigError for anything else under that name."""
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{name} in {where} must be a table, written [{name}].")
    return value


def url(value: object, name: str, where: str) -> str:
    """An address without its last slash; empty stays empty. Raises ConfigError."""
    if not isinstance(value, str) or (value and not value.startswith(("http://", "https://"))):
        raise ConfigError(f"{name} in {where} must be an address that begins with https:// or http://.")
    if "@" in value.partition("//")[2].partition("/")[0]:
        raise ConfigError(f"{name} in {where} has a password in it: take that out, secrets belong into the vault.")
    return value.rstrip("/")


def listed(names: Iterable[str]) -> str:
    """Names in order, for a sentence."""
    return ", ".join(sorted(names))
