"""Where a day or a rehearsal lives: a state of its own, watched over, with nothing left running at its end.

Everything started on it is stopped, whatever happens: by the end, by an error, by Ctrl-C, SIGTERM, SIGHUP, and by the
guard when this process is killed.
"""

from __future__ import annotations

import contextlib
import shlex
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from somatui.cli.day.guard import guarded
from somatui.cli.day.teller import Teller
from somatui.cli.options import Arguments
from somatui.cli.problem import USAGE, Problem
from somatui.cli.stop import children, forget, stop_everything
from somatui.paths import Paths, make_private, program

PROFILE = "practice"
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def inhabited(args: Arguments, teller: Teller) -> Iterator[Paths]:
    """A fresh state in --state, --home or a new temporary folder, until the block ends. Raises Problem."""
    paths = Paths.for_profile(PROFILE, _state(args)).create()
    teller.say(f"state in {paths.home}")
    with guarded(paths), _signals_raise():
        try:
            yield paths
        finally:
            teller.end()
            with _undisturbed():
                for complaint in stop_everything(paths, also=children()):
                    teller.say(complaint)
                _forget_what_never_began(args, paths)


def opening(state: Path | None) -> str:
    """The line that opens the console on a state, as this command can be typed where it was typed."""
    return f"{program()} --home {shlex.quote(str(state))}"


def cache_of(args: Arguments) -> Path | None:
    """Where trained models of earlier networks are looked for: under --home where that is given, else the usual place.

    --state moves the day alone: what only saves time need not be made anew for each.
    """
    home: Path | None = getattr(args, "home", None)
    return None if home is None else Paths.for_profile(PROFILE, home).seeds_cache


def _state(args: Arguments) -> Path:
    chosen: Path | None = args.state if args.state is not None else getattr(args, "home", None)
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix="somatui-practice-"))
    state = make_private(chosen.expanduser().absolute())
    if any((state / "state").glob("*/*")):
        raise Problem(
            f"{state} holds a practice state already: name an empty folder, or open it with {opening(state)}.", USAGE
        )
    return state


def _forget_what_never_began(args: Arguments, paths: Paths) -> None:
    """Delete the temporary folder of a day whose network wrote nothing: there is nothing in it to look at."""
    chosen = args.state is not None or getattr(args, "home", None) is not None
    if not chosen and paths.home is not None and not any(paths.network_dir.glob("*")):
        forget(paths.home)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end the day like Ctrl-C does, with everything stopped."""

    def leave(number: int, _frame: object) -> None:
        # No Exception: whatever runs just now may expect some of those and go on.
        raise KeyboardInterrupt(f"Stopped by {signal.Signals(number).name}.")

    before = {name: signal.signal(name, leave) for name in SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """No signal cuts the stopping short."""
    before = {name: signal.signal(name, signal.SIG_IGN) for name in (signal.SIGINT, *SIGNALS)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
