"""Run every check of the project in order, print each stage's time, and stop at the first that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def tracked(pattern: str) -> list[str]:
    """Every tracked or new file that is ours to keep in order; recordings are kept as they came."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    names = listed.stdout.split("\0")
    return [name for name in names if name and not name.startswith("tests/golden/") and (ROOT / name).is_file()]


def stages() -> list[tuple[str, list[str]]]:
    """The stages in order: name and command line."""
    tool = str(BIN) + "/"
    pytest = [sys.executable, "-m", "pytest", "-q"]
    return [
        ("ruff", [tool + "ruff", "check", "."]),
        ("ruff format", [tool + "ruff", "format", "--check", *tracked("*.py")]),
        ("mypy", [tool + "mypy"]),
        ("import-linter", [tool + "lint-imports"]),
        ("deptry", [tool + "deptry", "somatui"]),
        ("vulture", [tool + "vulture"]),
        ("detect-secrets", [tool + "detect-secrets-hook", "--baseline", ".secrets.baseline", *tracked("*")]),
        ("fast tests", [*pytest, "-n", "2", "-m", "not slow"]),
        ("slow tests", [*pytest, "-n", "2", "--dist", "loadfile", "-m", "slow and not alone"]),
        ("tests that measure", [*pytest, "-m", "alone"]),
        ("the console measured", [sys.executable, "-m", "tests.tui.measure", "--check"]),
    ]


def main() -> int:
    """Exit status 0 when every stage passes. Each process computes on one core, since several run side by side."""
    quiet = {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    for name, command in stages():
        began = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env=os.environ | quiet).returncode
        print(f"stage {name}: {time.monotonic() - began:.1f} s, {'ok' if status == 0 else 'FAILED'}", flush=True)
        if status != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
