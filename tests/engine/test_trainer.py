"""Training lowers the loss that decides who wins, and a resumed run is the uninterrupted one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch

from somatui.engine import contract, weights
from somatui.engine.optimizer import AdamW
from somatui.engine.trainer import CheckpointError, Plan, Trainer, embedding_of, joined
from somatui.engine.weights import SMALL

TEXT = [f"def function_{n}(self):\n    return {n}\n".encode() * 20 for n in range(7)]


def trained(steps: int, trainer: Trainer | None = None, skip: int = 0) -> tuple[Trainer, list[float]]:
    trainer = trainer or Trainer(SMALL, weights.initial(SMALL, 1), Plan(micro_batch=1, accumulate=2))
    source = cycle(TEXT)
    for _ in range(skip):
        next(source)
    return trainer, [trainer.advance(lambda: next(source)) for _ in range(steps)]


def test_the_contract_loss_falls() -> None:
    torch.manual_seed(0)
    trainer, losses = trained(12)
    assert losses[-1] < losses[0] - 0.1
    config, tensors = weights.open_bytes(trainer.export())
    before = contract.score(SMALL, weights.initial(SMALL, 1), TEXT[0]).loss
    assert contract.score(config, tensors, TEXT[0]).loss < before


def test_a_resumed_run_is_bit_equal_to_an_uninterrupted_one(tmp_path: Path) -> None:
    whole, losses = trained(6)
    half, first = trained(3)
    half.save(tmp_path / "checkpoint", {"position": 6})
    resumed, cursor = Trainer.resume(tmp_path / "checkpoint")
    resumed, second = trained(3, resumed, skip=cursor["position"])
    assert first + second == losses
    assert resumed.step == whole.step == 6
    assert resumed.export() == whole.export()


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    trained(1)[0].save(path, {})
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="older one"):
        Trainer.resume(path)
    assert [f.name for f in tmp_path.iterdir()] == ["checkpoint"]


def test_sequences_keep_their_own_positions_in_a_joined_batch() -> None:
    batch = joined([b"abc", b"x" * 3000])
    alone = next(contract.batches(b"abc"))
    assert torch.equal(batch.positions[0], alone.positions[0])
    assert torch.equal(batch.tokens[0], alone.tokens[0])
    assert batch.tokens.shape == (2, 1024)


def test_a_model_s_embedding_has_length_one() -> None:
    embedding = embedding_of(SMALL, weights.initial(SMALL, 1), TEXT[:2])
    assert embedding.shape == (16,)
    assert np.linalg.norm(embedding) == pytest.approx(1, abs=1e-6)


def test_a_scorer_may_train_afterwards() -> None:
    contract.projections.cache_clear()
    contract.score(SMALL, weights.initial(SMALL, 1), TEXT[0])
    assert trained(1)[1][0] > 0


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Two threads whatever the environment says: on one, sums have a single order and prove nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_on_two_threads_runs_repeat_and_resume_bit_by_bit(tmp_path: Path) -> None:
    def fresh() -> Trainer:
        return Trainer(SMALL, weights.initial(SMALL, 1), Plan(micro_batch=2, accumulate=1))

    whole = [trained(5, fresh())[0].export() for _ in range(4)]
    assert len(set(whole)) == 1
    half, _ = trained(2, fresh())
    half.save(tmp_path / "checkpoint", {"position": 4})
    resumed, cursor = Trainer.resume(tmp_path / "checkpoint")
    assert trained(3, resumed, skip=cursor["position"])[0].export() == whole[0]


TRAIN_A_LITTLE = """
import sys, tempfile
from pathlib import Path
from somatui.engine import weights
from somatui.engine.trainer import Plan, Trainer
trainer = Trainer(weights.SMALL, weights.initial(weights.SMALL, 1), Plan(micro_batch=1, accumulate=1))
trainer.advance(lambda: b"a few bytes")
with tempfile.TemporaryDirectory() as folder:
    trainer.save(Path(folder) / "checkpoint", {})
    Trainer.resume(Path(folder) / "checkpoint")
print(*(name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules))
"""


def test_training_loads_no_compiler() -> None:
    told = subprocess.run([sys.executable, "-c", TRAIN_A_LITTLE], capture_output=True, text=True, check=True)
    assert told.stdout == "\n"


def test_the_optimizer_computes_what_pytorchs_own_computes() -> None:
    def stepped(kind: type[torch.optim.AdamW]) -> torch.Tensor:
        torch.manual_seed(1)
        tensor = torch.randn(7, 5, requires_grad=True)
        optimizer = kind([tensor], lr=1e-2, weight_decay=0.0)
        for _ in range(5):
            optimizer.zero_grad(set_to_none=True)
            (tensor**3).sum().backward()
            optimizer.step()
        return tensor.detach()

    assert torch.equal(stepped(AdamW), stepped(torch.optim.AdamW))
