"""Rehearsals of time: epochs that do not end when the clock says."""

from __future__ import annotations

import time

from somatui.cli.output import amount
from somatui.cli.rehearse.models import KEY, STUCK, burnt, publish_fees, state_of
from somatui.cli.rehearse.stage import Stage
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain.ids import short

EPOCH_MS = 1_000


def now_ms() -> int:
    """The clock, in ms since 1970."""
    return time.time_ns() // 1_000_000


async def late_epoch(stage: Stage) -> Outcome:
    """R21: a reveal is timed by the clock, and the epoch ends late."""
    script = await stage.script(2)
    epoch = await stage.epoch()
    p, before = epoch.parameters, await script.balance()
    stake = p.model_min_stake_shannons
    model_id = await script.create(stake)
    await script.commit(model_id, KEY)
    paid = Loss("fees of create and commit, in vain", before - await script.balance() - stake, publish_fees(p, stake))
    due = now_ms() + epoch.duration_ms
    stage.say(f"model {short(model_id)} committed with {amount(stake)} at stake; a timer reveals it one epoch later")
    await stage.until(lambda: now_ms() > due)
    late = now_ms() - epoch.ends_at_ms
    number = (await stage.epoch()).number
    stage.say(f"epoch {number} should have ended {late / 1_000:.1f} s ago and goes on: the chain decides")
    before = await script.balance()
    failed = await script.reveal(model_id, KEY, fails="ModelRevealEpochMismatch")
    stage.say(f"the timer reveals: {failed.error_text}")
    early = Loss("fee of the reveal that came too early", before - await script.balance(), p.base_fee_shannons)
    await stage.advance()
    stage.say("the epoch that accepts the reveal has begun, late; the timer has run already")
    await stage.advance()
    model = await stage.model(model_id)
    stage.say(f"the epoch is over: {state_of(model)}")
    return Outcome((burnt(stake, model, p), early, paid), (state_of(model), STUCK))


async def safe_mode(stage: Stage) -> Outcome:
    """R21: epochs change number while everything else stands still, and the reveal's window closes all the same."""
    from somatui.practice.client import advance_epoch

    script = await stage.script(2)
    p, before = (await stage.epoch()).parameters, await script.balance()
    stake = p.model_min_stake_shannons
    model_id = await script.create(stake)
    await script.commit(model_id, KEY)
    paid = Loss("fees of create and commit, in vain", before - await script.balance() - stake, publish_fees(p, stake))
    stage.say(f"model {short(model_id)} committed with {amount(stake)} at stake, in epoch 0")
    await advance_epoch(stage.info, failing=True)
    stage.say("the change of the epoch fails: epoch 1 begins in safe mode; the operator waits for better days")
    await advance_epoch(stage.info, failing=True)
    stage.say(f"it fails again: epoch 2 has begun, and nothing is slashed yet: {state_of(await stage.model(model_id))}")
    before = await script.balance()
    failed = await script.reveal(model_id, KEY, fails="ModelRevealEpochMismatch")
    late = Loss("fee of the reveal that came too late", before - await script.balance(), p.base_fee_shannons)
    stage.say(f"now the reveal is tried: {failed.error_text}")
    await stage.advance()
    model = await stage.model(model_id)
    stage.say(f"the network has recovered, and the slash lands: {state_of(model)}")
    return Outcome((burnt(stake, model, p), late, paid), (state_of(model), STUCK))


async def version_jump(stage: Stage) -> Outcome:
    """R22: a model is trained for the network of yesterday."""
    from somatui.practice.client import advance_epoch

    script = await stage.script(2)
    for _ in range(2):
        await stage.day.act("faucet")
    before = (await stage.day.look()).network.protocol_version
    p = (await stage.epoch()).parameters
    stage.say(f"protocol version {before}, architecture version {p.architecture_version}: a model for it lies ready")
    await advance_epoch(stage.info, upgrading=True)
    shown = await stage.day.wait("the agent to see the new version", lambda s: s.network.protocol_version == before + 1)
    wanted = (await stage.epoch()).parameters.architecture_version
    stage.say(f"the epoch has ended: protocol version {shown.network.protocol_version}, architecture version {wanted}")
    held = await script.balance()
    failed = await script.send(script.creation(await script.coin(), p.model_min_stake_shannons),
                               fails="ModelArchitectureVersionMismatch")  # fmt: skip
    stage.say(f"a script registers its model as ever: {failed.error_text}")
    loss = Loss("fee of the create that no longer fits", held - await script.balance(), p.base_fee_shannons)
    refused = await stage.refusal(
        "publish", stage.weights("yesterday") | {"stake_shannons": p.model_min_stake_shannons}
    )
    stage.say(f"the agent, asked for the same: {refused}")
    told = [a.text for a in (await stage.day.look()).alerts if "version" in a.text]
    return Outcome((loss,), tuple(f"the console says: {text}" for text in told))


WORLDS = (
    World(
        "late-epoch",
        "R21",
        "an epoch ends late",
        "A reveal is timed by the clock, one epoch's length after the commit. The epoch ends late, so the reveal "
        "comes too early and fails; the timer does not run again, and the one epoch that would accept it passes. "
        "(An epoch of this network is meant to last one second.)",
        "Half of everything in the model's pool, as if nothing had been revealed.",
        "The keeper asks the chain which epoch it is, never the clock, and tries again until the epoch is over.",
        late_epoch,
        EPOCH_MS,
    ),
    World(
        "safe-mode",
        "R21",
        "the reveal's epoch passes in safe mode",
        "A change of the epoch fails, and the network goes on in safe mode: the epoch's number rises, slashes, pools "
        "and targets stand still. The one epoch that accepts a reveal is counted all the same; with the first change "
        "that succeeds the slash lands.",
        "Half of everything in the model's pool, an epoch or more after its cause.",
        "Reveal in safe mode too: the epoch's number decides, whatever else stands still.",
        safe_mode,
    ),
    World(
        "version-jump",
        "R22",
        "the network moves on to other versions",
        "At a boundary the network takes up its next protocol version, which wants models of the next architecture. "
        "What was trained for the old one cannot be registered any more; a script that goes on as ever pays the fee of "
        "a create that fails.",
        "A fee of 1,000 shannons for each try, and the training: GPU hours for weights that the network no longer "
        "takes. Whoever only corrects the number registers weights that scorers of the new version cannot load.",
        "The agent reads the versions with every look, says in an alert which ones it knows, and refuses to train or "
        "publish for an architecture that it does not make.",
        version_jump,
    ),
)
