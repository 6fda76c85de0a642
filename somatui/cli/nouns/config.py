"""`somatui config`: the settings that hold for a profile."""

from __future__ import annotations

import argparse

from somatui.cli.options import Arguments, Verb, paths_of, profile_of
from somatui.cli.output import Answer, table


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--origin", action="store_true", help="say where each value came from")


def show(args: Arguments) -> Answer:
    """Every setting with its value, help and, if asked, origin; before them profile and network."""
    from somatui.config import Settings, load

    config = load(paths_of(args))
    origins = {"profile": profile_of(args)[1], **config.origins}
    values = {name: getattr(config.settings, name) for name in Settings.names()}
    names = {"profile": config.profile.name, "network": config.profile.network}
    document = {**names, "settings": values, "origins": origins}
    shown = {n: str(v).lower() if isinstance(v, bool) else str(v) for n, v in (names | values).items()}
    if args.origin:
        return Answer(document, table("setting value from", [(n, v, origins[n]) for n, v in shown.items()]))
    return Answer(document, table("setting value meaning", [(n, shown[n], Settings.help_of(n)) for n in values]))


VERBS = (Verb("show", "Show the settings of the profile.", "somatui config show --origin", show, _options),)
