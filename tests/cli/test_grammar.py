"""The grammar of the command line: nouns, verbs, help, examples, words used wrongly, start-up."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time

import pytest

from somatui import __version__
from somatui.cli import main as front
from somatui.cli.options import Parser, Verb
from somatui.cli.problem import Problem
from somatui.domain.actions import ACTIONS
from tests.cli.shell import one_sentence, somatui

VERBS = [(noun, verb) for noun in front.NOUNS for verb in front._verbs(noun)]


def words_of(noun: str, verb: Verb) -> list[str]:
    return [noun, verb.name] if verb.name else [noun]


@pytest.mark.parametrize(("noun", "verb"), VERBS, ids=[f"{n} {v.name}".strip() for n, v in VERBS])
def test_every_verb_has_help_with_an_example_that_its_own_parser_accepts(
    noun: str, verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    assert front.entry([*words_of(noun, verb), "--help"]) == 0
    shown = capsys.readouterr().out
    assert verb.example in shown and "--json" in shown
    assert verb.help.endswith(".")
    typed = shlex.split(verb.example)[1:]
    args = front.build(typed).parse_args(typed)
    assert args.chosen_verb is verb
    assert front.build([noun]).parse_args([*typed, "--json"]).json is True


@pytest.mark.parametrize(("noun", "verb"), [(n, v) for n, v in VERBS if v.acts], ids=lambda x: getattr(x, "name", x))
def test_every_acting_verb_takes_yes_and_dry_run(noun: str, verb: Verb) -> None:
    typed = shlex.split(verb.example)[1:]
    args = front.build(typed).parse_args([*[w for w in typed if w != "--yes"], "--dry-run", "--yes"])
    assert args.yes and args.dry_run


@pytest.mark.parametrize("action", ACTIONS, ids=lambda a: a.name)
def test_every_action_of_the_console_has_its_verb_here(action: object) -> None:
    noun, name = action.verb.split()  # type: ignore[attr-defined]
    assert any(verb.name == name for verb in front._verbs(noun))
    typed = shlex.split(action.example)[1:]  # type: ignore[attr-defined]
    assert front.build(typed).parse_args(typed).chosen_verb.name == name


def test_an_option_may_stand_before_the_noun_or_after_the_verb() -> None:
    for typed in (
        ["--json", "--profile", "other", "wallet", "show"],
        ["wallet", "show", "--json", "--profile", "other"],
    ):
        args = front.build(typed).parse_args(typed)
        assert args.json and args.profile == "other"


@pytest.mark.parametrize(
    "line",
    [
        "nonsense", "wallet", "wallet nonsense", "targets list --status lost", "models publish --stake 1e9",
        "models publish --stake -1", "models publish --stake 0.0000000001", "models publish --weights x",
        "targets claim", "targets claim 7c1f --all", "train run --steps 0", "practice run --seed x",
        "practice serve --ports 1,2", "score file --model nowhere --data nowhere --target nowhere",
        "practice faucet xyz", "train run /no/such/folder", "status --json=1",
    ],
)  # fmt: skip
def test_words_used_wrongly_are_refused_in_one_sentence_with_status_2(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert front.entry(line.split()) == 2
    shown = capsys.readouterr()
    assert one_sentence(shown.err), shown.err
    assert shown.out == ""


def test_a_parser_raises_its_complaint() -> None:
    with pytest.raises(Problem, match=r"see somatui --help\.$"):
        Parser(prog="somatui").parse_args(["--what"])


def test_the_version_is_there_before_anything_else_is_loaded() -> None:
    ended = somatui("--version")
    assert (ended.status, ended.out) == (0, f"somatui {__version__}\n")
    code = (
        "import sys; import somatui.cli.main as m; m.entry(['--version']);"
        "print([n for n in sys.modules if n in ('argparse','json','asyncio') or n.startswith('somatui.domain')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "[]"


@pytest.mark.slow
@pytest.mark.alone
def test_the_version_comes_within_100_ms_above_the_bare_interpreter() -> None:
    def best(*words: str) -> float:
        found = []
        for _ in range(7):
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=True)
            found.append(time.perf_counter() - began)
        return min(found)

    assert best("-m", "somatui", "--version") - best("-c", "pass") < 0.1


def test_the_console_refuses_without_a_terminal() -> None:
    ended = somatui()
    assert ended.status == 2 and "terminal" in ended.err and one_sentence(ended.err)
