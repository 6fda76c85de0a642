"""Seeded models repeat, differ, and share the wins among the files that an operator will score."""

from __future__ import annotations

import asyncio
import base64
import io
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from somatui.corpora.files import FileCorpus
from somatui.engine import contract, weights
from somatui.practice import genesis
from somatui.practice.genesis import Beginning
from somatui.practice.tied import command
from somatui.workers import seed
from somatui.workers.protocol import Emitter
from somatui.workers.session import JobError, Session


@pytest.fixture
def session() -> Iterator[Session]:
    threads = torch.get_num_threads()
    yield Session(Emitter(io.StringIO()))
    torch.set_num_threads(threads)


def made(folder: Path, session: Session, steps: int, threads: int = 2, count: int = 3) -> list[dict[str, Any]]:
    job = {"work_dir": str(folder), "count": count, "steps": steps, "seed": 1, "threads": threads}
    models: list[dict[str, Any]] = seed.seed_models(job, session)["models"]
    return models


def test_no_kind_of_bytes_lacks_pieces() -> None:
    texts = seed.pieces(1)
    counts = np.bincount(seed.kinds(texts), minlength=3)
    assert counts.min() >= len(texts) / 5
    assert (seed.pieces(1) == texts).all()


@pytest.mark.slow
def test_the_models_do_not_depend_on_how_many_are_trained_side_by_side(tmp_path: Path, session: Session) -> None:
    told = [made(tmp_path / str(threads), session, steps=2, threads=threads) for threads in (1, 3)]
    files = [[Path(model["weights"]).read_bytes() for model in models] for models in told]
    assert files[0] == files[1]
    assert len(set(files[0])) == 3
    assert [model["embedding"] for model in told[0]] == [model["embedding"] for model in told[1]]


def test_a_stop_ends_it_in_one_sentence(tmp_path: Path, session: Session) -> None:
    session.stopping.set()
    with pytest.raises(JobError, match="stopped"):
        made(tmp_path, session, steps=4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_seeded_model_wins_its_share_of_files(tmp_path: Path, seeds: Path) -> None:
    (tmp_path / "work").mkdir()
    usual = Beginning(cache=seeds)
    made = asyncio.run(
        genesis.models_of(
            command(genesis.WORKER), tmp_path / "work", 1, usual, tmp_path / "seed.log", lambda text: None
        )
    )
    models = []
    for told in made:
        config, tensors = weights.open_bytes(told.weights)
        assert config == weights.SMALL
        assert np.linalg.norm(np.frombuffer(base64.b64decode(told.embedding), "<f4")) == pytest.approx(1, abs=1e-5)
        models.append(tensors)
    wins: Counter[int] = Counter()
    files = [one.data[: contract.CHUNK] for one in islice(FileCorpus(seed=0), 30)]
    for data in files:
        wins[contract.winner([contract.score(weights.SMALL, model, data) for model in models])] += 1
    assert min(wins[number] for number in range(3)) >= len(files) / 10, wins
