"""The line that opens the console on a state can be typed as it is printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from somatui.cli.day.home import opening
from somatui.paths import Paths, command, program
from tests.cli.shell import ROOT


def script(folder: Path) -> Path:
    """A console script as pip writes it, in a folder with a space in its name."""
    folder.mkdir()
    made = folder / "somatui"
    made.write_text(f"#!{sys.executable}\nfrom somatui.__main__ import run\nraise SystemExit(run())\n")
    made.chmod(0o700)
    return made


def test_a_program_off_the_path_is_named_as_it_was_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(tmp_path / "bin of mine")
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setattr(sys, "argv", [str(made)])
    line = opening(tmp_path / "a state")
    assert shlex.split(line) == [str(made), "--home", str(tmp_path / "a state")]
    words = [*shlex.split(line), "paths", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert done.returncode == 0 and str(tmp_path / "a state") in done.stdout


def test_a_program_on_the_path_is_named_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = script(tmp_path / "bin")
    monkeypatch.setenv("PATH", str(made.parent))
    monkeypatch.setattr(sys, "argv", [str(made)])
    assert program() == "somatui"


def test_a_module_is_named_with_its_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "somatui" / "__main__.py")])
    assert shlex.split(program()) == [sys.executable, "-m", "somatui"]


def test_a_command_names_the_home_where_no_variable_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(ROOT / "somatui" / "__main__.py")])
    monkeypatch.delenv("SOMATUI_HOME", raising=False)
    assert command(Paths.for_profile("ops", tmp_path)) == f"{program()} --home {shlex.quote(str(tmp_path))}"
    monkeypatch.setenv("SOMATUI_HOME", str(tmp_path))
    assert command(Paths.for_profile("ops")) == program()
    assert command(Paths.for_profile("ops", tmp_path / "other")) == f"{program()} --home {tmp_path / 'other'}"
