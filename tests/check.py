"""Run every check of the project in order, print each stage's time, and stop at the first that fails."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def python_files() -> list[str]:
    """Every tracked or new Python file that is ours to keep in order."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [f for f in listed.stdout.split() if not f.startswith("tests/golden/") and (ROOT / f).exists()]


def stages() -> list[tuple[str, list[str]]]:
    """The stages in order: name and command line."""
    tool = str(BIN) + "/"
    pytest = [sys.executable, "-m", "pytest", "-q"]
    return [
        ("ruff", [tool + "ruff", "check", "."]),
        ("ruff format", [tool + "ruff", "format", "--check", *python_files()]),
        ("mypy", [tool + "mypy"]),
        ("import-linter", [tool + "lint-imports"]),
        ("deptry", [tool + "deptry", "somatui"]),
        ("vulture", [tool + "vulture"]),
        ("detect-secrets", [tool + "detect-secrets-hook", "--baseline", ".secrets.baseline", *python_files()]),
        ("fast tests", [*pytest, "-n", "2", "-m", "not slow"]),
        ("slow tests", [*pytest, "-m", "slow"]),
    ]


def main() -> int:
    """Exit status 0 when every stage passes."""
    for name, command in stages():
        began = time.monotonic()
        status = subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}).returncode
        if name == "slow tests" and status == 5:
            status = 0
        print(f"stage {name}: {time.monotonic() - began:.1f} s, {'ok' if status == 0 else 'FAILED'}", flush=True)
        if status != 0:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
