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


async def two_signers(stage: Stage) -> Outcome:
    """R10: two programs of one wallet read its coins, and both sign with the same one."""
    from somatui.chain.errors import Refused

    script = await stage.script(1)
    epoch = await stage.advance()
    first, second = sorted(await stage.chain.targets(("open",)), key=lambda t: t.id)[:2]
    coin, before = await script.coin(), await script.balance()
    stage.say(f"two programs hold the same key; each has a hit, and each picks coin {short(coin.id)}")
    done = await script.send(script.submission(first, coin, (coin,)))
    stage.say(f"the first is executed: target {short(first.id)} is filled")
    try:
        await script.send(script.submission(second, coin, (coin,)))
    except Refused as refused:
        stage.say(f"the second is refused: {refused}")
    bond = fees.bond(epoch.parameters, DATA_BYTES)
    spent = Loss("paid for what was refused", before - await script.balance() - done.fee.total - bond, 0)
    left = await stage.chain.target(second.id, epoch.number)
    state = left.status if left else "gone"
    return Outcome((spent,), (f"target {short(second.id)} is still {state}, open to everybody else",))


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
    World(
        "two-signers",
        "R10",
        "two programs sign with one wallet's coin",
        "Two programs hold the same key and pick the same coin. An object's version can be spent once: the first "
        "transaction is executed, the second is refused without a fee, and its hit waits for whoever comes next.",
        "The hit. On a real node, of two such transactions in flight at once one may hold the coin, and after some "
        "failures a coin is locked until the epoch ends (protocol.md 8, 5a); this network locks none.",
        "One signer for each wallet, held by a lease: the agent. Each of its coins has one transaction at a time, and "
        "one coin is kept apart for the reveal.",
        two_signers,
    ),
)
