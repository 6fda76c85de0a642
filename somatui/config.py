"""What the operator may choose, with defaults and help in one place, and which network a profile means.

Reads config.toml, the environment and the practice network's address card; secrets are the vault's and never here.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from somatui.files import write_whole
from somatui.paths import Paths

NetworkKind = Literal["practice", "localnet", "testnet", "custom"]
PublicMode = Literal["acl", "policy", "public_url"]
Value = bool | int | float | str

NETWORK_KINDS: tuple[NetworkKind, ...] = ("practice", "localnet", "testnet", "custom")
PUBLIC_MODES: tuple[PublicMode, ...] = ("acl", "policy", "public_url")
NETWORK_FILE_VERSION = 1


class ConfigError(ValueError):
    """Something in a settings file or variable cannot be used; the text is one sentence with the cure."""


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


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """An S3-compatible bucket that the public can read; its keys are in the vault."""

    endpoint: str
    bucket: str
    region: str = "auto"
    public_url: str = ""
    public_mode: PublicMode = "public_url"


@dataclass(frozen=True, slots=True)
class PracticeNetwork:
    """The address card that a practice network writes when it is ready."""

    pid: int
    chain: str
    rpc_url: str
    faucet_url: str
    scoring_url: str
    admin_url: str
    store_url: str
    bucket: str
    started_at_ms: int
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)

    def store(self) -> StoreConfig:
        """Its object store; objects are public at `store_url/bucket/key`."""
        return StoreConfig(self.store_url, self.bucket, "auto", f"{self.store_url}/{self.bucket}", "public_url")


@dataclass(frozen=True, slots=True)
class Profile:
    """One network as one operator uses it. Addresses are empty where the network has no such service or is not up."""

    name: str
    network: NetworkKind
    rpc_url: str = ""
    faucet_url: str = ""
    scoring_url: str = ""
    admin_url: str = ""
    store: StoreConfig | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """A profile, the settings that hold for it, and where each setting came from."""

    profile: Profile
    settings: Settings
    origins: Mapping[str, str]


KNOWN_NETWORKS: Mapping[NetworkKind, tuple[str, str, str, str]] = {
    "practice": ("", "", "", ""),
    "localnet": (
        "http://127.0.0.1:9000", "http://127.0.0.1:9123", "http://127.0.0.1:9124", "http://127.0.0.1:9125",
    ),
    "testnet": ("https://fullnode.testnet.soma.org", "https://faucet.testnet.soma.org", "", ""),
    "custom": ("", "", "", ""),
}  # fmt: skip
"""rpc, faucet, scoring and admin addresses of each kind of network (protocol.md 1.1)."""


def load(paths: Paths) -> Config:
    """The profile of `paths` with its settings: environment, then the profile's own, then common ones, then defaults.

    A profile named practice, localnet or testnet needs no file. Raises ConfigError.
    """
    document = _document(paths.config_file)
    where = str(paths.config_file)
    table = _table(document, "profiles", where)
    own = _table(table, paths.profile, where) if paths.profile in table else {}
    if not own and paths.profile not in NETWORK_KINDS[:3]:
        raise ConfigError(
            f"No profile named {paths.profile!r} in {where}: add a table [profiles.{paths.profile}] with its network."
        )
    settings, origins = _settings(document, own, where)
    return Config(_profile(paths, own, where), settings, origins)


def chosen_profile(paths: Paths) -> str | None:
    """The profile to use when none is named: $SOMATUI_PROFILE, else `profile` in config.toml, else None."""
    name = os.environ.get("SOMATUI_PROFILE") or _document(paths.config_file).get("profile")
    if name is not None and not isinstance(name, str):
        raise ConfigError(f"profile in {paths.config_file} must be a name in quotes.")
    return name


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


def save_setting(paths: Paths, name: str, value: object) -> Value:
    """Write one setting of this profile into config.toml, comments kept, and return it as stored.

    The file is replaced in one step with mode 0600. Raises ConfigError.
    """
    import tomlkit

    stored = checked(name, value)
    _document(paths.config_file)
    text = paths.config_file.read_text("utf-8") if paths.config_file.exists() else ""
    document = tomlkit.parse(text)
    table: Any = document
    for part in ("profiles", paths.profile, "settings"):
        table = table.setdefault(part, tomlkit.table(is_super_table=part == "profiles"))
    table[name] = stored
    _write_private(paths.config_file, tomlkit.dumps(document))
    return stored


def practice_network(paths: Paths) -> PracticeNetwork | None:
    """The address card of the practice network, or None when there is none. It does not say whether it still runs.

    Raises ConfigError when the card cannot be read.
    """
    card = paths.network_dir / "network.json"
    try:
        content = json.loads(card.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as failure:
        raise ConfigError(f"{card} cannot be read ({failure}): restart the practice network.") from failure
    if not isinstance(content, dict) or content.get("version") != NETWORK_FILE_VERSION:
        raise ConfigError(f"{card} was written by another version of somatui: restart the practice network.")
    wanted = [f for f in fields(PracticeNetwork) if f.default is MISSING]
    missing = [f.name for f in wanted if f.name not in content]
    if missing:
        raise ConfigError(f"{card} lacks {', '.join(missing)}: restart the practice network.")
    names = {f.name for f in fields(PracticeNetwork)}
    return PracticeNetwork(**{key: value for key, value in content.items() if key in names})


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


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise ConfigError(f"{file} is not valid TOML ({failure}): correct that line.") from failure
    except OSError as failure:
        raise ConfigError(f"{file} cannot be read ({failure.strerror}): correct its owner or mode.") from failure


def _table(parent: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    value = parent.get(name, {})
    if not isinstance(value, dict):
        raise ConfigError(f"{name} in {where} must be a table, written [{name}].")
    return value


def _settings(document: Mapping[str, Any], own: Mapping[str, Any], where: str) -> tuple[Settings, dict[str, str]]:
    chosen: dict[str, Value] = {}
    origins = dict.fromkeys(Settings.names(), "default")
    for parent, origin in ((document, "config"), (own, "profile")):
        for name, value in _table(parent, "settings", where).items():
            chosen[name] = checked(name, value, where)
            origins[name] = origin
    for name in Settings.names():
        variable = f"SOMATUI_{name.upper()}"
        if variable in os.environ:
            chosen[name] = checked(name, os.environ[variable], variable)
            origins[name] = "environment"
    return Settings(**cast(Any, chosen)), origins


def _profile(paths: Paths, own: Mapping[str, Any], where: str) -> Profile:
    network = own.get("network", paths.profile)
    if network not in NETWORK_KINDS:
        raise ConfigError(f"network of profile {paths.profile} in {where} must be one of {', '.join(NETWORK_KINDS)}.")
    known = {"network", "rpc_url", "faucet_url", "scoring_url", "admin_url", "store", "settings"}
    for name in own:
        if name not in known:
            raise ConfigError(f"Profile {paths.profile} in {where} has no key {name!r}; it may have {_listed(known)}.")
    if network == "practice":
        card = practice_network(paths)
        if card is None:
            return Profile(paths.profile, "practice")
        return Profile(
            paths.profile, "practice", card.rpc_url, card.faucet_url, card.scoring_url, card.admin_url, card.store()
        )
    names = ("rpc_url", "faucet_url", "scoring_url", "admin_url")
    urls = [_url(own.get(n, known_url), n, where) for n, known_url in zip(names, KNOWN_NETWORKS[network], strict=True)]
    if not urls[0]:
        raise ConfigError(f"Profile {paths.profile} in {where} needs rpc_url, the address of a node.")
    return Profile(paths.profile, network, urls[0], urls[1], urls[2], urls[3], _store(own, where))


def _store(own: Mapping[str, Any], where: str) -> StoreConfig | None:
    table = _table(own, "store", where)
    if not table:
        return None
    known = {f.name for f in fields(StoreConfig)}
    for name, value in table.items():
        if name not in known or not isinstance(value, str):
            raise ConfigError(f"store.{name} in {where} cannot be used: texts are wanted for {_listed(known)}.")
    if not table.get("endpoint") or not table.get("bucket"):
        raise ConfigError(f"store in {where} needs endpoint and bucket.")
    if table.get("public_mode", "public_url") not in PUBLIC_MODES:
        raise ConfigError(f"store.public_mode in {where} must be one of {', '.join(PUBLIC_MODES)}.")
    _url(table["endpoint"], "store.endpoint", where)
    return StoreConfig(**table)


def _url(value: object, name: str, where: str) -> str:
    if not isinstance(value, str) or (value and not value.startswith(("http://", "https://"))):
        raise ConfigError(f"{name} in {where} must be an address that begins with https:// or http://.")
    return value.rstrip("/")


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _write_private(file: Path, text: str) -> None:
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(file, text.encode())
    except OSError as failure:
        raise ConfigError(
            f"{file} cannot be written ({failure.strerror}): free space or correct its mode."
        ) from failure
