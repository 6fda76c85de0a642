"""What goes wrong, as one sentence and an exit status; other rooms' errors are converted here and nowhere else."""

from __future__ import annotations

import errno
from typing import Any

DONE = 0
FAILED = 1
USAGE = 2
REFUSED = 3
LOCKED = 4
UNKNOWN = 5
INTERRUPTED = 130

_STATUS_OF_CODE = {-32010: REFUSED, -32011: LOCKED, -32012: UNKNOWN, -32013: FAILED}
_USED_WRONGLY = frozenset({"IdError", "AmountError"})
_SENTENCES = frozenset({"PathsError", "ConfigError", "AgentError", "NetworkError", "LaunchError"})


class Problem(Exception):
    """An end of the command that is not success: one sentence with the cure, and the exit status for scripts."""

    def __init__(self, text: str, status: int = FAILED, data: dict[str, Any] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.data = data or {}


def as_problem(error: BaseException) -> Problem:
    """The sentence and status for any error; one that no room has foreseen says how to see more."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, KeyboardInterrupt):
        return Problem(str(error) or "Interrupted.", INTERRUPTED)
    code = getattr(error, "code", None)
    if isinstance(code, int):
        return _from_agent(error, code)
    name = type(error).__name__
    if name in _USED_WRONGLY:
        return Problem(str(error), USAGE)
    if name in _SENTENCES or type(error).__module__.startswith("somatui."):
        return Problem(str(error))
    if isinstance(error, OSError):
        return Problem(_system_sentence(error))
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("somatui."):
        return Problem(f"This needs {error.name}, which this version does not have yet: see the README.")
    return Problem(
        f"Something unforeseen happened ({name}: {error}): set SOMATUI_DEBUG=1 and run it again to see where."
    )


def _from_agent(error: BaseException, code: int) -> Problem:
    status = _STATUS_OF_CODE.get(code, FAILED)
    data = getattr(error, "data", None)
    known = data if isinstance(data, dict) else {}
    text = str(getattr(error, "message", "") or error)
    digest = known.get("digest")
    if status == UNKNOWN and digest:
        text = f"{text.rstrip('. ')}: digest {digest}; look with somatui ledger show --json, or wait for the agent."
    return Problem(text, status, known)


def _system_sentence(error: OSError) -> str:
    where = f" at {error.filename}" if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"The disk is full{where}: free some space, or choose another place with --home."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Permission was refused{where}: correct the owner or mode, or choose another place with --home."
    return f"The system refused{where} ({(error.strerror or str(error)).lower()}): try again, or see somatui doctor."
