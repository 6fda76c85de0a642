"""Rehearsals of a model's deadlines: reveal, update, commit, and a reveal that does not fit what was committed."""

from __future__ import annotations

from somatui.cli.output import amount
from somatui.cli.rehearse.stage import EMBEDDING, Stage
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain import fees
from somatui.domain.ids import short
from somatui.domain.money import bps, soma_exact
from somatui.domain.snapshot import ModelView, Parameters

KEY, OTHER_KEY = b"k" * 32, b"w" * 32
STUCK = "what is left lies in a closed pool: unstaking from a slashed pool has halted a real node, so never try (R19)"


def burnt(before: int, model: ModelView, p: Parameters, what: str = "stake burnt") -> Loss:
    """Half of a whole pool, as the chain shows it and as the rules have it."""
    return Loss(what, before - model.stake_shannons, bps(before, p.reveal_slash_bps))


def publish_fees(p: Parameters, stake_shannons: int) -> int:
    """Create and commit, in shannons."""
    return fees.create_fee(p, stake_shannons).total_shannons + fees.state_fee(p).total_shannons


def state_of(model: ModelView) -> str:
    """A sentence on a model as the chain has it."""
    return f"model {short(model.id)} is {model.state}, {soma_exact(model.stake_shannons)} SOMA are in its pool"


async def missed_reveal(stage: Stage) -> Outcome:
    """R1: the agent publishes, its keeper is switched off, and nobody reveals."""
    await stage.setting("auto_reveal", False)
    stage.say("keeper switched off: auto_reveal = false")
    for _ in range(2):
        await stage.day.act("faucet")
    before, p = await stage.own_balance(), (await stage.epoch()).parameters
    stake = p.model_min_stake_shannons
    made = await stage.day.act("publish", stage.weights("forgotten") | {"stake_shannons": stake})
    model_id, held = str(made["model_id"]), await stage.own_balance()
    stage.say(f"model {short(model_id)} created and committed with {amount(stake)} at stake, in epoch 0")
    await stage.advance()
    stage.say("this is the one epoch that accepts the reveal, and nobody sends it")
    await stage.advance()
    model = await stage.model(model_id)
    stage.say(f"the epoch is over: {state_of(model)}")
    spent = Loss("fees of create and commit, in vain", before - held - stake, publish_fees(p, stake))
    return Outcome((burnt(stake, model, p), spent), (state_of(model), STUCK))


async def missed_update(stage: Stage) -> Outcome:
    """R2: an active model's new weights are committed and not revealed in time."""
    script = await stage.script(2)
    p = (await stage.epoch()).parameters
    stake = p.model_min_stake_shannons
    model_id = await script.create(stake)
    await script.commit(model_id, KEY)
    await stage.advance()
    await script.reveal(model_id, KEY)
    active = await stage.model(model_id)
    stage.say(f"model {short(model_id)} is active with its first weights, {short(active.weights_checksum or '')}")
    before, p = await script.balance(), (await stage.epoch()).parameters
    await script.commit(model_id, OTHER_KEY, b"a round of training later" * 100)
    spent = Loss("fee of the update's commit", before - await script.balance(), fees.state_fee(p).total_shannons)
    stage.say("better weights are trained and committed")
    await stage.advance()
    stage.say("this is the one epoch that accepts their reveal, and nobody sends it")
    await stage.advance()
    model = await stage.model(model_id)
    kept = model.weights_checksum == active.weights_checksum and model.update_commit_epoch is None
    which = "the old weights are back as if nothing had been trained" if kept else "the chain holds other weights"
    stage.say(f"the epoch is over: {which}")
    stakes = Loss("stake burnt", active.stake_shannons - model.stake_shannons, 0)
    return Outcome((stakes, spent), (state_of(model), which))


