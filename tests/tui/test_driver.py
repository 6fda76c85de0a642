"""What is written to a terminal that has gone costs nobody anything."""

from __future__ import annotations

import os

from somatui.tui.driver import Writer


def test_who_writes_never_waits_for_a_terminal_that_has_gone() -> None:
    read, write = os.pipe()
    file = os.fdopen(write, "w", closefd=False)
    writer = Writer(file)
    writer.start()
    os.close(read)
    for _ in range(1000):
        writer.write("x" * 1000)
    writer.stop()
    assert not writer.is_alive()
    os.close(write)
