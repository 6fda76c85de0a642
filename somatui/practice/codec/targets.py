"""Targets in messages, with the status that listings show (protocol.md 2.4)."""

from __future__ import annotations

from typing import Any

from somatui.practice.codec.text import listed_id
from somatui.practice.messages import pb
from somatui.wire.objects import Object, Target
from somatui.wire.text import address_hex


def shown_status(target: Target, epoch: int) -> str:
    """open, filled or claimable; an expired target is claimable by anybody."""
    if target.filled is None:
        return "open" if target.generation_epoch >= epoch else "claimable"
    return "claimable" if epoch > target.filled.epoch + 1 else "filled"


def target_out(found: Object, target: Target, epoch: int) -> Any:
    """A Target message; ids lose their leading zeros as the real node's do (protocol.md 8, item 13)."""
    out = pb.Target(
        id=listed_id(found.id),
        embedding=target.embedding.floats(),
        model_ids=[listed_id(m) for m in target.model_ids],
        distance_threshold=target.threshold.floats()[0],
        reward_pool=target.reward,
        generation_epoch=target.generation_epoch,
        status=shown_status(target, epoch),
        bond_amount=0,
    )
    done = target.filled
    if done is not None:
        out.fill_epoch = done.epoch
        out.submitter = address_hex(done.submitter)
        out.winning_model_id = listed_id(done.model_id)
        out.winning_model_owner = address_hex(done.model_owner)
        out.bond_amount = done.bond
        out.data_url = done.manifest.url
    return out
