"""The guided setup without a screen: answers from a TOML file, secrets from descriptors or a prompt, one summary.

The steps, and what each does, are the same as on the screen (`tui.setup`).
"""

from __future__ import annotations

import asyncio
import re
import sys
import tomllib
from dataclasses import fields
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from somatui.cli.aside import on_terminal
from somatui.cli.asked import given_text
from somatui.cli.options import Arguments
from somatui.cli.output import Answer, note
from somatui.cli.output import fields as aligned
from somatui.cli.problem import FAILED, USAGE, Problem
from somatui.domain.report import Report
from somatui.domain.setup.after import summary, what_next
from somatui.domain.setup.steps import NETWORKS, PURPOSES, STEPS, Answers, Field, shown
from somatui.paths import Paths, command

if TYPE_CHECKING:
    from somatui.tui.setup.walk import Walk

ASKED = tuple(f.name for f in fields(Answers) if f.name not in ("auth", "machine"))
SECRET_LOOKS = (
    ("a Bech32 secret key", re.compile(r"somaprivkey1", re.I)),
    ("a Hugging Face token", re.compile(r"^hf_[A-Za-z0-9]{8,}")),
    ("an address with a password in it", re.compile(r"^https?://[^/@\s]+:[^/@\s]+@")),
    ("a webhook's address", re.compile(r"^https://(hooks\.slack\.com|discord(app)?\.com/api/webhooks|api\.telegram\.org/bot)")),
    ("a wallet's words", re.compile(r"^([a-z]{3,8}\s+){11}")),
)  # fmt: skip
"""What in a value of the file gives a secret away."""


def from_file(paths: Paths, args: Arguments, *, named: bool) -> Answer:
    """Do every step with the answers of --answers. Raises Problem for a file that cannot be used."""
    answers = read_answers(args.answers)
    if named:
        answers["profile"] = paths.profile
    return asyncio.run(_walk(paths, answers, Secrets(args)))


