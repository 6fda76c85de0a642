"""`somatui wallet`: the address, its coins and its stakes; signing is the agent's."""

from __future__ import annotations

from somatui.cli import live
from somatui.cli.options import Arguments, Verb
from somatui.cli.output import Answer, amount, fields, table
from somatui.domain.ids import short


def show(args: Arguments) -> Answer:
    """Address, free, staked, bonded."""
    seen = live.snapshot(args)
    wallet = seen.wallet
    document = {
        "address": wallet.address,
        "label": wallet.label,
        "unlocked": wallet.unlocked,
        "watch_only": wallet.watch_only,
        "free_shannons": wallet.free_shannons,
        "staked_shannons": wallet.staked_shannons,
        "bonded_shannons": seen.bonded_shannons,
        "coins": len(wallet.coins),
        "stakes": wallet.stakes,
    }
    text = fields(
        [
            ("address", "0x" + wallet.address if wallet.address else "none yet"),
            ("key", "watch-only" if wallet.watch_only else "unlocked" if wallet.unlocked else "locked"),
            ("free", f"{amount(wallet.free_shannons, 9)} in {len(wallet.coins)} coins"),
            ("staked", amount(wallet.staked_shannons, 9)),
            ("in bonds", amount(seen.bonded_shannons, 9)),
        ]
    )
    return Answer(document, text)


def coins(args: Arguments) -> Answer:
    """Every coin, the largest first."""
    found = sorted(live.snapshot(args).wallet.coins, key=lambda c: (-c.balance_shannons, c.id))
    rows = [(short(c.id), amount(c.balance_shannons, 9), c.role, str(c.version)) for c in found]
    return Answer({"coins": found}, table("coin >balance role >version", rows))


VERBS = (
    Verb("show", "Show address, free money, stakes and bonds.", "somatui wallet show --json", show),
    Verb("coins", "List the wallet's coins, the largest first.", "somatui wallet coins", coins),
)
