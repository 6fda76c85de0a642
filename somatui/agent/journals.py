"""Which journal belongs to which wallet: a profile's first has `journal.sqlite3`, each other one a file beside.

So the money of a journal is one wallet's, and can be held against that wallet's coins.
"""

from __future__ import annotations

from somatui.agent.journal import Journal
from somatui.agent.states import Fault, no_fault
from somatui.paths import Paths


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
        found = Journal.open(paths.journal.with_name(f"journal-{address[:16]}.sqlite3"), fault)
        found.claim(address)
    open_now.close()
    return found
