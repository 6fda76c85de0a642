"""What the agent sends is what the console reads."""

from __future__ import annotations

import json

import pytest

from somatui.domain.codec import CodecError, from_json, to_json
from somatui.domain.snapshot import Duty, JobView, NetworkView, Snapshot
from tests.domain.worlds import model, target, world


def test_a_snapshot_survives_json() -> None:
    job = JobView("j1", "train", "small", "running", 1, 2, 0.5, {"loss": 2.0}, (3.0, 2.0), ("line",), None, {"a": "b"})
    duty = Duty("reveal", "0x1", "reveal x", 413, 413, 5, True)
    before = world(targets=(target(best_distance=0.5),), models=(model(),), jobs=(job,), duties=(duty,))
    assert from_json(Snapshot, json.loads(json.dumps(to_json(before)))) == before


def test_unknown_keys_are_ignored_and_missing_ones_take_their_default() -> None:
    seen = from_json(NetworkView, {"name": "practice", "kind": "practice", "newer": 1})
    assert seen == NetworkView("practice", "practice")


@pytest.mark.parametrize(
    "wrong",
    [{"kind": "practice"}, {"name": 5, "kind": "practice"}, [], {"name": "x", "kind": "y", "synced_at_ms": "1"}],
)
def test_what_has_another_shape_is_refused(wrong: object) -> None:
    with pytest.raises(CodecError):
        from_json(NetworkView, wrong)
