"""A worker that behaves as its job says: `python -m tests.workers.stand_in`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import Any

from somatui.workers.session import Session, run


def behave(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Write `lines` as they are, tell that it has begun, and then do as `how` says."""
    for line in job.get("lines", ()):
        os.write(1, line.encode() + b"\n")
    if job.get("long"):
        os.write(1, b"x" * job["long"] + b"\n")
    if job.get("how") in ("deaf", "hears signals only"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN if job["how"] == "deaf" else signal.SIG_DFL)
    session.emitter.send("log", level="info", text="begun")
    match job.get("how"):
        case "hears":
            session.stopping.wait()
        case "board":
            session.board_changed.wait()
        case "hears signals only" | "deaf":
            threading.Event().wait()
        case "broken":
            raise RuntimeError("a defect")
    return {"argv": sys.argv, "environ": dict(os.environ), "secrets": session.secrets}


if __name__ == "__main__":
    sys.exit(run("stand_in", behave))
