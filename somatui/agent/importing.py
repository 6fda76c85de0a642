"""What the socket offers about a `.env` file: look at it, values masked; move what is known into vault and config.

The file is read by the agent itself, so that its secrets cross no socket; what is wrong with a value is envfile's.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from somatui.agent import envfile, mnemonics
from somatui.agent.envfile import Item
from somatui.agent.ground import Ground
from somatui.agent.server import FAILED, REFUSED, Method, RpcError
from somatui.agent.vaulting import absolute
from somatui.agent.wallets import Wallets
from somatui.config import StoreConfig, save_store
from somatui.domain import secret_names
from somatui.files import write_whole
from somatui.vault.base import Vault, VaultError
from somatui.wire.secretkey import Found, recognise

MOST_BYTES = 256 * 1024
GIT_SECONDS = 10.0
COPIES = (
    "On a solid-state disk and on file systems that journal or copy on write, older copies of the bytes may remain: "
    "who fears that changes the keys."
)


@dataclass(slots=True)
class Importing:
    """The methods that read a `.env`."""

    ground: Ground
    wallets: Wallets

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {"env.look": self.look, "env.move": self.move}

    async def look(self, path: str) -> dict[str, Any]:
        """What stands in the file, values masked; whether git tracks it and whether others can read it."""
        file, text = _read(path)
        items = self._items(text)
        return {
            "found": [_told(item) for item in items],
            "tracked_by_git": await tracked_by_git(file),
            "exposed": bool(stat.S_IMODE(file.stat().st_mode) & 0o077),
        }

    async def move(self, path: str, shred: bool = False, label: str = "") -> dict[str, Any]:
        """Put every usable value where it goes; then, if asked, take it out of the file.

        The file is deleted where nothing else is left in it, else written anew with what is left.
        """
        file, text = _read(path)
        items = self._items(text)
        moving = {i.role: i for i in items if i.moves}
        if not moving:
            raise RpcError(REFUSED, f"Nothing in {file.name} can be moved: look at what is said of each value.")
        vault = self.wallets.vault()
        address = await self._key(moving["key"], label) if "key" in moving else ""
        await self._secrets(vault, moving)
        self._store(moving)
        said: dict[str, Any] = {"moved": [_told(i) for i in items if i.moves], "address": address}
        said |= {"left": [_told(i) for i in items if not i.moves], "file": "kept", "copies": ""}
        if shred:
            rest = envfile.left_over(items, text)
            said |= {"file": _shred(file, rest), "copies": COPIES}
        return said

    def _items(self, text: str) -> list[Item]:
        known = {k.address: k.label for k in self.wallets.names()}

        def address_of(found: Found) -> str:
            return mnemonics.address_of_key(mnemonics.key_of(found))

        items = envfile.read(text, address_of)
        return [_no_address(item, known) for item in items]

    async def _key(self, item: Item, label: str) -> str:
        found = recognise(item.value)
        return await self.wallets.keep(mnemonics.key_of(found), found.words, label)

    async def _secrets(self, vault: Vault, moving: Mapping[str, Item]) -> None:
        profile = self.ground.profile.name
        names = {
            "hf": secret_names.HUGGING_FACE,
            "webhook": secret_names.WEBHOOK,
            "access": secret_names.store(profile, "access"),
            "secret": secret_names.store(profile, "secret"),
        }
        try:
            for role, name in names.items():
                if role in moving:
                    await asyncio.to_thread(vault.set, name, moving[role].value.encode())
        except VaultError as failed:
            raise RpcError(FAILED, str(failed)) from None

    def _store(self, moving: Mapping[str, Item]) -> None:
        if "endpoint" not in moving or "bucket" not in moving:
            return
        before = self.ground.profile.store
        store = StoreConfig(moving["endpoint"].value, moving["bucket"].value)
        if before is not None and (before.endpoint, before.bucket) == (store.endpoint, store.bucket):
            store = before
        changes = {r: moving[r].value for r in ("region", "public_url") if r in moving}
        if not changes.get("public_url") and not store.public_url:
            changes["public_mode"] = "policy"
        kept = replace(store, **changes)  # type: ignore[arg-type]
        self.wallets.write(lambda: save_store(self.ground.paths, kept))


def _no_address(item: Item, known: Mapping[str, str]) -> Item:
    """A wallet's address in the field of its key is no key."""
    digits = item.value.strip().lower().removeprefix("0x")
    if item.role != "key" or digits not in known:
        return item
    return item.refused(f"This is the address of wallet {known[digits] or digits[:8]}, not its key: nothing to move.")


def _told(item: Item) -> dict[str, Any]:
    return {
        "name": item.name,
        "masked": item.masked,
        "goes_to": item.goes_to,
        "problem": item.problem,
        "moves": item.moves,
    }


def _read(path: str) -> tuple[Path, str]:
    file = absolute(path)
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
                raise RpcError(REFUSED, f"{file} is no .env file: name a file of some lines NAME=value.")
            return file, opened.read().decode("utf-8-sig")
    except OSError as failure:
        reason = (failure.strerror or "").lower()
        raise RpcError(REFUSED, f"{file} cannot be read ({reason}): name the file, or correct its mode.") from None
    except UnicodeDecodeError:
        raise RpcError(REFUSED, f"{file} is not UTF-8 text: name a .env file.") from None


async def tracked_by_git(file: Path) -> bool:
    """Whether a git repository has this file in its index; False where there is no git."""
    words = (
        "git",
        "-c",
        "core.fsmonitor=false",
        "-C",
        str(file.parent),
        "ls-files",
        "--error-unmatch",
        "--",
        file.name,
    )
    try:
        asked = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        return await asyncio.wait_for(asked.wait(), GIT_SECONDS) == 0
    except TimeoutError:
        asked.kill()
        await asked.wait()
        return False


def _shred(file: Path, rest: str) -> str:
    """Overwrite the file's bytes, and delete it; what is left in it is written anew before that. Which was done."""
    keeps = any(line.strip() and not line.strip().startswith("#") for line in rest.splitlines())
    try:
        if file.is_symlink() or file.stat().st_nlink > 1:
            raise RpcError(
                FAILED,
                f"Everything is moved, and {file} is left as it is since the same bytes have another name too: "
                "delete them by hand.",
            )
        with open(os.open(file, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC), "r+b") as opened:
            if keeps:
                write_whole(file, rest.encode())
            size = os.fstat(opened.fileno()).st_size
            for filling in (os.urandom(size), bytes(size)):
                opened.seek(0)
                opened.write(filling)
                opened.flush()
                os.fsync(opened.fileno())
        if keeps:
            return "cleaned"
        file.unlink()
    except OSError as failure:
        reason = (failure.strerror or "").lower()
        raise RpcError(
            FAILED, f"Everything is moved, and {file} cannot be deleted ({reason}): delete it by hand."
        ) from None
    return "deleted"
