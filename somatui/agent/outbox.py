"""Which alerts leave the machine, when, and in what words; pure, and JSON from one start of the agent to the next.

Each alert is told once when it comes up and once when it is over: bad ones at once, others gathered into one message
every few minutes. What comes and goes within a moment, as a network does, is not told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from somatui.agent.alerts import EVENTS
from somatui.domain.snapshot import Alert

AWAY_MS = 300_000
"""A network that does not answer is told of after so long."""
OVER_MS = 60_000
"""An alert is over when it has been gone for so long."""
GATHER_MS = 300_000
"""The shortest time between two messages in which nothing is bad."""
APART_MS = 10_000
"""And between any two."""
FIRST_PAUSE_MS, MOST_PAUSE_MS = 30_000, 900_000
MOST_LINES = 50
"""Lines that wait for a webhook that takes nothing; the oldest go first."""
MOST_CHARACTERS = 1_800
"""Discord takes 2,000."""
MARKS = {"bad": "✗", "warn": "!", "over": "✓ over:"}
LEVELS = {"all": frozenset({"bad", "warn"}), "bad": frozenset({"bad"}), "off": frozenset[str]()}


@dataclass(slots=True)
class Known:
    """An alert that was told, or waits to be: its weight, its text, since when it has been gone (0: it is there)."""

    severity: str
    text: str
    gone_ms: int = 0


@dataclass(slots=True)
class Outbox:
    """What was told and what waits. Times are ms since 1970, 0 for never; `error` is why the last message failed, with
    its cure."""

    known: dict[str, Known] = field(default_factory=dict)
    lines: list[list[str]] = field(default_factory=list)
    left_out: int = 0
    taken_ms: int = 0
    failed_ms: int = 0
    error: str = ""
    cure: str = ""
    tries: int = 0

    @classmethod
    def of(cls, content: Any) -> Outbox:
        """The same out of JSON; an empty one for anything that is none."""
        try:
            known = {about: Known(**one) for about, one in content["known"].items()}
            made = cls(**(content | {"known": known}))
            made.message("", "")
        except (TypeError, ValueError, KeyError, AttributeError):
            return cls()
        return made

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def see(self, alerts: Iterable[Alert], level: str, now_ms: int) -> None:
        """Take over what there is now; with level `off` everything is forgotten, so that it is told when on again."""
        if level == "off":
            self.known, self.lines, self.left_out, self.tries = {}, [], 0, 0
            return
        there = {a.about: a for a in alerts if a.severity in LEVELS[level]}
        for about, alert in there.items():
            self._is_there(about, alert, now_ms)
        for about in [a for a in self.known if a not in there]:
            if self.known[about].severity in LEVELS[level]:
                self._is_gone(about, there, now_ms)
            else:
                del self.known[about]

    def _is_there(self, about: str, alert: Alert, now_ms: int) -> None:
        before = self.known.get(about)
        if before is None and about == "network" and not _past(alert.at_ms, AWAY_MS, now_ms):
            return
        if before is None or (before.severity == "warn" and alert.severity == "bad"):
            self._line(alert.severity, alert.text)
        self.known[about] = Known(alert.severity, alert.text)

    def _is_gone(self, about: str, there: dict[str, Alert], now_ms: int) -> None:
        known = self.known[about]
        known.gone_ms = known.gone_ms or now_ms
        if not _past(known.gone_ms, OVER_MS, now_ms):
            return
        del self.known[about]
        base = about.partition("#")[0]
        goes_on = any(other.partition("#")[0] == base for other in (*there, *self.known))
        if not goes_on and not about.startswith(EVENTS):
            self._line("over", known.text)

    def _line(self, mark: str, text: str) -> None:
        self.lines.append([mark, text])
        if len(self.lines) > MOST_LINES:
            del self.lines[0]
            self.left_out += 1

    def due(self, now_ms: int) -> bool:
        """Whether a message is to go out now."""
        if not self.lines or not _past(self.taken_ms, APART_MS, now_ms):
            return False
        if self.tries:
            return _past(self.failed_ms, min(FIRST_PAUSE_MS << min(self.tries - 1, 10), MOST_PAUSE_MS), now_ms)
        return any(mark == "bad" for mark, _ in self.lines) or _past(self.taken_ms, GATHER_MS, now_ms)

    def message(self, profile: str, network: str) -> tuple[str, int]:
        """The text that is due, and how many of the waiting lines are in it."""
        text, count = f"somatui, profile {profile} on {network}", 0
        if self.left_out:
            text += f"\n({self.left_out} earlier ones were left out: somatui status)"
        for mark, said in self.lines:
            line = f"\n{MARKS[mark]} {said}"
            if count and len(text) + len(line) > MOST_CHARACTERS:
                break
            text, count = text + line, count + 1
        return (text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"), count

    def taken(self, count: int, now_ms: int) -> None:
        """The message with the first `count` lines has arrived."""
        del self.lines[:count]
        self.left_out, self.taken_ms, self.tries, self.error, self.cure = 0, now_ms, 0, "", ""

    def failed(self, error: str, cure: str, now_ms: int) -> None:
        """It has not; the same lines go out again after a while that grows."""
        self.failed_ms, self.error, self.cure = now_ms, error, cure
        self.tries += 1


def _past(since_ms: int, pause_ms: int, now_ms: int) -> bool:
    """Whether the pause is over; it is where its beginning is still to come, since the clock was set back."""
    return not since_ms <= now_ms < since_ms + pause_ms
