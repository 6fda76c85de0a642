"""What a check of a credential or service found, in lines with status, time and cure; others find it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["ok", "warn", "bad", "skipped"]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was tried: `detail` says what was found, `cure` what to do about it, `ms` how long it took."""

    name: str
    status: Status
    detail: str
    cure: str = ""
    ms: int = 0

    @property
    def sentence(self) -> str:
        """Finding and cure in one."""
        return f"{self.detail}: {self.cure}." if self.cure else f"{self.detail}."


@dataclass(frozen=True, slots=True)
class Report:
    """All lines of one check, and the facts that it found on the way."""

    lines: Sequence[Line]
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether it can be used as it is; warnings do not stand in the way."""
        return all(line.status != "bad" for line in self.lines)

    @property
    def trouble(self) -> Line | None:
        """The first line that is bad, else the first that warns."""
        found = {line.status: line for line in reversed(self.lines)}
        return found.get("bad") or found.get("warn")

    def told(self) -> dict[str, Any]:
        """The report as JSON: {"ok", "lines": [{"name", "status", "detail", "cure", "ms"}], "facts"}."""
        names = ("name", "status", "detail", "cure", "ms")
        lines = [{name: getattr(line, name) for name in names} for line in self.lines]
        return {"ok": self.ok, "lines": lines, "facts": dict(self.facts)}
