"""`somatui ledger`: what the journal says about money, and whether the chain agrees to the shannon."""

from __future__ import annotations

from typing import Any

from somatui.cli import live
from somatui.cli.options import Arguments, Verb
from somatui.cli.output import Answer, amount, fields, table
from somatui.cli.problem import FAILED


def show(args: Arguments) -> Answer:
    """Every entry of the money table."""
    found: dict[str, Any] = live.call(args, "ledger.show")
    rows = [
        (
            str(entry.get("epoch", "")),
            str(entry.get("kind", "")),
            amount(int(entry.get("amount_shannons", 0)), 9, sign=True),
            str(entry.get("subject") or entry.get("digest") or ""),
        )
        for entry in found.get("entries", [])
    ]
    return Answer(found, table(">epoch what >amount subject", rows))


def reconcile(args: Arguments) -> Answer:
    """Hold the journal against the chain; status 1 when they differ."""
    found: dict[str, Any] = live.call(args, "ledger.reconcile")
    difference = int(found["difference_shannons"])
    text = fields([(k.removesuffix("_shannons").replace("_", " "), amount(int(v), 9)) for k, v in found.items()
                   if k.endswith("_shannons")])  # fmt: skip
    return Answer({"ok": difference == 0} | found, text, FAILED if difference else 0)


VERBS = (
    Verb("show", "List every entry of the journal's money table.", "somatui ledger show --json", show),
    Verb("reconcile", "Hold the journal against the chain, to the shannon.", "somatui ledger reconcile", reconcile),
)
