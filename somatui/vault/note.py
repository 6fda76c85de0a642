"""What a profile remembers of its vault outside of it: how far it had come, and which keyring opens it too.

The count notices an older copy of the vault put back in its place; nothing here is secret, and losing it loses nothing.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from somatui.files import write_whole


@dataclass(frozen=True, slots=True)
class Note:
    """`serial` is that of the newest state of vault `vault_id` that was seen here; `why` is one sentence."""

    vault_id: str = ""
    serial: int = 0
    backend: str = "file"
    why: str = ""


def place(vault: Path) -> Path:
    """Where the note on a vault is."""
    return vault.with_name(f"{vault.stem}-note.json")


def read(vault: Path) -> Note:
    """The note on a vault; an empty one where there is none or it cannot be read."""
    try:
        found = json.loads(place(vault).read_bytes())
        made = Note(**found)
    except (OSError, ValueError, TypeError):
        return Note()
    sound = type(made.serial) is int and all(isinstance(v, str) for v in (made.vault_id, made.backend, made.why))
    return made if sound else Note()


def write(vault: Path, note: Note) -> None:
    """Keep a note; where that fails the one before stays, which claims less."""
    with contextlib.suppress(OSError):
        write_whole(place(vault), (json.dumps(asdict(note)) + "\n").encode())
