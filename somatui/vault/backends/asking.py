"""One question to a keyring, asked by a process of its own that is ended when the answer takes too long."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys

LIMIT_S = 5.0
SLOW_LIMIT_S = 20.0
"""`pass` waits for gpg, which may have to read a card."""


class Unusable(Exception):
    """A keyring does not do what it should; the text is a clause without a full stop and never holds a secret."""


def ask(what: str, backend: str, service: str, name: str, value: str = "", limit_s: float | None = None) -> str | None:
    """Have a keyring `try`, `read`, `write` or `delete`. Values travel by pipe. Raises Unusable."""
    seconds = limit_s or (SLOW_LIMIT_S if backend == "pass" else LIMIT_S)
    question = {"what": what, "backend": backend, "service": service, "name": name, "value": value}
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "somatui.vault.backends.answering"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(json.dumps(question).encode(), seconds)
    except subprocess.TimeoutExpired:
        raise Unusable(f"it did not answer within {seconds:.0f} s; it may be locked and waiting for somebody") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    try:
        answer = json.loads(said)
    except ValueError:
        raise Unusable("it broke off in the middle") from None
    if answer.get("why"):
        raise Unusable(str(answer["why"]))
    found = answer.get("value")
    return found if isinstance(found, str) else None
