"""Verbs against a literal world: what they print, ask the agent for and refuse, and with which status."""

from __future__ import annotations

import base64
import io
import json
import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from somatui.agent import client
from somatui.cli.main import entry
from somatui.domain.snapshot import Duty, JobView, NetworkView, Snapshot
from tests.cli.scripted import AgentError, Script, speak
from tests.cli.shell import one_sentence
from tests.domain.worlds import ME, an_id, model, target, world

CLAIMABLE = an_id("7111")
PENDING = an_id("a1ce")
EMBEDDING = base64.b64encode(struct.pack("<16f", *[1.0] * 16)).decode()
JOB = JobView(
    "train-1", "train", "small model", "done", 1, 2, done=1.0, metrics={"loss": 5.25}, result={"embedding": EMBEDDING}
)


def full_world() -> Snapshot:
    base = world()
    claimable = target("7111", status="claimable", fill_epoch=410, mine=True, submitter=ME, bond_shannons=65_000)
    waiting = model("a1ce", state="pending", commit_epoch=411, key_at_hand=True, label="first")
    return replace(base, targets=(claimable, target("7222")), models=(*base.models, waiting), jobs=(JOB,))


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    return speak(Script(full_world()), monkeypatch)


def run(line: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, Any, str]:
    status = entry([*line.split(), "--json"])
    shown = capsys.readouterr()
    return status, json.loads(shown.out), shown.err


