"""Every test runs with a home of its own: nothing of the person who runs the tests is read or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from somatui.paths import Paths

# Read when torch is loaded: tests share few processors, and threads that spin would take them from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the models of practice networks are kept: one folder for all processes of a run, empty when it begins."""
    worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if worker else base) / "seeds"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def with_seeds(home: Path, seeds: Path) -> Path:
    """A home whose practice networks of the same seed train their models once in a run of the tests."""
    cache = Paths.for_profile("practice", home).seeds_cache
    cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    cache.symlink_to(seeds)
    return home


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in tuple(os.environ):
        if name.startswith("SOMATUI_"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("SOMATUI_HOME", str(home))
    return home


@pytest.fixture
def seeded_home(_home_of_its_own: Path, seeds: Path) -> Path:
    """This test's home, with the run's seeded models in its cache."""
    return with_seeds(_home_of_its_own, seeds)
