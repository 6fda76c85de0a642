"""`somatui practice run`: starts a network and an agent, spends the day on them, and sums up.

What is started here is stopped by the home it lives in.
"""

from __future__ import annotations

import asyncio

from somatui.cli import live
from somatui.cli.day.home import cache_of, inhabited, opening
from somatui.cli.day.steps import Day
from somatui.cli.day.teller import Teller
from somatui.cli.options import Arguments
from somatui.cli.output import Answer, amount, fields
from somatui.cli.problem import FAILED
from somatui.domain.snapshot import Snapshot
from somatui.paths import Paths, make_private


def spend_the_day(args: Arguments) -> Answer:
    """The whole day on a state of its own; status 1 when it did not come out as it should."""
    teller = Teller()
    with inhabited(args, teller) as paths:
        day, seen = _spend(paths, teller, args)
    return summary(day, seen, paths, teller.seconds)


def _spend(paths: Paths, teller: Teller, args: Arguments) -> tuple[Day, Snapshot]:
    teller.live("making a network and training its three models a little")
    from somatui.agent.client import ensure_agent
    from somatui.practice.client import start_network

    info = start_network(make_private(paths.network_dir), "free", args.seed, cache=cache_of(args))
    teller.say(f"practice network at {info.rpc_url}, three models active")
    asyncio.run(ensure_agent(paths))
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
    """The table, the document that scripts rely on, and the line that opens the console on this state."""
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
            ("open the console", opening(paths.home)),
        ]
    )
    return Answer(document, text, 0 if ok else FAILED)
