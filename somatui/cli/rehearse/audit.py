"""Rehearsals of the audit: what validators report takes bond and reward away, after everything had gone well."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from somatui.chain import build
from somatui.cli.rehearse.stage import Stage, bytes_for, checksum_of
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain import fees
from somatui.domain.ids import short
from somatui.domain.money import bps
from somatui.domain.snapshot import TargetView
from somatui.wire.kinds import ReportSubmission
from somatui.wire.text import b58decode32, parse_address, parse_id
from somatui.wire.transaction import TransactionData


@dataclass(frozen=True, slots=True)
class Filled:
    """A target that the agent has filled, where its data lie, and the loss of the submission's fee."""

    target: TargetView
    url: str
    fee: Loss


async def fill(stage: Stage, target: TargetView, winner: int) -> Filled:
    """Have the agent upload and submit a hit. Raises Problem."""
    before, p = await stage.own_balance(), (await stage.epoch()).parameters
    hit = stage.hit(target, await stage.chain.models(), winner)
    done = await stage.day.act("submit", {"hit": hit})
    bond = fees.bond(p, int(hit["size"]))
    spent = before - await stage.own_balance() - bond
    fee = Loss("fee of the submission, in vain", spent, fees.submit_fee(p, separate_bond_coin=False).total_shannons)
    stage.say(f"the agent fills target {short(target.id)}: reward {target.reward_shannons:,}, bond {bond:,} shannons")
    return Filled(target, str(done["url"]), fee)


async def beginning(stage: Stage) -> TargetView:
    """A funded agent that claims nothing by itself, in an epoch with the usual rewards, and a target."""
    await stage.setting("auto_claim", False)
    await stage.day.act("faucet")
    await stage.advance()
    return await stage.target()


async def reported(stage: Stage, filled: Filled) -> Outcome:
    """The validator reports, the audit ends, the agent claims; what did not come."""
    validator, target = stage.validator(), filled.target
    coin = await validator.coin()
    report = ReportSubmission(parse_id(target.id))
    await validator.send(TransactionData(report, parse_address(validator.address), (build.reference(coin),)))
    stage.say("it reports the submission; its voting power is more than two thirds, here all of it")
    epoch = await stage.advance()
    p, reward, bond = epoch.parameters, target.reward_shannons, fees.bond(epoch.parameters, len(bytes_for(target)))
    theirs, ours = await validator.balance(), await stage.own_balance()
    claimed = await stage.day.act("claim", {"target_ids": [target.id]})
    came = await stage.own_balance() - ours + int(claimed["fees_shannons"])
    taken = await validator.balance() - theirs
    claimers = bps(reward, p.claimer_share_bps)
    share = reward - bps(reward, p.model_share_bps) - claimers
    stage.say(f"the claim is open: {came:,} shannons come, where {share + claimers + bond:,} were expected")
    losses = (
        Loss("bond, gone to the validator", taken, bond),
        Loss("reward, gone back to the network", share + claimers + bond - taken - came, share),
        filled.fee,
    )
    seen = f"the validator's coins hold {taken:,} shannons more, and the model's owner got nothing either"
    return Outcome(losses, (seen,))


async def dead_url(stage: Stage) -> Outcome:
    """R5c: the data cannot be fetched any more when they are audited."""
    target = await beginning(stage)
    filled = await fill(stage, target, 0)
    data = bytes_for(target)
    await asyncio.to_thread(lambda: stage.bucket().delete(f"data/{checksum_of(data)}"))
    stage.copy_of(target).unlink()
    stage.say("bucket and copies are cleared at night: what was submitted is done with, it seems")
    await stage.advance()
    await stage.alarm(f"data:{target.id}")
    from somatui.storage.outside import look

    seen = await asyncio.to_thread(look, filled.url, b58decode32(checksum_of(data)), len(data))
    stage.say(f"this is the audit's epoch; a validator fetches the data: {seen.detail}")
    return await reported(stage, filled)


async def question(stage: Stage, target: TargetView, url: str) -> dict[str, Any]:
    """What the network's own scoring service is asked of the data at `url`, as validators score: seed 0."""
    board = await stage.chain.board()
    models = {m["id"]: m for m in board["models"]}
    embedding = next(t["embedding"] for t in board["targets"] if t["id"] == target.id)
    data = bytes_for(target)
    return {
        "data_url": url,
        "data_checksum": checksum_of(data),
        "data_size": len(data),
        "models": [{name: models[m][name] for name in ("url", "checksum", "size", "key")} for m in target.model_ids],
        "target_embedding": embedding,
        "seed": 0,
    }


async def wrong_winner(stage: Stage) -> Outcome:
    """R5: the submission names another winner than the exact scorer finds."""
    from somatui.practice.client import score

    target = await beginning(stage)
    data, bucket = bytes_for(target), stage.bucket()
    key = f"data/{checksum_of(data)}"
    await asyncio.to_thread(bucket.put, key, data, "application/octet-stream")
    asked = await question(stage, target, bucket.store.address(key))
    wrong = (int((await score(stage.info, asked))["winner"]) + 1) % len(target.model_ids)
    stage.say(f"a home-made scorer says that model {short(target.model_ids[wrong])} predicts the data best")
    filled = await fill(stage, target, wrong)
    await stage.advance()
    truth = await score(stage.info, asked)
    right, loss = short(target.model_ids[int(truth["winner"])]), truth["loss"][0]
    stage.say(f"this is the audit's epoch; a validator scores the data exactly: model {right} wins, loss {loss:.4f}")
    return await reported(stage, filled)


COSTS = (
    "The bond (65 shannons a byte: 650,000 here) and the submitter's half of the reward, about 6.3 million shannons at "
    "1,370 SOMA of emission a day; the winning model's owner loses the other half."
)
WORLDS = (
    World(
        "dead-url",
        "R5c",
        "the submitted data are gone when they are audited",
        "A hit is submitted and accepted. Before its audit, in the epoch after, somebody clears the bucket, and the "
        "copy from which the agent would put the data back. Data that cannot be fetched count as fraud: validators "
        "report it, its bond goes to them and its reward back.",
        COSTS,
        "Leave what was submitted where it is until it is claimed: no lifecycle rule under three days, no clearing of "
        "buckets or of the jobs' folders. The agent looks at it until the audit is over, puts back what is gone, and "
        "alarms where it cannot: then put the data back by hand, at the same address.",
        dead_url,
    ),
    World(
        "wrong-winner",
        "R5",
        "the audit finds another winner",
        "A hit names the model that a home-made scorer found best. The ledger takes it, since it checks no score. In "
        "the audit a validator scores the data exactly, another model wins, and that counts as fraud.",
        COSTS,
        "Submit nothing but what the exact scorer says for the target's own models, in their order, with the weights "
        "they have now: somatui's score job does, and the agent refuses hits on weights that have changed since (R5b).",
        wrong_winner,
    ),
)
