"""One thing that was looked at, and the scene that all looks share; what is looked at stands beside this."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from somatui.domain.report import Status
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths

Fix = Callable[[], str]
"""Mends what is safe to mend and says what it did. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`detail` is what was seen, `meaning` what follows from it, `cure` the one thing to do."""

    name: str
    status: Status
    detail: str
    meaning: str = ""
    cure: str = ""
    fix: Fix | None = field(default=None, compare=False)


@dataclass(slots=True)
class Scene:
    """Where the looks are taken: the profile's places, the user's home, the working folder, the agent's picture."""

    paths: Paths
    home: Path
    folder: Path
    network: str = ""
    snapshot: Snapshot | None = None


Look = Callable[[Scene], Iterable[Finding]]


def made_private(place: Path) -> Fix:
    """The fix that takes away everybody else's rights to `place`."""

    def fix() -> str:
        place.chmod(place.stat().st_mode & 0o700)
        return f"took the rights of others from {place}"

    return fix
