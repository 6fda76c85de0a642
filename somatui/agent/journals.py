"""Which journal belongs to which wallet: a profile's first has `journal.sqlite3`, each other one a file beside.

So the money of a journal is one wallet's, and can be held against that wallet's coins.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Container
from pathlib import Path

from somatui.agent.journal import Intent, Journal, JournalError
from somatui.agent.states import FAILED, REFUSED, Fault, no_fault
from somatui.paths import Paths

log = logging.getLogger(__name__)


def of_wallet(open_now: Journal, address: str, paths: Paths, fault: Fault = no_fault) -> Journal:
    """The journal of that wallet: the one that is open where it is this wallet's or nobody's, else its own, with the
    open one closed. Raises JournalError, with the open one left open.
    """
    if open_now.claim(address):
        return open_now
    first = Journal.open(paths.journal, fault)
    if first.claim(address):
        found = first
    else:
        first.close()
        found = Journal.open(file := paths.journal.with_name(f"journal-{address[:16]}.sqlite3"), fault)
        if not found.claim(address):
            found.close()
            raise JournalError(f"The journal {file} is another wallet's: put each journal back under its own name.")
    open_now.close()
    return found


def left_undone(paths: Paths, address: str) -> dict[str, tuple[Intent, ...]]:
    """The acts that have not ended of every wallet but that one, as the profile's other journals have them.

    The agent lets no wallet go before its acts have ended; config.toml may be changed while no agent runs.
    """
    found: dict[str, tuple[Intent, ...]] = {}
    for file in _files(paths) if address else ():
        try:
            with contextlib.closing(Journal.open(file)) as journal:
                owner, acts = journal.owner, journal.unfinished()
        except JournalError as failure:
            log.warning("a journal of another wallet cannot be read: %s", failure)
            continue
        if owner and owner != address and acts:
            found[owner] = acts
    return found


def waits_for_key(paths: Paths, publish: str, open_now: Container[str]) -> str:
    """What was published by that act, of whatever wallet, and may still need its key; empty where nothing does.

    `open_now` are models whose weights are not sealed any more. Raises JournalError where a journal cannot be read.
    """
    for file in _files(paths):
        with contextlib.closing(Journal.open(file)) as journal:
            try:
                act = journal.get(publish)
            except KeyError:
                continue
            model = str(act.result.get("model_id"))
            over = act.state in (REFUSED, FAILED) or model in open_now or journal.done("reveal", model)
            return "" if over else act.subject
    return ""


def _files(paths: Paths) -> list[Path]:
    return sorted(paths.profile_dir.glob("journal*.sqlite3"))
