"""`somatui wallet` and `vault import-env` against a real agent, as a person types them and as scripts do."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from soma_sdk import Keypair

from somatui.cli import aside
from somatui.cli.problem import Problem
from tests.agent.operators import PASSPHRASE, Operator, operator
from tests.cli.shell import ROOT, Ended, a_pipe, one_sentence

SEED = secrets.token_bytes(32)
ADDRESS = str(Keypair.from_secret_key(SEED).address())
slow = pytest.mark.slow


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    with operator(tmp_path_factory.mktemp("wallet")) as made:
        made.ask("wallet.import", text=SEED.hex(), label="ops-1")
        yield made


@contextlib.contextmanager
def pipe_of(text: str) -> Iterator[int]:
    """A descriptor that gives `text`."""
    read = a_pipe(text.encode())
    try:
        yield read
    finally:
        os.close(read)


def run(ops: Operator, *words: str, fds: tuple[int, ...] = ()) -> Ended:
    line = [sys.executable, "-m", "somatui", *words, "--profile", "ops", "--home", str(ops.paths.home)]
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, pass_fds=fds)
    assert SEED.hex() not in done.stdout + done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


def typed(ops: Operator, *words: str) -> Any:
    line = ["-m", "somatui", *words, "--profile", "ops", "--home", str(ops.paths.home)]
    return pexpect.spawn(sys.executable, line, cwd=str(ROOT), encoding="utf-8", timeout=60, dimensions=(24, 80))


def shown_words(screen: str) -> dict[int, str]:
    return {int(n): word for n, word in re.findall(r"(\d+)\. ([a-z]+)", screen)}


@slow
def test_words_of_a_new_wallet_are_on_the_other_page_alone_and_two_are_asked_back(ops: Operator) -> None:
    child = typed(ops, "wallet", "new", "--label", "fresh")
    child.expect(re.escape("\x1b[?1049h"))
    child.expect("Press enter")
    words = shown_words(child.before)
    assert sorted(words) == list(range(1, 13))
    child.sendline()
    child.expect(re.escape("\x1b[?1049l"))
    for answers in (("wrong", "wrong"), None):
        for place in range(2):
            found = child.expect([r"Word (\d+): ", "once more"])
            if found == 1:
                break
            child.sendline(answers[place] if answers else words[int(child.match[1])])
        if answers:
            child.expect("Press enter")
            child.sendline()
    child.expect("The wallet is made")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    address = Keypair.from_mnemonic(" ".join(words[n] for n in range(1, 13))).address()
    assert ops.wallets()[address]["label"] == "fresh"


@slow
def test_without_a_terminal_words_go_to_a_descriptor_or_nowhere(ops: Operator, tmp_path: Path) -> None:
    before = ops.wallets()
    refused = run(ops, "wallet", "new")
    assert refused.status == 2 and "--mnemonic-fd N" in refused.err and one_sentence(refused.err)
    assert run(ops, "wallet", "new", "--mnemonic-fd", "77").status == 2
    assert ops.wallets() == before
    file = tmp_path / "words"
    with file.open("wb") as opened:
        done = run(ops, "wallet", "new", "--mnemonic-fd", str(opened.fileno()), "--json", fds=(opened.fileno(),))
    words = file.read_text().strip()
    assert words not in done.out
    assert done.json["address"] == "0x" + Keypair.from_mnemonic(words).address()


@slow
def test_a_key_is_imported_from_a_descriptor_or_a_file_and_tried_again(ops: Operator, tmp_path: Path) -> None:
    with pipe_of(f'SOMA_SECRET_KEY="{SEED.hex()}"\n') as fd:
        done = run(ops, "wallet", "import", "--secret-fd", str(fd), "--json", fds=(fd,))
    assert done.json["address"] == "0x" + ADDRESS and done.json["format"] == ".env file, hex" and done.json["known"]
    file = tmp_path / "raw"
    file.write_bytes(SEED)
    said = run(ops, "wallet", "test", "ops-1", "--file", str(file))
    assert said.status == 0 and "It matches" in said.out and "32 raw bytes" in said.out
    with pipe_of("abandon " * 11 + "about") as fd:
        other = run(ops, "wallet", "test", "--secret-fd", str(fd), "--json", fds=(fd,))
    assert (other.status, other.json["ok"], other.json["matches"]) == (1, False, False)
    with pipe_of(SEED.hex()[:-1]) as fd:
        wrong = run(ops, "wallet", "import", "--secret-fd", str(fd), fds=(fd,))
    assert wrong.status == 3 and "63: 1 missing" in wrong.err and one_sentence(wrong.err)
    nothing = run(ops, "wallet", "import")
    assert nothing.status == 2 and "--secret-fd N" in nothing.err


@slow
def test_a_key_leaves_for_word_and_passphrase_and_never_by_standard_output(ops: Operator, tmp_path: Path) -> None:
    assert run(ops, "wallet", "export", "ops-1").status == 2
    file = tmp_path / "key"
    with file.open("wb") as opened:
        for word, passphrase, status in (
            ("yes", PASSPHRASE, 3),
            ("export", "not it at all", 4),
            ("export", PASSPHRASE, 0),
        ):
            with pipe_of(passphrase) as fd:
                out = os.dup(opened.fileno())
                words = ("--word", word, "--passphrase-fd", str(fd), "--to-fd", str(out), "--form", "hex")
                assert run(ops, "wallet", "export", "ops-1", *words, fds=(fd, out)).status == status
                os.close(out)
    assert file.read_text() == SEED.hex() + "\n"


@slow
def test_wallets_are_listed_named_watched_shown_as_a_code_and_chosen(ops: Operator) -> None:
    cold = str(Keypair.generate().address())
    assert run(ops, "wallet", "watch", cold, "--label", "cold").status == 0
    assert run(ops, "wallet", "label", cold[:8], "colder").status == 0
    listed = run(ops, "wallet", "list", "--json").json["wallets"]
    assert (listed[0]["label"], listed[0]["active"]) == ("ops-1", True)
    assert [w["watch_only"] for w in listed if w["address"] == "0x" + cold] == [True]
    assert "watch-only" in run(ops, "wallet", "list").out
    code = run(ops, "wallet", "qr", "colder", "--json").json
    assert code["address"] == "0x" + cold and len(code["modules"]) == 33
    drawn = run(ops, "wallet", "qr").out.splitlines()
    assert len(drawn) == 22 and max(map(len, drawn)) <= 80 and drawn[-1] == "0x" + ADDRESS
    ops.ask("refresh")
    tried = run(ops, "wallet", "use", "colder", "--dry-run", "--json")
    assert tried.json["dry_run"] and run(ops, "wallet", "use", "colder").status == 2
    assert run(ops, "wallet", "use", "colder", "--yes", "--json").json["ok"]
    assert run(ops, "wallet", "show", "--json").json["watch_only"] is True
    ops.look()
    assert run(ops, "wallet", "use", "ops-1", "--yes").status == 0
    unknown = run(ops, "wallet", "qr", "nobody")
    assert unknown.status == 2 and "ops-1" in unknown.err


@slow
def test_an_env_file_is_shown_masked_and_moved_on_a_yes(ops: Operator, tmp_path: Path) -> None:
    file = tmp_path / ".env"
    token = f"hf_{secrets.token_hex(16)}"
    file.write_text(f"export SOMA_SECRET_KEY='{SEED.hex()}'\nHF_TOKEN = {token} # mine\r\nS3_BUCKET=soma\n")
    file.chmod(0o644)
    looked = run(ops, "vault", "import-env", str(file), "--dry-run", "--json")
    assert [i["name"] for i in looked.json["found"]] == ["SOMA_SECRET_KEY", "HF_TOKEN", "S3_BUCKET"]
    assert "Others on this machine can read" in looked.json["warnings"][0]
    assert run(ops, "vault", "import-env", str(file)).status == 2
    kept = run(ops, "vault", "import-env", str(file), "--keep", "--yes")
    assert kept.status == 0 and token not in kept.out + kept.err and "still holds them" in kept.out and file.exists()
    child = typed(ops, "vault", "import-env", str(file))
    child.expect("2 values go into vault")
    assert token not in child.before and SEED.hex() not in child.before
    child.sendline("y")
    child.expect("keeps S3_BUCKET alone")
    child.sendline("y")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0 and file.read_text() == "S3_BUCKET=soma\n"
    nothing = run(ops, "vault", "import-env", str(file), "--yes")
    assert nothing.status == 3 and "both are needed" in nothing.err


def test_words_are_set_in_columns_that_fit_the_smallest_terminal() -> None:
    words = " ".join(["mushroom"] * 24)
    lines = aside.numbered(words).split("\n")
    assert len(lines) == 8 and max(map(len, lines)) < 80
    assert sorted(shown_words(aside.numbered(words))) == list(range(1, 25))


@pytest.mark.parametrize(("right", "wrong"), [((), 0), ((1,), 1), ((1, 2), 2)])
def test_both_words_that_are_asked_must_be_right(right: tuple[int, ...], wrong: int) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        place = int(prompt.split()[1].rstrip(":"))
        return f" Word{place} " if len(asked) in right else "other"

    words = " ".join(f"word{n}" for n in range(1, 13))
    assert aside.two_asked_back(words, answer, lambda _: 0) == (len(right) == 2)
    assert asked == ["Word 1: ", "Word 2: "][: max(1, min(2, len(right) + 1))]


def test_a_descriptor_that_cannot_be_written_is_refused_beforehand() -> None:
    read, write = os.pipe()
    aside.writable(write, "--to-fd")
    with pytest.raises(Problem, match=f"{read}>FILE"):
        aside.writable(read, "--to-fd")
    os.close(read)
    os.close(write)
