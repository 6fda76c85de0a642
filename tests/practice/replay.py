"""`python -m tests.practice.replay [FILE …]`: every recorded answer of the real node against the practice network's.

Without files every recording in tests/golden/node is played. The last line is `unintended=N`; N > 0 exits with 1.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.practice.replaying.intended import OFF_RECORD, TABLE
from tests.practice.replaying.player import Outcome, Player
from tests.practice.replaying.tape import Tape
from tests.recordings import FILES, NODE


def replay(path: Path) -> Outcome:
    """Play one recording on a network of its own."""
    with tempfile.TemporaryDirectory() as folder:
        player = Player(Tape(path), Path(folder))
        try:
            return player.play()
        finally:
            player.close()


def report(outcome: Outcome) -> int:
    """Print what one recording showed; returns the number of answers with unintended differences."""
    print(f"\n{outcome.name}")
    print(f"  {'method':<22}{'compared':>9}{'equal':>8}{'intended':>10}{'unintended':>12}{'not compared':>14}")
    for method, t in sorted(outcome.tallies.items()):
        print(f"  {method:<22}{t.compared:>9}{t.equal:>8}{t.intended:>10}{t.unintended:>12}{t.skipped:>14}")
    for name, count in sorted(outcome.meant.items()):
        print(f"  intended: {name} ({count})")
    for why, count in sorted(outcome.skipped.items()):
        print(f"  not compared: {why} ({count})")
    for line in outcome.found:
        print(f"  UNINTENDED {line}")
    return sum(t.unintended for t in outcome.tallies.values())


def main(arguments: list[str]) -> int:
    """The command; exit status 0 when nothing differs that should not."""
    paths = [Path(a) for a in arguments] or [NODE / f"{name}.jsonl.gz" for name in FILES]
    outcomes = [replay(path) for path in paths]
    unintended = sum(report(outcome) for outcome in outcomes)
    print("\nintended differences:")
    seen = {name for outcome in outcomes for name in outcome.meant}
    for row in TABLE:
        if row.name in seen:
            print(f"  {row.name}: {row.reason}")
    for name, reason in OFF_RECORD:
        print(f"  {name} (no recording shows it): {reason}")
    print(f"unintended={unintended}")
    return 1 if unintended else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
