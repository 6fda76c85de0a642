"""Runs acts: each intent by one task at a time, from wherever the journal says it stands to its end.

What interrupts a step before anything is signed is tried again or ends the intent; what is signed is never given up.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from somatui.agent.flows.base import ActFailed, ActLost, ActRefused, Flow, Hindered, OutcomeUnknown, seen_keys
from somatui.agent.flows.claim import Claim, claim_many
from somatui.agent.flows.faucet import Faucet
from somatui.agent.flows.publish import Publish
from somatui.agent.flows.reveal import Reveal
from somatui.agent.flows.submit import Submit
from somatui.agent.ground import Ground, UploadFailed
from somatui.agent.journal import Intent, JournalError
from somatui.agent.signer import NotTaken, Rejected, Signer
from somatui.agent.states import DONE, FAILED, LOST, REFUSED
from somatui.chain.build import BuildError
from somatui.chain.errors import ChainError
from somatui.domain.checks import Check
from somatui.domain.coins import NoCoin
from somatui.domain.deadline import pause_s
from somatui.domain.preflight import WATCH_ONLY
from somatui.vault.base import VaultError, VaultLocked

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MOST_PAUSE_S = 0.5, 30.0
DEFECT_PAUSE_S = 300.0
"""The longest pause before another try of what must not be left and met something unforeseen."""
TRIES = 4
"""Tries of a step that may be given up, while the network or the store does not answer."""
ANSWER_LIMIT_S = 180.0
"""After this `act` answers that the outcome is unknown; the intent goes on. The node itself gives up after 90 s."""
QUIET_LIMIT_S = 10.0

_PASSING = (ChainError, UploadFailed, Hindered, NotTaken, JournalError)
_HINDRANCES = (*_PASSING, NoCoin, Rejected, BuildError, VaultError)


class Flows:
    """Every act of one wallet."""

    def __init__(self, ground: Ground, signer: Signer) -> None:
        self._ground = ground
        self._signer = signer
        kinds = (Faucet, Publish, Reveal, Submit, Claim)
        self._flows: dict[str, Flow] = {kind.action: kind(ground, signer) for kind in kinds}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._asked = 0

    async def act(self, action: str, args: dict[str, Any], key: str) -> dict[str, Any]:
        """Do an act to its end and give its result. The same key again is the same act, not a second one.

        Raises:
            ActRefused: nothing was sent. VaultLocked: nothing either.
            ActFailed: it went wrong for good (ActLost: somebody was faster).
            OutcomeUnknown: it takes too long to wait for, and goes on.
        """
        if action not in self._flows:
            text = f"This agent cannot {action}: restart the older side, console or agent."
            raise ActRefused((Check(False, text),), text)
        self._asked += 1
        try:
            if action == "claim":
                return await claim_many(self._flows[action], self._one, args, key)
            return await self._one(action, args, key)
        finally:
            self._asked -= 1

    @property
    def busy(self) -> bool:
        """Whether any act is under way, or being begun or answered."""
        return bool(self._asked or self._running or self._ground.journal.unfinished())

    async def _one(self, action: str, args: dict[str, Any], key: str) -> dict[str, Any]:
        intent = self._ground.journal.by_key(key)
        if intent is None:
            vault = self._ground.vault
            if action != "faucet" and self._ground.watch_only:
                raise VaultLocked(WATCH_ONLY)
            if action != "faucet" and (vault is None or vault.locked):
                raise VaultLocked("The key is locked: unlock the vault first.")
            try:
                intent = await self._flows[action].begin(args, key)
            except ChainError as failure:
                raise ActRefused((Check(False, str(failure)),), str(failure)) from failure
        if not intent.ended:
            await asyncio.wait({self._task(intent)}, timeout=ANSWER_LIMIT_S)
        return self._outcome(self._ground.journal.get(intent.id))

    async def resume(self) -> None:
        """Carry on everything that the journal holds unfinished, and return when all of it has ended."""
        tasks = [self._task(intent) for intent in self._ground.journal.unfinished()]
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Stop carrying on; the next start goes on from the journal."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def keys_at_hand(self) -> set[str]:
        """Ids of the models that this vault can reveal."""
        return seen_keys(self._ground)

    def labels(self) -> dict[str, str]:
        """The operator's names of the models that this journal has published."""
        published = self._ground.journal.intents("publish")
        return {str(i.result["model_id"]): str(i.args.get("label") or "") for i in published if "model_id" in i.result}

    async def reconcile(self) -> dict[str, Any]:
        """The journal's money against the chain's, when nothing is on its way. Raises ChainError."""
        self._asked += 1
        try:
            await self._signer.quiet(QUIET_LIMIT_S)
            return await self._signer.books.reconcile()
        finally:
            self._asked -= 1

    def _task(self, intent: Intent) -> asyncio.Task[None]:
        task = self._running.get(intent.id)
        if task is None or task.done():
            task = asyncio.get_running_loop().create_task(self._carry(intent))
            self._running[intent.id] = task
            task.add_done_callback(lambda ended: self._forget(intent.id, ended))
        return task

    def _forget(self, intent_id: str, ended: asyncio.Task[None]) -> None:
        if self._running.get(intent_id) is ended:
            del self._running[intent_id]

    async def _carry(self, intent: Intent) -> None:
        """Step by step to its end, each from what the journal says, since a step that failed may have written."""
        flow, journal = self._flows[intent.action], self._ground.journal
        tries, pause, most = 0, FIRST_PAUSE_S, MOST_PAUSE_S
        while True:
            try:
                intent = journal.get(intent.id)
                before = intent.state
                if intent.ended:
                    return
                intent = await flow.step(intent)
                if intent.ended:
                    return
                if intent.state != before:
                    tries, pause, most = 0, FIRST_PAUSE_S, MOST_PAUSE_S
                continue
            except Exception as why:
                tries += 1
                most = most if isinstance(why, _HINDRANCES) else DEFECT_PAUSE_S
                if self._after(flow, intent.id, why, tries):
                    return
            await asyncio.sleep(pause_s(pause, self._ground.snapshot().epoch, self._ground.now_ms()))
            pause = min(pause * 2, most)

    def _after(self, flow: Flow, intent_id: str, why: Exception, tries: int) -> bool:
        """Whether a step that failed is the end of it; while the journal cannot be written it never is."""
        try:
            intent = self._ground.journal.get(intent_id)
            if isinstance(why, _HINDRANCES):
                return self._hindered(flow, intent, why, tries).ended
            log.error("%s met something unforeseen", intent_id, exc_info=why)
            return self._defect(flow, intent, why).ended
        except Exception as failure:
            log.warning("%s goes on: %s", intent_id, failure)
            return False

    def _hindered(self, flow: Flow, intent: Intent, why: Exception, tries: int) -> Intent:
        """What becomes of an intent whose step did not succeed, nothing of it being in flight any more."""
        log.info("%s in state %s: %s", intent.id, intent.state, why)
        if isinstance(why, NotTaken):
            intent = flow.back(intent, str(why))
        if intent.in_flight:
            return intent
        if isinstance(why, Rejected) and (ended := flow.rejected(intent, why)) is not None:
            return ended
        if flow.stubborn(intent) or flow.waits(why) or (isinstance(why, _PASSING) and tries < TRIES):
            return intent if intent.note == str(why) else flow.enter(intent, intent.state, note=str(why))
        return flow.refused(intent, str(why))

    def _defect(self, flow: Flow, intent: Intent, defect: Exception) -> Intent:
        """A defect ends an intent only where nothing of it is at risk; the others are tried again, and that is told."""
        if intent.ended or intent.in_flight:
            return intent
        why = f"The agent met something unforeseen ({type(defect).__name__}): see agent.log."
        return flow.enter(intent, intent.state if flow.stubborn(intent) else FAILED, note=why)

    def _outcome(self, intent: Intent) -> dict[str, Any]:
        note = intent.note or f"{intent.action} ended as {intent.state}."
        if intent.state == DONE:
            return self._flows[intent.action].result(intent)
        if intent.state == REFUSED:
            raise ActRefused((Check(False, note),), note)
        if intent.state == LOST:
            raise ActLost(note)
        if intent.state == FAILED:
            raise ActFailed(note)
        text = f"The {intent.action} is not through yet and goes on by itself: see its intent {intent.id}."
        raise OutcomeUnknown(intent.digest or "", text)