async def never_committed(stage: Stage) -> Outcome:
    """R3: a script stops between create and commit; half of what is left burns at each boundary, for ever."""
    script = await stage.script(1)
    p = (await stage.epoch()).parameters
    stake, before = p.model_min_stake_shannons, await script.balance()
    model_id = await script.create(stake)
    spent = Loss("fee of the create", before - await script.balance() - stake, fees.create_fee(p, stake).total_shannons)
    stage.say(f"model {short(model_id)} created with {amount(stake)}; then the script dies, before the commit")
    await stage.advance()
    stage.say("epoch 1 is the last in which a commit costs nothing")
    left, losses = stake, []
    for _ in range(3):
        epoch = await stage.advance()
        model = await stage.model(model_id)
        loss = burnt(left, model, p, f"burnt when epoch {epoch.number} began")
        losses.append(loss)
        left = model.stake_shannons
        stage.say(f"another half is gone: {soma_exact(loss.shannons)} SOMA burnt, {soma_exact(left)} left")
    return Outcome((*losses, spent), (state_of(model), "it is still “created”: the next boundary takes half again"))


async def wrong_key(stage: Stage) -> Outcome:
    """R4: neither the key of another model nor an embedding rounded to text opens a commitment."""
    script = await stage.script(2)
    p = (await stage.epoch()).parameters
    stake, before = p.model_min_stake_shannons, await script.balance()
    model_id = await script.create(stake)
    await script.commit(model_id, KEY)
    paid = Loss("fees of create and commit, in vain", before - await script.balance() - stake, publish_fees(p, stake))
    stage.say(f"model {short(model_id)} created and committed; the script keeps its key and embedding in a text file")
    await stage.advance()
    before = await script.balance()
    failed = await script.reveal(model_id, OTHER_KEY, fails="ModelDecryptionKeyCommitmentMismatch")
    stage.say(f"reveal with the key of an older model: {failed.error_text}")
    rounded = [round(x + 1e-7, 6) + 1e-6 for x in EMBEDDING]
    failed = await script.reveal(model_id, KEY, rounded, fails="ModelEmbeddingCommitmentMismatch")
    stage.say(f"reveal with the embedding as the text file rounded it: {failed.error_text}")
    refused = Loss("fees of two refused reveals", before - await script.balance(), 2 * p.base_fee_shannons)
    stage.say("the exact numbers are nowhere any more, and the clock runs on")
    await stage.advance()
    model = await stage.model(model_id)
    stage.say(f"the epoch is over: {state_of(model)}")
    return Outcome((burnt(stake, model, p), refused, paid), (state_of(model), STUCK))


WORLDS = (
    World(
        "missed-reveal",
        "R1",
        "the first reveal is missed",
        "A model is published and its keeper switched off. A first reveal is accepted in one epoch alone, the one "
        "after the commit. It passes, half of the whole stake burns, and the model is inactive for good.",
        "Half of everything in the model's pool, delegators' stakes too: 0.5 SOMA with the least stake of 1 SOMA, and "
        "the round's training.",
        "auto_reveal = true, the default: the keeper reveals as soon as the epoch opens, with no terminal open, and "
        "warns as long as it cannot.",
        missed_reveal,
    ),
    World(
        "missed-update",
        "R2",
        "an update's reveal is missed",
        "An active model commits better weights and does not reveal them in the one epoch that accepts it. Nothing is "
        "slashed, but the update is dropped and the old weights go on.",
        "No stake: the GPU hours and the storage of the round, the fee of the commit, and an epoch of better weights.",
        "The same keeper: what is committed is revealed by itself in its epoch.",
        missed_update,
    ),
    World(
        "never-committed",
        "R3",
        "a model is created and never committed",
        "A script registers a model and dies before its commit. From the second boundary on half of what is left in "
        "the pool burns at every boundary, again and again: 50, 25, 12.5 %.",
        "Half the stake after two days, three quarters after three, seven eighths after four, and so on.",
        "somatui models publish: key, upload and checks come first, create and commit are one step whose commit is "
        "never given up, also not over a crash.",
        never_committed,
    ),
    World(
        "wrong-key",
        "R4",
        "key or embedding do not fit the commitment",
        "A model is committed, but what is revealed is not what was hashed: once the key of another model, once the "
        "embedding as a text file rounded it. Each try costs a fee, the epoch ends, half the stake burns.",
        "Half of everything in the model's pool, as if nothing had been revealed.",
        "The agent keeps the exact 32-bit numbers and the key on disk before it commits, and holds both against the "
        "commitment before it reveals.",
        wrong_key,
    ),
)  # fmt: skip
