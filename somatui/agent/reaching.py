"""Tries a network's addresses: who answers, which chain and versions, what time it is there, and is there a faucet."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from somatui.asking import Answer, Trouble, ask
from somatui.chain.client import Chain, Endpoints
from somatui.chain.errors import ChainError
from somatui.chain.identity import Identity
from somatui.domain.report import Line, Report
from somatui.domain.versions import PROTOCOL

API = "0.1.19"
"""What the SDK takes itself for (protocol.md 1.5); nodes of other numbers work as well."""
WARN_MS, BAD_MS = 5_000, 60_000
"""Clock differences that are worth a word, and that make countdowns lie."""
SPEAKS = frozenset({"no http", "broken"})
"""How a server that wants gRPC answers to plain HTTP: somebody is there."""
CLOCK_CURE = "set this machine's clock: timedatectl set-ntp true"
REST = ("chain", "versions", "clock", "faucet")


@dataclass(slots=True)
class Reach:
    """One trial. `chain` is what the profile was set up for, `address` whose coins are counted; both may be empty."""

    rpc_url: str
    faucet_url: str = ""
    auth: str = field(default="", repr=False)
    chain: str = ""
    address: str = ""
    limit_s: float = 10
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    lines: list[Line] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    async def run(self) -> Report:
        """Lines named node, chain, versions, clock and faucet. Raises nothing."""
        wrong = mistakes(self.rpc_url)
        if wrong is not None:
            return self._ended(wrong)
        began = time.monotonic()
        heard = await asyncio.to_thread(ask, self.rpc_url, limit_s=self.limit_s)
        if isinstance(heard, Trouble) and heard.kind not in SPEAKS | {"slow"}:
            return self._ended(Line("node", "bad", f"The node is not reached: {_low(heard.detail)}", heard.cure))
        chain = Chain(Endpoints(self.rpc_url, self.faucet_url), auth=lambda: self.auth, read_limit_s=self.limit_s)
        try:
            seen = await chain.network("", "custom", self.now_ms())
            if not seen.reachable:
                return self._ended(self._no_node(heard, seen.error or "nobody answers"))
            who = await chain.identity()
            system = await chain.system()
            self.lines.append(Line("node", "ok", f"{_host(self.rpc_url)} answers", ms=_since(began)))
            self.facts |= {"chain": who.name, "chain_id": who.chain_id, "protocol_version": seen.protocol_version,
                           "api_version": seen.server_version, "epoch": system.epoch.number}  # fmt: skip
            self.lines += [self._chain(who), self._versions(seen.server_version, seen.protocol_version)]
            self.lines.append(await self._clock(chain, heard))
            if self.address:
                self.facts["wallet_balance"] = await chain.balance_shannons(self.address)
        except ChainError as failure:
            return self._ended(Line("node", "bad", f"The node answers only in part: {_low(str(failure)).rstrip('.')}",
                                    "try again, or take another node"))  # fmt: skip
        finally:
            await chain.aclose()
        self.lines.append(await self._faucet())
        return Report(tuple(self.lines), self.facts)

    def _ended(self, wrong: Line) -> Report:
        told = {line.name for line in self.lines}
        rest = [Line(n, "skipped", "Not tried, since the node does not answer") for n in REST if n not in told]
        return Report((wrong, *self.lines, *rest), self.facts)

    def _no_node(self, heard: Answer | Trouble, said: str) -> Line:
        status = heard.status if isinstance(heard, Answer) else 0
        if "others can read them" in said:
            return Line("node", "bad", "Over http:// anybody on the way could read the credentials",
                        "use its https address")  # fmt: skip
        if status in (401, 407) or "credentials" in said:
            if self.auth:
                return Line("node", "bad", f"The node does not take these credentials ({status or 401})",
                            "enter user:password, or Header-Name: value, as its operator gave them")  # fmt: skip
            return Line("node", "bad", f"The node wants credentials ({status or 401})",
                        "enter user:password, or Header-Name: value; they are kept in the vault")  # fmt: skip
        if status == 403:
            return Line("node", "bad", "The node refuses this machine (403)", "ask its operator to admit its address")
        if status in (429, 502, 503, 504):
            return Line("node", "bad", f"The node is overloaded or down ({status})", "try again, or take another node")
        if status and "html" in (heard.headers.get("content-type", "") if isinstance(heard, Answer) else ""):
            return Line("node", "bad", f"{_host(self.rpc_url)} is a web page and no node",
                        "enter the node's RPC address, such as https://fullnode.testnet.soma.org")  # fmt: skip
        if (isinstance(heard, Trouble) and heard.kind == "slow") or ("within" in said and "seconds" in said):
            return Line("node", "bad", f"The node takes lines and says nothing for {self.limit_s:g} seconds",
                        "try again, or take another node: this one hangs")  # fmt: skip
        return Line("node", "bad", f"What answers at {_host(self.rpc_url)} is no node of this network",
                    "correct host and port: a node listens on 9000 where nothing else is said")  # fmt: skip

    def _chain(self, who: Identity) -> Line:
        found = f"{who.name} ({who.chain_id})"
        if self.chain and self.chain not in (who.chain_id, who.name):
            return Line("chain", "bad", f"The node is of chain {found}, and this profile was set up for {self.chain}",
                        "make another profile for that network; nothing is signed here meanwhile")  # fmt: skip
        return Line("chain", "ok", f"Chain {found}, epoch {self.facts['epoch']}")

    def _versions(self, server: str, protocol: int) -> Line:
        version = server.rpartition("/")[2]
        if protocol != PROTOCOL:
            return Line("versions", "warn", f"The network follows protocol version {protocol}, this somatui knows "
                        f"{PROTOCOL}", "update somatui, and doubt its fees and deadlines until then")  # fmt: skip
        if version != API:
            return Line("versions", "warn", f"The node runs {server}, the SDK was made for {API}",
                        "nothing, as long as it works: update somatui when a call is refused")  # fmt: skip
        return Line("versions", "ok", f"{server}, protocol version {protocol}")

    async def _clock(self, chain: Chain, heard: Answer | Trouble) -> Line:
        """Their time by the answer's Date, else by the newest checkpoint, which can show only that ours is behind."""
        ours = self.now_ms()
        theirs = date_ms(heard)
        newest = await chain.checkpoint_ms()
        if theirs is None and ours - newest >= BAD_MS:
            return Line("clock", "skipped", "Nobody told the time, and the last checkpoint is old", "see timedatectl")
        skew = ours - (newest if theirs is None else theirs)
        self.facts["clock_skew_ms"] = skew
        return judge_clock(skew, exact=theirs is not None)

    async def _faucet(self) -> Line:
        if not self.faucet_url:
            return Line("faucet", "skipped", "This network offers no faucet", "have coins sent to the address")
        wrong = mistakes(self.faucet_url, "faucet")
        if wrong is not None:
            return wrong
        began = time.monotonic()
        heard = await asyncio.to_thread(ask, self.faucet_url, limit_s=self.limit_s)
        if isinstance(heard, Trouble) and heard.kind not in SPEAKS:
            cure = f"{heard.cure}; or have coins sent to the address"
            return Line("faucet", "warn", f"The faucet is not reached: {_low(heard.detail)}", cure)
        if isinstance(heard, Answer) and heard.status in (429, 502, 503, 504):
            return Line("faucet", "warn", f"The faucet is busy or down ({heard.status})", "ask it again later")
        return Line("faucet", "ok", "The faucet answers", ms=_since(began))


