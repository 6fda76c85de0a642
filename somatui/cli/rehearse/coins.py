"""Rehearsals of coins that cannot pay: money enough in pieces too small, and a coin that the epoch holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from somatui.chain import build
from somatui.cli.problem import Problem
from somatui.cli.rehearse.models import KEY
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


async def coin_locked(stage: Stage) -> Outcome:
    """R10: a hit is sent for a model that has left; the bond's coin is held until the epoch ends."""
    from somatui.chain.errors import Refused

    owner, script = await stage.script(2), await stage.script(2)
    p = (await stage.epoch()).parameters
    model_id = await owner.create(p.model_min_stake_shannons)
    await owner.commit(model_id, KEY)
    await stage.advance()
    await owner.reveal(model_id, KEY)
    epoch = await stage.advance()
    target = await stage.target_of(model_id)
    stage.say(f"target {short(target.id)} names model {short(model_id)}; a script scores a hit with it")
    await owner.send(build.deactivate_model(owner.address, await owner.coin(), model_id=model_id))
    stage.say("meanwhile the model's owner takes it off the network; the target still names it")
    bond, gas = (await script.coins())[:2]
    before = sum(c.balance_shannons for c in await script.coins())
    failed = await script.send(script.submission(target, bond, (gas,), model_id), fails="ModelNotActive")
    stage.say(f"the script sends its hit without having it tried: {failed.error_text}")
    stage.say(f"the effects report coin {short(bond.id)} as gone, though the wallet still lists it")
    loss = Loss("fee of the failed submission", before - sum(c.balance_shannons for c in await script.coins()),
                p.base_fee_shannons)  # fmt: skip
    try:
        await script.create(p.model_min_stake_shannons)
    except Refused as refused:
        stage.say(f"everything else that needs this coin is refused: {refused}")
    else:
        raise Problem("The practice network did not hold the coin: this is a defect of somatui.")
    amount = soma_exact(bond.balance_shannons)
    held = f"coin {short(bond.id)} with its {amount} SOMA was held for all of epoch {epoch.number}"
    await stage.advance()
    free = await script.create(p.model_min_stake_shannons)
    stage.say("the next epoch has begun, and the same coin pays again")
    return Outcome((loss,), (held, f"in epoch {epoch.number + 1} it has paid for model {short(free)}"))


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
        "The hit. Of two such transactions in flight at once one may hold the coin on a real node; this network "
        "executes one after the other. What holds a coin for good until the epoch ends shows coin-locked.",
        "One signer for each wallet, held by a lease: the agent. Each of its coins has one transaction at a time, and "
        "one coin is kept apart for the reveal.",
        two_signers,
    ),
    World(
        "coin-locked",
        "R10",
        "a coin is locked until the epoch ends",
        "A model leaves the network while a target still names it, and a script sends a hit for it without having it "
        "tried. The submission fails after its bond was taken: the effects report the coin as gone, the wallet still "
        "lists it, and whatever names it in this epoch is refused, a reveal as well.",
        "A fee of 1,000 shannons, and up to a day without that coin. If it was the only one that can pay a reveal due "
        "in this epoch: half of the model's pool.",
        "The agent has every transaction tried by the node before it signs, reads the model again right before a "
        "submission, never pays a bond out of the coin it keeps for reveals, and does without a coin that was reported "
        "as gone until the next epoch.",
        coin_locked,
    ),
)
