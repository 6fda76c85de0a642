"""`somatui agent`: starts, shows and stops the daemon of a profile."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from somatui.cli import live
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, fields
from somatui.cli.problem import FAILED


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--background", action="store_true", help="start it detached and return when it answers")


def run(args: Arguments) -> Answer:
    """Become the agent, or start one in the background."""
    paths = paths_of(args)
    if not args.background:
        words = [sys.executable, "-m", "somatui.agent", "--profile", paths.profile]
        words += ["--home", str(paths.home)] if paths.home is not None else []
        sys.stdout.flush()
        os.execv(sys.executable, words)
    from somatui.agent.client import ensure_agent

    asyncio.run(ensure_agent(paths, paths.profile))
    return status(args)


def status(args: Arguments) -> Answer:
    """Whether an agent runs, and which."""
    paths = paths_of(args)
    if not live.is_running(paths):
        document = {"ok": False, "running": False, "profile": paths.profile}
        return Answer(document, str(live.no_agent(paths)), FAILED)
    said = live.call(args, "hello")
    text = fields([("profile", said["profile"]), ("version", said["version"]), ("process", str(said["pid"]))])
    return Answer({"ok": True, "running": True} | said, text)


def stop(args: Arguments) -> Answer:
    """Stop the agent and its jobs."""
    from somatui.cli.stop import stop_agent

    paths = paths_of(args)
    if not live.is_running(paths):
        return Answer({"ok": True, "stopped": False}, f"No agent runs for profile {paths.profile}.")
    forced = stop_agent(paths)
    return Answer({"ok": True, "stopped": True, "forced": forced}, "\n".join(("The agent has stopped.", *forced)))


VERBS = (
    Verb("run", "Run the agent of a profile, here or in the background.", "somatui agent run --background", run,
         _run_options),
    Verb("status", "Show whether the agent runs.", "somatui agent status --json", status),
    Verb("stop", "Stop the agent; its jobs stop with it and can be resumed.", "somatui agent stop", stop),
)  # fmt: skip
