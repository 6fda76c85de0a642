"""The guided setup as values: which steps there are, which is next, what survives a break, what is asked."""

from __future__ import annotations

import json

import pytest

from somatui.domain.setup.after import first_reading, summary, what_next
from somatui.domain.setup.state import Setup, SetupError, from_json, to_json
from somatui.domain.setup.steps import NETWORKS, PURPOSES, STEPS, Answers, Known, KnownWallet, fields, shown, taken
from somatui.domain.snapshot import empty

ALL = ["purpose", "network", "vault", "wallet", "storage", "huggingface", "extras", "summary"]
HERE = Known(vault=True, locked=False)
ADDRESS = "ab" * 32


def names(setup: Setup) -> list[str]:
    return [s.name for s in setup.steps]


def after(setup: Setup, *marks: str) -> Setup:
    for mark in marks:
        setup = setup.done() if mark == "done" else setup.skipped()
    return setup


def test_there_are_eight_steps_each_with_two_sentences() -> None:
    assert [s.name for s in STEPS] == ALL
    assert all(s.about.endswith(".") and len(s.about) <= 300 for s in STEPS)


@pytest.mark.parametrize(
    ("purpose", "network", "wanted"),
    [
        ("submit", "testnet", ALL),
        ("train", "localnet", ALL),
        ("both", "custom", ALL),
        ("look", "testnet", ["purpose", "network", "wallet", "summary"]),
        ("submit", "practice", ["purpose", "network", "summary"]),
        ("look", "practice", ["purpose", "network", "summary"]),
    ],
)
def test_only_what_is_needed_is_asked(purpose: str, network: str, wanted: list[str]) -> None:
    assert [s.name for s in taken(Answers(purpose=purpose, network=network))] == wanted


def test_who_only_looks_at_a_node_with_a_password_needs_a_vault_for_it() -> None:
    assert "vault" in [s.name for s in taken(Answers(purpose="look", network="custom", auth="asked"))]


def test_a_step_leads_to_the_next_open_one_and_the_last_ends_it() -> None:
    setup = Setup()
    for number, name in enumerate(ALL, 1):
        assert (setup.at, setup.number, setup.finished) == (name, number, False)
        setup = setup.done()
    assert setup.finished and setup.at == "summary"


def test_what_can_be_done_without_is_skipped_and_what_cannot_is_refused() -> None:
    setup = after(Setup(), "done", "skipped", "skipped")
    assert (setup.at, setup.mark("vault"), setup.mark("wallet")) == ("wallet", "skipped", "open")
    for name in ("purpose", "summary"):
        with pytest.raises(SetupError, match="cannot be skipped"):
            Setup(at=name).skipped()


def test_without_a_vault_what_it_would_keep_is_left_out_with_that_reason_and_asked_again_when_there_is_one() -> None:
    setup = after(Setup(Answers(purpose="submit")), "done", "done", "skipped", "done")
    assert (setup.at, setup.back().at) == ("extras", "wallet")
    rows = {name: (value, tone) for name, value, tone in summary(setup)}
    assert rows["storage"] == rows["Hugging Face"] == ("skipped: its keys need the vault", "warn")
    assert [c for c, _ in what_next(setup)][:3] == ["somatui status --watch", "somatui targets list", "somatui setup"]
    assert from_json(to_json(setup)) == setup
    assert fields("extras", setup.answers, Known()) == ()
    made = setup.back().back().done()
    assert names(made) == ALL and made.at == "storage"


def test_back_goes_one_step_and_what_was_done_stays_done() -> None:
    setup = after(Setup(), "done", "done", "done").back()
    assert (setup.at, setup.mark("vault")) == ("vault", "done")
    assert setup.done().at == "wallet"
    assert Setup().back() == Setup()


def test_another_network_opens_everything_after_it_again_but_the_same_one_does_not() -> None:
    setup = after(Setup(), "done", "done", "done")
    assert setup.answered(network="testnet", bucket="b").marks == setup.marks
    changed = setup.answered(network="custom", rpc_url="http://127.0.0.1:1")
    assert [changed.mark(n) for n in ALL[:3]] == ["done", "open", "open"]


def test_the_profile_is_named_after_its_network_unless_it_has_a_name() -> None:
    assert Answers(network="testnet").name == "testnet"
    assert Answers(network="custom", profile="ops").name == "ops"


@pytest.mark.parametrize("count", range(8))
def test_a_setup_broken_off_at_any_step_goes_on_there(count: int) -> None:
    setup = after(Setup(), *["done"] * count)
    assert from_json(json.loads(json.dumps(to_json(setup)))) == setup
    assert setup.resumed(HERE).at == ALL[count]


def test_a_vault_that_has_locked_meanwhile_is_opened_first_and_then_it_goes_on_where_it_was() -> None:
    setup = after(Setup(), *["done"] * 5)
    again = setup.resumed(Known(vault=True, locked=True))
    assert again.at == "vault"
    assert again.done().at == "huggingface"
    before_the_vault = after(Setup(), "done")
    assert before_the_vault.resumed(Known()).at == "network"


