"""What the operator is told of one picture, and what an alert is called while its text changes."""

from __future__ import annotations

from dataclasses import replace

from somatui.agent.alerts import HELD_UP_MS, LADDER, SILENT_MS, Trouble, alerts, disk_alerts
from somatui.agent.journal import Intent
from somatui.agent.states import CREATED, PLANNED
from somatui.domain.duties import duties
from somatui.domain.snapshot import Alert, JobView, Snapshot, WalletName
from somatui.files import LITTLE_BYTES
from tests.domain.worlds import HOUR_MS, NOW_MS, OTHER, an_id, coin, model, world

WAITING = model(state="pending", commit_epoch=411, key_at_hand=True)


def told(seen: Snapshot, *intents: Intent, at_ms: int = NOW_MS, trouble: Trouble | None = None) -> dict[str, Alert]:
    made = alerts(seen, intents, (), at_ms, trouble or {})
    assert len({a.about for a in made}) == len(made), "two alerts have one name"
    assert all(a.about and a.text.endswith(".") for a in made), made
    return {a.about: a for a in made}


def due(**changes: object) -> Snapshot:
    made = world(**changes)
    return replace(made, duties=duties(made, auto_reveal=True, auto_claim=True))


def test_all_is_well_in_silence_with_a_reveal_that_is_armed_too() -> None:
    assert told(due(models=(WAITING,))) == {}


def test_a_reveal_that_nobody_will_do_is_told_again_as_its_end_comes_nearer() -> None:
    seen = due(models=(replace(WAITING, key_at_hand=False),))
    ends = seen.epoch.starts_at_ms + seen.epoch.duration_ms
    names = []
    for left in (20 * HOUR_MS, *(step for step, _ in LADDER), 60_000):
        (alert,) = told(seen, at_ms=ends - left).values()
        assert alert.severity == "bad" and "key missing" in alert.text
        names.append(alert.about)
    base = f"duty:reveal:{WAITING.id}"
    assert names == [base, *(f"{base}#{words}" for _, words in LADDER), f"{base}#30 minutes"]


def test_what_the_keeper_tries_in_vain_is_told_with_its_reason() -> None:
    (alert,) = told(due(models=(WAITING,)), trouble={("reveal", WAITING.id): "The node refuses it."}).values()
    assert alert.severity == "bad" and "does not succeed" in alert.text and "The node refuses it." in alert.text


def test_an_act_that_waits_on_a_hindrance_is_told_and_is_bad_where_stake_hangs_on_it() -> None:
    held = Intent("p1", "k", "publish", "first", CREATED, NOW_MS, NOW_MS - HELD_UP_MS - 1, note="The vault is locked.")
    fresh = replace(held, id="p2", updated_ms=NOW_MS)
    cheap = replace(held, id="s1", action="submit", state=PLANNED)
    found = told(world(), held, fresh, cheap)
    assert {a: found[a].severity for a in found} == {"held:p1": "bad", "held:s1": "warn"}
    assert "The vault is locked." in found["held:p1"].text


def test_a_deadline_of_another_wallet_of_the_profile_is_told_with_its_cure() -> None:
    theirs = model("b1", owner=OTHER, mine=False, state="created", create_epoch=412)
    base = world(models=(theirs,))
    seen = replace(base, wallet=replace(base.wallet, others=(WalletName(OTHER, "old"),)))
    (alert,) = told(seen).values()
    assert alert.severity == "bad" and "epoch 413" in alert.text and "somatui wallet use old" in alert.text
    nameless = replace(base, wallet=replace(base.wallet, others=(WalletName(OTHER),)))
    assert f"somatui wallet use {OTHER[:12]}." in next(iter(told(nameless).values())).text
    watched = replace(base, wallet=replace(base.wallet, others=(WalletName(OTHER, "old", watch_only=True),)))
    assert told(watched) == told(world(models=(replace(theirs, state="active"),))) == {}


def test_coins_are_told_of_only_where_something_waits_for_them() -> None:
    base = world()
    poor = replace(base, wallet=replace(base.wallet, coins=(coin("c1", 1_000),)))
    assert told(poor) == {}
    job = JobView("j1", "score", "score", "running", 0, NOW_MS)
    found = told(replace(poor, jobs=(job,)))["coins"]
    assert found.severity == "warn" and "0.000 660" in found.text and told(replace(base, jobs=(job,))) == {}
    assert told(replace(poor, jobs=(replace(job, submits=False),))) == {}, "a job that only looks needs no coins"
    pending = due(models=(WAITING,), wallet=poor.wallet)
    assert told(pending)["coins"].severity == "bad"
    assert told(replace(poor, jobs=(replace(job, state="failed", error="It died."),)))["job:j1"].severity == "warn"
    assert an_id("c1") not in found.text


def test_a_job_that_says_nothing_for_long_is_told_of() -> None:
    job = JobView("j1", "train", "train", "running", 0, NOW_MS)
    seen = replace(world(), jobs=(job, replace(job, id="j2", state="done")))
    assert told(seen, at_ms=NOW_MS + SILENT_MS) == {}
    assert "somatui jobs log j1" in told(seen, at_ms=NOW_MS + SILENT_MS + 1)["silent:j1"].text


def test_a_disk_that_is_nearly_full_is_told_of_before_nothing_can_be_written() -> None:
    assert disk_alerts(LITTLE_BYTES, "/state") == ()
    (alert,) = disk_alerts(LITTLE_BYTES - 1, "/state")
    assert (alert.severity, alert.about) == ("bad", "disk") and "200 MB" in alert.text and "/state" in alert.text


def test_a_text_that_changes_is_the_same_alert_and_keeps_its_time() -> None:
    gone = replace(world().network, reachable=False, error="It is refused.")
    first = alerts(replace(world(), network=gone), (), (), NOW_MS, {})
    later = alerts(replace(world(), network=replace(gone, error="It is silent.")), (), first, NOW_MS + 5_000, {})
    assert [(a.at_ms, a.text) for a in later] == [(NOW_MS, "It is silent.")]
