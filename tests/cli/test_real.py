"""`practice serve --real`: a soma program on PATH becomes the local network, answers, and is gone with us."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.cli.shell import ROOT, one_sentence, somatui

pytestmark = [pytest.mark.slow, pytest.mark.alone]

PORTS = "9000,9123,9124,9125"
FAKE = """#!/bin/sh
echo "$@" > "$HERE/words"
echo $$ > "$HERE/pid"
exec {python} -m tests.practice.standins serve "$HERE/net" {ports},0
"""


def on_path(folder: Path, script: str) -> dict[str, str]:
    """A folder in front of PATH with this as `soma`."""
    program = folder / "bin" / "soma"
    program.parent.mkdir()
    program.write_text(script)
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}", "HERE": str(folder), "PYTHONPATH": str(ROOT)}


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | on_path(tmp_path, FAKE.format(python=sys.executable, ports=PORTS))
    words = [sys.executable, "-m", "somatui", "practice", "serve", "--real", "--json"]
    words += ["--epoch-seconds", "3600", "--home", str(tmp_path / "home")]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def until_gone(pid: int) -> None:
    psutil.wait_procs([p for p in psutil.process_iter() if p.pid == pid], timeout=30)
    assert gone(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_answers_as_localnet_and_ends_with_us(
    number: signal.Signals, serving: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert serving.stdout is not None
    told = json.loads(serving.stdout.readline())
    assert told["ok"] and told["rpc_url"] == "http://127.0.0.1:9000" and told["chain"]["name"] == "practice"
    words = (tmp_path / "words").read_text().split()
    assert words[:3] == ["start", "localnet", "--force-regenesis"] and words[-2:] == ["--epoch-duration-ms", "3600000"]
    if number == signal.SIGTERM:
        home = str(tmp_path / "home")
        added = somatui("network", "add", "localnet", "--home", home, "--json").json
        assert added["ok"] and added["facts"]["chain_id"] == told["chain"]["id"]
        again = somatui(
            "practice", "serve", "--real", "--home", home, **{"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
        )
        assert again.status == 1 and "Port 9000 is taken" in again.err and one_sentence(again.err)
    pid = int((tmp_path / "pid").read_text())
    assert not gone(pid)
    serving.send_signal(number)
    assert serving.wait(30) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    until_gone(pid)
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", 9000))


def test_a_program_that_does_not_start_is_told_in_its_own_words(tmp_path: Path) -> None:
    path = on_path(tmp_path, "#!/bin/sh\necho no genesis here >&2\nexit 3\n")
    ended = somatui("practice", "serve", "--real", "--home", str(tmp_path / "home"), **path)
    assert ended.status == 1 and "no genesis here" in ended.err and ended.out == ""
    assert one_sentence(ended.err.splitlines()[-1] + "\n")


def test_without_a_program_one_sentence_says_how_to_get_it(tmp_path: Path) -> None:
    ended = somatui("practice", "serve", "--real", "--home", str(tmp_path / "home"), PATH=str(tmp_path))
    assert (ended.status, ended.out) == (1, "") and one_sentence(ended.err)
    assert "sup install soma" in ended.err


@pytest.mark.parametrize("option", ["--background", "--ports=free", "--listen=127.0.0.2", "--checkpoint-lag-ms=5"])
def test_what_is_the_practice_networks_does_not_go_with_it(option: str, tmp_path: Path) -> None:
    ended = somatui("practice", "serve", "--real", option, "--home", str(tmp_path / "home"))
    assert ended.status == 2 and option.partition("=")[0] in ended.err and one_sentence(ended.err)
