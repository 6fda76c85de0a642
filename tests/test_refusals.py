"""What stands in the way of starting: each is one sentence with the cure, a status that says so, and nothing lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from somatui.paths import Paths
from tests.cli.shell import ROOT, Ended, one_sentence, somatui

AGENT = ("--profile", "practice", "agent", "run")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    somatui("--home", str(tmp_path / "home"), *AGENT[:2], "agent", "stop")


def refused(ended: Ended, *words: str, status: int = 1) -> None:
    assert ended.status == status, (ended.status, ended.out, ended.err)
    assert one_sentence(ended.err), ended.err
    assert all(word in ended.err for word in words), ended.err


def agent(home: Path, *more: str) -> Ended:
    return somatui("--home", str(home), *AGENT, *more)


def test_a_python_that_is_too_old_is_told_which_one_to_take() -> None:
    code = "import sys; sys.version_info = (3, 10, 4); from somatui.__main__ import run; sys.exit(run())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert "3.11" in done.stderr and "3.10" in done.stderr and "venv" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("background", [(), ("--background",)], ids=["here", "background"])
def test_a_corrupt_journal_stops_the_agent_and_stays_as_it_is(home: Path, background: tuple[str, ...]) -> None:
    paths = Paths.for_profile("practice", home).create()
    paths.journal.write_bytes(b"this was a journal once" * 400)
    refused(agent(home, *background), "journal", str(paths.journal))
    assert paths.journal.read_bytes() == b"this was a journal once" * 400


@pytest.mark.slow
def test_a_second_agent_is_refused_and_the_first_goes_on(home: Path) -> None:
    assert agent(home, "--background").status == 0
    refused(agent(home), "Another agent runs", "agent stop")
    said = somatui("--home", str(home), "--profile", "practice", "agent", "status", "--json")
    assert said.status == 0 and said.json["running"] is True


@pytest.mark.slow
def test_a_profile_that_is_not_known_and_a_damaged_vault_stop_the_agent(home: Path) -> None:
    refused(somatui("--home", str(home), "--profile", "nobody", "agent", "run"), "nobody")
    paths = Paths.for_profile("practice", home).create()
    paths.vault.write_text("{}")
    paths.vault.chmod(0o600)
    paths.passphrase.write_text("word\n")
    refused(agent(home), "vault")
    assert paths.vault.read_text() == "{}"


@pytest.mark.slow
@pytest.mark.parametrize("words", [AGENT, ("practice", "serve", "--ports", "free"), ("practice", "run")])
def test_a_place_that_cannot_be_written_is_named(words: tuple[str, ...]) -> None:
    refused(somatui("--home", "/proc/nowhere", *words), "/proc/nowhere", "--home")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a disk of its own is made with Linux's namespaces")
def test_an_agent_on_a_full_disk_says_so_and_what_was_there_is_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    made = f"mount -t tmpfs -o size=64k,mode=0700 tmpfs {disk}"
    fill = f"echo kept > {disk}/before; dd if=/dev/zero of={disk}/fill bs=1k count=1000 2>/dev/null"
    run = f"{sys.executable} -m somatui --home {disk} {' '.join(AGENT)}"
    script = f"{made} || exit 77; {fill}; {run}; status=$?; cat {disk}/before >&2; exit $status"
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare here")
    done = subprocess.run([unshare, "-rm", "sh", "-c", script], capture_output=True, text=True, cwd=ROOT)
    if done.returncode == 77 or "unshare failed" in done.stderr:
        assert "CI" not in os.environ or os.environ["CI"] == "", done.stderr
        pytest.skip("this system lets nobody mount a disk of their own")
    said = done.stderr.removesuffix("kept\n")
    assert said != done.stderr, "what was on the disk is gone"
    assert done.returncode == 1 and one_sentence(said), done.stderr
    assert "space" in said or "full" in said
