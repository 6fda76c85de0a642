"""Workers as their parent meets them: real processes, a job line in, messages out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from somatui.workers.protocol import VERSION, Message, parse_message


def start(worker: str, job: dict[str, Any], secrets: dict[str, Any] | None = None) -> subprocess.Popen[str]:
    """Start a worker on a job, with its secrets in a pipe."""
    asked, inherited = {"job": worker, "version": VERSION} | job, ()
    if secrets is not None:
        end, other = os.pipe()
        os.write(other, json.dumps(secrets).encode())
        os.close(other)
        asked, inherited = asked | {"secrets_fd": end}, (end,)
    process = subprocess.Popen(
        [sys.executable, "-m", f"somatui.workers.{worker}"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=inherited,
    )  # fmt: skip
    for end in inherited:
        os.close(end)
    tell(process, json.dumps(asked))
    return process


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to the worker."""
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def rest(process: subprocess.Popen[str]) -> list[Message]:
    """Every message still to come, and the end of the process."""
    assert process.stdin is not None
    assert process.stdout is not None
    messages = [parse_message(line) for line in process.stdout]
    process.wait(30)
    process.stdin.close()
    process.stdout.close()
    return messages


def through(process: subprocess.Popen[str], kind: str) -> list[Message]:
    """The messages to come, up to the next of a kind."""
    assert process.stdout is not None
    messages: list[Message] = []
    for line in process.stdout:
        messages.append(parse_message(line))
        if messages[-1].kind == kind:
            return messages
    raise AssertionError(f"no {kind} before the end")


def until(process: subprocess.Popen[str], kind: str) -> Message:
    """The next message of a kind."""
    return through(process, kind)[-1]
