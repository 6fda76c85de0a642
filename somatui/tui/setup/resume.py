"""Where a setup stands, kept in the profile's folder so that a dropped line costs nothing; no secret is ever in it."""

from __future__ import annotations

import json
import time
from pathlib import Path

from somatui.domain.setup.state import Setup, SetupError, from_json, to_json
from somatui.files import write_whole
from somatui.paths import Paths, PathsError

FILE = "setup.json"
KEPT_SECONDS = 7 * 86_400
"""A setup that was left longer ago begins anew."""


def keep(paths: Paths, setup: Setup) -> None:
    """Write down where the setup stands, in one step. Raises OSError, PathsError."""
    paths.create()
    write_whole(_file(paths), json.dumps(to_json(setup), indent=1).encode() + b"\n")


def forget(paths: Paths) -> None:
    """The setup is over."""
    _file(paths).unlink(missing_ok=True)


def left(paths: Paths) -> Setup | None:
    """The setup that was left in this profile; None where there is none that can be read."""
    try:
        return from_json(json.loads(_file(paths).read_bytes()))
    except (OSError, ValueError, SetupError):
        return None


def newest(paths: Paths) -> Setup | None:
    """The setup that was left last in any profile of this home; None where none was left lately."""
    found: list[tuple[float, Setup]] = []
    for file in (paths.state_dir / "profiles").glob(f"*/{FILE}"):
        try:
            written = file.stat().st_mtime
            setup = left(Paths.for_profile(file.parent.name, paths.home))
        except (OSError, PathsError):
            continue
        if setup is not None and setup.answers.name == file.parent.name and written > time.time() - KEPT_SECONDS:
            found.append((written, setup))
    return max(found, key=lambda each: each[0])[1] if found else None


def _file(paths: Paths) -> Path:
    return paths.profile_dir / FILE
