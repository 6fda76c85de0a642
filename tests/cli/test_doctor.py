"""doctor: each thing that is wrong, provoked, is named with what it means and its cure; what is safe is mended."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import somatui
from somatui.cli import main as front
from somatui.cli.doctor import atrest, board, credentials, machine, ports, profile
from somatui.cli.doctor.finding import Finding, Scene
from somatui.cli.doctor.run import told
from somatui.cli.main import entry
from somatui.domain.snapshot import CoinView, JobView, Snapshot
from somatui.paths import Paths
from tests.domain.worlds import an_id
from tests.tui.pictures import alarmed
from tests.tui.serve import busy

KEY = "somaprivkey1" + "q" * 40


@pytest.fixture(autouse=True)
def _home_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    home, folder = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    folder.mkdir()
    return Scene(Paths.for_profile("practice", tmp_path / "somatui").create(), home, folder, "practice")


def only(found: Iterator[Finding], name: str) -> Finding:
    return next(f for f in found if f.name == name)


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    status = entry(["doctor", "--json", *words])
    return status, json.loads(capsys.readouterr().out)


def test_everything_that_is_not_well_has_a_meaning_and_a_cure(capsys: pytest.CaptureFixture[str]) -> None:
    status, document = doctor(capsys)
    assert status == (0 if document["ok"] else 1)
    for check in document["checks"]:
        assert set(check) == {"name", "status", "detail", "meaning", "cure"}
        if check["status"] in ("warn", "bad"):
            assert check["meaning"] and check["cure"], check
    names = {c["name"] for c in document["checks"]}
    assert {"python", "folders", "disk", "privacy", ".env files", "soma keystore", "shell history"} <= names
    assert {"ports", "settings", "agent", "journal", "network", "units", "terminal", "tmux", "picture"} <= names


def test_what_others_may_read_is_bad_and_is_mended_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    paths = Paths.for_profile("practice").create()
    log = paths.profile_dir / "agent.log"
    log.write_text("", "utf-8")
    log.chmod(0o644)
    status, document = doctor(capsys)
    assert status == 1 and not document["ok"] and document["fixed"] == []
    assert any(str(log) in c["detail"] and c["cure"] == f"chmod go-rwx {log}" for c in document["checks"])
    status, document = doctor(capsys, "--fix")
    assert log.stat().st_mode & 0o777 == 0o600
    assert document["fixed"] == [f"took the rights of others from {log}"]
    assert status == 0


def test_credentials_in_a_dotenv_are_named_without_their_values(scene: Scene) -> None:
    file = scene.folder / ".env"
    file.write_text(f"# mine\nexport SOMA_SECRET_KEY='{KEY}'\nHF_TOKEN=\nS3_BUCKET=data\n", "utf-8")
    file.chmod(0o600)
    found = only(atrest.dotenv(scene), ".env files")
    assert (found.status, found.fix) == ("bad", None)
    assert "SOMA_SECRET_KEY" in found.detail and "HF_TOKEN" not in found.detail
    assert KEY not in told(found) and found.cure == f"somatui vault import-env {file}"


def test_a_dotenv_that_git_tracks_is_worse_than_one_that_it_does_not(scene: Scene) -> None:
    file = scene.folder / ".env"
    file.write_text("HF_TOKEN=hf_abcdefghijkl\n", "utf-8")
    file.chmod(0o600)
    assert only(atrest.dotenv(scene), ".env files").status == "warn"
    for words in (["init", "-q"], ["add", "-f", ".env"]):
        subprocess.run(["git", "-C", str(scene.folder), *words], check=True)
    found = only(atrest.dotenv(scene), ".env files")
    assert found.status == "bad" and "git tracks it" in found.detail and "git rm --cached" in found.cure


def test_a_dotenv_for_everybody_is_mended_and_an_example_is_no_secret(scene: Scene) -> None:
    (scene.home / ".env.example").write_text("SOMA_SECRET_KEY=\nHF_TOKEN=''\n", "utf-8")
    assert only(atrest.dotenv(scene), ".env files").status == "ok"
    file = scene.home / ".env"
    file.write_text("S3_SECRET_ACCESS_KEY=0123456789\n", "utf-8")
    file.chmod(0o644)
    found = only(atrest.dotenv(scene), ".env files")
    assert found.status == "bad" and found.fix is not None
    found.fix()
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_soma_clis_keystore_is_plain_text(scene: Scene) -> None:
    assert only(atrest.keystore(scene), "soma keystore").status == "ok"
    file = scene.home / ".soma" / "soma_config" / "soma.keystore"
    file.parent.mkdir(parents=True)
    file.write_text("[]", "utf-8")
    file.chmod(0o600)
    assert only(atrest.keystore(scene), "soma keystore").status == "warn"
    file.chmod(0o644)
    assert only(atrest.keystore(scene), "soma keystore").status == "bad"


@pytest.mark.parametrize(
    "line",
    [
        f"soma wallet import {KEY}",
        "export HF_TOKEN=hf_0123456789",
        "soma model reveal X --decryption-key 0123456789abcdef0",
    ],
)
def test_a_key_in_the_shells_history_is_named_by_its_line_alone(scene: Scene, line: str) -> None:
    (scene.home / ".bash_history").write_text(f"ls\ncd\n{line}\n", "utf-8")
    found = only(atrest.history(scene), "shell history")
    assert found.status == "bad" and "line 3" in found.detail
    assert line.split()[-1] not in told(found)


def test_a_history_without_keys_is_well(scene: Scene) -> None:
    lines = ("somatui setup", "export HF_TOKEN=$TOKEN", "soma wallet import /home/me/soma.keystore")
    lines += ("soma model reveal X --decryption-key $DECRYPTION_KEY",)
    (scene.home / ".bash_history").write_text("\n".join(lines), "utf-8")
    assert only(atrest.history(scene), "shell history").status == "ok"


def test_a_service_that_listens_to_everybody_is_seen_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as service:
        service.bind(("0.0.0.0", 0))
        service.listen()
        port = service.getsockname()[1]
        monkeypatch.setitem(ports.SERVICES, port, "scoring")
        found = list(ports.judged(ports._listening()))
        assert any(f.status == "bad" and f"scoring listens on 0.0.0.0:{port}" in f.detail for f in found)


def test_ports_of_other_programs_and_of_this_machine_alone_are_well() -> None:
    here = [("127.0.0.1", 9124), ("::1", 9000), ("0.0.0.0", 22)]
    assert [f.status for f in ports.judged(here)] == ["ok"]
    assert [f.status for f in ports.judged([("::", 9123), ("10.0.0.5", 9125)])] == ["bad", "bad"]
    assert [f.status for f in ports.judged(None)] == ["skipped"]


def test_a_damaged_journal_and_settings_that_cannot_be_read_are_bad(scene: Scene) -> None:
    scene.paths.journal.write_bytes(b"this is no database, whatever its name says" * 100)
    assert only(profile.journal(scene), "journal").status == "bad"
    scene.paths.config_file.write_text("[profiles.practice]\nnetwork = 3\n", "utf-8")
    assert only(profile.settings(scene), "settings").status == "bad"


def test_inside_tmux_the_clipboard_setting_is_asked_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMUX", raising=False)
    assert only(machine.tmux(scene), "tmux").status == "skipped"
    monkeypatch.setenv("TMUX", "/nowhere,1,0")
    found = only(machine.tmux(scene), "tmux")
    assert found.status == "warn" and "set-clipboard" in found.cure


def findings(seen: Snapshot | None) -> dict[str, Finding]:
    scene = Scene(Paths.for_profile("practice"), Path(os.devnull), Path(os.devnull), snapshot=seen)
    return {f.name: f for f in board.judged(scene)}


def test_without_an_agent_the_board_is_skipped() -> None:
    assert findings(None)["picture"].status == "skipped"


def test_a_wallet_of_small_coins_cannot_pay_a_bond_though_its_sum_could() -> None:
    day = busy()
    small = tuple(CoinView(an_id(f"c{n}"), 1, "d", 500_000) for n in range(60))
    found = findings(replace(day, wallet=replace(day.wallet, coins=small)))["coins"]
    assert found.status == "warn" and "one single coin" in found.meaning
    dust = tuple(replace(c, balance_shannons=10, role="dust") for c in small)
    assert "dust" in findings(replace(day, wallet=replace(day.wallet, coins=dust)))


def test_a_duty_at_risk_says_what_is_lost_and_until_when() -> None:
    assert findings(alarmed())["picture"].status == "skipped"
    here = replace(alarmed(), network=replace(alarmed().network, reachable=True))
    scene = Scene(Paths.for_profile("practice"), Path(os.devnull), Path(os.devnull), snapshot=here)
    bad = [f for f in board.judged(scene) if f.name == "duty" and f.status == "bad"]
    assert bad and all("at stake" in f.meaning and f.cure for f in bad)


def test_many_candidates_without_a_hit_and_a_worker_that_died_are_said() -> None:
    score = JobView("a1", "score", "score", "failed", 0, 0, metrics={"scored": 900, "hits": 0}, error="It died")
    found = findings(replace(busy(), jobs=(score,)))
    assert "none within" in found["hits"].detail and "varied" in found["hits"].cure
    assert "It died" in found["job"].detail and found["job"].cure == "somatui jobs log a1"


def test_the_vaults_own_words_become_findings() -> None:
    base = {"exists": True, "locked": True, "backend": "file", "problem": "", "copy_is_old": False}
    assert [f.status for f in credentials.vault_findings(base)] == ["warn"]
    assert [f.status for f in credentials.vault_findings(base | {"locked": False})] == ["ok"]
    assert [f.status for f in credentials.vault_findings(base | {"locked": False, "copy_is_old": True})] == [
        "ok",
        "warn",
    ]
    assert [f.status for f in credentials.vault_findings(base | {"problem": "It is damaged."})] == ["bad"]
    assert [f.status for f in credentials.vault_findings(base | {"exists": False})] == ["skipped"]


def test_how_the_last_message_to_the_webhook_fared_is_said() -> None:
    now = 1_700_000_000_000
    base = {"set": True, "level": "all", "waiting": 0, "taken_ms": 0, "failed_ms": 0, "error": ""}

    def said(**changes: object) -> Finding:
        return credentials.alerts_finding(base | changes, now)

    assert (said().status, said().detail) == ("ok", "none went out")
    assert said(taken_ms=now - 720_000, waiting=2).detail == "the last message arrived 12m ago, 2 wait"
    what, cure = "The webhook does not exist any more: 404", "make a new one: here"
    gone = said(error=what, cure=cure, failed_ms=now - 60_000, waiting=1)
    assert gone.status == "bad" and gone.detail.endswith(f"1m 00s ago, 1 wait: {what}")
    assert (gone.cure, said(set=None).status) == (cure, "warn")
    assert {said(set=False).status, said(level="off").status} == {"skipped"}


def test_every_line_that_setup_and_doctor_tell_one_to_type_is_one_that_there_is() -> None:
    root = Path(somatui.__file__).parent
    files = [*(root / "cli" / "doctor").glob("*.py"), *(root / "domain" / "setup").glob("*.py")]
    files += [*(root / "tui" / "setup").glob("*.py"), *(root / "tui" / "screens" / "setup").glob("*.py")]
    typed = {m for f in files for m in re.findall(r"somatui ((?:[a-z]+)(?: [a-z-]+)?)", f.read_text("utf-8"))}
    assert len(typed) > 10
    for line in typed:
        noun, _, verb = line.partition(" ")
        if noun in front.NOUNS:
            names = {v.name for v in front._verbs(noun)}
            assert "" in names or verb in names, line
