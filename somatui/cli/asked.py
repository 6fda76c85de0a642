"""Secrets for a command: typed without echo, or read from a descriptor; never from words or the environment."""

from __future__ import annotations

import argparse
import sys

from somatui.cli.options import Arguments
from somatui.cli.problem import USAGE, Problem
from somatui.hardening import harden_process

MOST_BYTES = 1024 * 1024


def descriptor_option(parser: argparse.ArgumentParser, name: str, what: str) -> None:
    """Add `--name-fd N`."""
    parser.add_argument(f"--{name}-fd", metavar="N", type=int, help=f"read {what} from this open descriptor")


def given(args: Arguments, name: str) -> bytes | None:
    """What the descriptor of `--name-fd` holds, whole; None where none was named. Raises Problem."""
    number: int | None = getattr(args, f"{name.replace('-', '_')}_fd", None)
    if number is None:
        return None
    harden_process()
    try:
        with open(number, "rb") as pipe:
            found = pipe.read(MOST_BYTES + 1)
    except (OSError, ValueError):
        raise Problem(
            f"Descriptor {number} of --{name}-fd cannot be read: open it in the same line, as in {number}<FILE.",
            USAGE,
        ) from None
    if not found or len(found) > MOST_BYTES:
        raise Problem(f"Descriptor {number} of --{name}-fd holds nothing, or far too much.", USAGE)
    return found


def given_text(args: Arguments, name: str) -> str | None:
    """The same as text without the end of its line. Raises Problem."""
    found = given(args, name)
    try:
        return None if found is None else found.decode("utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Problem(f"What --{name}-fd gives is not UTF-8 text.", USAGE) from None


def passphrase(args: Arguments, name: str, prompt: str, *, twice: bool = False) -> str:
    """A passphrase by `--name-fd`, else typed; a new one is typed twice. Raises Problem."""
    found = given_text(args, name)
    if found is not None:
        return found
    typed = hidden(prompt, name)
    if twice and hidden("Once more: ", name) != typed:
        raise Problem("The two are not the same: nothing was done.")
    return typed


def value(args: Arguments, name: str, prompt: str) -> bytes:
    """A secret by `--name-fd`, else typed; without the end of its line. Raises Problem."""
    found = given(args, name)
    if found is not None:
        return found.removesuffix(b"\n").removesuffix(b"\r")
    return hidden(prompt, name).encode()


def hidden(prompt: str, name: str) -> str:
    """A line typed without echo. Raises Problem where there is no terminal or nothing was typed."""
    if not sys.stdin.isatty():
        raise Problem(f"There is no terminal to type it on: give it with --{name}-fd N.", USAGE)
    import getpass

    harden_process()
    try:
        typed = getpass.getpass(prompt, sys.stderr)
    except EOFError:
        typed = ""
    if not typed:
        raise Problem("Nothing was typed: nothing was done.")
    return typed
