"""One check made before an act, and what the act costs: the vocabulary of preflight and the confirm panel."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One thing the chain will look at, looked at here first; `text` says what holds, or the cure."""

    ok: bool
    text: str


def check(ok: bool, holds: str, cure: str) -> Check:
    """One check with what it says either way."""
    return Check(ok, holds if ok else cure)


@dataclass(frozen=True, slots=True)
class Consequence:
    """What an act does, costs and puts at stake, before it is signed."""

    title: str
    effect: str
    fee_shannons: int = 0
    spends_shannons: int = 0
    locks_shannons: int = 0
    gains_shannons: int = 0
    at_stake_shannons: int = 0
    at_stake_text: str = ""
    irreversible: bool = False
    typed_word: str | None = None


def refusal(checks: tuple[Check, ...]) -> str | None:
    """The first failed check as the sentence to show, or None when all hold."""
    return next((c.text for c in checks if not c.ok), None)
