"""Which bucket a profile keeps its data in; its keys are the vault's, how to speak to it is storage's affair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from somatui.config.document import ConfigError, listed, table, url

PublicMode = Literal["acl", "policy", "public_url"]
PUBLIC_MODES: tuple[PublicMode, ...] = ("acl", "policy", "public_url")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """An S3-compatible bucket that the public can read; its keys are in the vault."""

    endpoint: str
    bucket: str
    region: str = "auto"
    public_url: str = ""
    public_mode: PublicMode = "public_url"


def store(own: Mapping[str, Any], where: str) -> StoreConfig | None:
    """The bucket of a profile's table `own`, None where it names none. Raises ConfigError."""
    found = table(own, "store", where)
    if not found:
        return None
    known = {f.name for f in fields(StoreConfig)}
    for name, value in found.items():
        if name not in known or not isinstance(value, str):
            raise ConfigError(f"store.{name} in {where} cannot be used: texts are wanted for {listed(known)}.")
    if not found.get("endpoint") or not found.get("bucket"):
        raise ConfigError(f"store in {where} needs endpoint and bucket.")
    if found.get("public_mode", "public_url") not in PUBLIC_MODES:
        raise ConfigError(f"store.public_mode in {where} must be one of {', '.join(PUBLIC_MODES)}.")
    for name in ("endpoint", "public_url"):
        url(found.get(name, ""), f"store.{name}", where)
    return StoreConfig(**found)
