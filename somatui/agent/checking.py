"""What the socket offers for trying a credential before it is relied on: one method each, each with a report."""

from __future__ import annotations

from dataclasses import dataclass

from somatui.agent.ground import Ground
from somatui.agent.server import Method


@dataclass(slots=True)
class Checking:
    """The methods that try credentials and the machine."""

    ground: Ground

    def table(self) -> dict[str, Method]:
        """The methods by the name they have on the socket."""
        return {}
