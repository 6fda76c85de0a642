"""What others may still ask for is not deleted, and what nobody needs is."""

from __future__ import annotations

import pytest

from somatui.domain.snapshot import IntentView, NetworkView
from somatui.domain.stored import kept_for
from tests.domain.worlds import model, target, world

URL = "https://store.example/weights/one"
DATA = "https://store.example/data/one"


@pytest.mark.parametrize(
    ("state", "kept"), [("created", True), ("pending", True), ("active", True), ("inactive", False)]
)
def test_weights_stay_as_long_as_their_model_may_be_asked_for(state: str, kept: bool) -> None:
    reason = kept_for(world(models=(model(state=state, url=URL),)), URL)
    assert (reason is not None) == kept
    assert reason is None or reason.endswith(".")


@pytest.mark.parametrize(
    ("status", "fill_epoch", "kept"),
    [
        ("open", None, True),
        ("filled", 412, True),
        ("filled", 411, True),
        ("claimable", 410, False),
        ("expired", None, False),
    ],
)
def test_data_stays_until_its_audit_epoch_has_ended(status: str, fill_epoch: int | None, kept: bool) -> None:
    seen = world(targets=(target(status=status, fill_epoch=fill_epoch, data_url=DATA),))
    assert (kept_for(seen, DATA) is not None) == kept


def test_an_object_is_known_at_another_address_of_the_same_store() -> None:
    assert kept_for(world(models=(model(url=URL),)), "https://cdn.example/bucket/weights/one")


def test_other_objects_are_nobodys_business() -> None:
    assert kept_for(world(models=(model(url=URL),), targets=(target(data_url=DATA),)), DATA + "x") is None


def test_what_is_under_way_keeps_its_folder() -> None:
    publishing = IntentView(id="a", action="publish", subject="m", state="uploaded", updated_at_ms=0)
    submitting = IntentView(id="b", action="submit", subject="t", state="signed", updated_at_ms=0)
    assert kept_for(world(intents=(publishing,)), URL) and not kept_for(world(intents=(publishing,)), DATA)
    assert kept_for(world(intents=(submitting,)), DATA) and not kept_for(world(intents=(submitting,)), URL)
    ended = IntentView(id="a", action="publish", subject="m", state="done", updated_at_ms=0)
    assert kept_for(world(intents=(ended,)), URL) is None
    assert kept_for(world(models=(model(update_commit_epoch=412),)), URL)


def test_nothing_is_deleted_while_the_network_is_not_reached() -> None:
    assert kept_for(world(network=NetworkView(name="testnet", kind="testnet")), URL)
