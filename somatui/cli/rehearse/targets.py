"""Rehearsals of submissions that come too late: after the epoch's end, or after somebody else's."""

from __future__ import annotations

from somatui.cli.rehearse.stage import Stage
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain.ids import short

GONE = "the bond was not taken, and no effort of scoring comes back"


async def expired_target(stage: Stage) -> Outcome:
    """R8: the epoch ends between the hit and its submission."""
    script = await stage.script(1)
    await stage.advance()
    target = await stage.target()
    hit = stage.hit(target, await stage.chain.models())
    stage.say(f"a hit on target {short(target.id)}, worth {target.reward_shannons:,} shannons; its data are uploading")
    epoch = await stage.advance()
    stage.say("the epoch has ended meanwhile, and the target with it")
    coin, before = await script.coin(), await script.balance()
    failed = await script.send(script.submission(target, coin, (coin,)), fails="TargetExpired")
    stage.say(f"the script submits all the same: {failed.error_text}")
    loss = Loss("fee of the failed submission", before - await script.balance(), epoch.parameters.base_fee_shannons)
    stage.say(f"the agent, asked for the same: {await stage.refusal('submit', {'hit': hit})}")
    return Outcome((loss,), (f"target {short(target.id)} is expired since epoch {epoch.number} began", GONE))


async def lost_race(stage: Stage) -> Outcome:
    """R8: two wallets hit one target; the first valid submission has it."""
    first, second = await stage.script(1), await stage.script(1)
    epoch = await stage.advance()
    target = await stage.target()
    hit = stage.hit(target, await stage.chain.models())
    stage.say(f"two wallets have a hit on target {short(target.id)}, worth {target.reward_shannons:,} shannons")
    theirs, coin = await first.coin(), await second.coin()
    await first.send(first.submission(target, theirs, (theirs,)))
    stage.say("the other wallet's submission is executed first: the target is filled")
    before = await second.balance()
    failed = await second.send(second.submission(target, coin, (coin,)), fails="TargetNotOpen")
    stage.say(f"the script submits its own: {failed.error_text}")
    loss = Loss("fee of the failed submission", before - await second.balance(), epoch.parameters.base_fee_shannons)
    stage.say(f"the agent, asked for the same: {await stage.refusal('submit', {'hit': hit})}")
    winner = await stage.chain.target(target.id, epoch.number)
    taken = short(winner.submitter) if winner and winner.submitter else "nobody"
    return Outcome((loss,), (f"target {short(target.id)} is filled by {taken}", GONE))


WORLDS = (
    World(
        "expired-target",
        "R8",
        "a target expires before the submission",
        "A hit is found shortly before the epoch ends. A target lives in its own epoch alone, so the submission that "
        "comes a moment later fails, and its base fee is kept.",
        "The base fee of 1,000 shannons for each, and the hit; a script that goes on pays it for every hit it holds.",
        "The agent looks at epoch and target once more before it signs, and refuses what would fail; nothing is paid.",
        expired_target,
    ),
    World(
        "lost-race",
        "R8",
        "somebody else fills the target first",
        "Two wallets have a hit on the same target. The first valid submission fills it, the second fails and its "
        "base fee is kept.",
        "The base fee of 1,000 shannons for each lost race; on a busy day that is most of them.",
        "The agent looks at the target once more and has the node try the submission before it signs; only what is "
        "taken within that moment still costs the fee.",
        lost_race,
    ),
)
