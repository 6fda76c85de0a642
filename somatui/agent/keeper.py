"""Does what is due by itself: reveals in the one epoch that accepts it, claims when they open (R1, R13).

What is due is decided by `domain.duties`, how it is done by the flows; here are only when, and how often again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from somatui.config import Settings
from somatui.domain.deadline import pause_s
from somatui.domain.duties import worth_claiming
from somatui.domain.snapshot import Duty, EpochView, Snapshot

log = logging.getLogger(__name__)

Act = Callable[[str, dict[str, Any], str], Awaitable[Any]]
PAUSE_MS = 5_000
"""Before a duty is tried again after it failed; it doubles every time, up to `MOST_PAUSE_MS`, and is shorter near a
deadline."""
MOST_PAUSE_MS = 300_000


class Keeper:
    """Looks at every new picture and begins what is due; `act` is (action, args, idempotency key).

    `now_ms` is the clock, `steady_ms` one that nobody sets.
    """

    def __init__(
        self, act: Act, settings: Callable[[], Settings], now_ms: Callable[[], int], steady_ms: Callable[[], int]
    ) -> None:
        self._act = act
        self._settings = settings
        self._now_ms = now_ms
        self._steady_ms = steady_ms
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tries: dict[str, int] = {}
        self._not_before: dict[str, int] = {}
        self.trouble: dict[tuple[str, str], str] = {}
        """Why the last tries of a duty that is still there did not succeed, by action and (for a reveal) subject."""

    def look(self, snapshot: Snapshot) -> None:
        """Begin every armed duty that is open and not under way; in safe mode those that have a deadline (R21)."""
        there = {named(duty) for duty in snapshot.duties}
        self.trouble = {name: why for name, why in self.trouble.items() if name in there}
        for over in [n for n in self._not_before if not n.endswith(f":{snapshot.epoch.number}")]:
            del self._not_before[over]
            self._tries.pop(over, None)
        if not snapshot.network.reachable or not snapshot.wallet.unlocked or snapshot.wallet.watch_only:
            return
        for duty in snapshot.duties:
            held = snapshot.network.safe_mode and duty.closes_epoch is None
            if duty.armed and not held and is_open(duty, snapshot.epoch.number):
                self._begin(duty, snapshot)

    async def close(self) -> None:
        """Stop beginning things; what is signed goes on at the next start."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _begin(self, duty: Duty, snapshot: Snapshot) -> None:
        name = f"{':'.join(named(duty))}:{snapshot.epoch.number}"
        if name in self._running or self._steady_ms() < self._not_before.get(name, 0):
            return
        args = _args(duty, snapshot, self._settings().claim_min_net_shannons)
        if args is None:
            return
        key = f"keeper:{name}:{snapshot.at_ms}"
        task = asyncio.get_running_loop().create_task(self._try(name, duty, snapshot.epoch, args, key))
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _try(self, name: str, duty: Duty, epoch: EpochView, args: dict[str, Any], key: str) -> None:
        try:
            await self._act(duty.action, args, key)
            self._tries.pop(name, None)
            self.trouble.pop(named(duty), None)
            self._not_before[name] = self._steady_ms() + PAUSE_MS
        except Exception as failure:
            tries = self._tries[name] = self._tries.get(name, 0) + 1
            pause = min(PAUSE_MS * 2 ** min(tries - 1, 10), MOST_PAUSE_MS)
            if duty.closes_epoch is not None:
                pause = round(pause_s(pause / 1_000, epoch, self._now_ms()) * 1_000)
            self._not_before[name] = self._steady_ms() + pause
            log.warning("%s did not succeed (try %d, again in %d s): %s", duty.action, tries, pause // 1_000, failure)
            if tries > 1:
                self.trouble[named(duty)] = str(failure)


def named(duty: Duty) -> tuple[str, str]:
    """What tells a duty from others; claims are one, whatever their number."""
    return duty.action, duty.subject if duty.action == "reveal" else ""


def is_open(duty: Duty, epoch: int) -> bool:
    """Whether the chain accepts it now."""
    return duty.opens_epoch <= epoch and (duty.closes_epoch is None or epoch <= duty.closes_epoch)


def _args(duty: Duty, snapshot: Snapshot, least_net_shannons: int) -> dict[str, Any] | None:
    """What the act needs; None where somebody else has begun it already."""
    busy = {i.subject for i in snapshot.intents if i.action == duty.action and not i.ended}
    if duty.action == "reveal":
        return None if duty.subject in busy else {"model_id": duty.subject}
    if duty.action == "claim":
        free = [t.id for t in worth_claiming(snapshot, least_net_shannons) if t.id not in busy]
        return {"target_ids": free} if free else None
    return None