def test_a_nodes_password_that_was_not_kept_before_the_break_is_asked_for_again() -> None:
    setup = after(Setup(Answers(network="custom", profile="ops", auth="asked")), "done", "done")
    assert setup.resumed(Known()).at == "network"
    assert setup.resumed(Known()).done().at == "vault"
    kept = Known(vault=True, locked=False, kept=frozenset({"rpc/ops/auth"}))
    assert setup.done().resumed(kept).at == "wallet"
    assert setup.done().resumed(Known(vault=True, locked=True)).at == "vault"


@pytest.mark.parametrize(
    "found",
    [
        None, [], {}, {"version": 2}, {"version": 1, "answers": {}, "marks": {}, "at": "nowhere"},
        {"version": 1, "answers": {"passphrase": "x"}, "marks": {}, "at": "purpose"},
        {"version": 1, "answers": {"purpose": "steal"}, "marks": {}, "at": "purpose"},
        {"version": 1, "answers": {"bucket": 1}, "marks": {}, "at": "purpose"},
        {"version": 1, "answers": {}, "marks": {"vault": "perhaps"}, "at": "purpose"},
        {"version": 1, "answers": {}, "marks": {"attic": "done"}, "at": "purpose"},
        {"version": 1, "answers": {"network": "practice"}, "marks": {}, "at": "storage"},
    ],
)  # fmt: skip
def test_a_resume_file_that_no_setup_has_written_is_refused(found: object) -> None:
    with pytest.raises(SetupError, match="begins anew"):
        from_json(found)


def test_secrets_are_fields_that_no_answer_can_hold() -> None:
    kept = set(to_json(Setup())["answers"])
    for step in ALL:
        for answers in (Answers(), Answers(network="custom")):
            for known in (Known(), Known(vault=True), HERE):
                secret = {f.name for f in fields(step, answers, known) if f.secret}
                assert not secret & (kept - {"auth"})


def test_an_address_with_a_password_in_it_does_not_reach_the_resume_file() -> None:
    typed = Setup(Answers(endpoint="https://id:hidden@store.example", bucket="b"))  # pragma: allowlist secret
    assert to_json(typed)["answers"]["endpoint"] == "" and to_json(typed)["answers"]["bucket"] == "b"


def test_a_node_and_its_faucet_are_asked_only_for_a_network_of_ones_own() -> None:
    wanted = fields("purpose", Answers(), Known())
    assert [f.name for f in shown(wanted, {"network": "testnet"})] == ["purpose", "network", "profile"]
    assert "rpc_url" in [f.name for f in shown(wanted, {"network": "custom"})]
    assert wanted[0].choices == PURPOSES and wanted[1].choices == NETWORKS


def test_a_vault_that_is_open_asks_nothing_a_locked_one_once_and_a_new_one_twice() -> None:
    assert fields("vault", Answers(), HERE) == ()
    assert [f.name for f in fields("vault", Answers(), Known(vault=True))] == ["passphrase"]
    assert [f.name for f in fields("vault", Answers(), Known())] == ["passphrase", "again"]


def test_without_a_vault_a_wallet_can_only_be_watched_and_one_that_is_here_is_offered_first() -> None:
    assert [n for n, _ in fields("wallet", Answers(), Known())[0].choices] == ["watch"]
    here = Known(vault=True, locked=False, wallets=(KnownWallet(ADDRESS, "ops-1"),))
    first = fields("wallet", Answers(address=ADDRESS), here)[0]
    assert first.value == ADDRESS and "ops-1" in first.choices[0][1]
    assert [n for n, _ in first.choices][1:] == ["new", "import", "watch"]


def test_what_the_vault_keeps_is_said_where_it_would_be_asked() -> None:
    kept = Known(vault=True, locked=False, kept=frozenset({"hf/token", "store/testnet/secret", "webhook/url"}))
    for step, name in (("huggingface", "token"), ("storage", "secret"), ("extras", "webhook")):
        field = next(f for f in fields(step, Answers(), kept) if f.name == name)
        assert "already" in field.hint


def test_several_keys_of_a_keystore_are_a_choice_once_they_are_known() -> None:
    known = Known(vault=True, locked=False, keys=(ADDRESS, "cd" * 32))
    asked = {f.name: f for f in shown(fields("wallet", Answers(), known), {"wallet": "import"})}
    assert [name for name, _ in asked["which"].choices] == list(known.keys)
    assert "which" not in {f.name for f in fields("wallet", Answers(), HERE)}


def test_the_end_says_what_was_skipped_and_what_to_do_next() -> None:
    setup = after(Setup(Answers(address=ADDRESS, label="main")), "done", "done", "done", "done", "skipped", "skipped")
    rows = {name: (value, tone) for name, value, tone in summary(setup, "file")}
    assert rows["vault"] == ("an encrypted file, which its passphrase opens", "")
    assert rows["storage"][1] == "warn" and "nothing can be submitted" in rows["storage"][0]
    for purpose, wanted in (("submit", "score"), ("train", "train"), ("both", "publish"), ("look", "status")):
        said = " ".join(command for command, _ in what_next(Setup(Answers(purpose=purpose))))
        assert wanted in said and "doctor" in said
    assert all(c.startswith("bin/somatui --home x ") for c, _ in what_next(setup, "bin/somatui --home x"))


def test_a_network_that_does_not_answer_is_said_in_the_first_reading() -> None:
    assert first_reading(empty("testnet", "testnet"))[0].startswith("The network does not answer yet")
