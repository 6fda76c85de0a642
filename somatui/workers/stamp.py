"""A note beside weights that they were found to be what was published, so that they need not be hashed at each start.

It holds for the file that was looked at and for nothing that was put in its place or changed: size, inode and the
times of its last change to the nanosecond must be the same. Where another user could have written the file, the note or
their folder it is not believed, and after some days the file is looked at again, since disks rot. When a file was last
used is the note's time of access, so that the file's own times stay as they are. The standard library alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time
from pathlib import Path

ENDING = ".seen"
BELIEVED_S = 7 * 86_400
"""After so long weights are hashed again."""


def beside(path: Path) -> Path:
    """Where the note on a file is."""
    return path.with_name(f"{path.name}{ENDING}")


def note(path: Path, what: str, looked: os.stat_result | None = None) -> None:
    """Note that the file is `what`; with what `looked` at it, unless it has changed since. Nothing is raised."""
    note_file = beside(path)
    fresh = note_file.with_name(f"{note_file.name}.new")
    with contextlib.suppress(OSError):
        now = os.lstat(path)
        if looked is not None and _marks(looked) != _marks(now):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(fresh, flags, 0o600), "w") as file:
            json.dump({"what": what, "file": _marks(now)}, file)
        os.replace(fresh, note_file)


def holds(path: Path, what: str) -> bool:
    """Whether the file was found to be `what` and is the same since."""
    try:
        folder, file, told = path.parent.stat(), os.lstat(path), os.lstat(beside(path))
        ours = all(s.st_uid == os.geteuid() and not s.st_mode & 0o022 for s in (folder, file, told))
        plain = stat.S_ISREG(file.st_mode) and stat.S_ISREG(told.st_mode)
        if not (ours and plain and 0 <= time.time() - told.st_mtime < BELIEVED_S):
            return False
        return bool(json.loads(beside(path).read_bytes()) == {"what": what, "file": _marks(file)})
    except (OSError, ValueError):
        return False


def drop(path: Path) -> None:
    """Remove a file and the note on it."""
    beside(path).unlink(missing_ok=True)
    path.unlink(missing_ok=True)


def _marks(file: os.stat_result) -> list[int]:
    return [file.st_size, file.st_ino, file.st_mtime_ns, file.st_ctime_ns]
