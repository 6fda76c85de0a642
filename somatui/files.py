"""How files are written here: whole or not at all, on disk when it returns, for their owner alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

LITTLE_BYTES = 200_000_000
"""Less free space than this is told of, since soon nothing can be written any more."""


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step (mode 0600): whoever reads sees all of `data` or what was there before.

    Raises OSError, with nothing changed and nothing left behind.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
