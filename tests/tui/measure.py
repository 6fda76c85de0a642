"""Measures the console through a real terminal: first paint above the bare interpreter, and bytes a second when quiet.

`python -m tests.tui.measure [--check]` prints the figures; --check ends with 1 above 300 ms, above 0 B/s, or when the
console itself does not end well. The best of the runs is checked, since other work on the machine only adds. First
paint is the frame with tabs and footer; the live picture is the frame filled with what the agent told. While it is
quiet the agent goes on telling every second that it has looked at the chain and found nothing new.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pexpect
import pyte

MOST_PAINT_MS = 300.0
MOST_BYTES = 0.0
FRAME = ("PRACTICE", "1 Wallet", "5 Jobs", "q quit")
LIVE = ("epoch 412", "2.5000 SOMA")
LIMIT_S = 20.0


def environment(home: Path) -> dict[str, str]:
    """A person's terminal: colours, byte code kept on disk."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE" and not k.startswith(("COV", "SOMA"))}
    return kept | {"TERM": "xterm-256color", "COLORTERM": "truecolor", "SOMATUI_HOME": str(home)}


def bare_ms(env: dict[str, str]) -> float:
    """How long the bare interpreter takes to start and end, in ms."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=env)
    return (time.perf_counter() - begin) * 1000


class Terminal:
    """The console in a terminal of 80 by 24, read as it paints."""

    def __init__(self, env: dict[str, str], columns: int = 80, rows: int = 24) -> None:
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._begin = time.perf_counter()
        self.child = pexpect.spawn(
            sys.executable, ["-m", "somatui"], env=env, dimensions=(rows, columns), timeout=LIMIT_S
        )

    def restart_clock(self) -> None:
        """Count the time of the next `until` from now."""
        self._begin = time.perf_counter()

    def read(self, seconds: float) -> int:
        """Take what comes within `seconds`; the number of bytes."""
        try:
            data: bytes = self.child.read_nonblocking(1 << 16, timeout=seconds)
        except pexpect.TIMEOUT:
            return 0
        self._stream.feed(data.replace(b"\x1b[>", b"\x1b["))
        return len(data)

    def until(self, words: tuple[str, ...]) -> float:
        """Read until the screen shows all these words; ms since the start."""
        while not all(word in "\n".join(self.screen.display) for word in words):
            if time.perf_counter() - self._begin > LIMIT_S:
                raise SystemExit("never painted " + ", ".join(words) + "\n" + "\n".join(self.screen.display))
            self.read(0.05)
        return (time.perf_counter() - self._begin) * 1000

    def quiet_bytes(self, seconds: float) -> int:
        """Bytes written within `seconds`."""
        end, count = time.monotonic() + seconds, 0
        while (left := end - time.monotonic()) > 0:
            count += self.read(left)
        return count

    def close(self) -> int:
        """Leave with q; the exit status."""
        self.child.send("q")
        self.child.expect(pexpect.EOF)
        said = self.child.before
        self.child.close()
        status = int(self.child.exitstatus or 0) or int(self.child.signalstatus or 0)
        if status:
            sys.stderr.write(f"the console ended with {status} and said:\n{said.decode('utf-8', 'replace')}\n")
        return status


def measure(runs: int, quiet_s: float) -> dict[str, float]:
    """All figures: medians over `runs`, and the best."""
    bare, frame, live = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        env = environment(Path(folder))
        served = subprocess.Popen(
            [sys.executable, "-m", "tests.tui.serve", "--home", folder], env=env, stdout=subprocess.PIPE
        )
        try:
            assert served.stdout is not None
            served.stdout.readline()
            for turn in range(runs + 1):
                alone = bare_ms(env)
                terminal = Terminal(env)
                painted, filled = terminal.until(FRAME), terminal.until(LIVE)
                if turn:
                    bare.append(alone)
                    frame.append(painted)
                    live.append(filled)
                if turn < runs:
                    terminal.close()
            terminal.quiet_bytes(2.0)
            quiet = terminal.quiet_bytes(quiet_s)
            status = terminal.close()
        finally:
            served.terminate()
            served.wait()
    start = statistics.median(bare)
    return {
        "bare_interpreter_ms": round(start, 1),
        "first_paint_above_bare_ms": round(statistics.median(frame) - start, 1),
        "first_paint_above_bare_ms_best": round(min(frame) - min(bare), 1),
        "live_picture_above_bare_ms": round(statistics.median(live) - start, 1),
        "live_picture_above_bare_ms_best": round(min(live) - min(bare), 1),
        "quiet_seconds": quiet_s,
        "quiet_bytes_per_s": round(quiet / quiet_s, 1),
        "exit_status": status,
    }


def main() -> int:
    """Print the figures as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--quiet", type=float, default=10.0, metavar="S")
    args = parser.parse_args()
    found = measure(args.runs, args.quiet)
    print(json.dumps(found, indent=1))
    fast = found["first_paint_above_bare_ms_best"] <= MOST_PAINT_MS
    good = fast and found["quiet_bytes_per_s"] <= MOST_BYTES and found["exit_status"] == 0
    return 0 if good or not args.check else 1


if __name__ == "__main__":
    sys.exit(main())
