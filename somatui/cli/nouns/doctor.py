"""`somatui doctor`: looks at everything that commonly is wrong and names the one thing that cures each."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from somatui.cli import live
from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, table
from somatui.cli.problem import FAILED
from somatui.paths import Paths

Status = Literal["ok", "warn", "bad", "skipped"]
PACKAGES = ("textual", "soma_sdk", "torch", "grpc", "boto3", "cryptography", "safetensors")
FREE_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    status: Status
    detail: str
    cure: str = ""


def _python(paths: Paths) -> Finding:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    version = ".".join(map(str, sys.version_info[:3]))
    if missing:
        return Finding("python", "bad", f"{version}, without {', '.join(missing)}", "install somatui again with pip")
    return Finding("python", "ok", version)


def _standing(folder: Path) -> Path:
    return folder if folder.exists() else _standing(folder.parent)


def _folders(paths: Paths) -> Finding:
    for folder in (paths.config_dir, paths.state_dir, paths.cache_dir):
        nearest = _standing(folder)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            return Finding(
                "folders", "bad", f"{nearest} is not a folder that can be written", "choose another with --home"
            )
    return Finding("folders", "ok", str(paths.state_dir))


def _privacy(paths: Paths) -> Finding:
    for place in (paths.profile_dir, paths.vault, paths.passphrase):
        if place.exists() and place.stat().st_mode & 0o077:
            return Finding("privacy", "bad", f"others may look into {place}", f"chmod go-rwx {place}")
    return Finding("privacy", "ok", "nobody else may read the profile")


def _disk(paths: Paths) -> Finding:
    free = shutil.disk_usage(_standing(paths.state_dir)).free
    detail = f"{free / 1e9:.1f} GB free"
    return Finding("disk", "ok", detail) if free >= FREE_BYTES else Finding("disk", "warn", detail, "free some space")


def _settings(paths: Paths) -> Finding:
    from somatui.config import ConfigError, load

    try:
        profile = load(paths).profile
    except ConfigError as wrong:
        return Finding("settings", "bad", str(wrong), f"correct {paths.config_file}")
    return Finding("settings", "ok", f"profile {profile.name} on {profile.network}")


def _network(paths: Paths) -> Finding:
    from somatui.config import ConfigError, load

    try:
        profile = load(paths).profile
    except ConfigError:
        return Finding("network", "skipped", "settings first")
    serve = "somatui practice serve --background" if profile.network == "practice" else "check rpc_url in the settings"
    if not profile.rpc_url:
        return Finding("network", "warn", "no practice network runs here", serve)
    if not _answers(profile.rpc_url):
        return Finding("network", "bad", f"{profile.rpc_url} does not answer", serve)
    return Finding("network", "ok", profile.rpc_url)


def _answers(url: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 443), timeout=3):
            return True
    except OSError:
        return False


def _agent(paths: Paths) -> Finding:
    if live.is_running(paths):
        return Finding("agent", "ok", "answers on its socket")
    return Finding("agent", "warn", "not running: nothing is revealed or claimed", "somatui agent run --background")


def _journal(paths: Paths) -> Finding:
    import sqlite3

    if not paths.journal.exists():
        return Finding("journal", "skipped", "none yet")
    try:
        database = sqlite3.connect(f"{paths.journal.as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            verdict = str(database.execute("PRAGMA quick_check").fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error as failure:
        verdict = str(failure)
    if verdict == "ok":
        return Finding("journal", "ok", str(paths.journal))
    cure = f"stop the agent, move {paths.journal} aside and keep it, start the agent again"
    return Finding("journal", "bad", f"damaged ({verdict})", cure)


def _vault(paths: Paths) -> Finding:
    if not paths.vault.exists():
        return Finding("vault", "skipped", "none yet: the agent makes one for practice")
    return Finding("vault", "ok", str(paths.vault))


LOOKS: tuple[Callable[[Paths], Finding], ...] = (
    _python, _folders, _privacy, _disk, _settings, _network, _agent, _journal, _vault,
)  # fmt: skip


def run(args: Arguments) -> Answer:
    """Look at everything; status 1 when something is bad."""
    paths = paths_of(args)
    found = [look(paths) for look in LOOKS]
    ok = all(f.status != "bad" for f in found)
    rows = [(f.status, f.name, f.detail + (f"; cure: {f.cure}" if f.cure else "")) for f in found]
    return Answer({"ok": ok, "checks": found}, table("state check detail", rows), 0 if ok else FAILED)


VERBS = (Verb("", "Look at everything that commonly is wrong, with the cure for each.", "somatui doctor --json", run),)
