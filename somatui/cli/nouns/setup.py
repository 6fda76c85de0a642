"""`somatui setup`: the guided setup on a terminal, or the same from a file without secrets in it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from somatui.cli.asked import descriptor_option
from somatui.cli.options import Arguments, Verb, paths_of, wants_json
from somatui.cli.output import Answer
from somatui.cli.problem import USAGE, Problem

SECRETS = {
    "passphrase": "the vault's passphrase", "auth": "the node's user:password or header",
    "key": "the wallet's secret key or words", "access": "the store's access key",
    "secret": "the store's secret key", "token": "the Hugging Face token", "webhook": "the webhook's address",
}  # fmt: skip
"""What is asked for without echo or read from a descriptor, and never stands in the file."""


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--answers", metavar="FILE", type=Path, help="do it without a screen, from this file")
    for name, what in SECRETS.items():
        descriptor_option(parser, name, what)


def run(args: Arguments) -> Answer:
    """Walk the operator through it, or do what the file says."""
    from somatui.hardening import harden_process

    harden_process()
    paths = paths_of(args)
    named = getattr(args, "profile", None) is not None
    if args.answers is not None:
        from somatui.cli.setup import from_file

        return from_file(paths, args, named=named)
    if wants_json(args) or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise Problem("The guided setup needs a terminal: run it in one, or give it --answers FILE.", USAGE)
    from somatui.tui.app import run_setup

    return Answer(None, status=run_setup(paths, named=named))


VERBS = (
    Verb("", "Set this machine up for a network, step by step.", "somatui setup", run, _options),
)  # fmt: skip
