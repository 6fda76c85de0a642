"""A screen beside the screen: secrets are shown on the terminal's other page and are gone when it is left.

Nothing of it reaches standard output, a pipe or the lines that can be scrolled back to.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from somatui.cli.problem import USAGE, Problem

_ENTER, _LEAVE = "\x1b[?1049h\x1b[2J\x1b[H", "\x1b[2J\x1b[H\x1b[?1049l"


def on_terminal() -> bool:
    """Whether somebody sits before a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def show(text: str, prompt: str = "Press enter when you are done; it is not shown again. ") -> None:
    """Show `text` on the other page until enter is pressed. Raises Problem where there is no terminal."""
    from getpass import getpass

    if not on_terminal():
        raise Problem("A secret is shown on a terminal only: run this in one.", USAGE)
    sys.stderr.write(f"{_ENTER}{text}\n\n")
    sys.stderr.flush()
    try:
        getpass(prompt, sys.stderr)
    except EOFError:
        pass
    finally:
        sys.stderr.write(_LEAVE)
        sys.stderr.flush()


def write_to(descriptor: int, option: str, secret: str) -> None:
    """Write a secret and a newline to an open descriptor and close it. Raises Problem."""
    try:
        with open(descriptor, "wb") as pipe:
            pipe.write(secret.encode() + b"\n")
    except (OSError, ValueError):
        raise _unwritable(descriptor, option) from None


def writable(descriptor: int, option: str) -> None:
    """See that an open descriptor can be written to, before anything is done that is done once. Raises Problem."""
    import fcntl

    try:
        mode = fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE
    except OSError:
        raise _unwritable(descriptor, option) from None
    if mode == os.O_RDONLY:
        raise _unwritable(descriptor, option)


def numbered(words: str, columns: int = 3) -> str:
    """Words with their numbers, down the columns."""
    found = words.split()
    rows = -(-len(found) // columns)
    lines = []
    for row in range(rows):
        at = range(row, len(found), rows)
        lines.append("".join(f"{n + 1:>4}. {found[n]:<12}" for n in at).rstrip())
    return "\n".join(lines)


def two_asked_back(words: str, ask: Callable[[str], str], pick: Callable[[int], int]) -> bool:
    """Whether two words, chosen by `pick`, are known to whoever answers; `ask` takes the prompt."""
    found = words.split()
    first = pick(len(found))
    second = (first + 1 + pick(len(found) - 1)) % len(found)
    return all(ask(f"Word {n + 1}: ").strip().lower() == found[n] for n in sorted((first, second)))


def _unwritable(descriptor: int, option: str) -> Problem:
    return Problem(
        f"Descriptor {descriptor} of {option} cannot be written: open it on the command line, for instance "
        f"{descriptor}>FILE.",
        USAGE,
    )
