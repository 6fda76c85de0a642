"""Which network a profile means, with its wallets and store; what the operator may choose is settings' affair."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal, cast

from somatui.config.card import practice_network
from somatui.config.document import ConfigError, document, listed, table, url
from somatui.config.settings import Settings, chosen
from somatui.config.store import StoreConfig, store
from somatui.paths import Paths, command

NetworkKind = Literal["practice", "localnet", "testnet", "custom"]
VaultKind = Literal["auto", "secret-service", "keychain", "pass", "file"]
Colour = Literal["practice", "testnet", "main"]

NETWORK_KINDS: tuple[NetworkKind, ...] = ("practice", "localnet", "testnet", "custom")
VAULT_KINDS: tuple[VaultKind, ...] = ("auto", "secret-service", "keychain", "pass", "file")
COLOURS: tuple[Colour, ...] = ("practice", "testnet", "main")

_URLS = ("rpc_url", "faucet_url", "scoring_url", "admin_url")
KEYS = (*_URLS, "rpc_url_2", "network", "chain", "wallet", "vault", "colour")
"""What a profile's table may hold beside its tables settings, store and wallets."""

_ADDRESS = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class WalletEntry:
    """What a profile knows of one wallet beside its key."""

    label: str = ""
    watch_only: bool = False


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
    rpc_url_2: str = ""
    """A second node that is read when the first does not answer."""
    chain: str = ""
    """What the network calls itself; nothing is signed where the node tells another. Empty: not written down yet."""
    wallet: str = ""
    """The address in use, 64 hex digits; empty: the first one in the vault."""
    vault: VaultKind = "auto"
    colour: Colour = "testnet"
    wallets: Mapping[str, WalletEntry] = field(default_factory=lambda: MappingProxyType({}))
    """By address, 64 hex digits."""

    def watches(self, address: str) -> bool:
        """Whether that wallet is written down as an address without a key."""
        entry = self.wallets.get(address)
        return entry is not None and entry.watch_only


@dataclass(frozen=True, slots=True)
class Config:
    """A profile, the settings that hold for it, and where its network and each setting came from."""

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
    return read(paths, document(paths.config_file))


def read(paths: Paths, content: Mapping[str, Any]) -> Config:
    """The same out of what stands, or shall stand, in the file. Raises ConfigError."""
    where = str(paths.config_file)
    tables = table(content, "profiles", where)
    own = table(tables, paths.profile, where) if paths.profile in tables else {}
    if not own and paths.profile not in NETWORK_KINDS[:3]:
        raise ConfigError(
            f"No profile named {paths.profile!r} in {where}: add a table [profiles.{paths.profile}] with its network, "
            f"or run somatui network add {paths.profile} --rpc URL."
        )
    settings, origins = chosen(content, own, where)
    origins["network"] = "profile" if "network" in own else "default"
    return Config(_profile(paths, own, where), settings, origins)


def profile_names(paths: Paths) -> tuple[str, ...]:
    """All profiles there are: the three that need no file, and those of config.toml. Raises ConfigError."""
    tables = table(document(paths.config_file), "profiles", str(paths.config_file))
    return tuple(dict.fromkeys((*NETWORK_KINDS[:3], *tables)))


def chosen_profile(paths: Paths) -> tuple[str, str]:
    """The profile to use when none is named, and where that comes from: $SOMATUI_PROFILE (environment), else `profile`
    in config.toml (config), else practice (default). Raises ConfigError."""
    if told := os.environ.get("SOMATUI_PROFILE"):
        return told, "environment"
    name = document(paths.config_file).get("profile", "")
    if not isinstance(name, str):
        raise ConfigError(f"profile in {paths.config_file} must be a name in quotes.")
    return (name, "config") if name else ("practice", "default")


def command_for(paths: Paths) -> str:
    """How a command for this profile begins where it is typed: the profile is named where another one is the usual."""
    try:
        if chosen_profile(paths)[0] == paths.profile:
            return command(paths)
    except ConfigError:
        pass
    return f"{command(paths)} --profile {paths.profile}"


