"""`somatui practice run`: starts a network and an agent, spends the day on them, stops them, and sums up.

Everything started here is stopped here, whatever happens: by the end, by an error, by Ctrl-C, SIGTERM, SIGHUP, and by
the guard when this process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from somatui.cli import live
from somatui.cli.day.guard import guarded
from somatui.cli.day.steps import Day
from somatui.cli.day.teller import Teller
from somatui.cli.options import Arguments
from somatui.cli.output import Answer, amount, fields
from somatui.cli.problem import FAILED, INTERRUPTED, USAGE, Problem
from somatui.cli.stop import children, forget, stop_everything
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths, make_private

PROFILE = "practice"
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def spend_the_day(args: Arguments) -> Answer:
    """The whole day on a state of its own; status 1 when it did not come out as it should."""
    paths = Paths.for_profile(PROFILE, _state(args)).create()
    teller = Teller()
    teller.say(f"state in {paths.home}")
    with guarded(paths), _signals_raise():
        try:
            day, seen = _spend(paths, teller, args)
        finally:
            teller.end()
            with _undisturbed():
                for complaint in stop_everything(paths, also=children()):
                    teller.say(complaint)
                _forget_what_never_began(args, paths)
    return summary(day, seen, paths, teller.seconds)


def _state(args: Arguments) -> Path:
    chosen: Path | None = args.state if args.state is not None else getattr(args, "home", None)
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix="somatui-practice-"))
    state = make_private(chosen.expanduser().absolute())
    if any((state / "state").glob("*/*")):
        raise Problem(
            f"{state} holds a practice state already: name an empty folder, or open it with {_open(state)}.", USAGE
        )
    return state


def _forget_what_never_began(args: Arguments, paths: Paths) -> None:
    """Delete the temporary folder of a day whose network wrote nothing: there is nothing in it to look at."""
    chosen = args.state is not None or getattr(args, "home", None) is not None
    if not chosen and paths.home is not None and not any(paths.network_dir.glob("*")):
        forget(paths.home)


def _open(state: Path | None) -> str:
    return f"somatui --home {state}"


def _spend(paths: Paths, teller: Teller, args: Arguments) -> tuple[Day, Snapshot]:
    teller.live("making a network and training its three models a little")
    from somatui.agent.client import ensure_agent
    from somatui.practice.client import start_network

    info = start_network(make_private(paths.network_dir), "free", args.seed)
    teller.say(f"practice network at {info.rpc_url}, three models active")
    asyncio.run(ensure_agent(paths, PROFILE))
    teller.say("agent started")
    return asyncio.run(_day(paths, teller, args))


async def _day(paths: Paths, teller: Teller, args: Arguments) -> tuple[Day, Snapshot]:
    client = await live.connect(paths)
    try:
        day = Day(client, teller, args.seed, args.steps)
        return day, await day.run()
    finally:
        await client.close()


def summary(day: Day, seen: Snapshot, paths: Paths, seconds: float) -> Answer:
    """The table, the document of cli.md, and the line that opens the console on this state."""
    ledger = seen.ledger
    difference = int(day.reconciled["difference_shannons"])
    ok = difference == 0 and ledger.hits > 0 and ledger.earned_shannons > 0 and ledger.reveals > 0
    document = {
        "ok": ok,
        "epochs": day.epochs,
        "hits_submitted": ledger.hits,
        "claimed_shannons": ledger.earned_shannons,
        "bonds_returned_shannons": ledger.bonds_returned_shannons,
        "reveals": ledger.reveals,
        "fees_shannons": ledger.fees_shannons,
        "ledger_difference_shannons": difference,
        "seconds": round(seconds, 1),
        "seed": day.seed,
        "state": str(paths.home),
    }
    text = fields(
        [
            ("earned", amount(ledger.earned_shannons, 9)),
            ("fees", amount(ledger.fees_shannons, 9)),
            ("bonds returned", amount(ledger.bonds_returned_shannons, 9)),
            ("hits", f"{ledger.hits} submitted, {ledger.claims} claimed"),
            ("reveals", str(ledger.reveals)),
            ("ledger difference", f"{difference} shannons"),
            ("epochs", str(day.epochs)),
            ("took", f"{seconds:.0f} s"),
            ("open the console", _open(paths.home)),
        ]
    )
    return Answer(document, text, 0 if ok else FAILED)


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """SIGTERM and SIGHUP end the day like Ctrl-C does, with everything stopped."""

    def leave(number: int, _frame: object) -> None:
        raise Problem(f"Stopped by {signal.Signals(number).name}.", INTERRUPTED)

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
