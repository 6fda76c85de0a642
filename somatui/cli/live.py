"""Talking to the running agent from a command: connect, ask, and one sentence when there is none."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from somatui.cli.options import Arguments, paths_of
from somatui.cli.output import note
from somatui.cli.problem import FAILED, USAGE, Problem, as_problem
from somatui.domain.codec import from_json
from somatui.domain.ids import resolve, short
from somatui.domain.snapshot import ModelView, Snapshot, TargetView
from somatui.paths import Paths

T = TypeVar("T")
N = TypeVar("N", TargetView, ModelView)


async def connect(paths: Paths) -> Any:
    """A connection to the profile's agent. Raises Problem when none runs."""
    from somatui.agent.client import AgentClient

    try:
        return await AgentClient.connect(paths)
    except (OSError, EOFError) as failure:
        raise no_agent(paths) from failure


def no_agent(paths: Paths) -> Problem:
    """The sentence for a profile without a running agent, or for one that is not there at all."""
    from somatui.config import ConfigError, command_for, load

    try:
        kind = load(paths).profile.network
    except ConfigError as wrong:
        return Problem(str(wrong), FAILED)
    line = command_for(paths)
    also = f" (and its network with {line} practice serve --background)" if kind == "practice" else ""
    return Problem(
        f"No agent runs for profile {paths.profile}: start it with {line} agent run --background{also}.", FAILED
    )


def is_running(paths: Paths) -> bool:
    """Whether an agent answers on the profile's socket."""
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(2)
        try:
            probe.connect(str(paths.socket))
        except OSError:
            return False
    return True


def with_agent(args: Arguments, use: Callable[[Any], Awaitable[T]]) -> T:
    """Connect to the agent of the chosen profile, run `use` with the connection, close it."""
    paths = paths_of(args)

    async def session() -> T:
        client = await connect(paths)
        try:
            return await use(client)
        except (ConnectionError, EOFError) as failure:
            raise Problem(
                "The agent went away in the middle: start it again with somatui agent run --background, "
                "it carries on where it was."
            ) from failure
        except Exception as error:
            raise as_problem(error) from error
        finally:
            await client.close()

    return asyncio.run(session())


async def read_snapshot(client: Any) -> Snapshot:
    """The agent's picture of the world."""
    return from_json(Snapshot, await client.call("snapshot"))


def snapshot(args: Arguments) -> Snapshot:
    """The picture of the chosen profile, from its agent."""
    return with_agent(args, read_snapshot)


def named(text: str, among: Iterable[N], what: str) -> N:
    """The one of `among` whose id is, or begins with, what was typed. Raises Problem, IdError."""
    there = {each.id: each for each in among}
    wanted = resolve(text, there, what)
    if wanted not in there:
        raise Problem(f"No {what} {short(wanted)} on this network: list them to see the ids.", USAGE)
    return there[wanted]


def start(args: Arguments) -> None:
    """See that the agent of the chosen profile runs."""
    paths = paths_of(args)
    if not is_running(paths):
        from somatui.agent.client import ensure_agent

        note(f"Starting the agent of profile {paths.profile}.")
        asyncio.run(ensure_agent(paths))


def ask(args: Arguments, method: str, /, **params: Any) -> Any:
    """One question to the agent of the chosen profile, which is started where it does not run."""
    start(args)
    return call(args, method, **params)


def call(args: Arguments, method: str, /, **params: Any) -> Any:
    """One question to the agent of the chosen profile."""

    async def ask(client: Any) -> Any:
        return await client.call(method, **params)

    return with_agent(args, ask)
