"""The file of answers to `somatui setup`: what may stand in it, and that no secret may."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.cli.main import entry
from somatui.cli.problem import Problem
from somatui.cli.setup import read_answers
from tests.cli.shell import ROOT, one_sentence, somatui


def test_answers_are_read_as_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "answers.toml"
    file.write_text('purpose = "look"\nnetwork = "testnet"\nskip = ["wallet"]\n', "utf-8")
    assert read_answers(file) == {"purpose": "look", "network": "testnet", "skip": ["wallet"]}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('passphrase = "x"', "passphrase is a secret"),
        ('secret = "x"', "give it by --secret-fd N"),
        ('s3_secret_access_key = "x"', "is a secret"),
        ('mnemonic = "x"', "is a secret"),
        ('hf_token = "x"', "is a secret"),
        ('address = "somaprivkey1qqqqqqqq"', "looks like a Bech32 secret key"),
        ('bucket = "hf_abcdefghijklmnop"', "looks like a Hugging Face token"),
        ('rpc_url = "https://me:' + 'pass@node.example"', "looks like an address with a password"),
        ('label = "able baker cat dog echo fox golf hat ink joy kit lamp"', "looks like a wallet's words"),
        ('endpoint = "https://hooks.slack.com/services/T0"', "looks like a webhook's address"),
        ('network = "mainnet"', "network in"),
        ('purpose = "steal"', "purpose in"),
        ('colour = "red"', "colour in"),
        ("bucket = 3", "bucket in"),
        ('skip = ["purpose"]', "skip in"),
        ("skip = true", "skip in"),
        ("machine", "not valid TOML"),
    ],
)
def test_what_does_not_belong_there_is_refused_in_one_sentence_and_never_told(
    tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "answers.toml"
    file.write_text(line + "\n", "utf-8")
    with pytest.raises(Problem) as refused:
        read_answers(file)
    assert said in str(refused.value) and str(refused.value).endswith(".")
    assert refused.value.status == 2
    assert "qqqqqqqq" not in str(refused.value) and "pass@" not in str(refused.value)


def test_a_file_that_is_not_there_and_a_descriptor_that_is_not_open_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry(["setup", "--answers", str(tmp_path / "none")]) == 2
    assert one_sentence(capsys.readouterr().err)


def test_without_a_terminal_the_guided_setup_names_the_other_way() -> None:
    ended = somatui("setup")
    assert ended.status == 2 and "--answers FILE" in ended.err and one_sentence(ended.err)


def test_the_documented_answers_can_be_used_as_they_are_printed(tmp_path: Path) -> None:
    told = (ROOT / "docs/operating.md").read_text("utf-8")
    printed = told.partition('```toml\npurpose = "submit"')[2].partition("```")[0]
    file = tmp_path / "answers.toml"
    file.write_text(f'purpose = "submit"{printed}', "utf-8")
    assert read_answers(file)["network"] == "testnet"
