"""Nothing that was started is left behind: processes that stop, that do not, and that are not ours."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from somatui.cli import stop
from somatui.paths import Paths

STUBBORN = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = (
    "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)',"
    " 'somatui'], start_new_session=True); print('up', flush=True); time.sleep(600)"
)

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    begun: list[subprocess.Popen[str]] = []

    def begin(code: str, *words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        begun.append(process)
        assert process.stdout is not None and process.stdout.readline() == "up\n"
        return process

    yield begin
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_process_that_ignores_sigterm_is_killed(start: Start) -> None:
    process = start(STUBBORN, "somatui")
    assert stop.end(stop.family(process.pid), grace_s=0.2) == [process.pid]
    assert not psutil.pid_exists(process.pid)


def test_children_in_sessions_of_their_own_end_with_their_parent(start: Start) -> None:
    process = start(PARENT, "somatui")
    owned = stop.family(process.pid)
    assert len(owned) == 2
    stop.end(owned, grace_s=0.2)
    assert not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in owned)


def test_a_recycled_id_is_left_alone(start: Start) -> None:
    process = start("import time; print('up', flush=True); time.sleep(600)", "something-else")
    assert stop.family(process.pid) == []
    assert stop.family(None) == stop.family(os.getpid()) == []


def test_stopping_what_never_ran_says_nothing(tmp_path: Path) -> None:
    assert stop.stop_everything(Paths.for_profile("practice", tmp_path)) == ()


def test_the_guard_stops_what_a_killed_day_has_left(start: Start, tmp_path: Path) -> None:
    paths = Paths.for_profile("practice", tmp_path).create()
    left = start("import time; print('up', flush=True); time.sleep(600)", "somatui")
    paths.agent_pid.write_text(f"{left.pid}\n")
    code = (
        "import pathlib, sys, time; from somatui.cli.day.guard import guarded; from somatui.paths import Paths\n"
        f"with guarded(Paths.for_profile('practice', pathlib.Path({str(tmp_path)!r}))):\n"
        "    print('up', flush=True); time.sleep(600)"
    )
    day = start(code)
    day.kill()
    day.wait()
    until = time.monotonic() + 60
    while left.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.05)
