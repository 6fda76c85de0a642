"""Processes that hold secrets run nothing out of the folder in which somebody happens to call somatui."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from somatui.vault.backends.asking import Unusable, ask

STARTS = re.compile(r'sys\.executable,\s*"(?!-P|-I)[^"]*"')
FOR_DEVELOPERS = {"screenshots.py"}


def test_no_process_looks_for_modules_in_the_working_folder() -> None:
    sources = [p for p in (Path(__file__).parents[1] / "somatui").rglob("*.py") if p.name not in FOR_DEVELOPERS]
    assert [p.name for p in sources if STARTS.search(p.read_text("utf-8"))] == []


def test_a_module_that_lies_about_is_not_run_where_keys_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("open('ran', 'w').close()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unusable, match="it failed"):
        ask("read", "pass", "somatui/tests", "name")
    assert not (tmp_path / "ran").exists()
