"""When things open and close, in epochs and in estimated time (protocol.md 4.5, 4.6)."""

from __future__ import annotations

from dataclasses import dataclass

from somatui.domain.snapshot import EpochView, ModelView, TargetView


@dataclass(frozen=True, slots=True)
class Window:
    """The epochs in which an act is accepted; `last` is inclusive, None means without end."""

    first: int
    last: int | None

    def contains(self, epoch: int) -> bool:
        """Whether the act is accepted in that epoch."""
        return self.first <= epoch and (self.last is None or epoch <= self.last)


def reveal_window(model: ModelView) -> Window | None:
    """Exactly the epoch after the commit (R1); None when nothing waits to be revealed."""
    committed = model.commit_epoch if model.state == "pending" else model.update_commit_epoch
    return None if committed is None else Window(committed + 1, committed + 1)


def commit_window(model: ModelView) -> Window | None:
    """A created model must be committed in its own epoch or the next (R3); None for any other state."""
    if model.state != "created" or model.create_epoch is None:
        return None
    return Window(model.create_epoch, model.create_epoch + 1)


def claim_window(target: TargetView) -> Window:
    """A filled target from the second epoch after its fill, an unfilled one from the epoch after its own (R13)."""
    return Window(target.generation_epoch + 1 if target.fill_epoch is None else target.fill_epoch + 2, None)


def epoch_start_ms(epoch: EpochView, number: int) -> int:
    """When that epoch begins if none ends late; an estimate (R21)."""
    return epoch.starts_at_ms + (number - epoch.number) * epoch.duration_ms


def pause_s(usual_s: float, epoch: EpochView, now_ms: int) -> float:
    """The pause before another try of what an epoch's end makes too late: shorter the nearer that end is.

    Epochs end late too (R21), so that it is short after the estimated end as well.
    """
    away_s = abs(epoch_start_ms(epoch, epoch.number + 1) - now_ms) / 1_000
    return min(usual_s, max(1.0, away_s / 4))


def span(milliseconds: int) -> str:
    """A length of time in two units at most: `9h 12m`, `14s`, `3d 2h`."""
    seconds = max(0, milliseconds) // 1000
    if seconds < 60:
        return f"{seconds}s"
    minutes, seconds = divmod(seconds, 60)
    if minutes < 60:
        return f"{minutes}m {seconds:02d}s" if minutes < 10 else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


def coarse(milliseconds: int) -> str:
    """A length of time that reads the same for at least a minute, so that nothing on the screen ticks: `9h 12m`."""
    minutes = max(0, milliseconds) // 60_000
    if minutes < 1:
        return "<1m"
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h {minutes:02d}m"
    return f"{hours // 24}d {hours % 24}h"


def opens_in(epoch: EpochView, number: int, now_ms: int) -> str:
    """When an epoch begins, as a clause: `in epoch 413, in 9h 12m`."""
    if number <= epoch.number:
        return "now"
    return f"in epoch {number}, in {span(epoch_start_ms(epoch, number) - now_ms)}"
