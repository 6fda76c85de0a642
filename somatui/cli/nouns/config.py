"""`somatui config`: the settings that hold for a profile."""

from __future__ import annotations

import argparse

from somatui.cli.options import Arguments, Verb, paths_of
from somatui.cli.output import Answer, table


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--origin", action="store_true", help="say where each value came from")


def show(args: Arguments) -> Answer:
    """Every setting with its value, help and, if asked, origin."""
    from somatui.config import Settings, load

    config = load(paths_of(args))
    found = [(name, getattr(config.settings, name), config.origins[name]) for name in Settings.names()]
    document = {
        "profile": config.profile.name,
        "network": config.profile.network,
        "settings": {n: v for n, v, _ in found},
        "origins": {n: o for n, _, o in found},
    }
    shown = [(n, str(v).lower() if isinstance(v, bool) else str(v)) for n, v, _ in found]
    if args.origin:
        return Answer(
            document, table("setting value from", [(n, v, o) for (n, v), (_, _, o) in zip(shown, found, strict=True)])
        )
    return Answer(document, table("setting value meaning", [(n, v, Settings.help_of(n)) for n, v in shown]))


VERBS = (Verb("show", "Show the settings of the profile.", "somatui config show --origin", show, _options),)
