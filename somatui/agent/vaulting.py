"""What the socket offers about the vault: make, open, lock, keep, forget, copy; what it keeps is never told here."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from somatui.agent.ground import Ground
from somatui.agent.journal import JournalError
from somatui.agent.journals import left_undone, waits_for_key
from somatui.agent.lease import LeaseHeld
from somatui.agent.mnemonics import address_of_key
from somatui.agent.opening import open_by_keyring
from somatui.agent.server import FAILED, LOCKED, REFUSED, Method, RpcError
from somatui.agent.wallet_in_use import WalletBusy
from somatui.config import VAULT_KINDS, ConfigError, save_profile
from somatui.domain.deadline import commit_window, reveal_window
from somatui.domain.secret_names import IRREPLACEABLE, MODEL_KEY, WALLET
from somatui.vault import backends, note
from somatui.vault.backends.asking import Unusable
from somatui.vault.base import VaultError, VaultLocked, WrongPassphrase
from somatui.vault.file import FileVault
from somatui.vault.held import Held, kernel_keyring
from somatui.vault.patience import Patience

LEAST_PASSPHRASE = 8
MOST_VALUE_BYTES = 64 * 1024
_NAME = re.compile(r"(?=.{1,200}$)[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9._-]+)*")
OLD_COPY = (
    "The vault is an older copy of itself: what was kept in it later is missing, perhaps the keys of published models. "
    "Put the newest copy back, or take this one for good with somatui vault rotate."
)
NO_VAULT = "This profile has no vault: make one with somatui vault create."
T = TypeVar("T")


@dataclass(slots=True)
class Vaulting:
    """The methods of the vault.

    `changed_wallet` is called when the vault is open or a key in it has come or gone; it raises LeaseHeld.
    """

    ground: Ground
    changed_wallet: Callable[[], None]
    _patience: Patience = field(default_factory=Patience)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {
            "vault.status": self.status,
            "vault.create": self.create,
            "vault.unlock": self.unlock,
            "vault.lock": self.lock,
            "vault.passphrase": self.passphrase,
            "vault.rotate": self.rotate,
            "vault.export": self.export,
            "vault.restore": self.restore,
            "vault.set": self.set,
            "vault.remove": self.remove,
            "vault.list": self.names,
        }

    async def status(self) -> dict[str, Any]:
        """Whether there is a vault, whether it is open and what opens it; never what is in it."""
        vault = self._found()
        said: dict[str, Any] = {
            "exists": vault is not None,
            "locked": vault is None or vault.locked,
            "backend": "",
            "why": "" if vault is not None else NO_VAULT,
            "address": self.ground.address,
            "cached": vault.held_in if vault is not None else "",
            "auto_lock_s": self.ground.settings.auto_lock_s,
            "copy_is_old": False,
            "copy_sentence": "",
            "wait_s": self._patience.wait_s,
            "problem": "",
        }
        if vault is None:
            return said
        if self._practice:
            return said | {
                "backend": backends.FILE,
                "why": "Practice coins are worth nothing: this vault opens itself.",
            }
        known = note.read(vault.path)
        said |= {"backend": known.backend, "why": known.why or "The passphrase opens the vault."}
        try:
            old = vault.copy_is_old
        except VaultError as failure:
            return said | {"problem": str(failure)}
        return said | {"copy_is_old": old, "copy_sentence": OLD_COPY if old else ""}

    async def create(self, passphrase: str, backend: str = "auto") -> dict[str, Any]:
        """Make the vault; what opens it besides its passphrase is `backend`, or what works here."""
        self._not_for_practice("has its vault already")
        _long_enough(passphrase)
        if backend not in VAULT_KINDS:
            raise RpcError(REFUSED, f"What keeps the vault's key is one of {', '.join(VAULT_KINDS)}.")
        ground = self.ground
        if self._found() is not None:
            raise RpcError(REFUSED, "This profile has a vault already: unlock it, or restore another one in its place.")
        async with self._turn:
            chosen = await _doing(lambda: backends.choose(ground.profile.vault if backend == "auto" else backend))
            if backend not in ("auto", ground.profile.vault):
                self._named(backend)
            vault = await _doing(lambda: FileVault.create(ground.paths.vault, passphrase, self._held()))
            await self._keep_key(vault, chosen)
            return await self._opened(vault)

    async def unlock(self, passphrase: str = "") -> dict[str, Any]:
        """Open the vault; without a passphrase, by the keyring that keeps its key."""
        vault = self._vault()
        self.timed()
        if not passphrase:
            await self._unlock_by_keyring(vault)
        else:
            await self._trying(lambda: vault.unlock(passphrase))
            await self._follow_config(vault)
        return await self._opened(vault)

    async def prove(self, passphrase: str) -> None:
        """See that a passphrase is the vault's, for what asks for it once more. Raises RpcError."""
        vault = self._vault()
        await self._trying(lambda: vault.unlock(passphrase))

    async def lock(self) -> dict[str, Any]:
        """Forget the key, here and in the kernel; `waits` says what cannot be done in time without it."""
        if self.ground.vault is not None:
            self.ground.vault.lock()
        self.ground.changed()
        waits = ""
        for due in [d for d in self.ground.snapshot().duties if d.has_deadline][:1]:
            waits = f"{due.title}, on the chain by the end of epoch {due.closes_epoch}: open it in time"
        return await self.status() | {"waits": waits}

    async def passphrase(self, old: str, new: str) -> dict[str, Any]:
        """Change the passphrase."""
        self._not_for_practice("opens by itself and needs no other passphrase")
        _long_enough(new)
        vault = self._vault()
        await self._trying(lambda: vault.change_passphrase(old, new))
        return await self._opened(vault)

    async def rotate(self, passphrase: str) -> dict[str, Any]:
        """Seal everything with a new data key."""
        vault = self._vault()
        await self._trying(lambda: vault.rotate(passphrase))
        known = note.read(vault.path)
        await self._keep_key(vault, backends.Choice(known.backend, known.why))
        return await self._opened(vault)

    async def export(self, path: str, passphrase: str) -> dict[str, Any]:
        """Write an encrypted copy that opens with the vault's passphrase."""
        vault = self._vault()
        target = absolute(path)
        await self._trying(lambda: vault.export(target, passphrase))
        return {"path": str(target)}

    async def restore(self, path: str, passphrase: str) -> dict[str, Any]:
        """Put a copy in the vault's place; what was there stays beside it. `lacks` counts the changes it misses."""
        self._not_for_practice("cannot be replaced: practice reset makes a new one")
        source, ground = absolute(path), self.ground
        if ground.journal.unfinished() and self._opens():
            raise RpcError(REFUSED, "Acts are not finished and need the keys of this vault: wait until they are.")
        before = note.read(ground.paths.vault)
        vault, lacks = await self._trying(
            lambda: FileVault.restore(source, ground.paths.vault, passphrase, self._held())
        )
        if isinstance(ground.vault, FileVault):
            ground.vault.closed_for(vault)
        if before.backend != backends.FILE and before.vault_id != vault.vault_id:
            with contextlib.suppress(Unusable):
                await asyncio.to_thread(backends.forget, before.backend, ground.profile.name, before.vault_id)
        await self._keep_key(vault, await _doing(lambda: _chosen(ground.profile.vault)))
        return await self._opened(vault) | {"lacks": lacks}

    async def set(self, name: str, value_b64: str) -> dict[str, Any]:
        """Keep a secret."""
        vault = self._vault()
        if not _NAME.fullmatch(name):
            raise RpcError(REFUSED, "A secret's name has letters, digits, dots, dashes and slashes, 200 at most.")
        try:
            value = base64.b64decode(value_b64, validate=True)
        except (ValueError, binascii.Error):
            raise RpcError(REFUSED, "The value must be given in base64.") from None
        if not 0 < len(value) <= MOST_VALUE_BYTES:
            raise RpcError(REFUSED, f"A secret has 1 to {MOST_VALUE_BYTES} bytes.")
        if name.startswith(IRREPLACEABLE):
            await self._irreplaceable(vault, name, value)
        await _doing(lambda: vault.set(name, value))
        if name == self.ground.auth_name:
            host = self.ground.node_host.encode()
            await _doing(lambda: vault.set(self.ground.auth_host_name, host))
        return self._changed(name)

    async def _irreplaceable(self, vault: FileVault, name: str, value: bytes) -> None:
        """See that no key is lost under another one of its name, and that a wallet's key is that wallet's."""
        if name.startswith(WALLET) and (len(value) != 32 or WALLET + address_of_key(value) != name):
            raise RpcError(REFUSED, "That is not the key of this wallet: bring keys with somatui wallet import.")
        with contextlib.suppress(KeyError):
            if await _doing(lambda: vault.get(name)) != value:
                raise RpcError(REFUSED, "The vault has another secret of that name, perhaps its only copy: keep it.")

    async def remove(self, name: str) -> dict[str, Any]:
        """Forget a secret."""
        vault = self._vault()
        if reason := self._needed(name):
            raise RpcError(REFUSED, reason)
        try:
            await _doing(lambda: vault.delete(name))
        except KeyError:
            raise RpcError(REFUSED, f"The vault has nothing named {name!r:.80}: vault list names all it has.") from None
        return self._changed(name)

    def _needed(self, name: str) -> str:
        """Why a secret must stay for now; empty where nothing hangs on it."""
        ground, seen = self.ground, self.ground.snapshot()
        address, due = name.removeprefix(WALLET), False
        if name == WALLET + ground.address:
            due = bool(ground.journal.unfinished()) or any(d.has_deadline for d in seen.duties)
        elif name.startswith(WALLET):
            waits = (m for m in seen.models if m.owner == address and (commit_window(m) or reveal_window(m)))
            due = address in left_undone(ground.paths, ground.address) or any(waits)
        elif name.startswith(MODEL_KEY):
            open_now = {m.id for m in seen.models if m.state in ("active", "inactive")}
            try:
                what = waits_for_key(ground.paths, name.removeprefix(MODEL_KEY), open_now)
            except JournalError as unread:
                return f"Whether a model waits for this key cannot be known. {unread}"
            why = f"The weights of {what} wait for their reveal with this key, or half of the stake burns."
            return why if what else ""
        return "Acts of this wallet are not finished or due, and need its key: wait for them." if due else ""

    async def names(self) -> dict[str, Any]:
        """The names of everything in the vault."""
        vault = self._vault()
        return {"names": list(await _doing(vault.names))}

    def timed(self) -> None:
        """The setting of auto-lock has changed."""
        if isinstance(self.ground.vault, FileVault) and not self._practice:
            self.ground.vault.hold_for(self.ground.settings.auto_lock_s)

    @property
    def _practice(self) -> bool:
        return self.ground.profile.network == "practice"

    def _not_for_practice(self, why: str) -> None:
        if self._practice:
            raise RpcError(REFUSED, f"The practice profile {why}.")

    def _found(self) -> FileVault | None:
        """The vault, also one that was put in its place since the agent started."""
        vault = self.ground.vault
        if vault is None and self.ground.paths.vault.exists():
            try:
                vault = self.ground.vault = FileVault.open(self.ground.paths.vault, self._held())
            except VaultError as failure:
                raise RpcError(FAILED, str(failure)) from None
        return vault if isinstance(vault, FileVault) else None

    def _opens(self) -> bool:
        """Whether there is a vault that is open and sound."""
        vault = self.ground.vault
        with contextlib.suppress(VaultError):
            return vault is not None and bool(vault.names())
        return False

    def _vault(self) -> FileVault:
        vault = self._found()
        if vault is None:
            raise RpcError(REFUSED, NO_VAULT)
        return vault

    def _held(self) -> Held:
        held = Held(None if self._practice else kernel_keyring())
        held.seconds = None if self._practice else self.ground.settings.auto_lock_s
        return held

    def _changed(self, name: str) -> dict[str, Any]:
        if name.startswith(WALLET):
            try:
                self.changed_wallet()
            except (LeaseHeld, JournalError) as held:
                raise RpcError(REFUSED, str(held)) from None
        else:
            self.ground.changed()
        return {"ok": True, "name": name}

    async def _trying(self, doing: Callable[[], T]) -> T:
        """Do what a passphrase is given for, one at a time and with growing patience."""
        async with self._turn:
            await asyncio.sleep(self._patience.wait_s)
            try:
                done = await _doing(doing)
            except RpcError as wrong:
                self._patience.told(wrong.code != LOCKED)
                raise
            self._patience.told(True)
            return done

    async def _opened(self, vault: FileVault) -> dict[str, Any]:
        """The vault is open: the wallet may be known now."""
        self.ground.vault = vault
        try:
            self.changed_wallet()
        except WalletBusy:
            pass
        except (LeaseHeld, JournalError) as held:
            vault.lock()
            raise RpcError(REFUSED, str(held)) from None
        return await self.status()

    async def _unlock_by_keyring(self, vault: FileVault) -> None:
        if not vault.locked:
            return
        try:
            if await _doing(lambda: open_by_keyring(vault, self.ground.profile.name)):
                return
        except Unusable as failure:
            raise RpcError(
                LOCKED, f"The keyring does not open the vault, since {failure}: give the passphrase."
            ) from None
        raise RpcError(LOCKED, "No keyring keeps this vault's key: give the passphrase.")

    async def _follow_config(self, vault: FileVault) -> None:
        """Move the data key where config.toml wants it, once the vault is open anyway."""
        wanted, known = self.ground.profile.vault, note.read(vault.path)
        if self._practice or wanted in ("auto", known.backend):
            return
        await self._keep_key(vault, await asyncio.to_thread(_chosen, wanted))

    async def _keep_key(self, vault: FileVault, chosen: backends.Choice) -> None:
        """Give the key to the chosen keyring, take it from the one before, and note which it is."""
        profile, known = self.ground.profile.name, note.read(vault.path)
        before = replace(known, vault_id=vault.vault_id)
        try:
            if chosen.backend != backends.FILE:
                key = vault.data_key()
                await asyncio.to_thread(backends.keep, chosen.backend, profile, before.vault_id, key)
            if known.backend not in (backends.FILE, chosen.backend):
                await asyncio.to_thread(backends.forget, known.backend, profile, before.vault_id)
        except Unusable as failure:
            called = backends.CALLED[chosen.backend]
            chosen = backends.Choice(
                backends.FILE, f"The passphrase opens the vault: {called} failed, since {failure}."
            )
        note.write(vault.path, replace(before, backend=chosen.backend, why=chosen.why))

    def _named(self, backend: str) -> None:
        try:
            save_profile(self.ground.paths, vault=backend)
            self.ground.reload()
        except ConfigError as wrong:
            raise RpcError(REFUSED, str(wrong)) from None


def _chosen(named: str) -> backends.Choice:
    """What is chosen, the passphrase alone where that which is named does not work."""
    try:
        return backends.choose(named)
    except VaultError as failure:
        return backends.Choice(backends.FILE, str(failure))


async def _doing(doing: Callable[[], T]) -> T:
    """Do it beside the agent's loop, with the vault's refusals as the socket's own."""
    try:
        return await asyncio.to_thread(doing)
    except (WrongPassphrase, VaultLocked) as locked:
        raise RpcError(LOCKED, str(locked)) from None
    except VaultError as failed:
        raise RpcError(FAILED, str(failed)) from None


def _long_enough(passphrase: str) -> None:
    if len(passphrase) < LEAST_PASSPHRASE:
        raise RpcError(
            REFUSED,
            f"A passphrase has at least {LEAST_PASSPHRASE} characters: take four words that nobody would guess.",
        )


def absolute(path: str) -> Path:
    """A file that somebody else named, whose folder may be another than the agent's. Raises RpcError."""
    found = Path(path)
    if not found.is_absolute():
        raise RpcError(REFUSED, "The agent needs the whole path of the file, from / on.")
    return found
