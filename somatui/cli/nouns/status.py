"""`somatui status`: one screen of epoch, money, duties, jobs and alerts, once or as they change."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from somatui.cli import live
from somatui.cli.options import Arguments, Verb, clock_ms, wants_json
from somatui.cli.output import Answer, amount, document, fields, tell
from somatui.domain.deadline import span
from somatui.domain.ids import short
from somatui.domain.snapshot import Snapshot


def screen(seen: Snapshot) -> str:
    """The picture in a dozen lines."""
    epoch, wallet, ledger = seen.epoch, seen.wallet, seen.ledger
    left = span(epoch.ends_at_ms - clock_ms())
    opened = sum(t.status == "open" for t in seen.targets)
    network = seen.network
    rows = [
        ("network", f"{network.name}, {'answers' if network.reachable else network.error or 'does not answer'}"),
        ("epoch", f"{epoch.number}, ends in {left}; threshold {epoch.threshold:.4f}; {opened} targets open"),
        ("wallet", _wallet(seen)),
        ("free", amount(wallet.free_shannons)),
        ("staked", amount(wallet.staked_shannons)),
        ("in bonds", f"{amount(seen.bonded_shannons)}; {len(seen.claimable)} claimable"),
        ("earned", f"{amount(ledger.earned_shannons)} for {ledger.hits} hits, fees {amount(ledger.fees_shannons)}"),
        *(("duty", f"{d.title}, epoch {d.opens_epoch}; {d.note}".rstrip("; ")) for d in seen.duties),
        *(("job", f"{j.title or j.kind} ({j.id}): {j.state}" + _done(j.done)) for j in seen.jobs),
        *((a.severity, a.text) for a in seen.alerts),
    ]
    return fields(rows)


def _wallet(seen: Snapshot) -> str:
    wallet = seen.wallet
    state = "watch-only" if wallet.watch_only else "key at hand" if wallet.unlocked else "locked"
    return f"{wallet.label or short(wallet.address)}, {state}" if wallet.address else "none yet"


def _done(done: float | None) -> str:
    return "" if done is None else f", {done * 100:.0f} %"


def run(args: Arguments) -> Answer:
    """Print the picture, or keep printing it."""
    if args.watch:
        live.with_agent(args, lambda client: _watch(client, args))
        return Answer(None)
    seen = live.snapshot(args)
    return Answer(seen, screen(seen))


async def _watch(client: Any, args: Arguments) -> None:
    changed = asyncio.Event()
    await client.subscribe(lambda *_: changed.set())
    while True:
        seen = await live.read_snapshot(client)
        tell(document(seen) if wants_json(args) else screen(seen) + "\n")
        changed.clear()
        await changed.wait()


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--watch", action="store_true", help="print again whenever something changes, until Ctrl-C")


VERBS = (
    Verb(
        "", "Show epoch, money, duties, jobs and alerts on one screen.", "somatui status --watch --json", run, _options
    ),
)
