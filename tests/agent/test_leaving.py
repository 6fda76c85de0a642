"""An agent that is told to end has ended soon after, whatever hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HANGS = """
import asyncio, sys, threading
from somatui.agent import main

async def hang(self):
    await asyncio.to_thread(threading.Event().wait)

main.LEAVE_S, main.Herald.close = 0.5, hang
sys.exit(main.run(sys.argv[1:]))
"""


def test_an_end_that_hangs_is_cut_and_the_log_tells_where(tmp_path: Path) -> None:
    ready, told = os.pipe()
    words = [sys.executable, "-c", HANGS, "--profile", "practice", "--home", str(tmp_path), "--ready-fd", str(told)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, pass_fds=(told,)) as agent:
        os.close(told)
        assert os.read(ready, 100) == b"ready\n"
        agent.send_signal(signal.SIGTERM)
        said = agent.communicate(timeout=20)[1].decode()
    os.close(ready)
    assert agent.returncode == 1 and "leaving" in said and " in wait" in said
