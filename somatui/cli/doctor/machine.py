"""The machine itself: Python and packages, folders and disk, GPU build, terminal, tmux."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from somatui.cli.doctor.finding import Finding, Scene
from somatui.files import LITTLE_BYTES

PACKAGES = ("textual", "soma_sdk", "torch", "grpc", "boto3", "cryptography", "safetensors")
STATE_BYTES = 2_000_000_000
WEIGHTS_BYTES = 30_000_000_000
"""Three versions of a model of the full architecture, about 10 GB each with what is made of them (R18)."""


def python(scene: Scene) -> Iterator[Finding]:
    """The interpreter, and the packages without which a part of the console is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    version = ".".join(map(str, sys.version_info[:3]))
    if missing:
        meaning = "what needs them ends with an error"
        cure = "install somatui again as the README says, with -c constraints.txt"
        yield Finding("python", "bad", f"{version}, without {', '.join(missing)}", meaning, cure)
    else:
        yield Finding("python", "ok", version)


def folders(scene: Scene) -> Iterator[Finding]:
    """Whether settings, state and cache can be written."""
    for folder in (scene.paths.config_dir, scene.paths.state_dir, scene.paths.cache_dir):
        nearest = standing(folder)
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            meaning = "nothing can be remembered: no journal, no vault"
            detail = f"{nearest} is not a folder that can be written"
            yield Finding("folders", "bad", detail, meaning, "choose another place with --home")
            return
    yield Finding("folders", "ok", str(scene.paths.state_dir))


def standing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return folder if folder.exists() else standing(folder.parent)


def disk(scene: Scene) -> Iterator[Finding]:
    """Room for the journal, and for weights where the network's are large."""
    free = shutil.disk_usage(standing(scene.paths.state_dir)).free
    if free < STATE_BYTES:
        meaning = "when it is full the journal cannot be written and the agent signs nothing more"
        cure = f"free some space on the disk of {scene.paths.state_dir}"
        yield Finding("disk", "bad" if free < LITTLE_BYTES else "warn", f"{free / 1e9:.1f} GB free", meaning, cure)
    else:
        yield Finding("disk", "ok", f"{free / 1e9:.1f} GB free")
    if scene.network == "practice":
        return
    room = shutil.disk_usage(standing(scene.paths.weights_cache)).free
    if room < WEIGHTS_BYTES:
        meaning = "each model of the full size has 4.84 GB of weights; one that finds no room is left out of scoring"
        cure = f"free space, lower weights_keep_days, or delete old weights in {scene.paths.weights_cache}"
        yield Finding("weights", "warn", f"{room / 1e9:.1f} GB free for weights", meaning, cure)
    else:
        yield Finding("weights", "ok", f"{room / 1e9:.0f} GB free for weights")


def terminal(scene: Scene) -> Iterator[Finding]:
    """How many colours the terminal has."""
    if not sys.stdout.isatty():
        yield Finding("terminal", "skipped", "there is none here")
        return
    term, rich = os.environ.get("TERM", ""), os.environ.get("COLORTERM", "").lower()
    if rich in ("truecolor", "24bit"):
        yield Finding("terminal", "ok", f"{term}, all colours")
    elif term in ("", "dumb"):
        meaning = "the console cannot move the cursor, so nothing can be painted"
        yield Finding(
            "terminal", "bad", f"TERM is {term or 'empty'}", meaning, "set TERM, for instance to xterm-256color"
        )
    elif "256" in term or "direct" in term:
        yield Finding("terminal", "ok", f"{term}, 256 colours")
    else:
        meaning = "colours are approximated, some words are hard to read"
        yield Finding(
            "terminal",
            "warn",
            f"{term}, few colours",
            meaning,
            f'write theme = "ansi" under [settings] in {scene.paths.config_file}',
        )


def tmux(scene: Scene) -> Iterator[Finding]:
    """Whether copying gets through tmux to the terminal."""
    if not os.environ.get("TMUX"):
        yield Finding("tmux", "skipped", "not inside tmux")
        return
    setting = tmux_option("set-clipboard")
    if setting == "on":
        yield Finding("tmux", "ok", "copying reaches the terminal")
        return
    meaning = "an id copied in the console does not arrive in the terminal's clipboard"
    cure = "tmux set -g set-clipboard on (and the same line without “tmux” in ~/.tmux.conf)"
    yield Finding("tmux", "warn", f"set-clipboard is {setting or 'not known'}", meaning, cure)


def tmux_option(name: str) -> str:
    """What the tmux server around this process has set; '' where it does not say."""
    try:
        told = subprocess.run(
            ["tmux", "show-options", "-sv", name], capture_output=True, text=True, timeout=3, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip()
