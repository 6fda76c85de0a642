"""The systemd unit of an agent: what systemd reads, what stands in it, and where it is put."""

from __future__ import annotations

import configparser
import json
import shlex
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from somatui.cli import main, units
from somatui.paths import Paths


def read(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("system", [False, True])
def test_the_unit_starts_the_agent_of_the_profile_and_holds_no_secret(system: bool, tmp_path: Path) -> None:
    paths = Paths.for_profile("own", tmp_path / "a home 100%")
    unit = read(units.agent_unit(paths, system=system, credential=Path("/etc/own.cred")))
    service = unit["Service"]
    words = [word.replace("%%", "%") for word in shlex.split(service["ExecStart"])]
    assert words == [sys.executable, "-P", "-m", "somatui.agent", "--profile", "own", "--home", str(paths.home)]
    assert service["LoadCredentialEncrypted"] == "somatui-passphrase:/etc/own.cred"
    assert (service["UMask"], service["LimitCORE"], service["Restart"]) == ("0077", "0", "on-failure")
    assert ("User" in service, unit["Install"]["WantedBy"]) == (
        system,
        "multi-user.target" if system else "default.target",
    )
    assert "Environment" not in service


def test_without_a_credential_none_is_asked_of_systemd_which_would_refuse_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOMATUI_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "a b"))
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    service = read(units.agent_unit(Paths.for_profile("own"), system=False, credential=None))["Service"]
    assert "LoadCredentialEncrypted" not in service
    assert service["Environment"] == f'"XDG_STATE_HOME={tmp_path / "a b"}"'


@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_nothing_wrong_with_it(system: bool, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing")
    file = tmp_path / "somatui-agent-own.service"
    text = units.agent_unit(Paths.for_profile("own", tmp_path / "it's $HOME"), system=system, credential=file)
    said = []
    for written in (text, text.replace("UMask=", "UMusk=")):
        file.write_text(written)
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(file)], capture_output=True, text=True)
        said.append([line for line in done.stderr.splitlines() if file.name in line])
    assert said[0] == [] and len(said[1]) == 1, said


def test_it_is_printed_and_written_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    place = tmp_path / "systemd" / "user" / "somatui-agent-own.service"
    words = ["agent", "install", "--profile", "own", "--json"]
    assert main.entry(words) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["written"], said["path"], place.exists()) == (False, str(place), False)
    assert any("enable --now" in line for line in said["commands"])
    assert main.entry([*words, "--write"]) == 0
    assert place.parent in units.places(), "the doctor looks elsewhere"
    assert place.read_text() == said["unit"] and stat.S_IMODE(place.stat().st_mode) == 0o644
