"""The address card that a practice network writes when it is ready; whether that network still runs it cannot say."""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields

from somatui.config.document import ConfigError
from somatui.config.store import StoreConfig
from somatui.paths import Paths

NETWORK_FILE_VERSION = 1


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
