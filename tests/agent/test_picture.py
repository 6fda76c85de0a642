"""The picture: what of it is new, what is not, and what the operator is warned of."""

from __future__ import annotations

from dataclasses import replace

from somatui.agent.alerts import STUCK_MS
from somatui.agent.journal import Intent
from somatui.agent.picture import Own, Recorded, Seen, compose, sections
from somatui.chain.snapshot import SystemView, Weights
from somatui.config import Settings
from somatui.domain.snapshot import CoinView, NetworkView, Snapshot, empty
from tests.domain.worlds import ME, NOW_MS, OTHER, an_id, coin, model, target, world

START = empty("practice", "practice")


def seen(**changes: object) -> Seen:
    base = world()
    system = SystemView(base.epoch, 2, False, (model(mine=False), model("a2", owner=OTHER, mine=False)), {}, {},
                        frozenset())  # fmt: skip
    made = Seen(replace(base.network, synced_at_ms=NOW_MS), system, (target(),), ())
    return replace(made, **changes)  # type: ignore[arg-type]


def own(**changes: object) -> Own:
    base = Own("practice", ME, True, Settings(), coins=(coin("c1", 2_000_000_000),))
    return replace(base, **changes)  # type: ignore[arg-type]


def first() -> Snapshot:
    return compose(seen(), own(), START, NOW_MS)


def test_the_same_things_seen_again_are_the_same_picture() -> None:
    before = first()
    later = seen(network=replace(before.network, synced_at_ms=NOW_MS + 2_000))
    assert compose(later, own(), before, NOW_MS + 2_000) is before


def test_a_network_that_is_gone_keeps_the_time_of_its_last_answer_and_is_an_alert() -> None:
    gone = NetworkView(name="practice", kind="practice", error="The network does not answer.", synced_at_ms=0)
    made = compose(seen(network=gone), own(), first(), NOW_MS + 9_000)
    assert (made.network.reachable, made.network.synced_at_ms, made.at_ms) == (False, NOW_MS, NOW_MS + 9_000)
    assert [a.text for a in made.alerts] == ["The network does not answer."]
    again = compose(seen(network=gone), own(), made, NOW_MS + 20_000)
    assert again is made, "an alert keeps the time at which it came up"


def test_own_things_are_marked_with_what_only_the_agent_knows() -> None:
    intent = Intent("s1", "k", "submit", an_id("71"), "signed", NOW_MS, NOW_MS,
                    args={"hit": {"distance": 0.9, "model_id": an_id("a2")}})  # fmt: skip
    known = Recorded((intent,), labels={an_id("a1"): "first"}, keys_at_hand=frozenset({an_id("a1"), an_id("a2")}))
    knows = own(recorded=known)
    made = compose(seen(), knows, START, NOW_MS)
    mine, other = made.models
    assert (mine.mine, mine.label, mine.key_at_hand) == (True, "first", True)
    assert (other.mine, other.label, other.key_at_hand) == (False, "", False)
    assert (made.targets[0].intent, made.targets[0].best_distance) == ("signed", 0.9)
    assert made.targets[0].best_model_id == an_id("a2")


def test_a_coin_is_reserved_only_while_a_reveal_waits() -> None:
    two = (CoinView(an_id("c1"), 1, "d", 2_000_000_000), CoinView(an_id("c2"), 1, "d", 500_000_000))
    assert {c.role for c in compose(seen(), own(coins=two), START, NOW_MS).wallet.coins} == {"working"}
    base = seen()
    assert base.system is not None
    waiting = replace(base.system, models=(model(state="pending", commit_epoch=412, mine=False),))
    made = compose(replace(base, system=waiting), own(coins=two), START, NOW_MS)
    assert [c.role for c in made.wallet.coins] == ["working", "reserved"]


def test_a_missing_key_a_locked_vault_and_stuck_bytes_are_told() -> None:
    base = seen()
    assert base.system is not None
    waiting = replace(
        base.system,
        models=(model(state="pending", commit_epoch=411, mine=False),),
        weights={an_id("a1"): Weights("http://x/y", "c", 1)},
    )
    stuck = Intent("c1", "k", "claim", an_id("71"), "signed", NOW_MS - STUCK_MS - 1, NOW_MS - STUCK_MS - 1)
    made = compose(replace(base, system=waiting), own(unlocked=False, recorded=Recorded((stuck,))), START, NOW_MS)
    texts = " ".join(a.text for a in made.alerts)
    assert "locked" in texts and "key missing" in texts and "not yet seen on the chain" in texts
    assert {a.severity for a in made.alerts} == {"bad", "warn"}


def test_sections_carry_the_whole_picture() -> None:
    made = sections(first())
    assert (made["epoch"]["number"], made["wallet"]["address"]) == (412, ME)
    assert made["targets"][0]["id"] == an_id("71")


def test_with_a_picture_before_only_what_differs_is_turned_into_json() -> None:
    before = first()
    after = compose(seen(targets=()), own(), before, NOW_MS + 1_000)
    assert set(sections(after, before)) == {"targets", "models", "at_ms"}
    assert sections(after)["targets"] == [] and set(sections(after)) > set(sections(after, before))
