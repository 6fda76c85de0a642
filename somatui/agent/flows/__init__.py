"""What the agent does on the chain, one module per act: each a state machine that any crash may interrupt."""

from __future__ import annotations

from somatui.agent.flows.base import ActFailed, ActLost, ActRefused, OutcomeUnknown
from somatui.agent.flows.run import Flows

__all__ = ["ActFailed", "ActLost", "ActRefused", "Flows", "OutcomeUnknown"]
