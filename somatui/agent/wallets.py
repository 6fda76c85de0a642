"""What the socket offers about wallets: make, import, watch, list, choose, label, try again, export.

Secrets come in and go out here over the socket of one user, are kept in the vault, and are in no sentence or log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from somatui.agent import envfile, mnemonics
from somatui.agent.ground import Ground
from somatui.agent.journal import JournalError
from somatui.agent.lease import LeaseHeld
from somatui.agent.server import FAILED, LOCKED, REFUSED, Method, RpcError
from somatui.config import ConfigError, save_profile, save_wallet
from somatui.domain.ids import IdError, normalise_address, resolve, short
from somatui.domain.secret_names import WALLET, WORDS
from somatui.domain.snapshot import WalletName
from somatui.vault.base import Vault, VaultError
from somatui.wire.secretkey import Found, recognise, recognise_bytes
from somatui.wire.text import SECRET_PREFIX, TextError, encode_secret

EXPORT_WORD = "export"
FORMS = ("hex", "bech32", "words")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,31}")

T = TypeVar("T")
Quiet = Callable[[], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True)
class Known:
    """One wallet of this profile. `has_key` and `has_words` are as far as a locked vault lets them be known."""

    address: str
    label: str = ""
    watch_only: bool = False
    has_key: bool = False
    has_words: bool = False


@dataclass(slots=True)
class Wallets:
    """The methods of the wallets.

    `changed_wallet` is called when another wallet is in use and raises LeaseHeld; `quiet` holds the looks at the chain
    while that happens, and raises RpcError where acts of the present wallet are under way; `let_in` raises RpcError for
    a passphrase that is not the vault's.
    """

    ground: Ground
    changed_wallet: Callable[[], None]
    quiet: Quiet
    let_in: Callable[[str], Awaitable[None]]

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {
            "wallet.new": self.new,
            "wallet.import": self.bring,
            "wallet.watch": self.watch,
            "wallet.list": self.listing,
            "wallet.use": self.use,
            "wallet.label": self.name,
            "wallet.test": self.test,
            "wallet.export": self.export,
        }

    async def new(self, label: str = "", words: int = 12) -> dict[str, Any]:
        """Make a wallet from new words; the words are told this once and kept in the vault for `wallet.export`."""
        self.vault()
        self._free_label(label)
        made = _read(lambda: mnemonics.make(words))
        address = await self.keep(mnemonics.seed_of(made), made, label)
        return {"address": address, "label": label, "mnemonic": made, "active": address == self.ground.address}

    async def bring(self, text: str, label: str = "", raw: bool = False, address: str = "") -> dict[str, Any]:
        """Import a secret in whatever form it is; `raw`: `text` is base64 of a file's bytes. `address` chooses among
        several keys of a keystore."""
        self.vault()
        found, seed = self._recognised(text, raw, address)
        at = mnemonics.address_of_key(seed)
        here = self._known().get(at)
        self._free_label(label, at)
        await self.keep(seed, found.words, label)
        return {
            "address": at,
            "label": label or (here.label if here else ""),
            "format": found.form,
            "notes": list(found.notes),
            "known": here is not None and here.has_key,
            "active": at == self.ground.address,
        }

    async def watch(self, address: str, label: str = "") -> dict[str, Any]:
        """Know a wallet by its address alone: everything can be read, nothing signed."""
        at = self._public(address)
        here = self._known().get(at)
        if here is not None and here.has_key:
            raise RpcError(REFUSED, f"The vault holds the key of {short(at)}: it is more than watched already.")
        self._free_label(label, at)
        self.write(lambda: save_wallet(self.ground.paths, at, label=label or None, watch_only=True))
        await self._first(at)
        return {"address": at, "label": label, "active": at == self.ground.address}

    async def listing(self) -> dict[str, Any]:
        """Every wallet of this profile, the one in use first."""
        known = sorted(self._known().values(), key=lambda k: (k.address != self.ground.address, k.label, k.address))
        rows = [
            {
                "address": k.address,
                "label": k.label,
                "watch_only": k.watch_only,
                "active": k.address == self.ground.address,
                "has_words": k.has_words,
            }
            for k in known
        ]
        vault = self.ground.vault
        return {"wallets": rows, "vault": vault is not None, "locked": vault is None or vault.locked}

    async def use(self, address: str, anyway: bool = False) -> dict[str, Any]:
        """Act for another wallet from now on; `anyway` though the present one has a deadline to keep."""
        at = self._find(address).address
        ground = self.ground
        if at == ground.address:
            return {"address": at, "label": self._known()[at].label}
        due = [d for d in ground.snapshot().duties if d.has_deadline]
        if due and not anyway:
            raise RpcError(
                REFUSED,
                f"{due[0].title[:1].upper()}{due[0].title[1:]} must be on the chain by the end of epoch "
                f"{due[0].closes_epoch}, which is seen to for the wallet in use alone: wait for it, or take the other "
                "one with somatui wallet use, which asks first.",
            )
        await self._switch(at)
        return {"address": at, "label": self._known()[at].label}

    async def name(self, address: str, label: str) -> dict[str, Any]:
        """Give a wallet a label."""
        at = self._find(address).address
        self._free_label(label, at)
        self.write(lambda: save_wallet(self.ground.paths, at, label=label))
        return {"address": at, "label": label}

    async def test(self, text: str, raw: bool = False, address: str = "") -> dict[str, Any]:
        """The recovery drill: derive again from what was typed and compare with a wallet, the one in use if none is
        named. Nothing is kept."""
        wanted = self._find(address).address if address else self.ground.address
        found, seed = self._recognised(text, raw, wanted)
        at = mnemonics.address_of_key(seed)
        here = self._known().get(at)
        return {
            "address": at,
            "label": here.label if here else "",
            "format": found.form,
            "notes": list(found.notes),
            "matches": at == wanted,
            "wanted": wanted,
        }

    async def export(self, address: str, form: str, word: str, passphrase: str = "") -> dict[str, Any]:
        """A wallet's secret in plain text, for one who typed the word and the vault's passphrase."""
        at = self._find(address).address if address else self.ground.address
        if word != EXPORT_WORD:
            raise RpcError(REFUSED, f"A key leaves the vault only for the typed word {EXPORT_WORD}: nothing was told.")
        if form not in FORMS:
            raise RpcError(REFUSED, f"A key is exported as {', '.join(FORMS)}: choose one of them.")
        vault = self.vault()
        if self.ground.profile.network != "practice":
            await self.let_in(passphrase)
        try:
            if form == "words":
                return {"address": at, "form": form, "secret": vault.get(WORDS + at).decode()}
            seed = vault.get(WALLET + at)
        except KeyError:
            what = "words" if form == "words" else "key"
            cure = "export it as hex or bech32" if form == "words" else "import it first"
            raise RpcError(REFUSED, f"The vault holds no {what} of {short(at)}: {cure}.") from None
        return {"address": at, "form": form, "secret": seed.hex() if form == "hex" else encode_secret(seed)}

    async def keep(self, seed: bytes, mnemonic: str, label: str) -> str:
        """Put a key into the vault, write its wallet down, and use it where none is in use. Raises RpcError."""
        vault, at = self.vault(), mnemonics.address_of_key(seed)
        try:
            if mnemonic:
                await asyncio.to_thread(vault.set, WORDS + at, mnemonic.encode())
            await asyncio.to_thread(vault.set, WALLET + at, seed)
        except VaultError as failed:
            raise RpcError(FAILED, str(failed)) from None
        self.write(lambda: save_wallet(self.ground.paths, at, label=label or None, watch_only=False))
        await self._first(at)
        return at

    async def _first(self, address: str) -> None:
        """Use a new wallet where none is in use; where one is, see that it stays so whatever the vault lists first."""
        ground = self.ground
        if not ground.address:
            await self._switch(address)
            return
        if not ground.profile.wallet:
            self.write(lambda: save_profile(ground.paths, wallet=ground.address))
        try:
            self.changed_wallet()
        except (LeaseHeld, JournalError) as held:
            raise RpcError(REFUSED, str(held)) from None

    async def _switch(self, address: str) -> None:
        ground, before = self.ground, self.ground.profile.wallet
        async with self.quiet():
            self.write(lambda: save_profile(ground.paths, wallet=address))
            try:
                self.changed_wallet()
            except (LeaseHeld, JournalError, VaultError) as held:
                self.write(lambda: save_profile(ground.paths, wallet=before))
                raise RpcError(REFUSED, str(held)) from None

    def names(self) -> tuple[WalletName, ...]:
        """Every wallet of this profile, for the picture."""
        return tuple(WalletName(k.address, k.label, k.watch_only) for k in self._known().values())

    def _known(self) -> dict[str, Known]:
        """Every wallet by its address."""
        ground = self.ground
        held = ground.secret_names() or frozenset()
        entries = ground.profile.wallets
        keyed = {n.removeprefix(WALLET) for n in held if n.startswith(WALLET)}
        found: dict[str, Known] = {}
        for at in sorted({*entries, *keyed, *([ground.address] if ground.address else [])}):
            entry = entries.get(at)
            marked = entry is not None and entry.watch_only
            keyless = at not in keyed and (marked or bool(held))
            found[at] = Known(at, entry.label if entry else "", keyless, at in keyed, WORDS + at in held)
        return found

    def _find(self, text: str) -> Known:
        """The wallet of that label, address or beginning of an address. Raises RpcError."""
        known = self._known()
        named = [k for k in known.values() if k.label and k.label == text.strip()]
        if named:
            return named[0]
        try:
            at = resolve(text, known, "wallet").removeprefix("0x")
        except IdError:
            at = ""
        if at not in known:
            there = ", ".join(k.label or short(k.address) for k in known.values()) or "none yet"
            raise RpcError(REFUSED, f"No wallet of this profile has that label or address: there are {there}.")
        return known[at]

    def _recognised(self, text: str, raw: bool, address: str) -> tuple[Found, bytes]:
        """What was given, and the one key that is meant. Raises RpcError."""
        found = _read(lambda: _found(text, raw))
        if (named := self._known().get(found.seed.hex())) is not None:
            label = named.label or short(named.address)
            raise RpcError(REFUSED, f"That is the address of wallet {label}, not its key: an address signs nothing.")
        seeds = found.seeds or (_read(lambda: mnemonics.key_of(found)),)
        if len(seeds) == 1:
            return found, seeds[0]
        by_address = {mnemonics.address_of_key(seed): seed for seed in seeds}
        try:
            return found, by_address[resolve(address, by_address, "wallet").removeprefix("0x")]
        except (IdError, KeyError):
            there = ", ".join(short(a) for a in by_address)
            raise RpcError(
                REFUSED,
                f"The keystore holds {len(seeds)} keys: name the address of the one you want ({there}).",
                {"addresses": list(by_address)},
            ) from None

    def _public(self, text: str) -> str:
        """An address to watch. Raises RpcError, also where it is a secret that was typed."""
        bare = text.strip().strip("\"'")
        secret = bare.lower().startswith(SECRET_PREFIX) or len(bare.split()) > 1
        try:
            at = "" if secret else normalise_address(bare)
        except IdError:
            at = ""
        if at and mnemonics.address_of_key(bytes.fromhex(at)) in self._known():
            secret = True
        if secret:
            raise RpcError(REFUSED, "That is a secret, not an address: it was not kept, use wallet import for it.")
        if not at or len(bare.removeprefix("0x")) != len(at):
            raise RpcError(REFUSED, "An address has 64 hex digits: copy the whole of it, with or without 0x.")
        return at

    def _free_label(self, label: str, address: str = "") -> None:
        if label and not _LABEL.fullmatch(label):
            raise RpcError(
                REFUSED, "A label has up to 32 letters, digits, dots, dashes or underscores and begins with a letter."
            )
        taken = next((k for k in self._known().values() if label and k.label == label), None)
        if taken is not None and taken.address != address:
            raise RpcError(REFUSED, f"Wallet {short(taken.address)} is called {label} already: choose another label.")

    def vault(self) -> Vault:
        """The vault, open. Raises RpcError."""
        vault = self.ground.vault
        if vault is None:
            raise RpcError(REFUSED, "This profile has no vault to keep a key in: make one with somatui vault create.")
        if vault.locked:
            raise RpcError(LOCKED, "The vault is locked: unlock it first, with somatui vault unlock.")
        return vault

    def write(self, saving: Callable[[], object]) -> None:
        """Change config.toml and take it over. Raises RpcError."""
        try:
            saving()
            self.ground.reload()
        except ConfigError as wrong:
            raise RpcError(FAILED, str(wrong)) from None


def _found(text: str, raw: bool) -> Found:
    if raw:
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise TextError("The file did not arrive whole: try again.") from None
        if data.count(b"\n") and envfile.looks_like_env(data.decode("utf-8", "replace")):
            return envfile.key_in(data.decode("utf-8", "replace"))
        return recognise_bytes(data)
    return envfile.key_in(text) if "\n" in text.strip() and envfile.looks_like_env(text) else recognise(text)


def _read(reading: Callable[[], T]) -> T:
    try:
        return reading()
    except TextError as wrong:
        raise RpcError(REFUSED, str(wrong)) from None
