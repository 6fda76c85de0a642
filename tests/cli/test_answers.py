"""What verbs answer where no agent and no network runs: documents, sentences, statuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from somatui.cli.main import entry
from somatui.cli.output import Answer, fields, note, public, show, table
from somatui.cli.problem import FAILED, LOCKED, REFUSED, UNKNOWN, USAGE, as_problem
from tests.cli.shell import ROOT, one_sentence, somatui


@pytest.fixture
def home() -> Path:
    return Path(os.environ["SOMATUI_HOME"])


def test_paths_are_one_document_and_make_nothing(home: Path) -> None:
    ended = somatui("paths", "--json")
    assert ended.status == 0
    assert Path(ended.json["journal"]).is_relative_to(home)
    assert list(home.iterdir()) == []


def test_a_home_that_is_typed_beats_the_environment(tmp_path: Path) -> None:
    ended = somatui("paths", "--json", "--home", str(tmp_path))
    assert ended.json["config_file"] == str(tmp_path / "config" / "config.toml")


def test_config_says_where_each_setting_came_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOMATUI_THREADS", "2")
    document = somatui("config", "show", "--origin", "--json").json
    assert document["settings"]["threads"] == 2
    assert document["origins"]["threads"] == "environment"
    assert document["origins"]["theme"] == "default"
    assert (document["origins"]["profile"], document["origins"]["network"]) == ("default", "default")
    shown = somatui("config", "show", "--origin", "--profile", "localnet").out.splitlines()
    assert [line.split() for line in shown[1:3]] == [
        ["profile", "localnet", "typed"],
        ["network", "localnet", "default"],
    ]


def test_doctor_names_the_cure_of_what_is_not_well() -> None:
    ended = somatui("doctor", "--json")
    document = ended.json
    assert ended.status == (0 if document["ok"] else 1)
    assert all(c["status"] in ("ok", "warn", "bad", "skipped") for c in document["checks"])
    assert all(c["cure"] for c in document["checks"] if c["status"] in ("warn", "bad"))
    assert {"python", "folders", "network", "agent", "journal"} <= {c["name"] for c in document["checks"]}


def test_doctor_finds_a_damaged_journal(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal = home / "state" / "profiles" / "practice" / "journal.sqlite3"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(b"this is no database, whatever its name says" * 100)
    assert entry(["doctor", "--json"]) == 1
    checks = {c["name"]: c for c in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["journal"]["status"] == "bad"


READING = (
    "status",
    "wallet show",
    "wallet coins",
    "targets list",
    "models list",
    "epochs show",
    "jobs list",
    "ledger show",
)


@pytest.mark.parametrize("line", READING)
def test_without_an_agent_a_verb_says_how_to_start_one(line: str) -> None:
    pytest.importorskip("somatui.agent.client")
    ended = somatui(*line.split(), "--json")
    assert ended.status == 1
    assert "somatui agent run" in ended.err and one_sentence(ended.err)
    assert ended.json == {"ok": False, "error": ended.err.strip(), "status": 1}


def test_a_settings_file_that_is_damaged_is_one_sentence(home: Path) -> None:
    file = home / "config" / "config.toml"
    file.parent.mkdir()
    file.write_text("profile = ")
    ended = somatui("config", "show")
    assert ended.status == 1 and one_sentence(ended.err) and str(file) in ended.err


def test_a_traceback_comes_only_when_asked_for(home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.toml").write_text("profile = ")
    assert "Traceback" in somatui("config", "show", SOMATUI_DEBUG="1").err


def test_resetting_refuses_without_a_terminal_and_deletes_with_yes(home: Path) -> None:
    ledger = home / "state" / "practice" / "ledger"
    ledger.mkdir(parents=True)
    config = home / "config" / "config.toml"
    config.parent.mkdir()
    config.write_text(
        f'[profiles.practice]\nwallet = "{"aa" * 32}"\n[profiles.practice.wallets.{"aa" * 32}]\nlabel = "gone"\n'
        "[profiles.practice.settings]\nthreads = 1  # kept\n"
    )
    refused = somatui("practice", "reset")
    assert refused.status == 2 and "--yes" in refused.err and ledger.exists()
    assert somatui("practice", "reset", "--dry-run").status == 0 and ledger.exists()
    done = somatui("practice", "reset", "--yes", "--json")
    assert done.json["ok"] is True and not ledger.parent.exists()
    left = config.read_text()
    assert "aa" * 32 not in left and "gone" not in left and "threads = 1  # kept" in left


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    line = f"{sys.executable} -m somatui config show | true"
    ended = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=ROOT)
    assert ended.stderr == ""


def test_what_the_agent_says_becomes_a_status() -> None:
    class Said(Exception):
        def __init__(self, code: int, message: str, data: object) -> None:
            super().__init__(message)
            self.code, self.message, self.data = code, message, data

    assert as_problem(Said(-32010, "Refused.", None)).status == REFUSED
    assert as_problem(Said(-32011, "Locked.", None)).status == LOCKED
    assert as_problem(Said(-32013, "Failed.", None)).status == FAILED
    unknown = as_problem(Said(-32012, "Sent, not seen yet.", {"digest": "5Xy"}))
    assert unknown.status == UNKNOWN and "5Xy" in str(unknown)
    assert as_problem(KeyboardInterrupt()).status == 130


def test_a_full_disk_is_a_sentence_with_a_cure() -> None:
    problem = as_problem(OSError(28, "No space left on device", "/somewhere"))
    assert problem.status == 1 and "free some space" in str(problem)


def test_tables_are_aligned_and_numbers_stand_to_the_right() -> None:
    assert table("name >count", [("a", "1"), ("long", "200")]) == "name  count\na         1\nlong    200"
    assert fields([("a", "1"), ("longer", "2"), ("none", "")]) == "a       1\nlonger  2"


def test_addresses_are_printed_with_0x() -> None:
    assert public({"owner": "ab", "submitter": None, "id": "0x1"}) == {"owner": "0xab", "submitter": None, "id": "0x1"}


def test_words_of_strangers_move_no_terminal_and_scripts_get_them_as_they_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    name = "a\x1b]0;owned\x07\u202e\x9bb.py"
    words = ["score", "file", "--data", str(tmp_path / name), "--target", "7c1f"]
    assert entry(words) == entry([*words, "--json"]) == USAGE
    show(Answer({"name": name}, f"name\t{name}\nécho"), False)
    show(Answer({"name": name}), True)
    note(name)
    out, err = capsys.readouterr()
    refused, text, document = out.splitlines()[0], out.splitlines()[1:3], out.splitlines()[3]
    assert not set(out + err) & set("\x1b\x07\u202e\x9b") and err.count("a�]0;owned���b.py") == 3
    assert name in json.loads(refused)["error"] and json.loads(document) == {"name": name}
    assert text == ["name\ta�]0;owned���b.py", "écho"]
