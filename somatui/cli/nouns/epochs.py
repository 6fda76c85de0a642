"""`somatui epochs`: the clock, the difficulty and the reward of the current epoch."""

from __future__ import annotations

from somatui.cli import live
from somatui.cli.options import Arguments, Verb, clock_ms
from somatui.cli.output import Answer, amount, fields
from somatui.domain.deadline import span


def show(args: Arguments) -> Answer:
    """The current epoch."""
    epoch = live.snapshot(args).epoch
    document = {"epoch": epoch, "ends_at_ms": epoch.ends_at_ms}
    text = fields(
        [
            ("epoch", str(epoch.number)),
            ("ends", f"in {span(epoch.ends_at_ms - clock_ms())} at the earliest"),
            ("threshold", f"{epoch.threshold:.6f}"),
            ("reward", f"{amount(epoch.reward_shannons, 9)} a target"),
            ("hits", f"{epoch.hits:,} of {epoch.hits_wanted:,} wanted"),
            ("targets", f"{epoch.targets_generated:,} generated"),
            ("emission", f"{amount(epoch.emission_per_epoch_shannons)} an epoch"),
        ]
    )
    return Answer(document, text)


VERBS = (Verb("show", "Show the current epoch.", "somatui epochs show --json", show),)
