"""The guided setup as a new user meets it: a bare machine over SSH, the line cut at every step and dialled again.

`python -m tests.long.setup_over_ssh [--cut all|none|NAME,NAME] [--not-root]` sets up a profile on a practice network's
faucet and store through an asyncssh server that gives a pty and through a terminal of 80 by 24, as root or as
somebody else. It prints one JSON document: keys typed, seconds at 200 keys a minute, seconds in all, what was found.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.tui.setups import Network, network
from tests.tui.ssh import Line, reached

PASSPHRASE = "correct horse battery staple"
KEYS_A_MINUTE = 200
DOWN, ENTER, F8 = "\x1b[B", "\r", "\x1b[19~"
TITLES = {
    "purpose": "What do you want to do?",
    "network": "Network",
    "vault": "Vault",
    "wallet": "Wallet",
    "storage": "Storage",
    "huggingface": "Hugging Face",
    "extras": "GPU and alerts",
    "summary": "Ready",
}


@dataclass
class Walker:
    """A new user with a line that may break; `cuts` names the steps at which it does, each once."""

    line: Line
    net: Network
    cuts: set[str]
    words: dict[int, str] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)

    async def walk(self) -> None:
        """All steps, from the first screen to the console."""
        await self.line.dial("somatui setup")
        for name in TITLES:
            await self.line.shows(_title(name))
            await self._at(name, name)
            do: Callable[[], Awaitable[None]] = getattr(self, name)
            await do()

    async def _at(self, place: str, step: str) -> None:
        """Here the line may break; then it goes on at `step`."""
        if place in self.cuts:
            self.cuts.discard(place)
            await self._break(place)
            await self.line.shows(_title(step))

    async def _break(self, name: str) -> None:
        """Something is half typed, the line breaks, and the user dials again."""
        if name in ("vault", "storage", "huggingface"):
            self.line.keys("half a")
        await self.line.cut()
        await self.line.dial("somatui setup")
        self.resumed.append(name)

    async def _next(self) -> None:
        """The checks have ended well: on to the next step."""
        await self.line.shows("enter next")
        self.line.keys(ENTER)

    def _fill(self, *texts: str) -> None:
        """Paste a text into each of the fields."""
        for text in texts:
            self.line.paste(text)
            self.line.keys(ENTER)

    async def purpose(self) -> None:
        """Submit, a node of one's own, profile ops."""
        await self.line.shows("only look")
        self.line.keys(ENTER)
        self.line.keys(DOWN + ENTER)
        await self.line.shows("https://…")
        self._fill(self.net.rpc_url, self.net.faucet_url)
        self.line.keys("ops" + ENTER)

    async def network(self) -> None:
        """It looks by itself."""
        await self.line.shows("✓ faucet")
        await self._next()

    async def vault(self) -> None:
        """A passphrase, twice, by hand."""
        self.line.keys(PASSPHRASE + ENTER + PASSPHRASE + ENTER)
        await self.line.shows("✓ vault")
        await self._next()

    async def wallet(self) -> None:
        """Twelve words from the screen to paper, two of them typed back; where the line breaks meanwhile, the wallet
        is there already and its words stay in the vault."""
        await self.line.shows("make one here")
        self.line.keys(ENTER + ENTER)
        await self.line.shows("shown once")
        await self.line.shows("I have written them down")
        self.words = {int(n): word for n, word in re.findall(r"\b(\d{1,2}) ([a-z]+)\b", self.line.flat)}
        if "words" in self.cuts:
            await self._at("words", "wallet")
            await self.line.shows("use main, which is here already")
            self.line.keys(ENTER)
            await self.line.shows("somatui wallet export shows them")
            await self._next()
            return
        self.line.keys(ENTER)
        await self.line.shows("Which are word")
        asked = re.search(r"word (\d+) and word (\d+)", self.line.flat)
        assert asked is not None
        for number in asked.groups():
            self.line.keys(self.words[int(number)] + ENTER)

    async def storage(self) -> None:
        """Five values, pasted."""
        net = self.net
        self._fill(net.store_url, net.bucket, net.access_key, net.secret_key, net.public_url)
        await self.line.shows("✓ delete")
        await self._next()

    async def huggingface(self) -> None:
        """Left out, knowingly."""
        self.line.keys(F8)
        await self.line.shows("F8 again skips it")
        self.line.keys(F8)

    async def extras(self) -> None:
        """It looks at the GPU by itself; until its finding is there, the last row may still be the step before's, whose
        "enter next" is not this step's, and an enter while it looks means nothing."""
        await self.line.shows("PyTorch")
        await self._next()

    async def summary(self) -> None:
        """Coins have come, the board is read; on to the console, and out of it."""
        await self.line.shows("What next")
        assert "2.0000 SOMA" in self.line.flat and "targets are open" in self.line.flat, self.line.screen
        self.line.keys(ENTER)
        await self.line.shows("1 Wallet")
        await self.line.shows("2.0000 SOMA")
        self.line.keys("q")
        assert await self.line.ended() == 0


def _title(name: str) -> str:
    return f"Setup {list(TITLES).index(name) + 1} of 8 {TITLES[name]}"


async def set_up(home: Path, net: Network, cuts: set[str], *, unprivileged: bool = False) -> dict[str, Any]:
    """Do it and look at what is there afterwards. Raises AssertionError with the screen where it does not go."""
    began = time.monotonic()
    async with reached(home, unprivileged=unprivileged) as (box, line):
        walker = Walker(line, net, set(cuts))
        try:
            await walker.walk()
            seconds = time.monotonic() - began
            shown = await asyncio.to_thread(box.run, "wallet", "show", "--json")
            checked = await asyncio.to_thread(box.run, "doctor", "--json")
        finally:
            await asyncio.to_thread(box.run, "agent", "stop")
    wallet, doctor = json.loads(shown.stdout), json.loads(checked.stdout)
    secrets = [PASSPHRASE, net.secret_key, " ".join(walker.words[n] for n in sorted(walker.words))]
    return {
        "typed_keys": line.typed,
        "typing_seconds": round(line.typed / KEYS_A_MINUTE * 60, 1),
        "seconds": round(seconds, 1),
        "resumed": walker.resumed,
        "free_shannons": wallet["free_shannons"],
        "storage": [c["status"] for c in doctor["checks"] if c["name"].startswith("storage")],
        "leaks": [str(f) for s in secrets for f in _holding(home, s.encode())],
    }


def _holding(home: Path, secret: bytes) -> list[Path]:
    files = (Path(folder, name) for folder, _, names in os.walk(home) for name in names)
    return [f for f in files if f.is_file() and secret in f.read_bytes()]


def main() -> int:
    """Run it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.setup_over_ssh", description=__doc__)
    parser.add_argument(
        "--cut", default="all", help="where the line breaks: all, none, or names of steps with commas, and words"
    )
    parser.add_argument("--not-root", action="store_true", help="root runs it as somebody else (needs unshare)")
    given = parser.parse_args()
    cuts = {"all": {*TITLES, "words"}, "none": set()}.get(given.cut) or set(given.cut.split(",")) & {*TITLES, "words"}
    with tempfile.TemporaryDirectory(prefix="somatui-ssh-") as folder:
        home = Path(folder) / "home"
        home.mkdir()
        with network(Path(folder) / "network") as net:
            found = asyncio.run(set_up(home, net, cuts, unprivileged=given.not_root))
    print(json.dumps(found, indent=1))
    good = found["free_shannons"] > 0 and found["storage"] and not found["leaks"] and found["typing_seconds"] <= 180
    return 0 if good and "bad" not in found["storage"] else 1


if __name__ == "__main__":
    sys.exit(main())
