"""Every test runs with a home of its own: nothing of the person who runs the tests is read or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read when torch is loaded: tests share few processors, and threads that spin would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in tuple(os.environ):
        if name.startswith("SOMATUI_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SOMATUI_HOME", str(home))
    return home
