"""What a rehearsal is, and what it ends with: losses as the chain shows them beside what the rules say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from somatui.cli.rehearse.stage import Stage


@dataclass(frozen=True, slots=True)
class Loss:
    """One kind of money that went: `shannons` as read from the chain, `ruled_shannons` as the rules have it."""

    what: str
    shannons: int
    ruled_shannons: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a rehearsal ended; `seen` are sentences about the chain as it is afterwards."""

    losses: tuple[Loss, ...]
    seen: tuple[str, ...]

    @property
    def lost_shannons(self) -> int:
        """Everything that went."""
        return sum(loss.shannons for loss in self.losses)

    @property
    def as_ruled(self) -> bool:
        """Whether the chain took exactly what the rules say."""
        return all(loss.shannons == loss.ruled_shannons for loss in self.losses)


@dataclass(frozen=True, slots=True)
class World:
    """One rehearsal, its texts in whole sentences: `rule` as in operators.md, `epoch_ms` where epochs are not a day.

    `happens` is told before, `costs` is the price on the real network, `prevents` is told afterwards.
    """

    name: str
    rule: str
    title: str
    happens: str
    costs: str
    prevents: str
    play: Callable[[Stage], Awaitable[Outcome]]
    epoch_ms: int | None = None
