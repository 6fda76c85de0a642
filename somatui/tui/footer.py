"""The bottom of the screen: what can be done here, made from the registry, and one line for what the console says."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content

from somatui.domain.actions import ACTIONS, PANES, Context
from somatui.domain.snapshot import OWN_NETWORKS, Snapshot
from somatui.tui.format import wrapped

AWAY = ("a", "start the agent")
SILENT = ("a", "start the network")
LOCKED = ("u", "open the vault")
LAST = (("/", "filter"), (":", "act"), ("?", "help"), ("q", "quit"))
GAP = 2
MOST_LINES = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """One key of the footer; `ready` says whether it can be done now, `own` that it is done in this pane alone."""

    key: str
    name: str
    ready: bool
    own: bool = False

    @property
    def width(self) -> int:
        """Cells it takes, gap included."""
        return len(self.key) + 1 + len(self.name) + GAP


def silent(snapshot: Snapshot) -> bool:
    """Whether the practice network of this machine is not there, so that the console can start it."""
    return snapshot.network.kind == "practice" and not snapshot.network.reachable


def locked(snapshot: Snapshot) -> bool:
    """Whether there is a key that a locked vault keeps from signing."""
    wallet = snapshot.wallet
    return bool(wallet.address) and not wallet.unlocked and not wallet.watch_only


def offers(context: Context) -> list[Offer]:
    """The acts of this pane on this network, in the registry's order."""
    practice = context.snapshot.network.kind in OWN_NETWORKS
    return [
        Offer(action.key, action.word or action.name, action.unavailable(context) is None, action.panes != PANES)
        for action in ACTIONS
        if action.key and context.pane in action.panes and (practice or not action.practice_only)
    ]


def fitting(found: list[Offer], width: int) -> list[Offer]:
    """As many as fit in `width` cells: those that cannot be done now go first, then those of every pane, the rightmost
    before others; order is kept."""
    kept = list(found)
    while kept and sum(o.width for o in kept) > width:
        kept.remove(min(reversed(kept), key=lambda o: (o.ready, o.own)))
    return kept


def _missing(snapshot: Snapshot) -> tuple[str, str] | None:
    return SILENT if silent(snapshot) else LOCKED if locked(snapshot) else None


def footer(context: Context | None, width: int, *, away: bool = False) -> Content:
    """The footer's one line; without agent, practice network or key, the thing to do first is to get that back."""
    lost = AWAY if away else _missing(context.snapshot) if context is not None else None
    tail = [Offer(key, name, True) for key, name in ((lost, *LAST[-2:]) if lost else LAST)]
    acts = offers(context) if context and not away else []
    acts = fitting(acts, width - 1 - sum(o.width for o in (tail if lost else tail[-2:])))
    room = width - 1 - sum(o.width for o in acts)
    while sum(o.width for o in tail) - GAP > room:
        tail.pop(0)
    parts: list[tuple[str, str]] = [(" ", "")]
    for offer in (*acts, *tail):
        key = "bold $footer-key-foreground" if offer.ready else "$muted"
        parts += [(offer.key, key), (f" {offer.name}", "" if offer.ready else "$muted"), (" " * GAP, "")]
    return Content.assemble(*parts[:-1])


def message(text: str, tone: str, width: int) -> Content:
    """What the console says, in three lines at most, the last one ending in … where there is more."""
    lines = wrapped(text, max(20, width - 2), max_lines=MOST_LINES, placeholder="…")
    return Content.assemble(("\n".join(lines), f"${tone}" if tone else ""))
