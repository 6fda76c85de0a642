"""One setup under way: it takes a step's answers, has the agent try and keep them, and remembers where it stands.

The screen and `somatui setup --answers` both walk it. Secrets pass through to the agent and are kept nowhere here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from somatui.agent.client import AgentClient, AgentError, AgentGone, ensure_agent
from somatui.config import ConfigError, load
from somatui.domain.report import Line, Report
from somatui.domain.setup.state import Setup
from somatui.domain.setup.steps import Answers, Field, Known, KnownWallet, fields
from somatui.paths import Paths, PathsError
from somatui.tui.setup import resume

Say = Callable[[str], None]


class Walk:
    """The setup of one home. `setup` is where it stands; `begin` goes on with one that was left."""

    def __init__(self, paths: Paths, setup: Setup | None = None) -> None:
        self._home = paths
        self.setup = setup or Setup()
        self.known = Known()
        self.resumed = False
        self.pending_auth = ""
        self._client: AgentClient | None = None

    @classmethod
    def begin(cls, paths: Paths, *, named: bool = False) -> Walk:
        """The setup that was left in this home, else a new one; `named`: the operator has named the profile."""
        found = resume.left(paths) if named else resume.newest(paths)
        walk = cls(paths, found or Setup(Answers(profile=paths.profile) if named else Answers()))
        walk.resumed = found is not None
        return walk

    @property
    def paths(self) -> Paths:
        """The places of the profile that is being set up."""
        return Paths.for_profile(self.setup.answers.name, self._home.home)

    @property
    def colour(self) -> str:
        """Whose colour the profile has: practice, testnet or main."""
        try:
            return load(self.paths).profile.colour
        except (ConfigError, PathsError):
            return "testnet"

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the step that is on asks."""
        return fields(self.setup.at, self.setup.answers, self.known)

    async def catch_up(self) -> str:
        """After a break: call the agent and see what is there; one sentence where that does not go."""
        if self.setup.mark("purpose") != "done":
            return ""
        try:
            await self.look()
        except (AgentError, OSError, PathsError, ConfigError) as trouble:
            return str(trouble)
        self.setup = self.setup.resumed(self.known)
        return ""

    async def perform(self, entered: Mapping[str, str], say: Say) -> Report:
        """Try what was entered and keep what holds; never raises for what an operator, agent or network does."""
        from somatui.tui.setup import doing

        do = getattr(doing, self.setup.at)
        try:
            report: Report = await do(self, {k: v.strip() for k, v in entered.items()}, say)
            if self.setup.at != "purpose" or report.ok:
                self._keep()
        except (AgentError, ConfigError, PathsError) as refusal:
            return failed("profile" if self.setup.at == "purpose" else self.setup.step.title.lower(), str(refusal))
        except AgentGone:
            return failed("agent", "The agent has gone away: press F5, it is started again")
        except OSError as failure:
            return failed("this machine", f"{failure.strerror or failure}: free space, or correct the folder's mode")
        return report

    def accept(self) -> None:
        """What was performed holds: on to the next step."""
        self.setup = self.setup.done()
        if self.setup.finished:
            resume.forget(self.paths)
        else:
            self._keep()

    def skip(self) -> None:
        """Leave the step out. Raises SetupError where that cannot be."""
        self.setup = self.setup.skipped()
        self._keep()

    def back(self) -> None:
        """To the step before."""
        self.setup = self.setup.back()

    def answered(self, **changes: str) -> None:
        """Remember answers that are no secrets."""
        self.setup = self.setup.answered(**changes)

    async def ask(self, method: str, /, **params: Any) -> Any:
        """Ask the agent of the profile, which is started where none runs. Raises AgentError, AgentGone, OSError."""
        if self._client is None or self._client.closed.is_set():
            await ensure_agent(self.paths)
            self._client = await AgentClient.connect(self.paths)
        return await self._client.call(method, **params)

    async def put(self, name: str, value: str) -> None:
        """Have the vault keep a secret text."""
        await self.ask("vault.set", name=name, value_b64=base64.b64encode(value.encode()).decode())

    async def look(self) -> Known:
        """See what the profile has already."""
        vault = await self.ask("vault.status")
        opened = bool(vault.get("exists")) and not vault.get("locked")
        kept = frozenset((await self.ask("vault.list"))["names"]) if opened else frozenset()
        wallets = tuple(
            KnownWallet(str(w["address"]), str(w["label"]), bool(w["watch_only"]), bool(w["has_words"]))
            for w in (await self.ask("wallet.list"))["wallets"]
        )
        backend, why = str(vault.get("backend") or ""), str(vault.get("why") or "")
        self.known = Known(bool(vault.get("exists")), not opened, backend, why, wallets, kept)
        return self.known

    async def close(self) -> None:
        """Hang up; the agent goes on."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                await client.close()

    async def moved(self) -> None:
        """Another profile is being set up: its agent is another one."""
        await self.close()
        self.known = Known()

    def _keep(self) -> None:
        if self.setup.mark("purpose") == "done" or self.setup.at == "purpose":
            resume.keep(self.paths, self.setup)


def report_of(told: Mapping[str, Any]) -> Report:
    """A report as the agent tells it."""
    names = ("name", "status", "detail", "cure", "ms")
    return Report(tuple(Line(**{n: line[n] for n in names}) for line in told["lines"]), dict(told.get("facts") or {}))


def failed(name: str, sentence: str) -> Report:
    """A report of one thing that went wrong."""
    return Report((Line(name, "bad", sentence.rstrip(".")),))


async def timed(doing: Any) -> tuple[Any, int]:
    """What was awaited, and how many ms it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    result = await doing
    return result, round((loop.time() - began) * 1000)
