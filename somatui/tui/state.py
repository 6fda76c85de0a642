"""What the console knows: the agent's last picture, taken in section by section, and whether the agent still tells it.

It decides nothing; everything shown is derived from here.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, make_dataclass, replace
from functools import cache
from typing import Any, get_type_hints

from somatui.domain.codec import CodecError, from_json
from somatui.domain.snapshot import NetworkView, Snapshot, empty

SECTIONS = frozenset(f.name for f in fields(Snapshot))


@cache
def _kinds() -> dict[str, Any]:
    return get_type_hints(Snapshot)


@cache
def _reader(section: str) -> type:
    return make_dataclass(f"Section_{section}", [(section, _kinds()[section])])


@dataclass(slots=True)
class World:
    """The last picture, the state of the connection, and since when that state holds (ms, 0 before the first).

    `calling`: the agent is being called for the first time, and started where none answers; `network` is what the
    settings say of it, for as long as there is no picture.
    """

    profile: str
    snapshot: Snapshot | None = None
    connected: bool = False
    since_ms: int = 0
    trouble: str = ""
    calling: bool = False
    network: NetworkView | None = None

    def apply(self, sections: dict[str, Any]) -> frozenset[str]:
        """Take in pushed sections and tell which differ from before.

        Unknown sections and those that cannot be read are left out, so an older console survives a newer agent.
        """
        before = self.snapshot or empty(self.profile, "practice")
        changes: dict[str, Any] = {}
        for name, value in sections.items():
            if name not in SECTIONS:
                continue
            try:
                read = getattr(from_json(_reader(name), {name: value}), name)
            except CodecError:
                continue
            if self.snapshot is None or read != getattr(before, name):
                changes[name] = read
        if changes:
            self.snapshot = replace(before, **changes)
        return frozenset(changes)
