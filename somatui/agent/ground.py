"""What every part of the agent stands on: places, settings, journal, chain, vault, and the wallet's address.

It decides nothing; it also runs the one worker that everybody needs, the upload.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from somatui.agent.journal import Journal
from somatui.chain.client import Chain, Endpoints
from somatui.config import ConfigError, Profile, Settings, load, practice_network
from somatui.domain import secret_names
from somatui.domain.preflight import WATCH_ONLY
from somatui.domain.snapshot import Snapshot, empty
from somatui.paths import Paths
from somatui.vault.base import Vault, VaultError, VaultLocked
from somatui.wire.hashes import blake2b256
from somatui.workers.launch import WorkerProcess
from somatui.workers.protocol import VERSION, Message

UPLOADS_AT_ONCE = 2
"""Uploads are processes of their own; more of them would take the cores from scoring."""


class UploadFailed(Exception):
    """The bytes are not where others can fetch them; the text is one sentence with the cure."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """What lies in the store, seen there from outside: checksum (Base58) and size are those of the stored bytes."""

    url: str
    checksum: str
    size: int


def wall_ms() -> int:
    """The clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


def steady_ms() -> int:
    """A clock that nobody sets, in ms: for pauses within this process."""
    return time.monotonic_ns() // 1_000_000


def _nothing() -> None:
    """Nobody listens yet."""


