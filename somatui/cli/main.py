"""The front of the command line: finds noun and verb, loads that one module, and turns every end into a status.

Nothing is imported before it is needed: `--version` answers without argparse.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from somatui.cli.options import Arguments, Parser, Verb
    from somatui.cli.problem import Problem

NOUNS: dict[str, str] = {
    "practice": "a network of your own on this machine, and an operator's day on it",
    "setup": "this machine made ready for a network, step by step",
    "status": "one screen: epoch, money, duties, jobs, alerts",
    "wallet": "addresses, coins and stakes; make, import, watch and choose wallets",
    "targets": "what can be filled and what can be claimed",
    "models": "the registry of models; publish and reveal your own, fetch weights",
    "epochs": "the epoch, its clock and its difficulty",
    "score": "score one file exactly, or many against the open targets; serve the scoring service",
    "train": "train a model on local files",
    "jobs": "what the agent is working on",
    "network": "practice, localnet, testnet, any other: what is used and what is known",
    "vault": "where the profile's secrets are, and what opens it",
    "agent": "the process that signs, watches and keeps deadlines",
    "ledger": "the journal's money, held against the chain",
    "bench": "how fast this machine does what the console lives on",
    "paths": "where everything is kept",
    "config": "settings and where each came from",
    "doctor": "what is wrong, and the one thing that cures it",
}
"""Every noun with its help; `somatui.cli.nouns.<noun>` holds its verbs."""


def entry(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's own) and give its exit status."""
    os.umask(0o077)
    words = list(sys.argv[1:] if argv is None else argv)
    if words in (["--version"], ["-V"]):
        from somatui import __version__

        print(f"somatui {__version__}")
        return 0
    try:
        return _dispatch(words)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("SOMATUI_DEBUG") == "1":
            import traceback

            traceback.print_exc()
        from somatui.cli.problem import as_problem

        return _complain(as_problem(error), "--json" in words)


def _complain(problem: Problem, as_json: bool) -> int:
    from somatui.cli.output import document, note

    if as_json:
        said = {"ok": False, "error": str(problem), "status": problem.status} | (
            {"digest": problem.data["digest"]} if "digest" in problem.data else {}
        )
        print(document(said))
    note(str(problem))
    return problem.status


def _dispatch(words: list[str]) -> int:
    from somatui.cli.options import wants_json
    from somatui.cli.output import show

    args = build(words).parse_args(words)
    verb: Verb | None = getattr(args, "chosen_verb", None)
    if verb is None:
        return _console(args)
    answer = verb.run(args)
    show(answer, wants_json(args))
    return answer.status


def build(words: Sequence[str]) -> Parser:
    """The parser for these words: all nouns by name, and the verbs of those that were typed."""
    import argparse

    from somatui.cli.options import Parser, common

    shared = common()
    top = Parser(
        prog="somatui",
        description="The terminal console for operators of the SOMA network. Without a noun it opens the console.",
        epilog="example:\n  somatui practice run",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    top.add_argument("--version", "-V", action="store_true", help="print the version")
    nouns = top.add_subparsers(metavar="NOUN", title="nouns", parser_class=Parser)
    for name, text in NOUNS.items():
        verbs = _verbs(name) if name in words else ()
        if len(verbs) == 1 and not verbs[0].name:
            _add_verb(nouns, name, verbs[0], shared)
            continue
        noun = nouns.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".", parents=[shared])
        if verbs:
            below = noun.add_subparsers(metavar="VERB", title="verbs", required=True, parser_class=Parser)
            for verb in verbs:
                _add_verb(below, verb.name, verb, shared)
    return top


def _verbs(noun: str) -> tuple[Verb, ...]:
    found: tuple[Verb, ...] = import_module(f"somatui.cli.nouns.{noun}").VERBS
    return found


def _add_verb(where: argparse._SubParsersAction[Parser], name: str, verb: Verb, shared: Parser) -> None:
    import argparse

    from somatui.cli.options import add_acting

    parser = where.add_parser(
        name,
        help=verb.help,
        description=verb.help,
        epilog=f"example:\n  {verb.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[shared],
    )
    if verb.options is not None:
        verb.options(parser)
    if verb.acts:
        add_acting(parser)
    parser.set_defaults(chosen_verb=verb)


def _console(args: Arguments) -> int:
    from somatui.cli.options import paths_of, wants_json
    from somatui.cli.problem import USAGE, Problem

    if getattr(args, "version", False):
        from somatui import __version__

        print(f"somatui {__version__}")
        return 0
    if wants_json(args):
        raise Problem("The console has no JSON: name a noun, for instance somatui status --json.", USAGE)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("The console needs a terminal: run it in one, or name a noun (somatui --help lists them).", USAGE)
    status: int = import_module("somatui.tui.app").run(paths_of(args)) or 0
    return status
