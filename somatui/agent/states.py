"""The states through which an act goes, in order, and the hook that kills the agent in one of them for tests."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

PLANNED, UPLOADED, SIGNED, DONE = "planned", "uploaded", "signed", "done"
REFUSED, FAILED, LOST = "refused", "failed", "lost"
KEYED, CREATE_SIGNED, CREATED, COMMIT_SIGNED = "keyed", "create_signed", "created", "commit_signed"

ORDER: dict[str, tuple[str, ...]] = {
    "submit": (PLANNED, UPLOADED, SIGNED, DONE),
    "publish": (PLANNED, KEYED, UPLOADED, CREATE_SIGNED, CREATED, COMMIT_SIGNED, DONE),
    "reveal": (PLANNED, SIGNED, DONE),
    "claim": (PLANNED, SIGNED, DONE),
    "faucet": (PLANNED, DONE),
}
"""What each act passes through when nothing goes wrong."""

ENDED = frozenset({DONE, REFUSED, FAILED, LOST})
"""Refused: nothing was sent. Failed: it went wrong for good. Lost: somebody else was faster."""

IN_FLIGHT = frozenset({SIGNED, CREATE_SIGNED, COMMIT_SIGNED})
"""Signed bytes exist that may land at any moment; nothing else may be signed for the same intent."""

FAULT_VARIABLE = "SOMATUI_FAULT"
Fault = Callable[[str, str], None]


def no_fault(_action: str, _state: str) -> None:
    """Go on."""


def fault_from_environment() -> Fault:
    """The hook named by SOMATUI_FAULT, like `submit:signed`: SIGKILL as soon as the journal holds that state."""
    wanted = os.environ.get(FAULT_VARIABLE, "")
    if not wanted:
        return no_fault

    def kill(action: str, state: str) -> None:
        if f"{action}:{state}" == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill
