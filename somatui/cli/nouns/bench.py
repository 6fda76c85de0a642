"""`somatui bench`: how fast this machine does what the console lives on."""

from __future__ import annotations

import argparse
from typing import Any

from somatui.cli.nouns.score import worker
from somatui.cli.options import Arguments, Verb, at_least
from somatui.cli.output import Answer, fields, note
from somatui.cli.problem import FAILED
from somatui.workers.protocol import VERSION


def _short(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--short", action="store_true", help="a quick look, with figures that say little")


def practice(args: Arguments) -> Answer:
    """A practice network under load."""
    from somatui.practice.bench import measure

    document = measure(args.short, note)
    rows = [(one["name"], f"{one['value']:,} {one['unit']}" if "unit" in one else f"× {one['ratio']}")
            for one in document["results"]]  # fmt: skip
    return Answer(document, fields([*rows, ("machine", ", ".join(f"{k} {v}" for k, v in document["machine"].items()))]))


def _score_options(parser: argparse.ArgumentParser) -> None:
    _short(parser)
    parser.add_argument("--rounds", metavar="N", type=at_least(1), help="rounds of each comparison (default 5)")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table instead of a list")


def score(args: Arguments) -> Answer:
    """Scoring beside the published packages; exit status 1 when a number is wrong, whatever the speeds."""
    job = {"job": "bench_score", "version": VERSION, "short": args.short, "rounds": args.rounds}
    document = worker("somatui.workers.bench_score", job, lambda done: note(f"{done:.0%} done"))
    failed = [gate["name"] for gate in document["gates"] if not gate["passed"]]
    below = [(name, ", ".join(f"{k} {v}" for k, v in document[name].items())) for name in ("machine", "model")]
    below.append(("gates", f"not passed: {', '.join(failed)}" if failed else "all passed"))
    rows = [(one["name"], *_told(one)) for one in document["results"]]
    if args.markdown:
        lines = ["| figure | beside the published packages | goal | met | what |", "|---|--:|--:|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        text = "\n".join([*lines, "", *(f"- {name}: {told}" for name, told in below)])
    else:
        short = [(name, "  ".join(filter(None, (found, f"{goal}: {met}" if goal else "", rest))))
                 for name, found, goal, met, rest in rows]  # fmt: skip
        text = fields([*short, *below])
    return Answer(document, text, FAILED if failed else 0)


def _told(one: dict[str, Any]) -> tuple[str, str, str, str]:
    """A figure, its goal, whether that is met, and its note, for people."""
    if why := one.get("skipped") or one.get("void"):
        return "–", "", "", f"{'skipped' if 'skipped' in one else 'void'}: {why}"
    found = f"{_number(one['value'])} {one['unit']}" if "unit" in one else f"× {_number(one['ratio'])}"
    goal, met = (f"≥ {_number(one['goal'])}", "met" if one["met"] else "NOT met") if "goal" in one else ("", "")
    return found, goal, met, one.get("note", "")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:g}"


VERBS = (
    Verb(
        "practice",
        "Measure a practice network: transactions a second, waiting, growth, epochs, memory (about two minutes).",
        "somatui bench practice --json",
        practice,
        _short,
    ),
    Verb(
        "score",
        "Measure scoring beside the published packages, numbers before speeds (five minutes of one core).",
        "somatui bench score --json",
        score,
        _score_options,
    ),
)
