"""The profile: its settings, its agent and who starts that after a reboot, its journal and its vault."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from somatui.cli import live
from somatui.cli.doctor.finding import Finding, Scene
from somatui.cli.units import places


def settings(scene: Scene) -> Iterator[Finding]:
    """Whether config.toml can be used."""
    from somatui.config import ConfigError, load

    try:
        profile = load(scene.paths).profile
    except ConfigError as wrong:
        meaning = "nothing starts on this profile"
        yield Finding("settings", "bad", str(wrong).rstrip("."), meaning, f"correct {scene.paths.config_file}")
        return
    scene.network = profile.network
    yield Finding("settings", "ok", f"profile {profile.name} on {profile.network}")


def agent(scene: Scene) -> Iterator[Finding]:
    """Whether the agent answers."""
    if live.is_running(scene.paths):
        yield Finding("agent", "ok", "answers on its socket")
        return
    meaning = "nothing is revealed, claimed or watched, whatever the deadline"
    yield Finding("agent", "warn", "not running", meaning, "somatui agent run --background")


def units(scene: Scene) -> Iterator[Finding]:
    """Whether something starts the agent after a reboot."""
    if not Path("/run/systemd/system").is_dir():
        yield Finding("units", "skipped", "no systemd here")
        return
    found = [f for folder in places() for f in folder.glob("somatui*.service")]
    if found:
        yield Finding("units", "ok", ", ".join(f.name for f in found[:3]))
    elif scene.network == "practice":
        yield Finding("units", "skipped", "practice needs none")
    else:
        meaning = "after a reboot nobody reveals or claims until you start it"
        cure = f"somatui agent install --profile {scene.paths.profile}"
        yield Finding("units", "warn", "nothing starts the agent after a reboot", meaning, cure)


def journal(scene: Scene) -> Iterator[Finding]:
    """Whether the journals' files are whole: one for each wallet that was in use."""
    found = sorted(scene.paths.profile_dir.glob("journal*.sqlite3"))
    for file in found:
        verdict = _checked(file)
        if verdict == "ok":
            continue
        meaning = "what was signed and which keys belong to which model may be lost"
        cure = f"stop the agent, move {file} aside and keep it, start the agent again"
        yield Finding("journal", "bad", f"{file.name} is damaged ({verdict})", meaning, cure)
        return
    yield Finding("journal", "ok", str(found[0])) if found else Finding("journal", "skipped", "none yet")


def _checked(file: Path) -> str:
    try:
        database = sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=2)
        try:
            return str(database.execute("PRAGMA quick_check").fetchone()[0])
        finally:
            database.close()
    except sqlite3.Error as failure:
        return str(failure)
