"""What was scored while weights were on their way goes through their model when they are here, in whatever life."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import base58
import pytest
import torch

from somatui.engine import weights
from somatui.engine.weights import SMALL
from somatui.workers import models, score
from somatui.workers.protocol import Emitter, Message, parse_message
from somatui.workers.session import Session
from tests.servers import Reply, answering
from tests.storage import stores
from tests.workers.boards import Board
from tests.workers.test_score import EVERYTHING, hits, job
from tests.workers.weighing import Shop

COUNT = 6


class Slow:
    """A board whose first model comes at once and whose second when it is let go of."""

    def __init__(self, board: Board, threads: list[threading.Thread]) -> None:
        self.board, self.go_on, self._threads = board, threading.Event(), threads
        self.shop = Shop(weights.to_bytes(weights.initial(SMALL, 2)))
        self.shop.spoil = self._held
        self.fast = board.add_model(1)

    def _held(self, _number: int, _start: int, reply: Reply) -> Reply:
        self.go_on.wait(60)
        return reply

    def at(self, address: str) -> str:
        """Put the model on the board."""
        found = self.shop.wanted(address, id=f"0x{2:064x}")
        key = base58.b58encode(found.key).decode()
        told = {"id": found.id, "url": found.url, "checksum": found.checksum, "size": found.size, "key": key}
        self.board.told["models"].append(told)
        self.board.models[found.id] = weights.initial(SMALL, 2)
        return found.id

    def run(self, asked: dict[str, Any]) -> tuple[Session, threading.Thread, Callable[[], list[Message]]]:
        """Begin a job; what it has told so far can be asked."""
        out = io.StringIO()
        session = Session(Emitter(out))
        thread = threading.Thread(target=lambda: session.emitter.send("done", result=score.work(asked, session)))
        thread.start()
        self._threads.append(thread)
        return session, thread, lambda: [parse_message(line) for line in out.getvalue().splitlines()]


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slow]:
    monkeypatch.setattr(models, "WAIT_S", 0.0)
    threads, count = list[threading.Thread](), torch.get_num_threads()
    with stores.running(tmp_path / "store") as store:
        made = Slow(Board(store, tmp_path / "board.json"), threads)
        try:
            yield made
        finally:
            made.go_on.set()
            for thread in threads:
                thread.join(30)
            torch.set_num_threads(count)


def waits(told: Callable[[], list[Message]], thread: threading.Thread) -> None:
    """Until the job says that candidates wait for weights."""
    while not any("wait for weights" in str(m.body.get("text")) for m in told()):
        assert thread.is_alive(), told()[-1]
        thread.join(0.05)


@pytest.mark.slow
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("killed", [False, True])
def test_candidates_go_through_a_model_that_comes_later_even_in_another_life(
    slow: Slow, tmp_path: Path, lazy: bool, killed: bool
) -> None:
    with answering(slow.shop.reply) as address:
        late, board = slow.at(address), slow.board
        board.add_target(100, [slow.fast])
        board.add_target(101, [late])
        board.add_target(102, [slow.fast, late])
        board.write(threshold=EVERYTHING)
        asked = job(tmp_path, COUNT, lazy=lazy)
        session, thread, told = slow.run(asked)
        waits(told, thread)
        found = hits(told())
        assert [h["target_id"] for h in found] == [board.told["targets"][0]["id"]]
        if killed:
            session.stopping.set()
            thread.join(30)
            slow.go_on.set()
            session, thread, told = slow.run(asked)
        slow.go_on.set()
        thread.join(30)
    found += hits(told())
    assert {h["target_id"] for h in found} == {t["id"] for t in board.told["targets"]}
    for hit in found:
        winner, answer, distance = board.expected(hit["target_id"], Path(hit["path"]).read_bytes())
        assert (hit["winner"], hit["loss"], hit["distance"]) == (winner, answer.loss, distance)
    result = told()[-1].body["result"]
    assert (result["scored"], result["owed"], result["reason"]) == (COUNT, 0, "corpus")