def address_of(text: object, name: str, where: str) -> str:
    """64 hex digits, small letters; an 0x before them is dropped. Raises ConfigError."""
    found = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        raise ConfigError(f"{name} in {where} must be an address of 64 hex digits.")
    return found[1].lower()


def _profile(paths: Paths, own: Mapping[str, Any], where: str) -> Profile:
    network = own.get("network", paths.profile)
    if network not in NETWORK_KINDS:
        raise ConfigError(f"network of profile {paths.profile} in {where} must be one of {', '.join(NETWORK_KINDS)}.")
    _kept_apart(paths, network == "practice")
    known = {*KEYS, "store", "settings", "wallets"}
    for name in own:
        if name not in known:
            raise ConfigError(f"Profile {paths.profile} in {where} has no key {name!r}; it may have {listed(known)}.")
    urls = [url(own.get(n, u), n, where) for n, u in zip(_URLS, KNOWN_NETWORKS[network], strict=True)]
    second = url(own.get("rpc_url_2", ""), "rpc_url_2", where)
    chain, kept = _chain(own, where), store(own, where)
    if network == "practice":
        second = chain = ""
        card = practice_network(paths)
        urls = ["", "", "", ""] if card is None else [card.rpc_url, card.faucet_url, card.scoring_url, card.admin_url]
        kept = None if card is None else card.store()
    elif not urls[0]:
        raise ConfigError(f"Profile {paths.profile} in {where} needs rpc_url, the address of a node.")
    return Profile(
        paths.profile,
        network,
        rpc_url=urls[0],
        faucet_url=urls[1],
        scoring_url=urls[2],
        admin_url=urls[3],
        store=kept,
        rpc_url_2=second,
        chain=chain,
        wallet=address_of(own["wallet"], "wallet", where) if own.get("wallet") else "",
        vault=cast(VaultKind, _one_of(own, "vault", VAULT_KINDS, "auto", where)),
        colour=cast(Colour, _one_of(own, "colour", COLOURS, _usual_colour(paths.profile, network, urls[0]), where)),
        wallets=_wallets(own, where),
    )


def _kept_apart(paths: Paths, practice: bool) -> None:
    """A practice vault opens for anybody who reads its folder and goes with practice reset: no other may become one,
    nor it another. Raises ConfigError."""
    kept = paths.passphrase.exists()
    if kept and not practice:
        raise ConfigError(
            f"Profile {paths.profile} was made for practice, and its vault's passphrase lies in plain text beside it: "
            "use another profile for another network."
        )
    if practice and not kept and paths.vault.exists():
        raise ConfigError(
            f"Profile {paths.profile} has a vault that was not made for practice: use another profile to practise, or "
            f"move {paths.vault} away."
        )


def _chain(own: Mapping[str, Any], where: str) -> str:
    value = own.get("chain", "")
    if not isinstance(value, str) or not re.fullmatch(r"\S{0,100}", value):
        raise ConfigError(f"chain in {where} must be the network's own identifier, in quotes.")
    return value


def _one_of(own: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str, where: str) -> str:
    value = own.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} in {where} must be one of {', '.join(choices)}.")
    return str(value)


def _usual_colour(name: str, network: str, rpc_url: str) -> Colour:
    """Red for what is called after the main network, by its name or its node's; play money where it is only that."""
    if network not in ("practice", "localnet") and ("main" in name.lower() or "mainnet" in rpc_url.lower()):
        return "main"
    return "practice" if network in ("practice", "localnet") else "testnet"


def _wallets(own: Mapping[str, Any], where: str) -> Mapping[str, WalletEntry]:
    known = {f.name: bool if f.name == "watch_only" else str for f in fields(WalletEntry)}
    found: dict[str, WalletEntry] = {}
    for address, entry in table(own, "wallets", where).items():
        name = f"wallets.{address}"
        if not isinstance(entry, dict) or any(type(value) is not known.get(key) for key, value in entry.items()):
            raise ConfigError(f"{name} in {where} may hold label, a text, and watch_only, true or false.")
        found[address_of(address, name, where)] = WalletEntry(**entry)
    return MappingProxyType(found)
