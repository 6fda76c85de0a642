"""A hit as the score worker reports it, read and held against the rules and the operator's own limits (R5–R8)."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass
from math import isfinite
from typing import Any

from somatui.config import Settings
from somatui.domain import fees, preflight
from somatui.domain.checks import Check, check
from somatui.domain.ids import normalise_id, short
from somatui.domain.money import bps, soma
from somatui.domain.snapshot import Snapshot, TargetView


@dataclass(frozen=True, slots=True)
class Hit:
    """Bytes that fit a target: what a submission says of them. `models` are the target's, with weights' checksums."""

    target_id: str
    model_id: str
    distance: float
    loss: float
    embedding: tuple[float, ...]
    path: str
    size: int
    checksum: str
    models: tuple[tuple[str, str], ...]

    @classmethod
    def read(cls, said: dict[str, Any]) -> Hit:
        """Raises ValueError, one sentence, for a hit that does not hold what it must."""
        try:
            data = base64.b64decode(said["embedding"], validate=True)
            made = cls(
                normalise_id(str(said["target_id"])),
                normalise_id(str(said["model_id"])),
                float(said["distance"]),
                float(said["loss"]),
                struct.unpack(f"<{len(data) // 4}f", data),
                str(said["path"]),
                int(said["size"]),
                str(said["checksum"]),
                tuple((normalise_id(str(m["id"])), str(m["weights_checksum"])) for m in said["models"]),
            )
        except (KeyError, TypeError, ValueError, binascii.Error, struct.error) as wrong:
            raise ValueError(f"The hit cannot be read ({type(wrong).__name__}: {wrong}): score it again.") from wrong
        if not all(map(isfinite, (made.distance, made.loss, *made.embedding))) or not made.embedding:
            raise ValueError("The hit holds numbers that are not finite: score it again.")
        return made


def checks(hit: Hit, target: TargetView | None, snapshot: Snapshot, settings: Settings) -> tuple[Check, ...]:
    """The chain's own checks, then that models are as they were scored, then the operator's limits."""
    found = preflight.submit(snapshot, target, hit.model_id, hit.distance, hit.size)
    if target is None:
        return found
    p = snapshot.epoch.parameters
    now = {m.id: m.weights_checksum for m in snapshot.models}
    changed = [m for m, checksum in hit.models if now.get(m) != checksum]
    share = target.reward_shannons - bps(target.reward_shannons, p.model_share_bps + p.claimer_share_bps)
    bond, most = fees.bond(p, hit.size), settings.max_bond_ratio * share
    wanted = target.threshold - settings.distance_margin
    return (
        *found,
        check(
            len(hit.embedding) == p.embedding_dim,
            "the embedding has the network's length",
            f"The embedding has {len(hit.embedding)} numbers, the network wants {p.embedding_dim}.",
        ),
        check(
            tuple(m for m, _ in hit.models) == target.model_ids,
            "it was scored against the target's own models",
            "It was not scored against this target's models: score it again (R5).",
        ),
        check(
            not changed,
            "the models are as they were when it was scored",
            f"Model {short(changed[0]) if changed else ''} has other weights than when scored: score it again (R5b).",
        ),
        check(
            hit.distance <= wanted,
            "the distance keeps the margin",
            f"Distance {hit.distance:.6f} is nearer to the threshold than distance_margin {settings.distance_margin} "
            "allows: lower that setting to submit it.",
        ),
        check(
            bond <= most,
            "the bond is within max_bond_ratio",
            f"The bond of {soma(bond, 6)} SOMA is above max_bond_ratio {settings.max_bond_ratio:g} of the reward "
            f"{soma(share, 6)}: use a smaller file, or raise that setting.",
        ),
    )
