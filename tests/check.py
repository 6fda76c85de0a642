"""Run every check of the project, print each stage's time, and stop at the first that fails: no test before all of
the checks that run nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LONGEST = (
    "tests/agent/test_kill.py",
    "tests/tui/test_app_day.py",
    "tests/workers/test_workers.py",
    "tests/workers/test_score.py",
    "tests/agent/test_jobs.py",
    "tests/cli/test_rehearse.py",
    "tests/practice/test_servers_robust.py",
)
"""Begun first, so that none of them runs alone at the end. An order, no selection: all others are collected too."""


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


def still() -> list[tuple[str, list[str]]]:
    """What reads the tree and runs nothing of it: name and command line."""
    tool = str(BIN) + "/"
    return [
        ("ruff", [tool + "ruff", "check", "."]),
        ("ruff format", [tool + "ruff", "format", "--check", *tracked("*.py")]),
        ("mypy", [tool + "mypy"]),
        ("import-linter", [tool + "lint-imports"]),
        ("deptry", [tool + "deptry", "somatui"]),
        ("vulture", [tool + "vulture"]),
        ("detect-secrets", [tool + "detect-secrets-hook", "--baseline", ".secrets.baseline", *tracked("*")]),
    ]


def marked_alone() -> list[str]:
    """The files with tests that measure; loading all the others for them would take longer than some of them."""
    return [name for name in tracked("tests/*test_*.py") if "mark.alone" in (ROOT / name).read_text("utf-8")]


def running() -> list[tuple[str, list[str]]]:
    """The tests, in order: what may run side by side, then what may not."""
    pytest = [sys.executable, "-m", "pytest", "-q"]
    side_by_side = ["-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"]
    return [
        ("fast tests", [*pytest, "-n", "3", "-m", "not slow"]),
        ("slow tests", [*pytest, *side_by_side, "-m", "slow and not alone", *LONGEST, "tests"]),
        ("tests that measure", [*pytest, "-m", "alone", *marked_alone()]),
        ("the console measured", [sys.executable, "-m", "tests.tui.measure", "--check"]),
    ]


def environment() -> dict[str, str]:
    """Each process computes on one core, since several run side by side; byte code is kept, since hundreds start."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"OMP_NUM_THREADS": "1"}


def stage(name: str, command: list[str], quiet: bool) -> bool:
    """Run one stage and print its time; a quiet one prints what it said only when it fails."""
    began = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=quiet, text=True)
    ok = done.returncode == 0
    said = "" if ok or not quiet else f"{done.stdout}{done.stderr}"
    print(f"{said}stage {name}: {time.monotonic() - began:.1f} s, {'ok' if ok else 'FAILED'}", flush=True)
    return ok


def main() -> int:
    """Exit status 0 when every stage passes."""
    began = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        ok = all(pool.map(lambda one: stage(*one, quiet=True), still()))
    ok = ok and all(stage(*one, quiet=False) for one in running())
    print(f"all checks: {time.monotonic() - began:.1f} s, {'ok' if ok else 'FAILED'}", flush=True)
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
