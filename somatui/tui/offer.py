"""The words of the first screen, laid out in lines; painted before Textual is loaded and by the screen itself after."""

from __future__ import annotations

import textwrap

from somatui.paths import Paths

LEDGER = "ledger.sqlite3"
Line = tuple[tuple[str, str], ...]
"""Pieces of one line with their tones: `bold`, `key` or none."""

WIDTH = 76
HANG = 13


def known_network(paths: Paths) -> bool:
    """Whether a practice network was made here before."""
    return (paths.network_dir / LEDGER).exists()


def room(columns: int) -> int:
    """Cells a line of text has inside the frame in a terminal of so many columns."""
    return max(24, min(columns, WIDTH) - 6)


def offer(cells: int, config_file: str, *, known: bool = False, failed: bool = False) -> list[Line]:
    """What the machine offers: practice (`known`: one is here, stopped; `failed`: its ports are taken), setup, quit."""
    lines = [*wrapped("The console for operators of the SOMA network.", cells, "bold"), ()]
    if known:
        practice = "Go on with the practice network of this machine, which is stopped."
    else:
        lines += [*wrapped("Nothing is set up on this machine yet.", cells), ()]
        practice = "A network of your own on this machine, with play money: no account, no GPU, no cost."
    setup = "Guided: testnet or any other network, vault, wallet, storage. Settings are kept in " + config_file
    lines += _choice("p", "practice", practice, cells)
    if failed:
        lines += _choice("f", "ports", "The same on ports that nobody else uses.", cells)
    lines += _choice("s", "setup", setup, cells)
    return lines + _choice("q", "quit", "", cells)


def wrapped(text: str, cells: int, tone: str = "") -> list[Line]:
    """`text` in lines of at most so many cells; its own line breaks are kept."""
    return [((line, tone),) for part in text.split("\n") for line in textwrap.wrap(part, cells)]


def _choice(key: str, name: str, text: str, cells: int) -> list[Line]:
    first, *rest = textwrap.wrap(text, cells - HANG) or [""]
    head: Line = ((f"{key}  ", "key"), (f"{name:<{HANG - 3}}", "bold"), (first, ""))
    return [head, *(((" " * HANG + line, ""),) for line in rest), ()]
