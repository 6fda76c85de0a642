"""The work of workers done in this process, for tests of what comes out: no start, and torch is loaded already.

What a process is about, such as its ends, its signals and its exit status, is tested on real ones (processes.py).
"""

from __future__ import annotations

import io
from typing import Any

import torch

from somatui.corpora.files import CorpusError
from somatui.engine.trainer import CheckpointError
from somatui.engine.weights import WeightsError
from somatui.workers import score, score_file, train
from somatui.workers.board import BoardError
from somatui.workers.protocol import Emitter, Message, parse_message
from somatui.workers.session import Session, Work, answer

WORK: dict[str, tuple[Work, tuple[type[Exception], ...]]] = {
    "score": (score.work, (BoardError, CorpusError)),
    "score_file": (score_file.work, (WeightsError, BoardError)),
    "train": (train.train, (CorpusError, CheckpointError, WeightsError)),
}


def done(worker: str, job: dict[str, Any]) -> list[Message]:
    """Every message of a worker's work, its last one included."""
    work, refusals = WORK[worker]
    out, threads = io.StringIO(), torch.get_num_threads()
    session = Session(Emitter(out))
    try:
        answer(session.emitter, lambda: work(job, session), *refusals)
    finally:
        torch.set_num_threads(threads)
    return [parse_message(line) for line in out.getvalue().splitlines()]
