"""`somatui paths`: where everything of the chosen profile is kept."""

from __future__ import annotations

from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, fields


def run(args: Arguments) -> Answer:
    """Every place by name; nothing is created."""
    places = {name: str(place) for name, place in paths_of(args).listing().items()}
    return Answer(places, fields((name.replace("_", " "), place) for name, place in places.items()))


VERBS = (Verb("", "Show where everything is kept.", "somatui paths --json", run),)
