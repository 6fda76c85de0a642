"""An agent's connection that answers from a literal world: for what the command line says, not what an agent does."""

from __future__ import annotations

from typing import Any

import pytest

from somatui.agent.client import AgentClient
from somatui.domain.codec import to_json
from somatui.domain.snapshot import Snapshot


class AgentError(Exception):
    def __init__(self, code: int, message: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Script:
    """Answers `snapshot` from a world and the rest from a table; remembers what was asked."""

    def __init__(self, world: Snapshot) -> None:
        self.world = world
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {
            "preview": {"checks": [], "consequence": None, "simulated": {"fee_shannons": 1_600}, "refused": None}
        }

    async def call(self, method: str, /, **params: Any) -> Any:
        self.asked.append((method, params))
        answer = to_json(self.world) if method == "snapshot" else self.answers.get(method, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def methods(self) -> list[str]:
        return [method for method, _ in self.asked if method != "snapshot"]


def speak(script: Script, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Let the command line find this script where it looks for the agent's client."""

    async def connect(_paths: object) -> Script:
        return script

    monkeypatch.setattr(AgentClient, "connect", connect)
    return script
