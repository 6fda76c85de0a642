"""Rehearsals of coins that cannot pay: money enough in pieces too small, and a coin that the epoch holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from somatui.chain import build
from somatui.cli.rehearse.stage import DATA_BYTES, Stage
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain import fees
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.domain.snapshot import CoinView, Parameters
from somatui.wire.kinds import PayCoins
from somatui.wire.text import parse_address
from somatui.wire.transaction import TransactionData

if TYPE_CHECKING:
    from somatui.cli.rehearse.script import Script

PIECE, PIECES = 600_000, 5
"""Coins that each fall short of the bond of 10,000 bytes, and together hold several of it."""


def shattered(script: Script, coin: CoinView, elsewhere: str, p: Parameters) -> TransactionData:
    """Pay five small coins to the wallet itself and nearly all of the rest away, so that one more small one is left."""
    fixed = fees.fee(p, 2 + PIECES).total_shannons + PIECE
    total = (coin.balance_shannons - fixed) * 10_000 // (10_000 + p.value_fee_bps)
    amounts = (*(PIECE,) * PIECES, total - PIECE * PIECES)
    own, other = parse_address(script.address), parse_address(elsewhere)
    reference = build.reference(coin)
    return TransactionData(PayCoins((reference,), amounts, (*(own,) * PIECES, other)), own, (reference,))


async def dust_wallet(stage: Stage) -> Outcome:
    """R9: the wallet holds several bonds, no coin holds one."""
    script = await stage.script(1)
    epoch = await stage.advance()
    p, bond = epoch.parameters, fees.bond(epoch.parameters, DATA_BYTES)
    await script.send(shattered(script, await script.coin(), (await stage.script(0)).address, p))
    coins, before = await script.coins(), await script.balance()
    target = await stage.target()
    stage.say(f"the wallet holds {soma_exact(before)} SOMA in {len(coins)} coins; a hit needs a bond of {bond:,}")
    failed = await script.send(script.submission(target, coins[0], (coins[1],)), fails="InsufficientBond")
    stage.say(f"any coin as bond, any other as gas: {failed.error_text}")
    loss = Loss("fee of the failed submission", before - await script.balance(), p.base_fee_shannons)
    coins = await script.coins()
    melted = await script.send(script.submission(target, coins[0], coins))
    stage.say(f"the same hit with all coins melted into the one that pays: accepted for a fee of {melted.fee.total:,}")
    filled = await stage.chain.target(target.id, epoch.number)
    state = filled.status if filled else "gone"
    coins = await script.coins()
    return Outcome((loss,), (f"target {short(target.id)} is {state} now, and the wallet has {len(coins)} coin left",))


WORLDS = (
    World(
        "dust-wallet",
        "R9",
        "the balance is ample and no coin can pay the bond",
        "A wallet's money has fallen into small coins. A bond comes out of one coin, picked at random by the SDK "
        "whatever it holds, so the submission fails and its fee is kept, though the wallet holds several bonds.",
        "The base fee of 1,000 shannons for each try, and the hit: the target's half of 6,342,592 shannons goes to "
        "whoever comes next.",
        "The agent picks the coin that can pay, refuses when there is none, and melts small coins into the one that "
        "pays along the way, which costs nothing.",
        dust_wallet,
    ),
)
