"""Tells alerts outside this machine by the profile's webhook, through a worker process; what is told is outbox's.

The webhook's address is a secret of the vault. Once it has been read it stays in this process, since that the vault is
locked while a reveal is due is what most wants to be told.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from pathlib import Path
from typing import Any

from somatui.agent.ground import Ground, run_worker
from somatui.agent.outbox import Outbox
from somatui.agent.server import Method
from somatui.domain.secret_names import WEBHOOK
from somatui.domain.snapshot import Snapshot
from somatui.files import write_whole
from somatui.vault.base import VaultError
from somatui.workers.protocol import VERSION

log = logging.getLogger(__name__)

READ_EVERY_MS = 2_000
CLOSE_S = 5.0


class Herald:
    """Looks at every new picture; sends one message at a time."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._file = ground.paths.profile_dir / "alerts.json"
        self._outbox = _opened(self._file)
        self._written = self._outbox.kept()
        self._address: str | None = None
        self._read_ms = -READ_EVERY_MS
        self._sending: asyncio.Task[None] | None = None

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {"alerts.status": self.status}

    async def status(self) -> dict[str, Any]:
        """Whether alerts go out, and how the last message fared; `set` is None while no open vault has said."""
        self._read(force=True)
        found = self._outbox
        return {
            "set": None if self._address is None else bool(self._address),
            "level": self._ground.settings.alerts_to_webhook,
            "waiting": len(found.lines),
            "taken_ms": found.taken_ms,
            "failed_ms": found.failed_ms if found.error else 0,
            "error": found.error,
            "cure": found.cure,
        }

    def look(self, snapshot: Snapshot) -> None:
        """Take a picture's alerts over, and send what is due."""
        self._read()
        if self._sending is not None or self._address is None:
            return
        now = self._ground.now_ms()
        level = self._ground.settings.alerts_to_webhook if self._address else "off"
        self._outbox.see(snapshot.alerts, level, now)
        self._keep()
        if self._outbox.due(now):
            self._sending = asyncio.get_running_loop().create_task(self._send(self._address))

    async def close(self) -> None:
        """Let a message that is under way arrive; what waits goes out after the next start."""
        if (sending := self._sending) is not None:
            await asyncio.wait({sending}, timeout=CLOSE_S)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def _read(self, *, force: bool = False) -> None:
        """The address, as the vault has it now; while that is locked, as it was."""
        ground, now = self._ground, self._ground.steady_ms()
        if ground.vault is None:
            self._address = ""
            return
        if not (force or now >= self._read_ms + READ_EVERY_MS):
            return
        self._read_ms = now
        try:
            self._address = ground.vault.get(WEBHOOK).decode("utf-8", "replace")
        except KeyError:
            self._address = ""
        except VaultError:
            return

    async def _send(self, address: str) -> None:
        ground = self._ground
        text, count = self._outbox.message(ground.profile.name, ground.profile.network)
        log_file = ground.paths.jobs_dir / "probe.log"
        job = {"job": "check", "version": VERSION, "what": "webhook", "text": text}
        try:
            line = (await run_worker("somatui.workers.probe", job, {"url": address}, log_file))["lines"][0]
            error, cure = ("", "") if line["status"] == "ok" else (str(line["detail"]), str(line["cure"]))
        except Exception as failure:
            error, cure = str(failure).rstrip(".") or type(failure).__name__, ""
        finally:
            self._sending = None
        if error:
            log.warning("alerts are not taken by the webhook: %s: %s", error, cure)
            self._outbox.failed(error, cure, ground.now_ms())
        else:
            self._outbox.taken(count, ground.now_ms())
        self._keep()

    def _keep(self) -> None:
        """On disk, where something has changed; a full disk costs no more than that something is told twice."""
        now = self._outbox.kept()
        if now != self._written:
            with contextlib.suppress(OSError):
                write_whole(self._file, json.dumps(now).encode())
                self._written = now


def _opened(file: Path) -> Outbox:
    try:
        return Outbox.of(json.loads(file.read_bytes()))
    except (OSError, ValueError):
        return Outbox()
