"""A worker's session: SIGTERM is heard whatever the main thread is doing with the very thing it sets."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

BUSY = """
import io, os, sys, threading
from somatui.workers.protocol import Emitter
from somatui.workers.session import Session
session = Session(Emitter(io.StringIO()))
session.listen()
os.write(1, b"up\\n")
with session.stopping._cond:
    os.kill(os.getpid(), 15)
    for _ in range(100_000):
        pass
sys.exit(0 if session.stopping.wait(20) else 3)
"""


@pytest.mark.slow
def test_sigterm_in_the_middle_of_a_wait_is_no_deadlock() -> None:
    process = subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        assert process.wait(30) == 0
    finally:
        process.send_signal(signal.SIGKILL)
        process.stdin.close()
        process.stdout.close()
        process.wait()
