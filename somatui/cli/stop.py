"""Stops what belongs to one folder of state: the agent with its jobs, the practice network with its children.

Asks first, then makes sure: a process that was there before and still runs afterwards is ended by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from somatui.paths import Paths

if TYPE_CHECKING:
    import psutil

ASK_SECONDS = 20.0
TERM_SECONDS = 5.0
GUARD = "somatui.cli.day.guard"


def stop_everything(paths: Paths, also: Sequence[psutil.Process] = ()) -> tuple[str, ...]:
    """Stop the profile's agent and the practice network of this state; what had to be forced, as sentences.

    `also` are processes that must be gone afterwards too. Never raises for something that is gone already.
    Blocks up to about half a minute.
    """
    owned = [*family(agent_pid(paths)), *family(network_pid(paths)), *also]
    return _stopped(paths, (("agent", _ask_agent), ("practice network", _ask_network)), owned)


def stop_agent(paths: Paths) -> tuple[str, ...]:
    """Stop the profile's agent with its jobs; what had to be forced, as sentences."""
    return _stopped(paths, (("agent", _ask_agent),), family(agent_pid(paths)))


def children() -> list[psutil.Process]:
    """Every process of somatui that this one has started and that still runs, detached ones too."""
    import psutil

    return [p for p in psutil.Process().children(recursive=True) if is_ours(p) and GUARD not in p.cmdline()]


def _stopped(
    paths: Paths, asking: tuple[tuple[str, Callable[[Paths], None]], ...], owned: list[psutil.Process]
) -> tuple[str, ...]:
    complaints: list[str] = []
    for what, ask in asking:
        try:
            ask(paths)
        except Exception as failure:
            complaints.append(f"The {what} did not stop when asked ({str(failure) or type(failure).__name__}).")
    complaints += [f"Process {pid} did not stop by itself and was ended." for pid in end(owned)]
    return tuple(complaints)


def agent_pid(paths: Paths) -> int | None:
    """The id in the agent's pid file, or None."""
    try:
        return int(paths.agent_pid.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def network_pid(paths: Paths) -> int | None:
    """The id on the practice network's address card, or None."""
    try:
        return int(json.loads((paths.network_dir / "network.json").read_bytes())["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_ours(process: psutil.Process) -> bool:
    """Whether a process runs somatui's code, so that a recycled id is never ended."""
    import psutil

    try:
        return any("somatui" in word for word in process.cmdline()) and process.uids().real == os.getuid()
    except psutil.Error:
        return False


def family(pid: int | None) -> list[psutil.Process]:
    """A process of somatui and everything below it; empty where that id is not one."""
    import psutil

    if pid is None or pid == os.getpid():
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)] if is_ours(process) else []
    except psutil.Error:
        return []


def end(processes: list[psutil.Process], grace_s: float = TERM_SECONDS) -> list[int]:
    """Wait for processes to end, then SIGTERM, then SIGKILL; the ids of those that had to be told."""
    import psutil

    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    told = [p.pid for p in alive]
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(alive, timeout=grace_s)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=grace_s)
    return told


def _ask_agent(paths: Paths) -> None:
    if agent_pid(paths) is not None or paths.socket.exists():
        from somatui.agent.client import stop_agent

        asyncio.run(asyncio.wait_for(stop_agent(paths), ASK_SECONDS))


def _ask_network(paths: Paths) -> None:
    if network_pid(paths) is not None:
        from somatui.practice.client import stop_network

        stop_network(paths.network_dir)


def forget(folder: Path) -> None:
    """Delete a folder of state, whatever is left in it."""
    import shutil

    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)
