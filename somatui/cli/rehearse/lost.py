"""Rehearsal of an answer that never comes, though what was asked for is done."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from somatui.chain import build
from somatui.cli.problem import Problem
from somatui.cli.rehearse.line import BadLine
from somatui.cli.rehearse.models import KEY, STUCK, burnt, state_of
from somatui.cli.rehearse.stage import Stage
from somatui.cli.rehearse.world import Loss, Outcome, World
from somatui.domain import fees
from somatui.domain.ids import short
from somatui.wire.text import b58encode
from somatui.wire.transaction import SignedTransaction, TransactionData

if TYPE_CHECKING:
    from somatui.cli.rehearse.script import Script


async def unanswered(stage: Stage, line: BadLine, signed: bytes, data: TransactionData) -> str:
    """Send it over a line that loses the answer; the error that the sender gets. Raises Problem when it gets none."""
    from somatui.chain.client import Chain, Endpoints
    from somatui.chain.errors import ChainError

    far = await Chain.connect(Endpoints(line.url), lanes=1)
    line.marked = SignedTransaction.from_bytes(signed).signature.signature
    sending = asyncio.ensure_future(far.execute(signed))
    try:
        await stage.chain.settled(b58encode(data.digest))
        line.cut()
        await sending
    except ChainError as lost:
        return str(lost)
    finally:
        sending.cancel()
    raise Problem("The answer that was to be lost has arrived: start the rehearsal again.")


async def looked_for(stage: Stage, line: BadLine, script: Script, stake_shannons: int) -> str:
    """The careful way: look for the digest, send the same bytes again; the one model that comes of it."""
    data = script.creation(await script.coin(), stake_shannons)
    signed, known = script.signed(data), len(await stage.chain.models())
    stage.say(f"a create is sent; its answer is lost: {await unanswered(stage, line, signed, data)}")
    found = await stage.chain.transaction(b58encode(data.digest))
    again = await stage.chain.execute(signed)
    made = len(await stage.chain.models()) - known
    if found is None or not again.success or made != 1:
        raise Problem("The practice network did not execute the same bytes exactly once: this is a defect of somatui.")
    stage.say("its digest is looked for and found; the same bytes sent again change nothing: one model, one stake")
    return build.new_model_id(data)


async def landed(stage: Stage) -> Outcome:
    """R11: a lost answer is taken for a failure, and the stake is paid twice."""
    script = await stage.script(3)
    epoch = await stage.epoch()
    p, stake = epoch.parameters, epoch.parameters.model_min_stake_shannons
    async with BadLine(stage.chain.endpoints.rpc_url).up() as line:
        careful = await looked_for(stage, line, script, stake)
        await script.commit(careful, KEY)
        before = await script.balance()
        data = script.creation(await script.coin(), stake)
        forgotten = build.new_model_id(data)
        stage.say("a script sends another create")
        stage.say(f"its answer is lost too: {await unanswered(stage, line, script.signed(data), data)}")
    spent = Loss("fee of the create that was thought lost", before - await script.balance() - stake,
                 fees.create_fee(p, stake).total_shannons)  # fmt: skip
    second = await script.create(stake)
    await script.commit(second, KEY)
    stage.say(f"the script takes it for a failure and creates anew: it stakes twice, and knows {short(second)} alone")
    await stage.advance()
    for model_id in (careful, second):
        await script.reveal(model_id, KEY)
    stage.say("two models are revealed; the third is nobody's care")
    await stage.advance()
    model = await stage.model(forgotten)
    stage.say(f"the boundary has come: {state_of(model)}")
    return Outcome((burnt(stake, model, p), spent), (state_of(model), STUCK))


WORLDS = (
    World(
        "timeout-that-landed",
        "R11",
        "an answer is lost, and the transaction has landed",
        "The network executes a create and its answer is lost on the way. Whoever looks for the digest finds it, done "
        "once. A script that takes the time-out for a failure creates anew: it stakes twice, commits the model it "
        "knows, and the other one is slashed as never committed.",
        "A second stake of at least 1 SOMA, half of it burnt within two days, and half of the rest every day after.",
        "The agent writes down digest and signed bytes before it sends, looks for the digest after a time-out, and "
        "sends nothing but the same bytes again.",
        landed,
    ),
)
