"""The registry answers for every surface: what an act is called, why it cannot be done, what it would do."""

from __future__ import annotations

import base64
import struct
from dataclasses import replace

import pytest

from somatui.agent import states
from somatui.domain import snapshot
from somatui.domain.actions import ACTIONS, Context, by_name
from somatui.domain.snapshot import Duty, IntentView, JobView, NetworkView, Snapshot, WalletName, WalletView
from tests.domain.worlds import NOW_MS, an_id, model, target, world


def at(snapshot: Snapshot, **where: object) -> Context:
    return Context(snapshot=snapshot, now_ms=NOW_MS, **where)  # type: ignore[arg-type]


def trained(name: str, dim: int = 16) -> JobView:
    embedding = base64.b64encode(struct.pack(f"<{dim}f", *[1.0] * dim)).decode()
    return JobView(name, "train", "small", "done", 1, 2, result={"embedding": embedding})


def test_names_keys_and_verbs_are_unique_and_explained() -> None:
    for what in ("name", "key", "verb"):
        values = [getattr(a, what) for a in ACTIONS]
        assert len(values) == len(set(values))
    assert all(a.help() and a.example.startswith(f"somatui {a.verb}") for a in ACTIONS)


def test_actions_are_found_by_name_and_by_key() -> None:
    assert by_name("claim") is by_name("c") is not None
    assert by_name("nothing") is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("claim", "Nothing is claimable"),
        ("reveal", "No model"),
        ("publish", "No finished training"),
        ("score", "No open"),
        ("stop", "No running job"),
        ("restart", "No job under the cursor that failed"),
    ],
)
def test_what_cannot_be_done_says_why(name: str, says: str) -> None:
    action = by_name(name)
    assert action is not None and says in (action.unavailable(at(world())) or "")


def test_a_watched_wallet_submits_nothing_and_says_so() -> None:
    score = by_name("score")
    seen = world(targets=(target(),))
    watched = replace(seen, wallet=replace(seen.wallet, watch_only=True))
    assert score is not None and score.unavailable(at(seen)) is None
    assert "watch-only" in (score.unavailable(at(watched)) or "")
    assert score.unavailable(at(watched, options={"submit": False})) is None


def test_a_score_job_that_ended_is_started_again_with_the_same_question_as_a_new_one() -> None:
    restart = by_name("restart")
    score, train = (JobView(f"{kind}-1", kind, kind, "failed", 1, 2) for kind in ("score", "train"))
    there = world(jobs=(score, train), targets=(target(),))
    assert restart is not None
    assert restart.unavailable(at(there, row="train-1")) is None and not restart.asks(at(there, row="train-1"))
    assert restart.unavailable(at(there, words=("score-1",))) is None and restart.asks(at(there, words=("score-1",)))
    told = restart.consequence(at(there, row="score-1"))
    assert told is not None and "submits what hits" in told.effect
    assert restart.call(at(there, row="score-1")) == ("job.restart", {"job_id": "score-1"})
    looks = world(jobs=(replace(score, submits=False),), targets=(target(),))
    looks = replace(looks, wallet=replace(looks.wallet, unlocked=False))
    assert restart.unavailable(at(looks, row="score-1")) is None and not restart.asks(at(looks, row="score-1"))
    assert restart.consequence(at(looks, row="score-1")) is None, "a job that only looks signs nothing"
    runs = replace(there, jobs=(score, replace(score, id="score-2", state="running")))
    assert "runs already" in (restart.unavailable(at(runs, row="score-1")) or "")
    assert "No job" in (restart.unavailable(at(runs, row="score-2")) or "")


def test_weights_are_fetched_of_the_row_of_those_named_or_where_that_is_said_of_all() -> None:
    fetch = by_name("weights")
    url = "http://store.example/w"
    models = (model("a1", url=url), model("a2", url=url, state="pending"), model("a3", state="created"),
              model("a4", url=url, state="inactive"))  # fmt: skip
    seen = world(models=models)

    def asked(**where: object) -> object:
        assert fetch is not None
        return fetch.call(at(seen, **where))[1]["args"]["ids"]

    both = [an_id("a1"), an_id("a2")]
    assert asked(row=an_id("a2")) == [an_id("a2")]
    assert asked(row=an_id("a2"), words=("all",)) == asked(options={"ids": both}) == both
    assert asked(words=(an_id("a1"), an_id("a4"))) == [an_id("a1")]
    assert fetch is not None and fetch.unavailable(at(seen, row=an_id("a1"))) is None
    for nothing in ({"words": (an_id("a4"),)}, {"row": an_id("a3")}, {"pane": "wallet", "row": an_id("c1")}):
        assert "No weights" in (fetch.unavailable(at(seen, **nothing)) or ""), "a key fetched all that there are"


