"""A job's worker is given the secrets that its sources need, and is named by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from somatui.agent.kinds import KINDS, KindError
from somatui.vault.file import FileVault

HUB = {"corpus": {"paths": None, "sources": [{"kind": "hub", "name": "owner/set"}]}}
FILE = {"corpus": {"paths": None, "sources": [{"kind": "jsonl", "path": "/a/b.jsonl"}]}}


@pytest.mark.usefixtures("quick_vaults")
def test_the_hub_s_token_goes_to_jobs_that_read_the_hub_alone(tmp_path: Path) -> None:
    vault = FileVault.create(tmp_path / "vault", "correct horse")
    assert KINDS["score"].secrets(HUB, vault) is None
    vault.set("hf/token", b"hf_of_mine")
    assert KINDS["score"].secrets(HUB, vault) == {"hf_token": "hf_of_mine"}
    assert KINDS["score"].secrets(FILE, vault) is KINDS["score"].secrets(HUB, None) is KINDS["train"].secrets({}, vault)
    vault.lock()
    assert KINDS["score"].secrets(HUB, vault) is None


def test_a_job_is_named_by_what_it_reads() -> None:
    program = {"kind": "program", "command": "/usr/bin/gen --key value"}
    many = [*HUB["corpus"]["sources"], *FILE["corpus"]["sources"], program, program]
    assert KINDS["score"].title({"limit": 5, "corpus": {"sources": many}}) == "score 5 of set, b.jsonl, gen and 1 more"
    spaced = [{"kind": "jsonl", "path": "/my data/a b.jsonl"}, {"kind": "program", "command": "bin/gen --all"}]
    assert KINDS["score"].title({"corpus": {"sources": spaced}}) == "score a b.jsonl, gen"


def test_a_job_is_done_at_one_place_unless_cards_or_shards_are_named() -> None:
    score = KINDS["score"]
    assert score.worker({"limit": 5}) == score.module == "somatui.workers.score"
    for several in ({"gpus": "all"}, {"gpus": [0, 2]}, {"gpus": "none", "shards": 4}, {"shards": 2}):
        assert score.worker(several) == "somatui.workers.score_many"
    met = {"nodes": 3, "rendezvous": "10.0.0.5:29400"}
    assert score.worker(met) == "somatui.workers.nodes"
    for wrong in (
        {"nodes": 3},
        {"rendezvous": "10.0.0.5:29400"},
        met | {"nodes": 0},
        {"gpus": "some"},
        {"gpus": []},
        {"gpus": [-1]},
        {"gpus": [True]},
        {"shards": 0},
        {"precision": "half"},
    ):
        with pytest.raises(KindError):
            score.title(wrong)
