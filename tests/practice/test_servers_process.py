"""A network as a process: what it says when it cannot start, what is left when it ends, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from soma_sdk import SomaClient

from somatui.practice.card import FREE, NetworkInfo, ServeError
from somatui.practice.places import HOST
from somatui.practice.serve import _planned
from tests.practice.standins import WORDS

pytestmark = pytest.mark.slow
SOMEBODY = "22" * 32
MODULE = [sys.executable, "-m", "somatui.practice"]


def refused(*words: str) -> str:
    """The one sentence of a start that fails."""
    done = subprocess.run([*MODULE, *words], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    return sentence


def started(folder: Path, ports: str = "free") -> tuple[subprocess.Popen[str], NetworkInfo]:
    """A network on stand-ins."""
    process = subprocess.Popen([*WORDS, "serve", str(folder), ports], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, NetworkInfo.from_json(process.stdout.readline())


def end(process: subprocess.Popen[str], how: signal.Signals) -> int:
    process.send_signal(how)
    status = process.wait(20)
    assert process.stdout is not None
    process.stdout.close()
    return status


def call(info: NetworkInfo, work: Callable[[Any], Any]) -> Any:
    async def ask() -> Any:
        sdk = await SomaClient(rpc_url=info.rpc_url, faucet_url=info.faucet_url, scoring_url=info.scoring_url)
        return await work(sdk)

    return asyncio.run(ask())


async def score(sdk: Any) -> Any:
    manifests = await sdk.get_model_manifests([m.model_id for m in await sdk.get_active_models()])
    return await sdk.score("http://h/x", manifests, [0.5] * 16, data=b"x")


async def faucet_often(sdk: Any) -> None:
    for _ in range(50):
        await sdk.request_faucet(SOMEBODY)


def fill(ballast: Path) -> None:
    """Leave no room on the disk that holds `ballast`."""
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def test_a_port_that_is_taken_is_named_with_the_cure(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = refused("--folder", str(tmp_path), "--ports", f"0,0,{port},0,0")
    assert said == f"Port {port} is taken by another program: stop that one, or start with --ports free."


def test_a_network_that_goes_on_leaves_others_the_ports_that_they_have_taken_meanwhile(tmp_path: Path) -> None:
    plan, places = _planned(tmp_path, FREE, 1, HOST)
    plan.write(tmp_path)
    places.close()
    with socket.create_server((HOST, plan.ports.admin)):
        again, places = _planned(tmp_path, FREE, 1, HOST)
        places.close()
    assert again.ports.admin != plan.ports.admin
    assert replace(again.ports, admin=plan.ports.admin) == plan.ports
    with socket.create_server((HOST, plan.ports.store)), pytest.raises(ServeError, match="store cannot leave it"):
        _planned(tmp_path, FREE, 1, HOST)


def test_words_that_are_no_ports_and_a_folder_that_is_none_are_refused(tmp_path: Path) -> None:
    assert "default, free, or five numbers" in refused("--folder", str(tmp_path), "--ports", "1,2")
    (tmp_path / "file").write_text("in the way")
    said = refused("--folder", str(tmp_path / "file" / "net"), "--ports", "free")
    assert "cannot be written to (not a directory): choose another" in said


def test_a_second_network_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    process, _ = started(tmp_path)
    assert "runs on" in refused("--folder", str(tmp_path), "--ports", "free")
    assert end(process, signal.SIGTERM) == 0


def test_told_to_stop_it_leaves_no_process_and_no_card(tmp_path: Path) -> None:
    process, info = started(tmp_path)
    call(info, score)
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 1
    assert end(process, signal.SIGTERM) == 0
    assert psutil.wait_procs(children, 5)[1] == []
    assert not (tmp_path / "network.json").exists()


def test_killed_it_takes_its_worker_with_it_and_keeps_what_it_had_answered(tmp_path: Path) -> None:
    process, info = started(tmp_path)
    call(info, score)
    call(info, lambda sdk: sdk.request_faucet(SOMEBODY))
    children = psutil.Process(process.pid).children(recursive=True)
    end(process, signal.SIGKILL)
    assert psutil.wait_procs(children, 5)[1] == []
    process, again = started(tmp_path)
    assert (again.rpc_url, again.store_url) == (info.rpc_url, info.store_url)
    assert call(again, lambda sdk: sdk.get_balance(SOMEBODY)) == 2.0
    assert end(process, signal.SIGTERM) == 0


def test_a_store_that_stands_on_chain_does_not_move(tmp_path: Path) -> None:
    process, _ = started(tmp_path)
    assert end(process, signal.SIGTERM) == 0
    assert "stays on port" in refused("--folder", str(tmp_path), "--ports", "0,0,0,0,1")


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounting a small disk needs root on Linux")
def test_a_full_disk_is_one_sentence_and_costs_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this machine does not let a small disk be mounted")
    try:
        process, info = started(disk / "net")
        fill(disk / "ballast")
        with pytest.raises(RuntimeError, match="disk is full: free some space"):
            call(info, faucet_often)
        held = call(info, lambda sdk: sdk.get_balance(SOMEBODY))
        (disk / "ballast").unlink()
        call(info, lambda sdk: sdk.request_faucet(SOMEBODY))
        assert call(info, lambda sdk: sdk.get_balance(SOMEBODY)) == held + 2
        assert end(process, signal.SIGTERM) == 0
        fill(disk / "ballast")
        assert "is full: free some space" in refused("--folder", str(disk / "new"), "--ports", "free")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_card_has_what_the_console_reads(tmp_path: Path) -> None:
    process, info = started(tmp_path)
    card = json.loads((tmp_path / "network.json").read_text())
    assert card["pid"] == process.pid
    assert card == json.loads(info.to_json())
    assert end(process, signal.SIGTERM) == 0
