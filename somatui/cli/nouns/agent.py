"""`somatui agent`: starts, shows and stops the daemon of a profile."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from somatui.cli import asked, live, units
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, amount, fields
from somatui.cli.problem import FAILED, Problem


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--background", action="store_true", help="start it detached and return when it answers")
    asked.descriptor_option(parser, "passphrase", "the vault's passphrase")


def run(args: Arguments) -> Answer:
    """Become the agent, or start one in the background."""
    paths = paths_of(args)
    if not args.background:
        words = [*units.start_words(paths)]
        if args.passphrase_fd is not None:
            os.set_inheritable(args.passphrase_fd, True)
            words += ["--passphrase-fd", str(args.passphrase_fd)]
        sys.stdout.flush()
        os.execv(sys.executable, words)
    from somatui.agent.client import ensure_agent

    asyncio.run(ensure_agent(paths))
    if args.passphrase_fd is not None:
        live.call(args, "vault.unlock", passphrase=asked.passphrase(args, "passphrase", ""))
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
    due = _due(args)
    forced = stop_agent(paths)
    document = {"ok": True, "stopped": True, "forced": forced, "due": due}
    return Answer(document, "\n".join(("The agent has stopped.", *forced, *due)))


def _due(args: Arguments) -> list[str]:
    """What nobody does in time while no agent runs; nothing where one of another version cannot be asked."""
    from somatui.agent.client import AgentError

    try:
        duties = live.snapshot(args).duties
    except (Problem, AgentError, OSError):
        return []
    return [
        f"{d.title} is due by the end of epoch {d.closes_epoch}, or {amount(d.at_stake_shannons)} are lost: "
        "somatui agent run --background before that."
        for d in duties
        if d.has_deadline
    ]


def _install_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--write", action="store_true", help="write the unit; without it the unit is printed only")
    parser.add_argument("--system", action="store_true", help="a unit of the system that runs as you, not a user unit")
    parser.add_argument(
        "--credential",
        metavar="FILE",
        type=Path,
        help="the passphrase as systemd-creds encrypts it, to start unattended",
    )


def install(args: Arguments) -> Answer:
    """A systemd unit for the agent, printed or written."""
    paths = paths_of(args)
    credential = args.credential.absolute() if args.credential is not None else None
    text = units.agent_unit(paths, system=args.system, credential=credential)
    place = units.place(paths, system=args.system)
    after = units.commands(paths, system=args.system)
    document = {"ok": True, "written": args.write, "path": str(place), "unit": text, "commands": list(after)}
    if not args.write:
        return Answer(
            document, f"{text}\n# {place}; --write puts it there. Then:\n" + "\n".join(f"# {c}" for c in after)
        )
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    units.put(place, text)
    return Answer(document, f"{place} is written. Now:\n" + "\n".join(f"  {c}" for c in after))


VERBS = (
    Verb("run", "Run the agent of a profile, here or in the background.", "somatui agent run --background", run,
         _run_options),
    Verb("status", "Show whether the agent runs.", "somatui agent status --json", status),
    Verb("install", "Print or write a systemd unit that keeps the agent running.", "somatui agent install", install,
         _install_options),
    Verb("stop", "Stop the agent; its jobs stop with it and can be resumed.", "somatui agent stop", stop),
)  # fmt: skip
