"""Every rehearsal by its name, in the order in which they are worth seeing."""

from __future__ import annotations

from somatui.cli.problem import USAGE, Problem
from somatui.cli.rehearse import audit, clock, coins, lost, models, targets
from somatui.cli.rehearse.world import World

WORLDS: tuple[World, ...] = (*models.WORLDS, *targets.WORLDS, *coins.WORLDS, *lost.WORLDS, *clock.WORLDS, *audit.WORLDS)


def world(name: str) -> World:
    """The rehearsal of that name. Raises Problem with all names."""
    found = next((w for w in WORLDS if w.name == name), None)
    if found is None:
        names = ", ".join(w.name for w in WORLDS)
        raise Problem(f"There is no rehearsal “{name}”: there are {names}.", USAGE)
    return found
