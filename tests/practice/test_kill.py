"""Killed at random moments under load, a practice network keeps what it had answered; a few kills of the long proof."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.usefixtures("seeded_home")
def test_a_few_random_kills_under_load_lose_nothing_and_double_nothing() -> None:
    words = [sys.executable, "-m", "tests.long.practice_kill", "--short", "--ready-seconds", "20"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "whole: " in done.stdout and "'kills': 4" in done.stdout
