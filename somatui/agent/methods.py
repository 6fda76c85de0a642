"""What the socket offers: each method checks what it is given and asks the part of the agent that does it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from somatui import __version__
from somatui.agent.checking import Checking
from somatui.agent.client import PROTOCOL
from somatui.agent.flows import ActFailed, ActRefused, Flows, OutcomeUnknown
from somatui.agent.ground import Ground
from somatui.agent.herald import Herald
from somatui.agent.importing import Importing
from somatui.agent.jobs import Jobs, JobsError
from somatui.agent.journal import JournalError
from somatui.agent.kinds import BOARD
from somatui.agent.preview import preview as tried
from somatui.agent.server import FAILED, LOCKED, REFUSED, UNKNOWN, Method, RpcError
from somatui.agent.signer import Signer
from somatui.agent.vaulting import Vaulting
from somatui.agent.wallets import Wallets
from somatui.agent.watcher import Watcher
from somatui.chain.errors import ChainError
from somatui.config import ConfigError, Settings, save_setting
from somatui.domain.actions import Action, Context, by_name
from somatui.domain.codec import to_json
from somatui.files import write_whole
from somatui.vault.base import VaultError, VaultLocked

UNLISTED = frozenset({"submit"})
"""Acts that belong to jobs and to no key or verb; their flow checks them alone."""


@dataclass(slots=True)
class Methods:
    """The methods by name, for `server.Server`."""

    ground: Ground
    watcher: Watcher
    signer: Signer
    flows: Flows
    jobs: Jobs
    vaulting: Vaulting
    wallets: Wallets
    importing: Importing
    checking: Checking
    herald: Herald
    leave: asyncio.Event = field(default_factory=asyncio.Event)

    def table(self) -> dict[str, Method]:
        """Every method by the name it has on the socket."""
        return {
            "hello": self.hello,
            "snapshot": self.snapshot,
            "refresh": self.refresh,
            "board": self.board,
            "preview": self.preview,
            "act": self.act,
            "job.start": self.job_start,
            "job.stop": self.job_stop,
            "job.restart": self.job_restart,
            "job.log": self.job_log,
            "job.list": self.job_list,
            "intents": self.intents,
            "ledger.show": self.ledger_show,
            "ledger.reconcile": self.ledger_reconcile,
            "settings.get": self.settings_get,
            "settings.set": self.settings_set,
            "profile.reload": self.profile_reload,
            "shutdown": self.shutdown,
            **self.vaulting.table(),
            **self.wallets.table(),
            **self.importing.table(),
            **self.checking.table(),
            **self.herald.table(),
        }

    async def hello(self) -> dict[str, Any]:
        """Who answers."""
        return {
            "version": __version__,
            "protocol": PROTOCOL,
            "profile": self.ground.profile.name,
            "pid": os.getpid(),
        }

    async def snapshot(self) -> Any:
        """The newest picture."""
        return to_json(self.ground.snapshot())

    async def refresh(self) -> dict[str, bool]:
        """Look at the chain now; the picture is new when this returns."""
        await self.watcher.refresh()
        return {"ok": True}

    async def board(self) -> dict[str, str]:
        """The path of a file with this epoch's open targets and their models, written anew, as score workers read."""
        path = self.ground.paths.profile_dir / BOARD
        content = await told(self.ground.chain.board())
        await asyncio.to_thread(lambda: write_whole(path, json.dumps(content).encode()))
        return {"path": str(path)}

    async def preview(self, action: str, args: dict[str, Any]) -> dict[str, Any]:
        """What an act would do: its checks, its consequence, and what the node says to it unsigned."""
        known, context = self._asked(action, args)
        refused = known.unavailable(context)
        checks = to_json(known.preflight(context))
        if refused is not None:
            return {"checks": checks, "consequence": None, "simulated": None, "refused": refused}
        simulated = None
        if known.signs:
            try:
                simulated = await tried(self.ground, self.signer, action, self._resolved(action, args))
            except (ChainError, VaultError, JobsError) as failure:
                simulated = {"fee_shannons": None, "error": str(failure)}
        consequence = to_json(known.consequence(context))
        return {"checks": checks, "consequence": consequence, "simulated": simulated, "refused": None}

    async def act(self, action: str, args: dict[str, Any], key: str) -> dict[str, Any]:
        """Do it, and answer when it is done; the same key again is the same act."""
        if not key or len(key) > 200:
            raise RpcError(REFUSED, "An act needs a key of its own, so that it is never done twice.")
        if action not in UNLISTED and not self.ground.journal.begun(key):
            await self.watcher.refresh()
            known, context = self._asked(action, args)
            reason = known.unavailable(context)
            if reason is not None:
                raise RpcError(REFUSED, reason, {"checks": to_json(known.preflight(context))})
        result = await told(self._do(action, args, key))
        await self.watcher.refresh()
        return {"ok": True, "result": result}

    async def _do(self, action: str, args: dict[str, Any], key: str) -> Any:
        if action == "advance":
            return {"epoch": await self.ground.chain.advance_epoch()}
        return await self.flows.act(action, self._resolved(action, args), key)

    def _asked(self, action: str, args: dict[str, Any]) -> tuple[Action, Context]:
        known = by_name(action)
        if known is None or known.name != action:
            raise RpcError(REFUSED, f"There is no action {action}.")
        named = args.get("target_ids") or ([args["model_id"]] if args.get("model_id") else ())
        words = tuple(str(n) for n in named)
        seen = replace(self.ground.snapshot(), jobs=self.jobs.views())
        return known, Context(seen, self.ground.now_ms(), pane="", words=words, options=args)

    def _resolved(self, action: str, args: dict[str, Any]) -> dict[str, Any]:
        """The arguments with a training's results in the place of its job's id."""
        if action != "publish" or not args.get("job_id"):
            return args
        job = self.jobs.get(str(args["job_id"]))
        made = {name: job.result.get(name) for name in ("weights", "embedding")}
        if job.state != "done" or not made["weights"] or not Path(made["weights"]).is_file():
            raise JobsError(f"Job {job.id} has no finished weights: it is {job.state}.")
        return args | {name: args.get(name) or value for name, value in made.items()}

    async def job_start(self, kind: str, args: dict[str, Any]) -> dict[str, Any]:
        """Start a job."""
        known, context = self._asked(kind, args)
        reason = known.unavailable(context)
        if reason is not None:
            raise RpcError(REFUSED, reason, {"checks": to_json(known.preflight(context))})
        try:
            return {"job_id": self.jobs.start(kind, args).id}
        except (JobsError, OSError) as refused:
            raise RpcError(REFUSED, str(refused)) from None

    async def job_stop(self, job_id: str) -> dict[str, Any]:
        """Stop a job; answers when its worker is gone, and tells how many of its hits go on being submitted."""
        try:
            job = await self.jobs.stop(job_id)
        except JobsError as refused:
            raise RpcError(REFUSED, str(refused)) from None
        return {"job_id": job.id} | ({"hits_still_being_submitted": len(job.tells)} if job.tells else {})

    async def job_restart(self, job_id: str) -> dict[str, Any]:
        """Begin a job again that failed or was stopped."""
        known, context = self._asked("restart", {})
        try:
            self.jobs.get(job_id)
            reason = known.unavailable(replace(context, words=(job_id,)))
            if reason is not None:
                raise JobsError(reason)
            return {"job_id": self.jobs.restart(job_id).id}
        except JobsError as refused:
            raise RpcError(REFUSED, str(refused)) from None

    async def job_log(self, job_id: str, lines: int = 100) -> dict[str, Any]:
        """The last lines of a job."""
        try:
            return {"lines": self.jobs.log(job_id, max(1, min(int(lines), 10_000)))}
        except JobsError as refused:
            raise RpcError(REFUSED, str(refused)) from None

    async def job_list(self) -> dict[str, Any]:
        """Every job."""
        return {"jobs": to_json(self.jobs.views())}

    async def intents(self) -> dict[str, Any]:
        """Every act of the journal with the states it went through."""
        journal = self.ground.journal
        return {"intents": [to_json(i.view()) | {"events": journal.events(i.id)} for i in journal.intents()]}

    async def ledger_show(self) -> dict[str, Any]:
        """Every movement of money."""
        return {"entries": self.ground.journal.entries()}

    async def ledger_reconcile(self) -> dict[str, Any]:
        """The journal held against the chain."""
        return dict(await told(self.flows.reconcile()))

    async def settings_get(self) -> dict[str, Any]:
        """Every setting."""
        return {name: getattr(self.ground.settings, name) for name in Settings.names()}

    async def settings_set(self, key: str, value: Any) -> dict[str, Any]:
        """Change one setting for this profile; it holds at once."""
        try:
            stored = save_setting(self.ground.paths, key, value)
            self.ground.reload()
        except ConfigError as wrong:
            raise RpcError(REFUSED, str(wrong)) from None
        self.vaulting.timed()
        self.watcher.poke()
        return {"key": key, "value": stored}

    async def profile_reload(self) -> dict[str, bool]:
        """Read profile and settings again, since config.toml has changed; the next look asks the network named now."""
        try:
            moved = self.ground.reload()
        except ConfigError as wrong:
            raise RpcError(REFUSED, str(wrong)) from None
        self.watcher.poke()
        return {"moved": moved}

    async def shutdown(self) -> dict[str, bool]:
        """Stop the agent, once this has been answered."""
        self.leave.set()
        return {"ok": True}


async def told(doing: Awaitable[Any]) -> Any:
    """What was awaited, with every foreseen failure as the socket's own error."""
    try:
        return await doing
    except ActRefused as refused:
        raise RpcError(REFUSED, str(refused), {"checks": to_json(refused.checks)}) from None
    except JobsError as refused:
        raise RpcError(REFUSED, str(refused)) from None
    except VaultLocked as locked:
        raise RpcError(LOCKED, str(locked)) from None
    except OutcomeUnknown as unknown:
        raise RpcError(UNKNOWN, str(unknown), {"digest": unknown.digest}) from None
    except (ActFailed, ChainError, JournalError, VaultError) as failed:
        raise RpcError(FAILED, str(failed)) from None
