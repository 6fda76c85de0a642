"""The top of the screen: which network, which epoch and how long it lasts, free money, connection, alerts, pane tabs.

It shows time in minutes, so that a quiet console writes nothing to the terminal.
"""

from __future__ import annotations

from rich.cells import cell_len
from textual.content import Content
from textual.widget import Widget

from somatui.domain.actions import PANES
from somatui.domain.ids import short
from somatui.domain.money import soma
from somatui.domain.snapshot import EpochView, NetworkView, Snapshot
from somatui.tui.state import World

FRESH_MS = 60_000
Part = tuple[str, str]


def minutes(milliseconds: int) -> str:
    """A length of time without seconds: `9h 12m`, `12m`, `3d 2h`, `<1m`."""
    whole = max(0, milliseconds) // 60_000
    if whole < 60:
        return f"{whole}m" if whole else "<1m"
    hours, rest = divmod(whole, 60)
    return f"{hours}h {rest:02d}m" if hours < 48 else f"{hours // 24}d {hours % 24}h"


def left(epoch: EpochView, now_ms: int) -> str:
    """How long the epoch lasts at least, or that its time is up (R21: it may end late)."""
    rest = epoch.ends_at_ms - now_ms
    return f"{minutes(rest)} left" if rest > 0 else "time is up"


def bar(epoch: EpochView, now_ms: int, cells: int = 14) -> str:
    """The part of the epoch that is gone, in whole cells."""
    gone = (now_ms - epoch.starts_at_ms) / max(1, epoch.duration_ms)
    full = min(cells, max(0, int(gone * cells)))
    return "█" * full + "░" * (cells - full)


def network_parts(network: NetworkView) -> list[Part]:
    """The network's word and name on its own colour, so that practice is never mistaken for money."""
    return [(f" {network.words} ", f"bold $on-network on $network-{network.standing}")]


def connection_parts(world: World, now_ms: int, *, roomy: bool = True) -> list[Part]:
    """Whether the agent answers, whether the network answers it, and what runs."""
    if world.calling:
        return [("agent ◌ starting", "$accent")]
    if not world.connected:
        age = now_ms - world.since_ms
        since = f" {minutes(age)}" if world.since_ms and age >= FRESH_MS else ""
        return [(f"agent ○ {'away' if world.snapshot else 'not connected'}{since}", "bold $stale")]
    snapshot = world.snapshot
    running = sum(j.running for j in snapshot.jobs) if snapshot else 0
    parts: list[Part] = [
        ("agent " if roomy else "", "$muted"),
        ("●", "$good"),
        (f" {running} job{'' if running == 1 else 's'}", ""),
    ]
    if snapshot is not None and not snapshot.network.reachable:
        age = now_ms - snapshot.network.synced_at_ms
        since = f" {minutes(age)}" if snapshot.network.synced_at_ms and age >= FRESH_MS else ""
        parts.append((f"  network silent{since}", "bold $bad"))
    return parts


def alert_parts(snapshot: Snapshot) -> list[Part]:
    """How many alerts want to be read, in the colour of the worst; nothing when all is well."""
    loud = [a for a in snapshot.alerts if a.severity != "info"]
    if not loud:
        return []
    worst = "bad" if any(a.severity == "bad" for a in loud) else "warn"
    return [(f"▲ {len(loud)} alert{'' if len(loud) == 1 else 's'}", f"bold ${worst}")]


def _width(groups: list[list[Part]]) -> int:
    return sum(cell_len(text) for group in groups for text, _ in group)


def header(world: World, now_ms: int, width: int) -> Content:
    """The header's one line for `width` cells: what matters less is left out before anything is cut."""
    snapshot = world.snapshot
    if snapshot is None:
        where = network_parts(world.network) if world.network else [(f" {world.profile}", "$muted")]
        told = [(" somatui ", "bold"), *where, ("   ", ""), *connection_parts(world, now_ms)]
        return _bar(told, world.network, width)
    epoch, wallet = snapshot.epoch, snapshot.wallet
    roomy = width >= 120
    time_left = left(epoch, now_ms) if width >= 100 else left(epoch, now_ms).removesuffix(" left")
    name: list[Part] = [(" somatui ", "bold")]
    who: list[Part] = [("wallet ", "$muted"), (wallet.label or short(wallet.address) or "none", "")]
    if not wallet.unlocked and wallet.address:
        who.append((" locked", "bold $warn"))
    money: Part = (f"{soma(wallet.free_shannons)} SOMA", "bold $money")
    when: list[Part] = [("epoch ", "$muted"), (str(epoch.number), "bold")]
    when += [("  ", ""), (bar(epoch, now_ms), "$accent"), ("  ", "")] if roomy else [(" · ", "$muted")]
    when.append((time_left, ""))
    if not epoch.starts_at_ms:
        when, money = [("epoch – ", "$muted")], ("– SOMA", "$muted")
    groups = [
        name + network_parts(snapshot.network), who, when,
        [money],
        connection_parts(world, now_ms, roomy=roomy), alert_parts(snapshot),
    ]  # fmt: skip
    groups = [g for g in groups if g]
    if _width(groups) + 3 * len(groups) > width and who in groups:
        groups.remove(who)
    if _width(groups) + len(groups) > width:
        groups[0] = groups[0][1:]
    gaps = max(1, len(groups) - 1)
    room = max(0, width - 1 - _width(groups))
    gap = max(1, min(6 if roomy else 3, room // gaps))
    parts: list[Part] = []
    for group in groups:
        parts += [*group, (" " * gap, "")]
    parts.pop()
    return _bar(parts, snapshot.network, width)


def _bar(parts: list[Part], network: NetworkView | None, width: int) -> Content:
    """The line as it is, red from end to end where the network is the main one."""
    if network is not None and network.standing == "main":
        rest = " " * max(0, width - _width([parts]))
        parts = [(text, "bold $on-network on $network-main") for text, _ in (*parts, (rest, ""))]
    return Content.assemble(*parts)


def tabs(current: str, width: int) -> Content:
    """The panes with their numbers, the current one marked by colour and line."""
    parts: list[Part] = [(" ", "")]
    for number, pane in enumerate(PANES, 1):
        style = "bold $accent underline" if pane == current else "$muted"
        parts += [(f"{number} {pane.capitalize()}", style), ("   " if width >= 60 else " ", "")]
    return Content.assemble(*parts)


class OneLine(Widget):
    """A line that is painted again only when its words or colours differ."""

    DEFAULT_CSS = "OneLine { height: 1; width: 100%; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._content = Content("")

    def put(self, content: Content) -> None:
        """Show `content`."""
        if content.plain != self._content.plain or content.spans != self._content.spans:
            self._content = content
            self.refresh(layout=self.styles.height is not None and self.styles.height.is_auto)

    def render(self) -> Content:
        """What was put."""
        return self._content
