"""Opens the console: decides whether there is something to show, runs the application, and says what goes on after."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from somatui.paths import Paths
from somatui.tui.early import Frame
from somatui.tui.offer import Line, known_network, offer, room

if TYPE_CHECKING:
    from somatui.tui.console import SomatuiApp


def run(paths: Paths) -> int:
    """Open the console of `paths`' profile on this terminal and stay until the operator leaves; the exit status.

    Raises ConfigError for settings that cannot be used, before the terminal is touched.
    """
    from somatui.config import load
    from somatui.domain.networks import standing, words

    config = load(paths)
    if not sys.stderr.isatty():
        return _redirected()
    profile, theme = config.profile, config.settings.theme
    first = profile.network == "practice" and needs_first_screen(paths)
    gc.disable()
    name = words(profile.network, profile.colour, profile.name)
    frame = Frame(name, standing(profile.network, profile.colour), theme, _offered(paths) if first else None)

    def make() -> SomatuiApp:
        from somatui.domain.snapshot import NetworkView

        network = NetworkView(profile.name, profile.network, colour=profile.colour)
        return _make(paths, theme, painted=frame.painted, network=network, first=first)

    return _stay(frame, make)


def run_setup(paths: Paths, *, named: bool) -> int:
    """Open the guided setup, and the console when it is done; `named`: the operator has named the profile.

    Raises ConfigError for settings that cannot be used, before the terminal is touched.
    """
    from somatui.config import ConfigError, load

    if not sys.stderr.isatty():
        return _redirected()
    try:
        theme = load(paths).settings.theme
    except ConfigError:
        if paths.config_file.exists():
            load(Paths.for_profile("practice", paths.home))
        theme = "dark"
    gc.disable()
    frame = Frame("", "testnet", theme, setup=True)

    def make() -> SomatuiApp:
        from somatui.tui.setup.walk import Walk

        return _make(paths, theme, painted=frame.painted, walk=Walk.begin(paths, named=named))

    return _stay(frame, make)


def _redirected() -> int:
    sys.stdout.write("The console paints on standard error, which is no terminal here: do not redirect it.\n")
    return 2


def _stay(frame: Frame, make: Callable[[], SomatuiApp]) -> int:
    """Run the application until it closes, and the console of the profile that it wants to open then."""
    crashed = True
    try:
        app = make()
        status = app.run()
        crashed = False
    finally:
        frame.end(crashed=crashed)
    if app.reopen is not None:
        return run(app.reopen)
    if app.farewell:
        sys.stdout.write(app.farewell + "\n")
    return status if status is not None else app.return_code or 0


def _offered(paths: Paths) -> list[Line]:
    cells = room(shutil.get_terminal_size().columns)
    return offer(cells, str(paths.config_file), known=known_network(paths))


def _make(paths: Paths, theme: str, *, painted: bool, **more: Any) -> SomatuiApp:
    from somatui.tui.console import SomatuiApp
    from somatui.tui.driver import KeptScreen, Terminal

    return SomatuiApp(paths, theme, driver_class=KeptScreen if painted else Terminal, **more)


def needs_first_screen(paths: Paths) -> bool:
    """Whether neither an agent nor a practice network is there to look at."""
    return not _agent_answers(paths) and not network_runs(paths)


def _agent_answers(paths: Paths) -> bool:
    if not paths.socket.exists():
        return False
    import socket

    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(paths.socket))
        except OSError:
            return False
    return True


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
