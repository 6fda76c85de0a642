"""The agent's process: takes its leases, opens journal and vault, puts its parts together, and ends in order.

`python -m somatui.agent --profile P [--home H] [--ready-fd N] [--passphrase-fd N]`. Exit status 0 after an orderly end,
1 when it refuses to start, with one sentence on standard error and, where there is one, on the ready descriptor.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import logging
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

from somatui.agent.alerts import disk_alerts, hits_alerts, left_alerts, stranger_alerts
from somatui.agent.audits import Audits
from somatui.agent.checking import Checking
from somatui.agent.flows import Flows
from somatui.agent.ground import Ground, chain_of, wall_ms
from somatui.agent.herald import Herald
from somatui.agent.importing import Importing
from somatui.agent.jobs import Jobs
from somatui.agent.journal import Journal, JournalError
from somatui.agent.journals import left_undone
from somatui.agent.keeper import Keeper
from somatui.agent.lease import LeaseHeld, profile_lease
from somatui.agent.methods import Methods
from somatui.agent.opening import given_passphrase, open_vault
from somatui.agent.picture import Own, Recorded, compose, sections
from somatui.agent.server import REFUSED, RpcError, Server
from somatui.agent.signer import Signer
from somatui.agent.states import fault_from_environment
from somatui.agent.vaulting import Vaulting
from somatui.agent.wallet_in_use import WalletBusy, WalletInUse
from somatui.agent.wallets import Wallets
from somatui.agent.watcher import Watcher
from somatui.agent.weights import Ahead
from somatui.config import ConfigError, load
from somatui.domain.snapshot import Alert, Snapshot, empty
from somatui.hardening import harden_process
from somatui.paths import Paths, PathsError
from somatui.vault.base import VaultError, VaultLocked

log = logging.getLogger("somatui.agent")

COMPOSE_S = 0.1
"""News that comes within so long is made into one picture."""
LEAVE_S = 18.0
"""An end in order takes no longer. One that does is cut, and the log tells where each thread was: what is under way by
then goes on at the next start, as after a kill, and no start is held up."""
SHOWN_INTENTS = 200
MOST_WAITING = 1_000
"""Hits that are kept while the vault is locked."""
REFUSALS = (ConfigError, JournalError, LeaseHeld, PathsError, VaultError)


class Agent:
    """One profile's agent, put together. `run` returns when it has been asked to leave."""

    def __init__(self, ground: Ground, wallet: WalletInUse) -> None:
        self.ground = ground
        self._wallet = wallet
        self._picture: Snapshot = empty(ground.profile.name, ground.profile.network)
        self._told = False
        self._record, self._recorded_at = Recorded(), tuple[object, ...]()
        self._compose_soon: asyncio.TimerHandle | None = None
        ground.snapshot = lambda: self._picture
        self.signer = Signer(ground)
        self.flows = Flows(ground, self.signer)
        self.jobs = Jobs(ground, self._submit, self._soon)
        self.watcher = Watcher(ground, self.signer.refresh, self._compose)
        self.ahead = Ahead(ground, self.jobs)
        self.keeper = Keeper(self.flows.act, lambda: ground.settings, ground.now_ms, ground.steady_ms)
        self.audits = Audits(ground, self._soon)
        self.herald = Herald(ground)
        vaulting = Vaulting(ground, self._wallet_changed)
        self.wallets = Wallets(ground, self._wallet_changed, self._quiet, vaulting.prove)
        self.methods = Methods(
            ground,
            self.watcher,
            self.signer,
            self.flows,
            self.jobs,
            vaulting,
            self.wallets,
            Importing(ground, self.wallets),
            Checking(ground),
            self.herald,
        )
        self.server = Server(ground.paths.socket, self.methods.table())
        self._left = left_undone(ground.paths, ground.address)
        self._waiting: dict[str, tuple[str, dict[str, object]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        ground.changed = self._changed

    async def run(self, ready: int | None) -> None:
        """Serve until `shutdown`, SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.methods.leave.set)
        await self.server.start()
        await self.watcher.look()
        _tell(ready, "ready")
        log.info("ready: profile %s, wallet %s", self.ground.profile.name, self.ground.address[:8] or "none")
        watching = asyncio.create_task(self.watcher.run())
        self._aside(self.flows.resume())
        self.jobs.resume()
        await self.methods.leave.wait()
        log.info("leaving")
        faulthandler.dump_traceback_later(LEAVE_S, exit=True)
        for task in (ending := (watching, *self._tasks)):
            task.cancel()
        await self.server.close()
        await self.keeper.close()
        await self.audits.close()
        await self.herald.close()
        await self.jobs.close()
        await self.flows.close()
        await asyncio.gather(*ending, return_exceptions=True)
        await self.ground.chain.aclose()
        self.ground.journal.close()

    async def _submit(self, job_id: str, hit: dict[str, object]) -> str:
        key = f"hit:{hit.get('target_id')}:{hit.get('checksum')}"
        try:
            result = await self.flows.act("submit", {"hit": hit, "job_id": job_id}, key)
        except VaultLocked:
            if not self._unlocked_now and len(self._waiting) < MOST_WAITING:
                self._waiting[key] = (job_id, hit)
            raise
        return str(result.get("state", "submitted"))

    async def _submit_late(self) -> None:
        """What came while the vault was locked, now that it is open; its target may have been filled meanwhile."""
        waiting, self._waiting = self._waiting, {}
        for job_id, hit in waiting.values():
            try:
                await self._submit(job_id, hit)
            except Exception as failure:
                log.warning("a hit of %s that had waited was not submitted: %s", job_id, failure)

    def _changed(self) -> None:
        self.watcher.poke()
        self._soon()

    def _wallet_changed(self) -> None:
        """The vault is open or another wallet is in use: what waited for its key goes on, also where the present wallet
        is too busy to be left. Raises LeaseHeld."""
        before = self.ground.address
        try:
            if self._wallet.settle():
                self._waiting = {} if before else self._waiting
                self.signer.forget()
                self.watcher.forget()
                self._left = left_undone(self.ground.paths, self.ground.address)
        except WalletBusy:
            self._go_on()
            raise
        self._go_on()

    def _go_on(self) -> None:
        self._recorded_at = ()
        self._changed()
        self._aside(self.flows.resume())
        if self._waiting and self._unlocked_now:
            self._aside(self._submit_late())

    def _aside(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else; nobody waits for it."""
        task = asyncio.ensure_future(doing)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("something beside met what was not foreseen", exc_info=failure)

    @contextlib.asynccontextmanager
    async def _quiet(self) -> AsyncIterator[None]:
        """Hold the looks at the chain while another wallet comes into use. Raises RpcError where acts are under way."""
        async with self.watcher.turn, self.signer.turn:
            if self.flows.busy:
                raise RpcError(REFUSED, "Acts of the wallet in use are not finished: wait until they are.")
            if any(j.kind == "score" and j.running for j in self.jobs.views()):
                raise RpcError(REFUSED, "A score job submits for the wallet in use: stop it first, x in the jobs pane.")
            if self.jobs.telling:
                raise RpcError(REFUSED, "Hits are still being submitted for the wallet in use: wait until they are.")
            yield

    def _soon(self) -> None:
        """Make a new picture in a moment."""
        if self._compose_soon is None:
            self._compose_soon = asyncio.get_running_loop().call_later(COMPOSE_S, self._compose)

    def _compose(self) -> None:
        if self._compose_soon is not None:
            self._compose_soon.cancel()
            self._compose_soon = None
        ground = self.ground
        own = Own(
            profile=ground.profile.name,
            address=ground.address,
            unlocked=self._unlocked_now,
            watch_only=ground.watch_only,
            settings=ground.settings,
            coins=self.signer.coins,
            jobs=self.jobs.views(),
            recorded=self._recorded(),
            trouble=self.keeper.trouble,
            noticed=self._noticed(),
        )
        before = self._picture
        self._picture = compose(self.watcher.seen, own, before, ground.now_ms())
        if self._picture is not before:
            self.server.publish(sections(self._picture, before if self._told else None))
            self._told = True
            self._follow_board(before)
        self.keeper.look(self._picture)
        self.ahead.look(self.watcher.seen.system, away=not self._picture.network.reachable)
        self.audits.look(self._picture)
        self.herald.look(self._picture)

    def _noticed(self) -> tuple[Alert, ...]:
        labels, state = {w.address: w.label for w in self._recorded().names}, self.ground.paths.profile_dir
        free = disk_alerts(shutil.disk_usage(state).free, str(state))
        own = (*hits_alerts(len(self._waiting)), *stranger_alerts(self.signer.books.strangers))
        return (*self.audits.alerts(), *left_alerts(self._left, labels), *free, *own)

    @property
    def _unlocked_now(self) -> bool:
        return self.ground.vault is not None and not self.ground.vault.locked

    def _recorded(self) -> Recorded:
        """What journal, vault and profile say, read again only when one has changed: jobs bring news far oftener."""
        journal, ground = self.ground.journal, self.ground
        at = (journal.revision, self._unlocked_now, ground.can_sign, ground.address, ground.profile)
        if at != self._recorded_at:
            self._record = Recorded(
                intents=journal.intents(last=SHOWN_INTENTS),
                ledger=journal.ledger(),
                labels=self.flows.labels(),
                keys_at_hand=frozenset(self.flows.keys_at_hand()),
                names=self.wallets.names(),
            )
            self._recorded_at = at
        return self._record

    def _follow_board(self, before: Snapshot) -> None:
        """Tell scoring jobs when other targets are open than before."""
        now = frozenset(t.id for t in self._picture.targets if t.status == "open")
        if now - frozenset(t.id for t in before.targets if t.status == "open"):
            self._aside(self._renew_boards())

    async def _renew_boards(self) -> None:
        try:
            await self.jobs.board_changed()
        except Exception as failure:
            log.warning("the board was not renewed: %s", failure)


def open_ground(paths: Paths, passphrase: str | None) -> Ground:
    """Everything the agent stands on but its wallet; the profile's lease must be held. Raises one of REFUSALS."""
    config = load(paths)
    journal = Journal.open(paths.journal, fault_from_environment())
    vault = open_vault(paths, config.profile, config.settings, passphrase)
    paths.agent_pid.write_text(f"{os.getpid()}\n")
    ground = Ground(
        paths=paths,
        profile=config.profile,
        settings=config.settings,
        journal=journal,
        chain=chain_of(config.profile, lambda: ground.node_auth()),
        vault=vault,
        now_ms=wall_ms,
    )
    return ground


def _tell(descriptor: int | None, text: str) -> None:
    if descriptor is not None:
        with contextlib.suppress(OSError):
            os.write(descriptor, text.encode() + b"\n")
            os.close(descriptor)


def run(argv: Sequence[str] | None = None) -> int:
    """Be the agent; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m somatui.agent", description=__doc__)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--ready-fd", type=int)
    parser.add_argument("--passphrase-fd", type=int)
    args = parser.parse_args(argv)
    harden_process()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    paths = Paths.for_profile(args.profile, args.home)
    try:
        lease = profile_lease(paths.create().agent_lock, paths.profile)
        ground = open_ground(paths, given_passphrase(args.passphrase_fd))
        wallet = WalletInUse(ground)
        wallet.settle()
    except REFUSALS as refused:
        return _refuse(args.ready_fd, str(refused))
    except OSError as refused:
        reason = (refused.strerror or str(refused)).lower()
        return _refuse(
            args.ready_fd, f"The agent cannot start ({reason}): free space, or correct its folder's owner or mode."
        )
    asyncio.run(_serve(ground, wallet, args.ready_fd))
    wallet.release()
    lease.release()
    return 0


def _refuse(ready: int | None, sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    _tell(ready, sentence)
    return 1


async def _serve(ground: Ground, wallet: WalletInUse, ready: int | None) -> None:
    await Agent(ground, wallet).run(ready)
