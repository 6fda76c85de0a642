"""Worker that trains a few small models, each on another kind of bytes, so that losses differ and winners vary.

Job: {"job": "seed", "version": 1, "work_dir": path, "count": n, "steps": n, "seed": n, "threads": n}. It is how a
practice network gets its first models; what becomes of them is left to whoever asked.
"""

from __future__ import annotations

import base64
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from somatui.corpora.files import CorpusError, FileCorpus
from somatui.engine import contract, weights
from somatui.engine.optimizer import AdamW
from somatui.engine.trainer import embedding_of
from somatui.engine.weights import SMALL, Tensors
from somatui.workers.session import JobError, Session, run

KINDS = ("words", "indentation", "symbols")
"""What a piece of a source has more of than other pieces have: lower-case letters, white space, or the rest."""
PIECES, PIECES_OF_A_FILE, FEWEST = 1200, 3, 60
ROWS, LENGTH = 16, 128
"""A step's sequences and their length: short, since a chunk of 1,024 costs more than eight of 128 and teaches less."""
RATE, LAST_RATE = 4e-2, 1e-2
SIGREG_EVERY = 16
"""The regulariser is a mean over positions, so every 16th gives its direction at a sixteenth of its price."""
EMBEDDED = 8
"""Pieces of its own kind that a model's embedding is the mean of."""

Bytes = NDArray[np.uint8]


def pieces(seed: int) -> Bytes:
    """Full chunks of the running interpreter's own sources, [pieces, 1024], in the seed's order. Raises JobError."""
    found: list[Bytes] = []
    for candidate in FileCorpus(seed=seed):
        whole = np.frombuffer(candidate.data, np.uint8)
        starts = range(0, len(whole) - contract.CHUNK + 1, 2 * contract.CHUNK)[:PIECES_OF_A_FILE]
        found += [whole[at : at + contract.CHUNK] for at in starts]
        if len(found) >= PIECES:
            break
    if len(found) < FEWEST:
        raise JobError("This interpreter's standard library holds too few sources to seed models from: use another.")
    return np.stack(found)


def kinds(texts: Bytes) -> NDArray[np.int64]:
    """The index in KINDS of each piece, [pieces]: where it ranks highest among all, so that no kind lacks pieces."""
    letters = ((texts >= ord("a")) & (texts <= ord("z"))).mean(1)
    blanks = np.isin(texts, np.frombuffer(b" \n\t\r", np.uint8)).mean(1)
    ranks = [np.argsort(np.argsort(share, kind="stable")) for share in (letters, blanks, 1 - letters - blanks)]
    highest: NDArray[np.int64] = np.stack(ranks).argmax(0)
    return highest


@dataclass(frozen=True, slots=True)
class Lesson:
    """Steps on some pieces, with a learning rate that goes evenly from the first to the last."""

    texts: Bytes
    steps: int
    first_rate: float
    last_rate: float
    seed: int


def taught(start: Tensors, lesson: Lesson, session: Session) -> tuple[Tensors, float]:
    """The weights after a lesson and its last loss, in the contract's terms. Raises JobError when told to stop."""
    tensors = {name: t.clone().requires_grad_() for name, t in sorted(start.items())}
    optimizer = AdamW(tensors.values(), lr=lesson.first_rate, weight_decay=0.0)
    chance, told = np.random.default_rng(lesson.seed), 0.0
    for rate in np.linspace(lesson.first_rate, lesson.last_rate, lesson.steps):
        if session.stopping.is_set():
            raise JobError("Seeding was stopped before all models were made: start it again.")
        optimizer.param_groups[0]["lr"] = float(rate)
        optimizer.zero_grad(set_to_none=True)
        batch = _batch(lesson.texts, chance)
        hidden = contract.encode(SMALL, tensors, batch)
        regular = contract.sigreg(hidden[:, ::SIGREG_EVERY], seed=0)
        loss = contract.cross_entropy(tensors, hidden, batch.targets) + contract.SIGREG_WEIGHT * regular
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(tensors.values(), 1.0)
        optimizer.step()
        told = float(loss.detach())
    return {name: t.detach() for name, t in tensors.items()}, told


def _batch(texts: Bytes, chance: np.random.Generator) -> contract.Batch:
    rows = chance.integers(0, len(texts), ROWS)
    starts = chance.integers(0, contract.CHUNK - LENGTH, ROWS)
    cut = np.stack([texts[row, at : at + LENGTH + 1] for row, at in zip(rows, starts, strict=True)])
    tokens = torch.from_numpy(cut.astype(np.int64))
    return contract.Batch(tokens[:, :-1], tokens[:, 1:], torch.arange(LENGTH).expand(ROWS, LENGTH))


def beginning(texts: Bytes, seed: int) -> Tensors:
    """Fresh weights that expect each byte as often as it comes: what dozens of first steps would go into."""
    tensors = weights.initial(SMALL, seed)
    counts = np.bincount(texts.ravel(), minlength=weights.VOCABULARY) + 0.5
    tensors["predictor.bias"] = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
    return tensors


def specialist(common: Tensors, lesson: Lesson, path: Path, session: Session) -> dict[str, Any]:
    """Train and write one model; what the job's answer says of it, but for its kind."""
    tensors, loss = taught(common, lesson, session)
    path.write_bytes(weights.to_bytes(tensors))
    embedding = embedding_of(SMALL, tensors, [piece.tobytes() for piece in lesson.texts[:EMBEDDED]])
    return {
        "weights": str(path),
        "embedding": base64.b64encode(embedding.astype("<f4").tobytes()).decode(),
        "loss": loss,
    }


def seed_models(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Train all models alike on everything, then each on its kind, half the steps each; the same job, the same files.

    A model keeps to one thread, so that the files do not depend on how many there are, nor the time on a busy machine's
    mood; `threads` is how many models are trained side by side. Raises JobError.
    """
    torch.set_num_threads(1)
    folder, count, steps, seed = Path(job["work_dir"]), int(job["count"]), int(job["steps"]), int(job["seed"])
    folder.mkdir(parents=True, exist_ok=True)
    texts = pieces(seed)
    kind_of = kinds(texts)
    turn = (RATE + LAST_RATE) / 2
    common, _ = taught(beginning(texts, seed), Lesson(texts, steps // 2, RATE, turn, seed), session)
    session.emitter.send("progress", done=1 / (count + 1))
    made: list[dict[str, Any]] = []
    # Each thread has its own limit on the threads below it.
    with ThreadPoolExecutor(int(job.get("threads") or 2), initializer=lambda: torch.set_num_threads(1)) as pool:
        waiting = []
        for number in range(count):
            own = texts[kind_of == number % len(KINDS)]
            lesson = Lesson(own, steps - steps // 2, turn, LAST_RATE, seed + 1 + number)
            waiting.append(pool.submit(specialist, common, lesson, folder / f"seed-{number}.safetensors", session))
        for number, one in enumerate(waiting):
            made.append(one.result() | {"domain": KINDS[number % len(KINDS)]})
            session.emitter.send("progress", done=(number + 2) / (count + 1))
    return {"models": made}


if __name__ == "__main__":
    sys.exit(run("seed", seed_models, CorpusError, weights.WeightsError))