def read_answers(file: Path) -> dict[str, Any]:
    """The file's answers, looked through for words that are no answers and for secrets. Raises Problem."""
    try:
        found = tomllib.loads(file.read_text("utf-8"))
    except OSError as failure:
        raise Problem(
            f"{file} cannot be read ({(failure.strerror or '').lower()}): name another file.", USAGE
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise Problem(f"{file} is not valid TOML ({wrong}): correct that line.", USAGE) from None
    from somatui.cli.nouns.setup import SECRETS

    for name, value in found.items():
        if name in SECRETS or any(word in name.lower() for word in ("password", "secret", "mnemonic", "token")):
            descriptor = f"--{name}-fd N" if name in SECRETS else "its own --…-fd option"
            raise Problem(f"{name} is a secret and does not belong into {file}: give it by {descriptor}.", USAGE)
        if name == "skip":
            _check_skip(file, value)
        elif name not in ASKED or not isinstance(value, str):
            raise Problem(f"{name} in {file} is no answer: texts are wanted for {', '.join(ASKED)}, and skip.", USAGE)
        elif what := next((what for what, look in SECRET_LOOKS if look.search(value)), ""):
            raise Problem(f"{name} in {file} looks like {what}: take it out, it is asked for when it is needed.", USAGE)
    for name, known in (("purpose", PURPOSES), ("network", NETWORKS)):
        if found.get(name, known[0][0]) not in dict(known):
            raise Problem(f"{name} in {file} must be one of {', '.join(dict(known))}.", USAGE)
    return found


def _check_skip(file: Path, value: Any) -> None:
    may = [step.name for step in STEPS if step.skip]
    if not isinstance(value, list) or not all(name in may for name in value):
        raise Problem(f"skip in {file} must be a list of steps out of {', '.join(may)}.", USAGE)


class Secrets:
    """Secrets by name: each descriptor is read once, what has none is asked for where there is a terminal."""

    def __init__(self, args: Arguments) -> None:
        self._args = args
        self._taken: dict[str, str] = {}

    def given(self, name: str) -> bool:
        """Whether one comes by a descriptor."""
        return getattr(self._args, f"{name}_fd", None) is not None

    def take(self, field: Field) -> str:
        """The secret, '' where there is neither a descriptor nor a terminal. Raises Problem for a bad descriptor."""
        name = "passphrase" if field.name == "again" else field.name
        if name not in self._taken and self.given(name):
            self._taken[name] = given_text(self._args, name) or ""
        if name in self._taken:
            return self._taken[name]
        if on_terminal():
            hint = f" ({field.hint})" if field.hint else ""
            return getpass(f"{field.label}{hint}: ", stream=sys.stderr)
        return ""


async def _walk(paths: Paths, answers: dict[str, Any], secrets: Secrets) -> Answer:
    from somatui.tui.setup.walk import Walk

    walk = Walk(paths)
    skip = set(answers.pop("skip", ()))
    walk.answered(**{name: str(value) for name, value in answers.items()})
    steps: list[dict[str, Any]] = []
    facts: dict[str, Any] = {}
    try:
        while not walk.setup.finished:
            step = walk.setup.step
            if step.name in skip:
                walk.skip()
                steps.append({"name": step.name, "state": "skipped", "detail": step.skip, "lines": []})
                continue
            report = await walk.perform(_entered(walk, secrets), lambda text: note(f"{text}…"))
            if report.facts.get("mnemonic"):
                note("The new wallet's words are on no paper yet: somatui wallet export --form words shows them.")
            facts |= {k: v for k, v in report.facts.items() if k in ("free_shannons", "address")}
            state = "done" if report.ok else "failed"
            steps.append(
                {"name": step.name, "state": state, "detail": _first(report), "lines": list(report.told()["lines"])}
            )
            if not report.ok:
                return _answer(walk, steps, facts, report)
            walk.accept()
        return _answer(walk, steps, facts, None)
    finally:
        await walk.close()


def _entered(walk: Walk, secrets: Secrets) -> dict[str, str]:
    """What the step is told: the file's answers, the profile's own wallet instead of a second new one, secrets."""
    values = {f.name: f.value for f in walk.fields}
    if walk.setup.at == "wallet":
        values["wallet"] = _which_wallet(walk)
    asked = shown(walk.fields, values)
    entered = {f.name: values[f.name] for f in asked if not f.secret}
    for field in asked:
        if not field.secret:
            continue
        if "already" in field.hint and not secrets.given(field.name):
            continue
        if field.name in ("webhook", "auth") and not secrets.given(field.name):
            continue
        entered[field.name] = secrets.take(field)
    return entered


def _which_wallet(walk: Walk) -> str:
    answers, have = walk.setup.answers, walk.known.wallets
    wanted = answers.wallet or "new"
    label = answers.label or "main"
    same = [w.address for w in have if w.label == label or w.address == answers.address.removeprefix("0x")]
    return same[0] if same and wanted in ("new", "watch") else wanted


def _first(report: Report) -> str:
    trouble = report.trouble
    return trouble.sentence if trouble is not None else "; ".join(line.detail for line in report.lines[:1])


def _answer(walk: Walk, steps: list[dict[str, Any]], facts: dict[str, Any], broken: Report | None) -> Answer:
    answers = walk.setup.answers
    document: dict[str, Any] = {
        "ok": broken is None,
        "profile": answers.name,
        "network": answers.network,
        "address": facts.get("address") or answers.address,
        "free_shannons": int(facts.get("free_shannons") or 0),
        "steps": steps,
    }
    if broken is not None:
        step = walk.setup.step
        trouble = broken.trouble
        sentence = trouble.sentence if trouble else "It failed."
        document["error"] = f"{step.title}: {sentence}"
        text = f"{document['error']}" + (
            f'\nTo leave it out: skip = ["{step.name}"] ({step.skip}).' if step.skip else ""
        )
        return Answer(document, text, FAILED)
    rows = [(name, value) for name, value, _ in summary(walk.setup, walk.known.backend)]
    after = what_next(walk.setup, command(walk.paths))
    return Answer(document, f"{aligned(rows)}\n\nWhat next\n{aligned(after)}")
