"""`somatui bench`: how fast this machine does what the console lives on."""

from __future__ import annotations

import argparse

from somatui.cli.options import Arguments, Verb
from somatui.cli.output import Answer, fields, note


def _short(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--short", action="store_true", help="a quick look, with figures that say little")


def practice(args: Arguments) -> Answer:
    """A practice network under load."""
    from somatui.practice.bench import measure

    document = measure(args.short, note)
    rows = [(one["name"], f"{one['value']:,} {one['unit']}" if "unit" in one else f"× {one['ratio']}")
            for one in document["results"]]  # fmt: skip
    return Answer(document, fields([*rows, ("machine", ", ".join(f"{k} {v}" for k, v in document["machine"].items()))]))


VERBS = (
    Verb(
        "practice",
        "Measure a practice network: transactions a second, waiting, growth, epochs, memory (about two minutes).",
        "somatui bench practice --json",
        practice,
        _short,
    ),
)
