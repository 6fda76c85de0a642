"""The agent's end of a worker, with real processes that behave and misbehave."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from somatui.workers.launch import LINE_LIMIT, WorkerProcess
from somatui.workers.protocol import VERSION, Message

MODULE = "tests.workers.stand_in"
PARENT = f"""
import asyncio, sys
from pathlib import Path
from somatui.workers.launch import WorkerProcess

async def main():
    worker = WorkerProcess()
    begun = asyncio.Event()
    job = {{"job": "stand_in", "version": {VERSION}, "how": sys.argv[1]}}
    heard = lambda m: begun.set() if m.kind == "log" else None
    await worker.start("{MODULE}", job, secrets=None, stderr_path=Path(sys.argv[2]), on_message=heard)
    await begun.wait()
    print(worker.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def _workers_of_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers look for modules in no working folder; the stand-in is in one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


class Heard:
    """A worker, what it has said, and a way to wait until it has begun."""

    def __init__(self, folder: Path) -> None:
        self.worker, self.log = WorkerProcess(), folder / "log"
        self.messages: list[Message] = []
        self.begun = asyncio.Event()

    def _hear(self, message: Message) -> None:
        self.messages.append(message)
        if message.kind == "log":
            self.begun.set()

    async def start(self, secrets: dict[str, str | None] | None = None, **job: Any) -> None:
        asked = {"job": "stand_in", "version": VERSION} | job
        await self.worker.start(MODULE, asked, secrets=secrets, stderr_path=self.log, on_message=self._hear)

    @property
    def kinds(self) -> list[str]:
        return [m.kind for m in self.messages]


@pytest.fixture
def heard(tmp_path: Path) -> Heard:
    return Heard(tmp_path)


async def test_a_worker_is_heard_to_its_end(heard: Heard) -> None:
    await heard.start()
    assert await heard.worker.wait() == 0
    assert heard.kinds == ["hello", "log", "done"]
    assert heard.messages[0].body["pid"] == heard.worker.pid
    assert await heard.worker.stop() == 0


async def test_lines_that_are_no_messages_are_logged_and_survived(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await heard.start(lines=["rubbish", "[]", '{"seq": "1"}', "\udcff".encode("utf-8", "replace").decode()])
        assert await heard.worker.wait() == 0
    assert heard.kinds == ["hello", "log", "done"]
    assert sum("no message" in r.message for r in caplog.records) == 4


async def test_a_line_longer_than_any_message_is_dropped_and_survived(
    heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await heard.start(long=3 * LINE_LIMIT)
        assert await heard.worker.wait() == 0
    assert heard.kinds == ["hello", "log", "done"]
    assert "too long" in caplog.text


async def test_a_handler_that_fails_does_not_end_the_hearing(tmp_path: Path) -> None:
    kinds: list[str] = []

    def fail(message: Message) -> None:
        kinds.append(message.kind)
        raise RuntimeError("a defect")

    worker, job = WorkerProcess(), {"job": "stand_in", "version": VERSION}
    await worker.start(MODULE, job, secrets=None, stderr_path=tmp_path / "log", on_message=fail)
    assert await worker.wait() == 0
    assert kinds == ["hello", "log", "done"]


async def test_a_defect_of_the_worker_is_told_and_its_traceback_is_in_the_log(heard: Heard) -> None:
    await heard.start(how="broken")
    assert await heard.worker.wait() == 1
    assert heard.kinds[-1] == "failed"
    assert "RuntimeError" in heard.messages[-1].body["error"]
    assert "a defect" in heard.log.read_text()


async def test_a_changed_board_is_told(heard: Heard) -> None:
    await heard.start(how="board")
    await heard.begun.wait()
    await heard.worker.board()
    assert await heard.worker.wait() == 0


@pytest.mark.parametrize(
    ("how", "status"), [("hears", 0), ("hears signals only", -signal.SIGTERM), ("deaf", -signal.SIGKILL)]
)
async def test_stopping_asks_then_terminates_then_kills(heard: Heard, how: str, status: int) -> None:
    await heard.start(how=how)
    await heard.begun.wait()
    assert await heard.worker.stop(30 if how == "hears" else 0.2) == status
    assert heard.kinds == ["hello", "log", "done"] if how == "hears" else ["hello", "log"]
    with pytest.raises(ProcessLookupError):
        os.killpg(heard.worker.pid or 0, 0)


async def test_secrets_go_by_a_pipe_and_nowhere_else(heard: Heard) -> None:
    await heard.start({"access_key": "open sesame", "weights_key": None})
    assert await heard.worker.wait() == 0
    result = heard.messages[-1].body["result"]
    assert result["secrets"] == {"access_key": "open sesame"}
    assert "sesame" not in json.dumps([result["argv"], result["environ"]])
    assert "sesame" not in heard.log.read_text()


async def test_no_other_process_of_the_user_reads_a_worker_s_memory(heard: Heard) -> None:
    await heard.start({"access_key": "open sesame"}, how="hears")
    await heard.begun.wait()
    if sys.platform == "linux":
        limits = Path(f"/proc/{heard.worker.pid}/limits").read_text()
        assert [line.split()[4:6] for line in limits.splitlines() if "core file" in line] == [["0", "0"]]
        assert Path(f"/proc/{heard.worker.pid}/mem").stat().st_uid == 0
        environ = Path(f"/proc/{heard.worker.pid}/environ")
        assert environ.stat().st_uid == 0
    assert await heard.worker.stop(30) == 0


async def test_secrets_that_no_pipe_holds_are_refused_and_nothing_is_started(heard: Heard) -> None:
    before = set(os.listdir("/dev/fd"))
    with pytest.raises(ValueError, match="larger"):
        await heard.start({"access_key": "x" * 200_000})
    assert heard.worker.pid is None
    assert set(os.listdir("/dev/fd")) == before


@pytest.mark.slow
@pytest.mark.parametrize("how", ["hears", "hears signals only"])
def test_a_worker_ends_with_its_parent(tmp_path: Path, how: str) -> None:
    words = [sys.executable, "-c", PARENT, how, str(tmp_path / "log")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
    with suppress(psutil.NoSuchProcess):
        psutil.wait_procs([child], timeout=20)
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
