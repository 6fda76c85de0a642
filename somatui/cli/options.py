"""What every verb is made of: its options, how words become amounts and ids, and where its profile lives."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from somatui.cli.output import Answer
from somatui.cli.problem import USAGE, Problem
from somatui.domain.money import AmountError, parse_amount
from somatui.paths import Paths

Arguments = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb: its name (empty where the noun itself acts), help, example, options and what it does."""

    name: str
    help: str
    example: str
    run: Callable[[Arguments], Answer]
    options: Callable[[argparse.ArgumentParser], None] | None = None
    acts: bool = False


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence, raised and not printed."""

    def error(self, message: str) -> NoReturn:
        """Raise the complaint as Problem with status 2."""
        raise Problem(f"{self.prog}: {message.rstrip('.')}; see {self.prog} --help.", USAGE)


def common() -> Parser:
    """The options that every verb takes, before or after it."""
    parent = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = parent.add_argument_group("everywhere")
    group.add_argument("--json", action="store_true", help="print one JSON document on stdout and nothing else")
    group.add_argument(
        "--profile", metavar="NAME", help="the profile to use (default: practice, or the configured one)"
    )
    group.add_argument("--home", metavar="FOLDER", type=Path, help="keep settings, state and cache in this folder")
    return parent


def add_acting(parser: argparse.ArgumentParser) -> None:
    """--yes and --dry-run, for verbs that change something."""
    parser.add_argument("--yes", "-y", action="store_true", help="do it without asking")
    parser.add_argument("--dry-run", action="store_true", help="let the node try it, sign nothing")


def amount(text: str) -> int:
    """An argparse type: `1.5` SOMA or `1500sh`, in shannons."""
    try:
        return parse_amount(text)
    except AmountError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def at_least(least: int) -> Callable[[str], int]:
    """An argparse type: a whole number not below `least`."""

    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"“{text}” is not a whole number of at least {least}")
        return int(text)

    return number


def paths_of(args: Arguments) -> Paths:
    """The places of the chosen profile: --profile, $SOMATUI_PROFILE, config.toml, else practice."""
    return Paths.for_profile(profile_of(args)[0], getattr(args, "home", None))


def profile_of(args: Arguments) -> tuple[str, str]:
    """The chosen profile, and where that comes from: typed, environment, config, default."""
    name: str | None = getattr(args, "profile", None)
    if name is not None:
        return name, "typed"
    from somatui.config import chosen_profile

    return chosen_profile(Paths.for_profile("practice", getattr(args, "home", None)))


def wants_json(args: Arguments) -> bool:
    """Whether --json was typed."""
    return bool(getattr(args, "json", False))


def clock_ms() -> int:
    """Now, in ms since 1970."""
    return time.time_ns() // 1_000_000