def mistakes(url: str, name: str = "node") -> Line | None:
    """What an address shows by its form alone."""
    if not url.strip():
        return Line(name, "bad", f"The address of the {name} is empty", "enter the one that the network's page gives")
    if any(c.isspace() or c in "'\"" for c in url):
        return Line(name, "bad", f"The {name}'s address has a space, a line end or quotes in it", "enter it alone")
    try:
        address = urlsplit(url)
        host, _ = address.hostname, address.port
    except ValueError:
        return Line(
            name, "bad", f"The {name}'s address has a port that is none", "ports go from 1 to 65535: correct it"
        )
    if address.scheme in ("ws", "wss", "grpc", "tcp"):
        return Line(name, "bad", f"The {name}'s address begins with {address.scheme}://", "write https:// instead")
    if address.scheme not in ("http", "https") or not host:
        return Line(name, "bad", f"The {name}'s address does not begin with https://", f"enter https://{url:.60}")
    if address.username is not None:
        return Line(name, "bad", f"The {name}'s address has a password in it, which every log would show",
                    "take user:password@ out and enter them as credentials, for the vault")  # fmt: skip
    return None


def date_ms(heard: Answer | Trouble) -> int | None:
    """When the server sent its answer, by its own clock; the header has whole seconds, so half of one is added."""
    try:
        told = heard.headers["date"] if isinstance(heard, Answer) else ""
        return round(parsedate_to_datetime(told).timestamp() * 1000) + 500
    except (KeyError, ValueError, TypeError):
        return None


def judge_clock(skew_ms: int, *, exact: bool = True) -> Line:
    """The line about a clock that is `skew_ms` ahead of the network's."""
    way = "ahead of" if skew_ms > 0 else "behind"
    seconds = abs(skew_ms) / 1000
    if exact and abs(skew_ms) >= BAD_MS or skew_ms <= -BAD_MS:
        return Line("clock", "bad", f"This machine's clock is {seconds:,.0f} s {way} the network's, so every countdown "
                    "is wrong", CLOCK_CURE)  # fmt: skip
    if exact and abs(skew_ms) >= WARN_MS or skew_ms <= -WARN_MS:
        return Line("clock", "warn", f"This machine's clock is {seconds:.1f} s {way} the network's", CLOCK_CURE)
    return Line("clock", "ok", "The clock agrees with the network's")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _low(text: str) -> str:
    return text[:1].lower() + text[1:]


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
