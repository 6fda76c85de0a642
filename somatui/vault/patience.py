"""How long an answer to a passphrase waits: longer after each wrong one, the same for a right and a wrong next one."""

from __future__ import annotations

FIRST_S, MOST_S = 0.5, 30.0


class Patience:
    """Counts wrong passphrases in a row."""

    def __init__(self) -> None:
        self.wrong = 0

    @property
    def wait_s(self) -> float:
        """Seconds that the next try waits before it is looked at."""
        return min(MOST_S, FIRST_S * 2.0 ** min(self.wrong - 1, 16)) if self.wrong else 0.0

    def told(self, right: bool) -> None:
        """A try has been looked at."""
        self.wrong = 0 if right else self.wrong + 1
