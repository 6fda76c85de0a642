"""A board's models are loaded as their weights come: a slow or a dead store holds nobody up."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path

import base58
import pytest

from somatui.engine import weights
from somatui.engine.weights import SMALL, ModelConfig
from somatui.workers import fetch, models, ranges
from somatui.workers.board import Board, BoardModel
from somatui.workers.models import Models
from somatui.workers.prefetch import Wanted
from somatui.workers.protocol import Emitter
from somatui.workers.session import Session
from tests.servers import NOBODY, Reply, answering
from tests.workers.weighing import Shop


def a_board(*wanted: Wanted) -> Board:
    found = [BoardModel(w.id, w.url, w.checksum, w.size, w.key) for w in wanted]
    return Board(1, 0.5, (), {m.id: m for m in found})


def a_shop(seed: int, config: ModelConfig = SMALL) -> Shop:
    return Shop(weights.to_bytes(weights.initial(config, seed)))


def said(out: io.StringIO) -> list[str]:
    return [json.loads(line)["text"] for line in out.getvalue().splitlines()]


def test_one_slow_store_holds_up_no_other_model_and_its_own_joins_when_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "WAIT_S", 0.0)
    go_on, out = threading.Event(), io.StringIO()

    def hold(_number: int, _start: int, reply: Reply) -> Reply:
        go_on.wait(30)
        return reply

    slow, fast = a_shop(1), a_shop(2)
    slow.spoil = hold
    session = Session(Emitter(out))
    with answering(slow.reply) as one, answering(fast.reply) as two:
        board = a_board(slow.wanted(one, id="slow"), fast.wanted(two, id="fast"))
        held = Models(tmp_path, session)
        assert list(held.follow(board)) == ["fast"]
        with monkeypatch.context() as no_waiting:
            no_waiting.setattr(models, "wait", None)
            assert list(held.follow(board)) == ["fast"]
        assert said(out) == ["model slow is left out until its weights are here"]
        go_on.set()
        assert session.board_changed.wait(30)
        assert list(held.follow(board)) == ["slow", "fast"]
    assert list(held.follow(a_board())) == []
    assert held.loaded == {}


def test_what_cannot_be_had_or_used_is_told_once_and_not_asked_for_at_every_new_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ranges, fetch):
        monkeypatch.setattr(module, "PAUSE_S", 0.0)
    spoiled, thin, out = a_shop(3), a_shop(4, ModelConfig(16, 32, 1, 4)), io.StringIO()
    with answering(spoiled.reply) as address, answering(thin.reply) as elsewhere:
        wrong = spoiled.wanted(address, id="wrong", key=b"\1" * 32)
        other = base58.b58encode(bytes(32)).decode()
        dead = spoiled.wanted(NOBODY, id="dead", checksum=other)
        board = a_board(wrong, dead, thin.wanted(elsewhere, id="thin"))
        held = Models(tmp_path, Session(Emitter(out)))
        assert held.follow(board) == {}
        told, asked = said(out), len(spoiled.starts)
        assert held.follow(board) == {}
        assert (said(out), len(spoiled.starts)) == (told, asked)
        now = time.monotonic()
        monkeypatch.setattr(models.time, "monotonic", lambda: now + models.AGAIN_S)
        assert held.follow(board) == {}
    assert [text.split(",")[0] for text in told] == [f"model {name} is left out" for name in ("wrong", "dead", "thin")]
    assert "another architecture" in told[2]
    assert len(said(out)) == 4
    assert len(spoiled.starts) == asked
