"""What the socket offers for trying a credential before it is relied on: one method each, each with a report.

A secret that is empty means the vault's. Reports are {"ok", "lines", "facts"} of `domain.report`; nothing secret is in
them, and none is written down while a check runs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from somatui.agent.ground import Ground, UploadFailed, run_worker
from somatui.agent.server import FAILED, LOCKED, REFUSED, Method, RpcError
from somatui.config import PUBLIC_MODES, ConfigError, StoreConfig, save_store
from somatui.domain import secret_names
from somatui.domain.setup.steps import DATASET
from somatui.domain.stored import kept_for
from somatui.vault.base import VaultError
from somatui.workers.protocol import VERSION

FIELDS = ("endpoint", "bucket", "region", "public_url")


@dataclass(slots=True)
class Checking:
    """The methods that try credentials and the machine."""

    ground: Ground

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {
            "check.storage": self.storage,
            "check.huggingface": self.huggingface,
            "check.gpu": self.gpu,
            "check.network": self.network,
            "check.webhook": self.webhook,
            "store.save": self.save,
            "store.delete": self.delete,
        }

    async def storage(
        self, store: dict[str, Any] | None = None, access: str = "", secret: str = "", policy: bool = False
    ) -> dict[str, Any]:  # fmt: skip
        """Put, head, read as anybody, delete. No store means the profile's; `policy` lets the bucket's be changed."""
        told = store or self._own_store()
        keys = self._keys(access, secret)
        job = {"what": "storage", "store": _fields(told), "policy": policy}
        return await self._probe(job, {"access_key": keys[0], "secret_key": keys[1]})

    async def huggingface(self, token: str = "", dataset: str = DATASET) -> dict[str, Any]:
        """Whose token it is, and whether the data set opens to it."""
        job = {"what": "huggingface", "dataset": dataset, "hub": os.environ.get("HF_ENDPOINT", "")}
        return await self._probe(job, {"token": token or self._kept(secret_names.HUGGING_FACE)})

    async def webhook(self, url: str = "") -> dict[str, Any]:
        """Send a test message."""
        return await self._probe({"what": "webhook"}, {"url": url or self._kept(secret_names.WEBHOOK)})

    async def gpu(self) -> dict[str, Any]:
        """Driver, memory, what fits, and PyTorch's build."""
        return await self._probe({"what": "gpu"}, None)

    async def network(self, rpc_url: str = "", faucet_url: str = "", auth: str = "") -> dict[str, Any]:
        """Node, chain, versions, clock and faucet. No address means the profile's own network."""
        from somatui.agent.reaching import Reach

        profile = self.ground.profile
        own = not rpc_url or rpc_url == profile.rpc_url
        found = await Reach(
            rpc_url or profile.rpc_url,
            faucet_url or (profile.faucet_url if own else ""),
            auth or (self.ground.node_auth() if own else ""),
            chain=profile.chain if own else "",
            address=self.ground.address,
            now_ms=self.ground.now_ms,
        ).run()
        return found.told()

    async def save(self, store: dict[str, Any], access: str = "", secret: str = "") -> dict[str, Any]:
        """Keep the store in the profile, and its keys, where given, in the vault."""
        told = _fields(store)
        modes = [m for m in PUBLIC_MODES if m == (store.get("public_mode") or "public_url")]
        if not modes:
            raise RpcError(REFUSED, f"public_mode is one of {', '.join(PUBLIC_MODES)}.")
        if not told["endpoint"] or not told["bucket"]:
            raise RpcError(REFUSED, "The store needs endpoint and bucket: enter both.")
        kept = StoreConfig(told["endpoint"], told["bucket"], told["region"] or "auto", told["public_url"], modes[0])
        name = self.ground.profile.name
        try:
            for key, value in (("access", access), ("secret", secret)):
                if value:
                    self._vault_set(secret_names.store(name, key), value)
            save_store(self.ground.paths, kept)
            self.ground.reload()
        except ConfigError as wrong:
            raise RpcError(REFUSED, str(wrong)) from None
        return {"ok": True}

    async def delete(self, key: str) -> dict[str, Any]:
        """Delete an object of the profile's store that neither a model nor an audit needs any more."""
        store = self._own_store()
        reason = kept_for(self.ground.snapshot(), f"{store['endpoint']}/{store['bucket']}/{key}")
        if reason is not None:
            raise RpcError(REFUSED, reason)
        access, secret = self._keys("", "")
        job = {"what": "delete", "store": store, "key": key}
        return await self._probe(job, {"access_key": access, "secret_key": secret})

    async def _probe(self, job: dict[str, Any], secrets: dict[str, str | None] | None) -> dict[str, Any]:
        try:
            asked = {"job": "check", "version": VERSION} | job
            return await run_worker("somatui.workers.probe", asked, secrets, self.ground.paths.jobs_dir / "probe.log")
        except UploadFailed as failed:
            raise RpcError(FAILED, str(failed)) from None

    def _own_store(self) -> dict[str, Any]:
        store = self.ground.profile.store
        if store is None:
            raise RpcError(REFUSED, f"Profile {self.ground.profile.name} has no store: set one up first.")
        return asdict(store)

    def _keys(self, access: str, secret: str) -> tuple[str, str]:
        if access and secret:
            return access, secret
        try:
            kept = self.ground.store_keys()
        except (UploadFailed, VaultError) as missing:
            if access or secret:
                return access, secret
            raise RpcError(LOCKED if isinstance(missing, VaultError) else REFUSED, str(missing)) from None
        return access or kept[0], secret or kept[1]

    def _kept(self, name: str) -> str:
        """The vault's secret of that name; empty where it holds none. Raises RpcError when it is locked."""
        vault = self.ground.vault
        if vault is None:
            return ""
        try:
            return vault.get(name).decode()
        except KeyError:
            return ""
        except VaultError as locked:
            raise RpcError(LOCKED, str(locked)) from None

    def _vault_set(self, name: str, value: str) -> None:
        if self.ground.vault is None:
            raise RpcError(REFUSED, "There is no vault for the store's keys: make one first.")
        try:
            self.ground.vault.set(name, value.encode())
        except VaultError as locked:
            raise RpcError(LOCKED, str(locked)) from None


def _fields(store: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(store.get(name) or "").strip() for name in FIELDS}