@pytest.mark.parametrize("name", [a.name for a in ACTIONS if a.signs])
def test_what_signs_names_a_watched_wallet_before_anything_else(name: str) -> None:
    action = by_name(name)
    watched = replace(world(), wallet=replace(world().wallet, watch_only=True))
    assert action is not None and "watch-only: import its key" in (action.unavailable(at(watched)) or "")


def test_the_epoch_is_advanced_on_networks_of_ones_own_only() -> None:
    action = by_name("advance")
    assert action is not None and action.unavailable(at(world())) is None
    assert action.unavailable(at(world(network=NetworkView("localnet", "localnet", reachable=True)))) is None
    elsewhere = world(network=NetworkView("testnet", "testnet", reachable=True))
    assert "practice" in (action.unavailable(at(elsewhere)) or "")


def test_claim_takes_the_row_then_all_of_mine_and_words_before_both() -> None:
    paid = tuple(target(d, status="claimable", fill_epoch=410, mine=True) for d in ("71aa", "72bb"))
    picture = world(targets=(*paid, target("73cc", status="claimable")))
    claim = by_name("claim")
    assert claim is not None and claim.unavailable(at(picture)) is None
    rows = claim.call(at(picture, pane="targets", row=paid[1].id))
    assert rows == ("act", {"action": "claim", "args": {"target_ids": [paid[1].id]}})
    assert claim.call(at(picture))[1]["args"]["target_ids"] == [t.id for t in paid]
    assert claim.call(at(picture, words=("0" * 60 + "71aa",)))[1]["args"]["target_ids"] == [paid[0].id]
    assert "No target begins" in (claim.unavailable(at(picture, words=("beef",))) or "")


def test_publish_takes_the_newest_finished_training() -> None:
    jobs = tuple(trained(j) for j in ("j1", "j2"))
    publish = by_name("publish")
    assert publish is not None and publish.unavailable(at(world(jobs=jobs))) is None
    assert publish.call(at(world(jobs=jobs)))[1]["args"]["job_id"] == "j2"
    assert publish.call(at(world(jobs=jobs), pane="jobs", row="j1"))[1]["args"]["job_id"] == "j1"
    told = publish.consequence(at(world(jobs=jobs)))
    assert told is not None and told.at_stake_shannons == 500_000_000


def test_reveal_takes_the_model_that_waits() -> None:
    waiting = model("a2", state="pending", commit_epoch=411, key_at_hand=True)
    reveal = by_name("reveal")
    picture = world(models=(model("a1"), waiting))
    assert reveal is not None and reveal.unavailable(at(picture)) is None
    assert reveal.call(at(picture))[1]["args"] == {"model_id": an_id("a2")}


@pytest.mark.parametrize("job", [trained("j1", 2_048), JobView("j1", "train", "small", "done", 1, 2)])
def test_a_model_of_another_or_unknown_size_is_not_published(job: JobView) -> None:
    publish = by_name("publish")
    assert publish is not None and "wants 16" in (publish.unavailable(at(world(jobs=(job,)))) or "")


def test_one_target_that_is_not_open_yet_refuses_the_whole_claim() -> None:
    ready = target("71aa", status="claimable", fill_epoch=410, mine=True)
    early = target("72bb", status="filled", fill_epoch=412, mine=True)
    words = tuple(t.id.removeprefix("0x") for t in (ready, early))
    claim = by_name("claim")
    assert claim is not None
    said = claim.unavailable(at(world(targets=(ready, early)), words=words))
    assert said is not None and "72bb" in said and "epoch 414" in said


def others(*names: WalletName) -> Snapshot:
    base = world()
    return replace(base, wallet=replace(base.wallet, label="ops-1", others=names))


