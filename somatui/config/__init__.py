"""What the operator may choose, with defaults and help in one place, and which network a profile means.

Reads config.toml, the environment and the practice network's address card, and writes the first; secrets are the
vault's and never here.
"""

from __future__ import annotations

from somatui.config.card import NETWORK_FILE_VERSION, PracticeNetwork, practice_network
from somatui.config.document import ConfigError
from somatui.config.profiles import (
    COLOURS,
    KNOWN_NETWORKS,
    NETWORK_KINDS,
    VAULT_KINDS,
    Colour,
    Config,
    NetworkKind,
    Profile,
    VaultKind,
    WalletEntry,
    chosen_profile,
    command_for,
    load,
    profile_names,
)
from somatui.config.settings import Settings, Value, checked
from somatui.config.store import PUBLIC_MODES, PublicMode, StoreConfig
from somatui.config.writing import (
    remove_wallet,
    save_default,
    save_profile,
    save_setting,
    save_store,
    save_wallet,
)

__all__ = [
    "COLOURS",
    "KNOWN_NETWORKS",
    "NETWORK_FILE_VERSION",
    "NETWORK_KINDS",
    "PUBLIC_MODES",
    "VAULT_KINDS",
    "Colour",
    "Config",
    "ConfigError",
    "NetworkKind",
    "PracticeNetwork",
    "Profile",
    "PublicMode",
    "Settings",
    "StoreConfig",
    "Value",
    "VaultKind",
    "WalletEntry",
    "checked",
    "chosen_profile",
    "command_for",
    "load",
    "practice_network",
    "profile_names",
    "remove_wallet",
    "save_default",
    "save_profile",
    "save_setting",
    "save_store",
    "save_wallet",
]
