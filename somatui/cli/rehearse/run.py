"""`somatui practice rehearse`: tells what will go wrong, has it go wrong on a fresh network, and counts the loss."""

from __future__ import annotations

import asyncio
from textwrap import fill

from somatui.cli import live
from somatui.cli.day.home import cache_of, inhabited, opening
from somatui.cli.day.steps import Day
from somatui.cli.day.teller import Teller
from somatui.cli.options import Arguments
from somatui.cli.output import Answer, fields, table
from somatui.cli.problem import FAILED
from somatui.cli.rehearse.registry import WORLDS, world
from somatui.cli.rehearse.stage import Stage
from somatui.cli.rehearse.world import Outcome, World
from somatui.domain.money import soma_exact
from somatui.paths import Paths, make_private

STEPS = 1
"""Training steps of the network's models: a rehearsal scores nothing."""
WIDTH = 100


def listed() -> Answer:
    """Every rehearsal: its name, rule and title; with --json its texts too."""
    document = [
        {"name": w.name, "rule": w.rule, "title": w.title, "happens": w.happens, "costs": w.costs,
         "prevented_by": w.prevents}
        for w in WORLDS
    ]  # fmt: skip
    text = table("name rule what_goes_wrong", [(w.name, w.rule, w.title) for w in WORLDS])
    return Answer({"rehearsals": document}, f"{text}\n\nSee one with somatui practice rehearse {WORLDS[0].name}.")


def rehearse(args: Arguments) -> Answer:
    """One rehearsal on a state of its own; status 1 when the chain did not take exactly what the rules say."""
    chosen, teller = world(args.name), Teller()
    teller.say(f"Rehearsal {chosen.name} ({chosen.rule}): {chosen.title}.")
    for text in (f"What will happen: {chosen.happens}", f"On the real network it costs: {chosen.costs}"):
        teller.say(fill(text, WIDTH, subsequent_indent=" " * 10))
    with inhabited(args, teller) as paths:
        day, outcome = _play(chosen, paths, teller, args)
    return summary(chosen, day, outcome, paths, teller.seconds)


def _play(chosen: World, paths: Paths, teller: Teller, args: Arguments) -> tuple[Day, Outcome]:
    teller.live("making a network with three models that know nothing")
    from somatui.agent.client import ensure_agent
    from somatui.chain.client import Chain, Endpoints
    from somatui.practice.client import start_network

    folder, seed = make_private(paths.network_dir), args.seed
    info = start_network(folder, "free", seed, steps=STEPS, epoch_ms=chosen.epoch_ms, cache=cache_of(args))
    asyncio.run(ensure_agent(paths))
    teller.say(f"practice network at {info.rpc_url} and its agent started")
    endpoints = Endpoints(info.rpc_url, info.faucet_url, info.scoring_url, info.admin_url)

    async def played() -> tuple[Day, Outcome]:
        client = await live.connect(paths)
        day = Day(client, teller, seed, STEPS)
        try:
            await day.wait("the network to answer", lambda s: s.network.reachable and bool(s.wallet.address))
            return day, await chosen.play(Stage(day, info, Chain(endpoints), paths, seed))
        finally:
            await client.close()

    return asyncio.run(played())


def summary(chosen: World, day: Day, outcome: Outcome, paths: Paths, seconds: float) -> Answer:
    """What was lost to the shannon, what the chain says now, and what would have prevented it."""
    document = {
        "ok": outcome.as_ruled,
        "rehearsal": chosen.name,
        "rule": chosen.rule,
        "title": chosen.title,
        "lost_shannons": outcome.lost_shannons,
        "losses": [
            {"what": x.what, "lost_shannons": x.shannons, "by_the_rules_shannons": x.ruled_shannons}
            for x in outcome.losses
        ],
        "seen": list(outcome.seen),
        "costs": chosen.costs,
        "prevented_by": chosen.prevents,
        "epochs": day.epochs,
        "seconds": round(seconds, 1),
        "seed": day.seed,
        "state": str(paths.home),
    }
    rows = [(x.what, _counted(x.shannons, x.ruled_shannons)) for x in outcome.losses]
    said = "what the rules say" if outcome.as_ruled else "NOT what the rules say: please report it"
    rows.append(("lost", f"{soma_exact(outcome.lost_shannons)} SOMA, {said}"))
    rows += [("on the chain", seen) for seen in outcome.seen]
    rows += [("took", f"{seconds:.0f} s"), ("open the console", opening(paths.home))]
    prevented = fill(f"What prevents it: {chosen.prevents}", WIDTH)
    return Answer(document, f"{fields(rows)}\n\n{prevented}", 0 if outcome.as_ruled else FAILED)


def _counted(shannons: int, ruled: int) -> str:
    return f"{soma_exact(shannons)} SOMA" + ("" if shannons == ruled else f", by the rules {soma_exact(ruled)}")