def test_hits_are_not_looked_for_with_a_locked_key_that_could_not_send_them() -> None:
    base, score = world(), by_name("score")
    locked = replace(base, wallet=replace(base.wallet, unlocked=False))
    assert score is not None and "vault unlock" in (score.unavailable(at(locked)) or "")
    assert "vault unlock" not in (score.unavailable(at(locked, options={"submit": False})) or "")


TWO = (WalletName("cc" * 32, "ops-2"), WalletName("dd" * 32, "cold", True))


def test_what_holds_is_said_as_such_beside_its_tick() -> None:
    use = by_name("use")
    assert use is not None
    (check,) = use.checks(at(others(*TWO), words=("ops-2",)))
    assert check.ok and check.text.startswith("no act and no score job")


@pytest.mark.parametrize(
    ("picture", "words", "says"),
    [
        (others(), (), "There is no other wallet"),
        (others(*TWO), (), "Say which one, as in :wallet use ops-2; there are ops-2, cold."),
        (others(WalletName("ee" * 32), TWO[1]), (), f"as in :wallet use {'ee' * 6}; there are {'ee' * 6}, cold."),
        (others(*TWO), ("ops-1",), "ops-1 is the wallet in use already"),
        (others(*TWO), ("nobody",), "not a wallet id"),
        (replace(others(*TWO), intents=(IntentView("i", "claim", "t", "signed", 1),)), ("ops-2",), "not finished"),
        (replace(others(*TWO), jobs=(JobView("j", "score", "s", "running", 1, 2),)), ("ops-2",), "stop it first"),
    ],
)
def test_another_wallet_is_not_used_where_that_would_harm(picture: Snapshot, words: tuple[str, ...], says: str) -> None:
    use = by_name("use")
    assert use is not None and says in (use.unavailable(at(picture, words=words)) or "")


@pytest.mark.parametrize("name", [a.name for a in ACTIONS])
def test_what_stands_beside_a_tick_is_no_cure(name: str) -> None:
    action = by_name(name)
    picture = world(targets=(target(), target("71aa", status="claimable", fill_epoch=410, mine=True)))
    pending = model("a1ce", state="pending", commit_epoch=picture.epoch.number - 1, key_at_hand=True, url="https://x")
    picture = replace(picture, models=(pending,), jobs=(trained("job-1"),))
    held = [c.text for c in action.preflight(at(picture)) if c.ok] if action else []
    assert all(text[0].islower() and text[-1] != "." for text in held)


def test_nothing_is_scored_for_submitting_without_wallet_coins_or_store() -> None:
    score, whole = by_name("score"), world(targets=(target(),))
    for poor, says in (
        (replace(whole, wallet=WalletView()), "no wallet"),
        (replace(whole, wallet=replace(whole.wallet, coins=())), "no coins"),
        (replace(whole, network=replace(whole.network, has_store=False)), "no storage"),
    ):
        assert score is not None and says in (score.unavailable(at(poor)) or "")
        assert score.unavailable(at(poor, options={"submit": False})) is None


def test_registry_and_journal_know_the_same_ends() -> None:
    assert snapshot.ENDED == states.ENDED


def test_another_wallet_is_named_by_label_or_address_or_is_the_only_one() -> None:
    use = by_name("use")
    assert use is not None
    for words, picture in ((("ops-2",), others(*TWO)), (("cccc",), others(*TWO)), ((), others(TWO[0]))):
        context = at(picture, words=words)
        assert use.unavailable(context) is None
        assert use.call(context) == ("wallet.use", {"address": "cc" * 32, "anyway": True})
        told = use.consequence(context)
        assert told is not None and told.typed_word is None and told.title == "Use ops-2"


def test_a_deadline_that_nobody_would_keep_wants_a_typed_word() -> None:
    due = Duty("reveal", "m", "reveal latex-01", 413, 413, 500_000_000, True)
    use = by_name("use")
    told = use and use.consequence(at(replace(others(*TWO), duties=(due,)), words=("cold",)))
    assert told is not None and told.typed_word == "use" and "only watched" in told.effect
    assert told.at_stake_text.startswith("0.500000 SOMA: reveal latex-01 must be on the chain by the end of epoch 413")


def test_the_faucet_is_asked_for_a_wallet_that_there_is() -> None:
    faucet = by_name("faucet")
    assert faucet is not None and faucet.unavailable(at(world())) is None
    assert "no wallet yet" in (faucet.unavailable(at(world(wallet=WalletView()))) or "")
