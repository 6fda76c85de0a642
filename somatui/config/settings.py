"""What the operator may choose, with default, help and range in one place; where it stands is profiles' affair."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, cast

from somatui.config.document import ConfigError, table

Value = bool | int | float | str


def _setting(
    default: Value, text: str, *, least: float = 0, most: float = float("inf"), choices: tuple[str, ...] = ()
) -> Any:
    return field(default=default, metadata={"help": text, "least": least, "most": most, "choices": choices})


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting with its default; `help_of` gives its sentence, the same that the settings screen shows."""

    auto_reveal: bool = _setting(True, "Reveal a committed model by itself in the one epoch that accepts it.")
    auto_claim: bool = _setting(True, "Claim rewards and bonds by itself as soon as they open.")
    claim_min_net_shannons: int = _setting(
        0, "Claim by itself only what brings more than this after its fee, in shannons."
    )
    fill_pace_per_minute: int = _setting(
        60, "Most targets filled a minute; the default is the network's own average, raise it knowingly.", least=1
    )
    distance_margin: float = _setting(
        0.0001, "How far below a target's threshold a distance must lie before it is submitted.", most=1
    )
    max_bond_ratio: float = _setting(
        1.0, "Largest bond submitted, as a multiple of the submitter's share of the target's reward."
    )
    watch_interval_ms: int = _setting(
        2_000, "Time between two looks at the chain, in milliseconds.", least=200, most=600_000
    )
    threads: int = _setting(0, "Processor threads a worker may use; 0 means all.", most=1_024)
    auto_lock_s: int = _setting(
        0,
        "Lock the vault so many seconds after it was opened; 0 means never. What falls due while it is locked waits "
        "for you: a reveal that is missed costs half of the stake.",
        most=31_536_000,
    )
    alerts_to_webhook: str = _setting(
        "all",
        "Which alerts go to the profile's webhook, where one is set up: all, only bad ones, or none.",
        choices=("all", "bad", "off"),
    )
    weights_ahead: str = _setting(
        "scoring",
        "Fetch the weights of committed models before their reveal: while a score job runs, always, or never. "
        "“always” keeps those of all revealed models here too.",
        choices=("scoring", "always", "never"),
    )
    weights_keep_days: int = _setting(
        14,
        "Weights that no live model has any more are removed when they were not used for so many days; 0 keeps them.",
        most=3_650,
    )
    weights_limit_gb: int = _setting(
        100, "Above so many GB of weights, old ones go sooner and nothing is fetched before its reveal.", least=1
    )
    theme: str = _setting("dark", "Colours of the console.", choices=("dark", "light", "ansi"))

    @staticmethod
    def names() -> tuple[str, ...]:
        """All settings, in the order in which they are shown."""
        return tuple(f.name for f in fields(Settings))

    @staticmethod
    def help_of(name: str) -> str:
        """The sentence that explains setting `name`. Raises ConfigError for an unknown one."""
        return str(_field(name).metadata["help"])

    @staticmethod
    def default_of(name: str) -> Value:
        """The default of setting `name`. Raises ConfigError for an unknown one."""
        return cast(Value, _field(name).default)

    def with_value(self, name: str, value: object) -> Settings:
        """A copy with one setting changed; text is read as the setting's own type. Raises ConfigError."""
        change: dict[str, Any] = {name: checked(name, value)}
        return replace(self, **change)


def checked(name: str, value: object, where: str = "") -> Value:
    """`value` as setting `name` wants it; text is parsed, numbers are range-checked. Raises ConfigError."""
    meta, default = _field(name).metadata, Settings.default_of(name)
    place = f" ({where})" if where else ""
    kind = type(default)
    if isinstance(value, str) and kind is not str:
        value = _parsed(value.strip(), kind)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        wanted = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}[kind]
        raise ConfigError(f"{name} must be {wanted}{place}.")
    if kind is str and value not in meta["choices"]:
        raise ConfigError(f"{name} must be one of {', '.join(meta['choices'])}{place}.")
    if kind in (int, float) and not meta["least"] <= cast(float, value) <= meta["most"]:
        upper = "" if meta["most"] == float("inf") else f" and at most {meta['most']}"
        raise ConfigError(f"{name} must be at least {meta['least']}{upper}{place}.")
    return value


def chosen(document: Mapping[str, Any], own: Mapping[str, Any], where: str) -> tuple[Settings, dict[str, str]]:
    """The settings of a profile's table `own` in `document`, and where each came from: environment, profile, config,
    default. Raises ConfigError."""
    values: dict[str, Value] = {}
    origins = dict.fromkeys(Settings.names(), "default")
    for parent, origin in ((document, "config"), (own, "profile")):
        for name, value in table(parent, "settings", where).items():
            values[name] = checked(name, value, where)
            origins[name] = origin
    for name in Settings.names():
        variable = f"SOMATUI_{name.upper()}"
        if variable in os.environ:
            values[name] = checked(name, os.environ[variable], variable)
            origins[name] = "environment"
    return Settings(**cast(Any, values)), origins


def _field(name: str) -> Any:
    for candidate in fields(Settings):
        if candidate.name == name:
            return candidate
    raise ConfigError(f"There is no setting {name!r}; there are {', '.join(Settings.names())}.")


def _parsed(text: str, kind: type) -> object:
    if kind is bool:
        return {"true": True, "yes": True, "on": True, "1": True}.get(
            text.lower(), {"false": False, "no": False, "off": False, "0": False}.get(text.lower(), text)
        )
    try:
        return int(text) if kind is int else float(text)
    except ValueError:
        return text
