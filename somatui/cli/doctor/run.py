"""Takes all looks in order, tells each as it is found, mends what was asked to be mended, and sums up."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from somatui.cli.doctor import atrest, board, machine, ports, profile
from somatui.cli.doctor.finding import Finding, Look, Scene
from somatui.cli.options import Arguments, paths_of, wants_json
from somatui.cli.output import Answer, tell
from somatui.cli.problem import FAILED

HERE: tuple[Look, ...] = (
    profile.settings, machine.python, machine.folders, machine.disk, machine.terminal, machine.tmux,
    atrest.privacy, atrest.dotenv, atrest.keystore, atrest.history, ports.ports,
    profile.journal, profile.units, profile.agent,
)  # fmt: skip
"""What needs nobody else; settings come first, since they say on which network."""

GLYPHS = {"ok": "✓", "warn": "!", "bad": "✗", "skipped": "–"}
WIDEST = 24


def doctor(args: Arguments) -> Answer:
    """Look at everything; status 1 when something is bad."""
    paths = paths_of(args)
    scene = Scene(paths, Path(os.path.expanduser("~")), Path.cwd())
    quiet = wants_json(args)
    found: list[Finding] = []
    fixed: list[str] = []
    for finding in _all(args, scene):
        shown = finding
        if args.fix and finding.fix is not None:
            shown = _mended(finding, fixed)
        found.append(shown)
        if not quiet:
            tell(told(shown))
    bad, warned = (sum(f.status == s for f in found) for s in ("bad", "warn"))
    ok = not bad
    if not quiet:
        tell("\n" + _verdict(bad, warned, fixed, any(f.fix is not None for f in found)))
    checks = [{f.name: getattr(each, f.name) for f in fields(Finding) if f.name != "fix"} for each in found]
    document = {"ok": ok, "checks": checks, "fixed": fixed} if quiet else None
    return Answer(document, status=0 if ok else FAILED)


def _all(args: Arguments, scene: Scene) -> Iterator[Finding]:
    for look in HERE:
        yield from look(scene)
    yield from _with_agent(args, scene)


def _with_agent(args: Arguments, scene: Scene) -> Iterable[Finding]:
    """What only the agent can say; without one each is skipped with that reason."""
    from somatui.cli import live

    if not live.is_running(scene.paths):
        without = Finding("network", "skipped", "no agent runs, so network, storage, tokens and GPU are not tried",
                          cure="somatui agent run --background")  # fmt: skip
        return [_answers(scene) or without, *board.judged(scene)]
    return live.with_agent(args, lambda client: _asked(client, scene))


async def _asked(client: Any, scene: Scene) -> list[Finding]:
    from somatui.cli import live
    from somatui.cli.doctor.credentials import tried
    from somatui.config import ConfigError, load

    scene.snapshot = await live.read_snapshot(client)
    try:
        known = load(scene.paths).profile
    except ConfigError:
        return list(board.judged(scene))
    return [*[f async for f in tried(client, scene, known)], *board.judged(scene)]


def _answers(scene: Scene) -> Finding | None:
    """Without an agent: at least whether somebody listens at the node's address."""
    import socket
    from urllib.parse import urlsplit

    from somatui.cli.doctor.credentials import MEANINGS
    from somatui.config import ConfigError, load

    try:
        known = load(scene.paths).profile
    except ConfigError:
        return Finding("network", "skipped", "settings first")
    meaning = MEANINGS["network"]
    if not known.rpc_url:
        return Finding(
            "network", "warn", "no practice network runs here", meaning, "somatui practice serve --background"
        )
    parts = urlsplit(known.rpc_url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or (80 if parts.scheme == "http" else 443)), 3):
            return Finding("network", "ok", f"{known.rpc_url} can be reached; what it is, only the agent asks")
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        detail = f"{known.rpc_url} does not answer ({str(why).lower()})"
        return Finding(
            "network", "bad", detail, meaning, "check rpc_url with somatui network list, and this machine's way out"
        )


def _mended(finding: Finding, fixed: list[str]) -> Finding:
    assert finding.fix is not None
    try:
        done = finding.fix()
    except OSError as failure:
        return replace(finding, detail=f"{finding.detail}; it could not be mended ({failure.strerror})")
    fixed.append(done)
    return Finding(finding.name, "ok", done)


def told(finding: Finding) -> str:
    """One finding for people: what was seen, and below it what that means and the cure."""
    head = f"{GLYPHS[finding.status]} {finding.name:<{WIDEST}}"
    lines = [f"{head} {finding.detail}".rstrip()]
    if finding.status in ("warn", "bad"):
        lines += [f"{'':<{WIDEST + 2}} {finding.meaning}"] if finding.meaning else []
        lines += [f"{'':<{WIDEST + 2}} → {finding.cure}"] if finding.cure else []
    return "\n".join(lines)


def _verdict(bad: int, warned: int, fixed: list[str], mendable: bool) -> str:
    parts = [f"{bad} bad" if bad else "", f"{warned} to look at" if warned else ""]
    said = "Nothing is wrong." if not bad and not warned else "Found: " + ", ".join(p for p in parts if p) + "."
    if fixed:
        said += f" {len(fixed)} mended."
    elif mendable:
        said += " somatui doctor --fix mends what is safe to mend."
    return said
