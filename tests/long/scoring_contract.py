"""Every recorded answer of the reference scorer against the transcription in f64, and the exact path against both.

    python -m tests.long.scoring_contract [case …]

About ten minutes of one core for all cases. It prints the worst differences by case and ends with 1 where one is out
of bounds. Cases of more than 16 chunks have no single loss (scoring.md 0.6): theirs may differ by a thousandth.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from somatui.engine import contract, weights
from tests.engine import transcription
from tests.golden.scoring import recipe

GOLDEN = Path(__file__).parent.parent / "golden" / "scoring"
CASES: dict[str, dict[str, Any]] = {c["name"]: c for c in json.loads((GOLDEN / "cases.json").read_text())}
ANSWERS = {a["name"]: a for a in map(json.loads, (GOLDEN / "expected.jsonl").read_text().splitlines())}


@dataclass
class Worst:
    """The largest differences of a case: losses relative, embeddings and distances absolute."""

    name: str
    loss: float = 0.0
    embedding: float = 0.0
    distance: float = 0.0
    exact_loss: float = 0.0
    exact_embedding: float = 0.0

    @property
    def within(self) -> bool:
        """Whether the recorded answer and the exact path are both as near as they must be."""
        one_batch = CASES[self.name]["data"]["size"] <= contract.BATCH * contract.CHUNK
        return (
            self.loss <= (1e-5 if one_batch else 1e-3)
            and self.exact_loss <= 1e-5
            and max(self.embedding, self.exact_embedding) <= 1e-4
            and self.distance <= 1e-5
        )


def compare(name: str, models: int | None = None) -> Worst:
    """One case, on its first `models` models."""
    case, worst = CASES[name], Worst(name)
    heads, data = case["config"]["num_heads"], recipe.data_bytes(**case["data"])
    target = recipe.target(case["config"]["embedding_dim"], case["target_seed"])
    for seed, recorded in list(zip(case["model_seeds"], ANSWERS[name]["models"], strict=True))[:models]:
        plain = recipe.weights(case["config"], seed)
        loss, embedding = transcription.score(plain, heads, data, case["seed"])
        tensors = {key: torch.from_numpy(array) for key, array in plain.items()}
        exact = contract.score(weights.check(tensors, heads), tensors, data, case["seed"])
        theirs = np.array(recorded["embedding"], dtype=np.float64)
        worst.loss = max(worst.loss, abs(recorded["loss"] / loss - 1))
        worst.embedding = max(worst.embedding, float(np.abs(theirs - embedding).max()))
        worst.distance = max(
            worst.distance, abs(transcription.distance(embedding, target) - recorded["distance"]),
            abs(transcription.distance(embedding, target) - contract.distance(exact.embedding, target)),
        )  # fmt: skip
        worst.exact_loss = max(worst.exact_loss, abs(exact.loss / loss - 1))
        worst.exact_embedding = max(worst.exact_embedding, float(np.abs(exact.embedding - embedding).max()))
    return worst


def main(names: list[str]) -> int:
    """Print a line for each case; exit status 1 when one is out of bounds."""
    good = True
    for name in names or CASES:
        worst = compare(name)
        good &= worst.within
        print(
            f"{name:20} loss {worst.loss:.1e}  embedding {worst.embedding:.1e}  distance {worst.distance:.1e}  "
            f"ours: loss {worst.exact_loss:.1e}  embedding {worst.exact_embedding:.1e}"
            + ("" if worst.within else "  OUT OF BOUNDS"),
            flush=True,
        )
    return 0 if good else 1


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
