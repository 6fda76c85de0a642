"""`somatui doctor`: looks at everything that commonly is wrong and names the one thing that cures each."""

from __future__ import annotations

import argparse

from somatui.cli.options import Arguments, Verb
from somatui.cli.output import Answer


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fix", action="store_true", help="mend what is safe to mend, and say what was done")


def run(args: Arguments) -> Answer:
    """Look at everything."""
    from somatui.cli.doctor.run import doctor

    return doctor(args)


VERBS = (
    Verb("", "Look at everything that commonly is wrong, with the cure for each.", "somatui doctor --json", run,
         _options),
)  # fmt: skip
