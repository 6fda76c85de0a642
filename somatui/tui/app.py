"""Opens the console: decides whether there is something to show, runs the application, and says what goes on after."""

from __future__ import annotations

import os
import sys

from somatui.paths import Paths


def run(paths: Paths) -> int:
    """Open the console of `paths`' profile on this terminal and stay until the operator leaves; the exit status.

    Raises ConfigError for settings that cannot be used, before the terminal is touched.
    """
    from somatui.config import load

    config = load(paths)
    first = config.profile.network == "practice" and needs_first_screen(paths)
    from somatui.tui.console import SomatuiApp

    app = SomatuiApp(paths, config.settings.theme, first=first)
    status = app.run()
    if app.farewell:
        sys.stdout.write(app.farewell + "\n")
    return status if status is not None else app.return_code or 0


def needs_first_screen(paths: Paths) -> bool:
    """Whether neither an agent nor a practice network is there to look at."""
    return not paths.socket.exists() and not network_runs(paths)


def network_runs(paths: Paths) -> bool:
    """Whether the practice network's card names a process that is alive."""
    from somatui.config import practice_network

    card = practice_network(paths)
    if card is None:
        return False
    try:
        os.kill(card.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
