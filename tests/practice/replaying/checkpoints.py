"""Checkpoints of a recording, made out of its own numbers and digests and written by the practice network's codec."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from somatui.practice import rpc
from somatui.practice.codec import masks, prologues
from somatui.practice.ledger.values import Checkpoint, Fee
from somatui.wire.text import b58decode32, parse_id
from tests.practice.replaying.compare import Difference, differences, named_system
from tests.practice.replaying.tape import Event

if TYPE_CHECKING:
    from tests.practice.replaying.player import Player


def _ms(stamp: Any) -> int:
    return int(stamp.seconds * 1000 + stamp.nanos // 1_000_000)


def _made(message: Any, epoch: int, fees: Fee) -> Checkpoint:
    """A checkpoint with what consensus chose in the recorded one: number, digests, time, order."""
    digests = [b58decode32(t.digest or t.effects.transaction_digest) for t in message.transactions if _known(t)]
    summary = message.summary
    return Checkpoint(
        message.sequence_number or summary.sequence_number,
        summary.epoch if message.HasField("summary") else epoch,
        b58decode32(message.digest or summary.digest) if message.digest or summary.digest else bytes(32),
        b58decode32(summary.previous_digest) if summary.HasField("previous_digest") else None,
        _ms(summary.timestamp),
        digests,
        fees,
        summary.total_network_transactions - prologues.COUNT * summary.sequence_number,
    )


def _known(transaction: Any) -> bool:
    return bool(transaction.digest or transaction.effects.transaction_digest)


def info(player: Player, event: Event) -> None:
    """GetServiceInfo with the recorded chain's first and last checkpoint."""
    told = event.responses[0]

    def sealed(number: int, digest: bytes, at: int) -> Checkpoint:
        return Checkpoint(number, told.epoch, digest, None, at, [], Fee(0, 0, 0), 0)

    shown = sealed(0, b58decode32(told.chain_id), 0), sealed(told.checkpoint_height, bytes(32), _ms(told.timestamp))
    player.done.shown = player.read.shown = shown
    _, seen = player.catching_up(event, lambda world: player.answer(world, event, event.request))
    player.done.shown = player.read.shown = None
    player.outcome.judge(event, seen)


def get(player: Player, event: Event) -> None:
    """GetCheckpoint, with the recorded one's number, digests and time."""
    if event.error is None:
        made = _made(event.responses[0].checkpoint, player.done.state.epoch, Fee(*player.done.state.epoch_fees))
        player.done.shown = player.read.shown = made, made
    _, seen = player.catching_up(event, lambda world: player.answer(world, event, event.request))
    player.done.shown = player.read.shown = None
    player.outcome.judge(event, seen)


def _of(transaction: Any) -> bytes:
    return b58decode32(transaction.digest or transaction.effects.transaction_digest)


def _kept(message: Any, digests: set[bytes]) -> tuple[Any, int]:
    """The message with these transactions alone, and how many others there were: consensus's own."""
    out = type(message)()
    out.CopyFrom(message)
    kept = [t for t in message.checkpoint.transactions if _of(t) in digests]
    del out.checkpoint.transactions[:]
    out.checkpoint.transactions.extend(kept)
    return out, len(message.checkpoint.transactions) - len(kept)


def stream(player: Player, event: Event) -> None:
    """A subscription, message by message; transactions that neither side was asked to execute are only counted."""
    wanted = masks.tree(event.request.read_mask.paths) or {"sequence_number": {}}
    seen: list[Difference] = []
    for index, whole in enumerate(event.responses):
        made = _made(whole.checkpoint, player.done.state.epoch, Fee(0, 0, 0))
        digests = made.digests or _digests_behind(player, whole.checkpoint)
        known = [d for d in digests if player.done.transaction(d) is not None]
        made = replace(made, digests=known)
        told, others = _kept(whole, set(known))
        out = type(told)(cursor=told.cursor, checkpoint=rpc.checkpoint_out(player.done, made, wanted))
        ours, own = _kept(out, set(known))
        if others != own:
            seen.append(Difference(f"message[{index}] consensus transactions", own, others))
        for one in differences(ours, told):
            named = named_system(one, told)
            seen.append(Difference(f"message[{index}].{named.path}", named.ours, named.theirs))
    player.outcome.judge(event, seen)


def _digests_behind(player: Player, checkpoint: Any) -> list[bytes]:
    """The transactions behind a message that lists objects alone: those that wrote one of them in this checkpoint."""
    makers = {b58decode32(o.previous_transaction) for o in checkpoint.objects.objects}
    found = []
    for digest in makers:
        done = player.done.transaction(digest)
        versions = {(parse_id(o.object_id), o.version) for o in checkpoint.objects.objects}
        if done is not None and all((o.id, o.version) in versions for o in done.objects):
            met = [(c.id, c.input[0]) for c in done.effects.changed if c.input]
            if all(one in versions for one in met):
                found.append(digest)
    return sorted(found)