@dataclass(slots=True)
class Ground:
    """One agent's means. `chain`, `profile` and `settings` are replaced when they change; ask for them anew each time.

    `address` is 64 hex digits without 0x, empty where the profile has no wallet; `can_sign` says that the vault had its
    key when it was last opened. `snapshot` gives the newest picture;
    `changed` says that journal or coins have changed, so that a look at the chain and a push follow soon.
    """

    paths: Paths
    profile: Profile
    settings: Settings
    journal: Journal
    chain: Chain
    vault: Vault | None = None
    address: str = ""
    can_sign: bool = False
    now_ms: Callable[[], int] = wall_ms
    steady_ms: Callable[[], int] = steady_ms
    snapshot: Callable[[], Snapshot] = field(default=lambda: empty("", "custom"))
    changed: Callable[[], None] = _nothing
    _ending: set[asyncio.Future[None]] = field(default_factory=set)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UPLOADS_AT_ONCE))

    def key(self) -> bytes:
        """The wallet's 32 secret bytes; hold them no longer than a signature takes. Raises VaultLocked."""
        if self.watch_only:
            raise VaultLocked(WATCH_ONLY)
        if self.vault is None or not self.address:
            raise VaultLocked("This profile has no key to sign with: set up a wallet first.")
        try:
            return self.vault.get(secret_names.WALLET + self.address)
        except KeyError:
            raise VaultLocked(WATCH_ONLY) from None

    def secret_names(self) -> frozenset[str] | None:
        """The names of all that is in the vault; None while it is locked, none at all where it cannot be read."""
        if self.vault is None:
            return None
        try:
            return frozenset(self.vault.names())
        except VaultLocked:
            return None
        except VaultError:
            return frozenset()

    @property
    def watch_only(self) -> bool:
        """Whether the wallet is an address without a key, as far as can be known while the vault is locked."""
        marked = self.profile.watches(self.address)
        return bool(self.address) and not self.can_sign and (marked or not (self.vault is None or self.vault.locked))

    def reload(self) -> bool:
        """Read profile and settings again; whether the network's addresses have changed. Raises ConfigError."""
        config = load(self.paths)
        if (config.profile.network == "practice") != (self.profile.network == "practice"):
            raise ConfigError(f"Profile {self.profile.name} has changed to or from practice: stop its agent first.")
        self.settings = config.settings
        moved = endpoints_of(config.profile) != self.chain.endpoints
        self.profile = config.profile
        if moved:
            self.dial()
        return moved

    def dial(self) -> None:
        """Begin anew with the addresses of the profile, and with the credentials that its node wants."""
        if self.chain.relayed:
            ending = asyncio.ensure_future(self.chain.aclose())
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        self.chain = chain_of(self.profile, self.node_auth)

    @property
    def auth_name(self) -> str:
        """Where the vault keeps the node's credentials."""
        return secret_names.node(self.profile.name)

    @property
    def auth_host_name(self) -> str:
        """Where the vault keeps whom they are for."""
        return secret_names.node(self.profile.name, "host")

    @property
    def node_host(self) -> str:
        """The host of the profile's node."""
        return urlsplit(self.profile.rpc_url).hostname or ""

    def node_auth(self) -> str:
        """The node's credentials; empty while the vault is locked, or where there are none for a node of this host."""
        if self.vault is None or self.vault.locked or self.profile.network == "practice":
            return ""
        try:
            found = self.vault.get(self.auth_name).decode()
        except (KeyError, VaultError):
            return ""
        try:
            return found if self.vault.get(self.auth_host_name).decode() == self.node_host else ""
        except KeyError:
            return found
        except VaultError:
            return ""

    async def upload(self, source: Path, object_key: str, *, encrypt_key: bytes | None = None) -> Uploaded:
        """Put a file (encrypted, where a key is given) into the profile's store and look at it from outside.

        The same file under the same name again is the same object. Raises UploadFailed, VaultLocked.
        """
        job, secrets = self._upload_job(source, object_key, encrypt_key)
        async with self._slots:
            result = await run_worker("somatui.workers.transfer", job, secrets, self.paths.jobs_dir / "transfer.log")
        return Uploaded(str(result["url"]), str(result["checksum"]), int(result["size"]))

    def _upload_job(
        self, source: Path, object_key: str, encrypt_key: bytes | None
    ) -> tuple[dict[str, Any], dict[str, str | None]]:
        store = self.profile.store
        if store is None:
            raise UploadFailed(f"Profile {self.profile.name} has no store: add [profiles.{self.profile.name}.store].")
        access, secret = self.store_keys()
        names = ("endpoint", "bucket", "region", "public_url", "public_mode")
        job = {
            "job": "upload",
            "version": VERSION,
            "source": str(source),
            "object_key": object_key,
            "encrypt": encrypt_key is not None,
            "content_type": "application/octet-stream",
            "note": str(self.paths.jobs_dir / "uploads" / f"{blake2b256(object_key.encode()).hex()[:32]}.json"),
            "store": {name: getattr(store, name) for name in names},
        }
        return job, {
            "access_key": access,
            "secret_key": secret,
            "weights_key": encrypt_key.hex() if encrypt_key is not None else None,
        }

    def store_keys(self) -> tuple[str, str]:
        """Access and secret key of the profile's store. Raises UploadFailed, VaultLocked."""
        if self.profile.network == "practice":
            try:
                card = practice_network(self.paths)
            except ConfigError as failure:
                raise UploadFailed(str(failure)) from failure
            if card is None:
                raise UploadFailed("No practice network runs here: start it with somatui practice serve --background.")
            return card.access_key, card.secret_key
        if self.vault is None:
            raise UploadFailed("The store's keys are in no vault: set up the vault first.")
        try:
            found = [
                self.vault.get(secret_names.store(self.profile.name, name)).decode() for name in ("access", "secret")
            ]
        except KeyError:
            raise UploadFailed(f"The vault holds no store keys for profile {self.profile.name}: add them.") from None
        return found[0], found[1]


def endpoints_of(profile: Profile) -> Endpoints:
    """The addresses of a profile's network."""
    return Endpoints(
        profile.rpc_url, profile.faucet_url, profile.scoring_url, profile.admin_url, rpc_url_2=profile.rpc_url_2
    )


def chain_of(profile: Profile, auth: Callable[[], str]) -> Chain:
    """The way to a profile's network; `auth` gives the credentials that its node wants."""
    return Chain(endpoints_of(profile), auth=auth, chain=profile.chain)


async def run_worker(
    module: str, job: dict[str, Any], secrets: dict[str, str | None] | None, log: Path
) -> dict[str, Any]:
    """Run a short worker to its end and give its result. Raises UploadFailed with the worker's own sentence."""
    said: list[Message] = []
    worker = WorkerProcess()
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    await worker.start(module, job, secrets=secrets, stderr_path=log, on_message=said.append)
    try:
        status = await worker.wait()
    except asyncio.CancelledError:
        await worker.stop(1)
        raise
    for message in said:
        if message.kind == "done" and isinstance(message.body.get("result"), dict):
            return dict(message.body["result"])
        if message.kind == "failed":
            raise UploadFailed(str(message.body.get("error") or "The upload failed."))
    raise UploadFailed(f"The upload ended with status {status} and no result: see {log}.")
