"""The setup as a value: which step is on, which are done or skipped, what comes next, and its form in a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from somatui.domain.secret_names import node
from somatui.domain.setup.steps import NETWORKS, PURPOSES, STEPS, Answers, Known, Step, taken

VERSION = 1
MARKS = ("done", "skipped")
FROM_THE_NETWORK = ("purpose", "network", "profile", "rpc_url", "faucet_url")
"""Answers with which everything after them is asked anew."""
_PASSWORD = re.compile(r"//[^/?#]*@")
VAULT_KEEPS = ("storage", "huggingface")
"""Steps whose keys the vault keeps."""


class SetupError(ValueError):
    """The setup cannot go that way; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Setup:
    """Where a setup stands. Values are new ones after each step; nothing in it is secret."""

    answers: Answers = Answers()
    marks: tuple[tuple[str, str], ...] = ()
    at: str = "purpose"

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps that the answers so far need, in order."""
        return tuple(step for step in taken(self.answers) if step.name not in self.without_vault)

    @property
    def without_vault(self) -> tuple[str, ...]:
        """Steps that are left out because the vault is: nothing would keep their keys."""
        return VAULT_KEEPS if self.mark("vault") == "skipped" else ()

    @property
    def step(self) -> Step:
        """The step that is on."""
        return next(s for s in self.steps if s.name == self.at)

    @property
    def number(self) -> int:
        """Its place, counted from 1."""
        return self.steps.index(self.step) + 1

    def mark(self, name: str) -> str:
        """`done`, `skipped` or `open`."""
        return dict(self.marks).get(name, "open")

    @property
    def finished(self) -> bool:
        """Whether the last step is behind."""
        return self.mark(self.steps[-1].name) == "done"

    def answered(self, **changes: str) -> Setup:
        """With other answers; where they mean another network or purpose, what followed is open again."""
        answers = replace(self.answers, **changes)
        before = self.answers
        if any(getattr(answers, n) != getattr(before, n) for n in FROM_THE_NETWORK):
            return Setup(answers, tuple(m for m in self.marks if m[0] == "purpose"), self.at)
        return replace(self, answers=answers)

    def done(self) -> Setup:
        """The step is done; the next open one is on."""
        return self._marked("done")

    def skipped(self) -> Setup:
        """The step is left out. Raises SetupError where that cannot be."""
        if not self.step.skip:
            raise SetupError(f"“{self.step.title}” cannot be skipped.")
        return self._marked("skipped")

    def back(self) -> Setup:
        """The step before; the first one stays."""
        return replace(self, at=self.steps[max(0, self.number - 2)].name)

    def resumed(self, known: Known) -> Setup:
        """Where to go on after a break: at the step that was on, but first at the vault where it has locked since, and
        at the network where the line broke before its password could be kept."""
        first = ""
        if self.mark("vault") == "done" and known.locked:
            first = "vault"
        elif self.answers.auth and self.mark("network") == "done" and not known.keeps(node(self.answers.name)):
            first = "" if known.vault and known.locked else "network"
        return Setup(self.answers, tuple(m for m in self.marks if m[0] != first), first) if first else self

    def _marked(self, mark: str) -> Setup:
        marks = dict(self.marks) | {self.at: mark}
        marked = replace(self, marks=tuple(marks.items()))
        after = [s.name for s in marked.steps[marked.number :]]
        ahead = [name for name in after if name not in marks]
        following = (ahead or after[-1:] or [self.at])[0]
        return Setup(self.answers, tuple(marks.items()), following)


def to_json(setup: Setup) -> dict[str, Any]:
    """As it stands in the resume file, without addresses that have a password in them."""
    answers = {f.name: getattr(setup.answers, f.name) for f in fields(Answers)}
    answers |= {name: "" for name, value in answers.items() if _PASSWORD.search(str(value))}
    return {"version": VERSION, "at": setup.at, "marks": dict(setup.marks), "answers": answers}


def from_json(found: Any) -> Setup:
    """The setup of a resume file. Raises SetupError for what no setup has written."""
    wrong = SetupError("What was kept of an earlier setup cannot be read: it begins anew.")
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise wrong
    answers, marks = found.get("answers"), found.get("marks")
    known = {f.name for f in fields(Answers)}
    if not isinstance(answers, Mapping) or not isinstance(marks, Mapping) or not set(answers) <= known:
        raise wrong
    if not all(isinstance(v, str) for v in (*answers.values(), *marks.values())) or not set(marks.values()) <= {*MARKS}:
        raise wrong
    setup = Setup(Answers(**answers), tuple(marks.items()), str(found.get("at")))
    if setup.answers.purpose not in dict(PURPOSES) or setup.answers.network not in dict(NETWORKS):
        raise wrong
    if setup.at not in {s.name for s in setup.steps} or not set(marks) <= {s.name for s in STEPS}:
        raise wrong
    return setup