def test_ids_and_addresses_are_full_and_carry_0x(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    _, document, _ = run("targets list", capsys)
    assert [t["id"] for t in document["targets"]] == [CLAIMABLE, an_id("7222")]
    assert document["targets"][0]["submitter"] == "0x" + ME
    assert run("wallet show", capsys)[1]["address"] == "0x" + ME


def test_a_job_tells_its_figures_and_tables(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    near = ({"name": "/a/b.py", "target": an_id("7222"), "distance": 0.98121, "gap": 0.00321},)
    metrics = {"scored": 1_204.0, "hits": 2.0, "dropped_size": 3.0}
    job = JobView("score-1", "score", "score notes", "done", 1, 2, 1.0, metrics, tables={"near": near})
    script.world = replace(script.world, jobs=(job,))
    assert run("jobs show score-1", capsys)[1]["tables"] == {"near": list(near)}
    assert entry(["jobs", "show", "score"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "job       score-1", "what      score notes", "state     done", "done      100%",
        "found     1,204 scored  2 hits", "left out  3 size", "",
        "nearest miss  distance      gap  target", f"b.py            0.9812  +0.0032  {an_id('7222')[2:6]}",
    ]  # fmt: skip


def test_amounts_are_integers_of_shannons(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    document = run("wallet show", capsys)[1]
    assert document["free_shannons"] == 2_500_000_000
    assert document["bonded_shannons"] == 65_000
    assert [c["balance_shannons"] for c in run("wallet coins", capsys)[1]["coins"]] == [2_000_000_000, 500_000_000]


@pytest.mark.parametrize(
    "line",
    ["status", "wallet show", "wallet coins", "targets list", "models list", "epochs show", "jobs list",
     "jobs show train-1", f"targets show {CLAIMABLE}", f"models show {PENDING}"],
)  # fmt: skip
def test_every_reading_verb_has_a_text_and_a_document(
    line: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry(line.split()) == 0
    assert capsys.readouterr().out.strip()
    status, document, complaint = run(line, capsys)
    assert (status, complaint) == (0, "") and isinstance(document, dict)


def test_filters_narrow_the_list(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(run("targets list --status open", capsys)[1]["targets"]) == 1
    assert len(run("targets list --mine", capsys)[1]["targets"]) == 1
    assert len(run("models list --state pending", capsys)[1]["models"]) == 1


@pytest.mark.parametrize(
    "line", ["targets show zzzz", "targets show 7", f"targets show {an_id('99')}", "models show 0000", "jobs show none"]
)
def test_an_id_that_is_unknown_or_unclear_is_used_wrongly(
    line: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    status, document, complaint = run(line, capsys)
    assert status == 2 and document["ok"] is False and one_sentence(complaint), complaint


def test_a_claim_is_previewed_and_done_once_with_a_key(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.answers["act"] = {"ok": True, "result": {"digest": "5Xy"}}
    status, document, _ = run("targets claim --all --yes", capsys)
    assert status == 0 and document["ok"] is True and document["result"] == {"digest": "5Xy"}
    assert document["consequence"]["gains_shannons"] > 0
    assert script.methods == ["preview", "act"]
    assert script.asked[-1][1]["args"] == {"target_ids": [CLAIMABLE]} and len(script.asked[-1][1]["key"]) == 32


def test_without_a_terminal_and_without_yes_nothing_is_sent(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    for line in ("targets claim --all", f"models reveal {PENDING}", "models publish", "score run"):
        status, _, complaint = run(line, capsys)
        assert status == 2 and "--yes" in complaint
    assert "act" not in script.methods and "job.start" not in script.methods


def test_a_dry_run_lets_the_node_try_it_and_signs_nothing(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    status, document, _ = run(f"models reveal {PENDING} --dry-run", capsys)
    assert status == 0 and document["dry_run"] is True and document["simulated"] == {"fee_shannons": 1_600}
    script.answers["preview"]["simulated"] = {"fee_shannons": 0, "error": "epoch mismatch"}
    assert run(f"models reveal {PENDING} --dry-run", capsys)[0] == 3
    assert script.methods == ["preview", "preview"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "status", "acts"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0), ("", 1, 0)])
def test_on_a_terminal_the_consequence_is_shown_and_only_yes_acts(
    typed: str,
    status: int,
    acts: int,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    found, _, shown = run(f"models reveal {PENDING}", capsys)
    assert found == status and script.methods.count("act") == acts
    assert "cannot be undone" in shown and "Go on? [y/N]" in shown
    assert "network   PRACTICE" in shown and "wallet    aaaa" in shown


@pytest.mark.parametrize(("typed", "starts"), [("y\n", 0), ("mainnet\n", 1)])
def test_on_a_main_network_a_job_that_submits_wants_the_profiles_name_typed(
    typed: str,
    starts: int,
    script: Script,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    network = NetworkView("mainnet", "custom", reachable=True, colour="main")
    script.world = replace(script.world, profile="mainnet", network=network)
    script.answers["job.start"] = {"job_id": "score-1"}
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    _, _, shown = run("score run", capsys)
    assert script.methods.count("job.start") == starts
    assert "network   MAIN mainnet" in shown and "Type mainnet to go on" in shown


def test_weights_are_fetched_by_ids_or_of_all_live_models(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    live = tuple(replace(m, url="http://store.example/w") for m in script.world.models)
    script.world = replace(script.world, models=live)
    script.answers["job.start"] = {"job_id": "weights-1"}
    assert run(f"models fetch {PENDING}", capsys)[1]["result"] == {"job_id": "weights-1"}
    assert run("models fetch --live", capsys)[0] == 0
    asked = [params["args"]["ids"] for method, params in script.asked if method == "job.start"]
    assert asked == [[PENDING], [m.id for m in live]]


def test_what_preflight_refuses_is_status_3_and_nothing_is_sent(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.world = replace(script.world, targets=())
    status, document, complaint = run("targets claim --all --yes", capsys)
    assert status == 3 and document["status"] == 3 and one_sentence(complaint)
    script.world = full_world()
    script.answers["preview"]["refused"] = "The node refuses it: epoch mismatch."
    assert run("targets claim --all --yes", capsys)[0] == 3
    assert "act" not in script.methods


@pytest.mark.parametrize(("code", "status"), [(-32010, 3), (-32011, 4), (-32012, 5), (-32013, 1)])
def test_what_the_agent_answers_becomes_the_status(
    code: int, status: int, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.answers["act"] = AgentError(code, "It did not go through.", {"digest": "5Xy"} if code == -32012 else None)
    found, document, complaint = run("targets claim --all --yes", capsys)
    assert found == status and document["ok"] is False
    assert ("5Xy" in complaint) is (code == -32012)


def test_jobs_start_with_what_was_typed(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.answers["job.start"] = {"job_id": "score-1"}
    assert entry(["score", "run", "--no-submit"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Started: score", "job_id  score-1"]
    assert run("score run --limit 3 --max-hits 2 --yes", capsys)[1]["result"] == {"job_id": "score-1"}
    args = script.asked[-1][1]["args"]
    assert (args["limit"], args["max_hits"], args["submit"]) == (3, 2, True)
    run("score run --yes --source jsonl:pyproject.toml --source program:gen --window chunk --near", capsys)
    corpus = script.asked[-1][1]["args"]["corpus"]
    assert corpus["sources"][1] == {"kind": "program", "command": "gen", "folder": str(Path.cwd())}
    assert (corpus["sources"][0]["path"].startswith("/"), corpus["window"], corpus["near"]) == (True, "chunk", True)
    for typed, meant in (("all", "all"), ("none", "none"), ("0,2", [0, 2])):
        run(f"score run --yes --gpus {typed} --shards 3 --source programs:gen", capsys)
        args = script.asked[-1][1]["args"]
        assert (args["gpus"], args["shards"], args["corpus"]["sources"][0]["kind"]) == (meant, 3, "programs")
    for typed, meant in (("", None), ("--precision exact", "exact"), ("--precision=screen", "screen")):
        run(f"score run --yes {typed}", capsys)
        assert script.asked[-1][1]["args"].get("precision") == meant
    assert run("score run --yes --precision half", capsys)[0] == 2
    _, _, shown = run("score run --yes --nodes 3 --rendezvous 10.0.0.5:29400", capsys)
    args = script.asked[-1][1]["args"]
    assert (args["nodes"], args["rendezvous"]) == (3, "10.0.0.5:29400")
    assert "somatui score join 10.0.0.5:29400 --key" in shown and "score-1/nodes.key" in shown
    for wrong in ("--nodes 3", "--rendezvous 10.0.0.5:1", "--nodes 0 --rendezvous a:1", "--nodes 2 --rendezvous a:b"):
        assert run(f"score run --yes {wrong}", capsys)[0] == 2
    assert run("score join 10.0.0.5:29400 --key /no/such", capsys)[0] == 2
    for wrong in ("some", "0,", "-1", "0;1"):
        assert run(f"score run --yes --gpus={wrong}", capsys)[0] == 2
    for wrong in ("magic:x", "jsonl:", "jsonl:/no/such", "lines:."):
        assert run(f"score run --yes --source {wrong}", capsys)[0] == 2
    run("train run --steps 5 --seed 9", capsys)
    assert script.asked[-1][1]["kind"] == "train" and script.asked[-1][1]["args"]["corpus"]["seed"] == 9


def test_what_a_command_is_given_by_a_pipe_is_kept_for_the_job(
    script: Script, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    script.answers["job.start"] = {"job_id": "score-1"}
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "one"}\n')))
    read, write = os.pipe()
    os.write(write, b"two\n")
    os.close(write)
    try:
        assert run(f"score run --yes --source jsonl:- --source lines:/dev/fd/{read}", capsys)[0] == 0
    finally:
        os.close(read)
    found = [Path(source["path"]) for source in script.asked[-1][1]["args"]["corpus"]["sources"]]
    assert [path.read_bytes() for path in found] == [b'{"text": "one"}\n', b"two\n"]
    assert {path.stat().st_mode & 0o077 for path in found} == {0}
    os.utime(found[0], (0, 0))
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    run("score run --yes --source lines:-", capsys)
    assert [path.exists() for path in found] == [False, True]


def test_whoever_stops_the_agent_is_told_what_is_due(
    script: Script, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    due = Duty("reveal", PENDING, "reveal first", 412, 412, 500_000_000, True)
    free = Duty("claim", CLAIMABLE, "claim 1 target", 412, None, 0, True)
    script.world = replace(script.world, duties=(due, free))
    monkeypatch.setattr("somatui.cli.live.is_running", lambda _: True)
    monkeypatch.setattr("somatui.cli.stop.stop_agent", lambda _: ())
    (told,) = run("agent stop", capsys)[1]["due"]
    assert told.startswith("reveal first is due by the end of epoch 412, or 0.500000 SOMA are lost: somatui agent run")

    async def refuse(_paths: object) -> None:
        raise client.AgentError(-32001, "Agent and console are of different versions: restart the agent.")

    monkeypatch.setattr(client.AgentClient, "connect", refuse)
    status, document, _ = run("agent stop", capsys)
    assert (status, document["stopped"], document["due"]) == (0, True, []), "an agent of another version stays for ever"


def test_publishing_stakes_what_was_typed(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    status, document, _ = run("models publish --stake 1.5 --commission 250 --label mine --yes", capsys)
    assert status == 0 and document["consequence"]["locks_shannons"] == 1_500_000_000
    args = script.asked[-1][1]["args"]
    assert args["stake_shannons"] == 1_500_000_000 and args["commission_bps"] == 250 and args["job_id"] == "train-1"
    assert run("models publish --stake 5 --yes", capsys)[0] == 3


def test_a_ledger_that_differs_is_status_1(script: Script, capsys: pytest.CaptureFixture[str]) -> None:
    script.answers["ledger.reconcile"] = {"difference_shannons": 0, "earned_shannons": 5}
    assert run("ledger reconcile", capsys)[:2] == (0, {"ok": True, "difference_shannons": 0, "earned_shannons": 5})
    script.answers["ledger.reconcile"] = {"difference_shannons": -1}
    assert run("ledger reconcile", capsys)[0] == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label": "ops-1"}, "wallet    ops-1, key at hand"),
        ({"watch_only": True}, "wallet    aaaa…aaaa, watch-only"),
        ({"unlocked": False}, "wallet    aaaa…aaaa, locked"),
        ({"address": ""}, "wallet    none yet"),
    ],
)
def test_status_says_which_wallet_and_what_can_be_done_with_it(
    changes: dict[str, Any], says: str, script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script.world = replace(script.world, wallet=replace(script.world.wallet, **changes))
    assert entry(["status"]) == 0
    assert " ".join(says.split()) in " ".join(capsys.readouterr().out.split())


def test_a_local_networks_epoch_and_faucet_are_the_agents_to_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    there = replace(full_world(), network=replace(full_world().network, kind="localnet", name="localnet"))
    script = speak(Script(there), monkeypatch)
    for verb in ("advance", "faucet"):
        assert entry(["practice", verb, "--yes", "--profile", "localnet"]) == 0
    assert [call["action"] for name, call in script.asked if name == "act"] == ["advance", "faucet"]
