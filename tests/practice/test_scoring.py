"""The wall in front of the scoring worker: who waits, who is refused, who goes away, and what is no request."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from somatui.practice import scoring
from somatui.practice.ledger.values import Refused
from somatui.practice.scoring import MOST_MODELS, MOST_NUMBERS, MOST_WAITING, Scorer, parse_request, request_bytes
from somatui.wire.bcs import Writer

MODEL = {"url": "http://h/m", "checksum": "c", "size": 1, "key": None}
ASKED = {
    "data_url": "http://h/x", "data_checksum": "c", "data_size": 1, "models": [MODEL], "target_embedding": [0.5] * 16,
    "seed": 0,
}  # fmt: skip
SLOW = """
import json, pathlib, sys, threading, time
folder, given_up = pathlib.Path(sys.argv[1]), set()
def work(asked):
    while not folder.joinpath("go").exists() and asked["id"] not in given_up:
        time.sleep(0.01)
    answer = {"ok": True, "winner": 0, "loss": 1.5, "embedding": [0.25], "distance": 0.5}
    print(json.dumps({"id": asked["id"]} | answer), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    with folder.joinpath("asked").open("a") as file:
        file.write(f"{asked.get('seed', 'health' if 'health' in asked else 'up')} ")
    if "give_up" in asked:
        if not folder.joinpath("stuck").exists():
            given_up.add(asked["give_up"])
    elif "health" in asked:
        print(json.dumps({"id": asked["id"], "ok": True, "well": folder.joinpath("well").exists()}), flush=True)
    else:
        threading.Thread(target=work, args=(asked,)).start()
"""
"""A worker that notes what it is asked and answers once it may."""


@contextlib.asynccontextmanager
async def slow(folder: Path) -> AsyncIterator[Scorer]:
    scorer = Scorer(folder, None, [sys.executable, "-c", SLOW, str(folder)])
    try:
        yield scorer
    finally:
        await scorer.stop()


async def seen(folder: Path, count: int) -> list[str]:
    """What the worker was asked, once it is so much."""
    while not (folder / "asked").exists() or len(found := (folder / "asked").read_text().split()) < count:
        await asyncio.sleep(0.01)
    return found


async def test_so_many_wait_and_the_next_is_refused_at_once(tmp_path: Path) -> None:
    async with slow(tmp_path) as scorer:
        tasks = [asyncio.create_task(scorer.score(ASKED | {"seed": n})) for n in range(MOST_WAITING + 1)]
        await seen(tmp_path, 1)
        assert scorer.waiting == MOST_WAITING
        with pytest.raises(Refused, match="is busy: 64 requests wait already") as busy:
            await scorer.score(ASKED)
        assert busy.value.code == "RESOURCE_EXHAUSTED"
        (tmp_path / "go").touch()
        assert {one["loss"] for one in await asyncio.gather(*tasks)} == {1.5}
        assert await seen(tmp_path, MOST_WAITING + 1) == [str(n) for n in range(MOST_WAITING + 1)]
        assert scorer.waiting == 0


async def test_who_goes_away_leaves_no_work_behind(tmp_path: Path) -> None:
    async with slow(tmp_path) as scorer:
        first = asyncio.create_task(scorer.score(ASKED | {"seed": 1}))
        await seen(tmp_path, 1)
        gone = [asyncio.create_task(scorer.score(ASKED | {"seed": 2})) for _ in range(10)]
        last = asyncio.create_task(scorer.score(ASKED | {"seed": 3}))
        await asyncio.sleep(0)
        for task in (first, *gone):
            task.cancel()
        await asyncio.gather(first, *gone, return_exceptions=True)
        assert scorer.waiting == 1
        assert await seen(tmp_path, 3) == ["1", "up", "3"], "what was under way is ended, and the next begun"
        (tmp_path / "go").touch()
        assert (await last)["winner"] == 0


async def test_who_goes_away_while_the_worker_starts_is_not_worked_for(tmp_path: Path) -> None:
    async with slow(tmp_path) as scorer:
        first = asyncio.create_task(scorer.score(ASKED | {"seed": 1}))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        (tmp_path / "go").touch()
        await scorer.score(ASKED | {"seed": 2})
        assert await seen(tmp_path, 1) == ["2"]


@pytest.mark.parametrize("stuck", [False, True])
async def test_no_request_holds_up_the_others_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stuck: bool
) -> None:
    async with slow(tmp_path) as scorer:
        await scorer.health()
        monkeypatch.setattr(scoring, "LONGEST_S", 0.1)
        monkeypatch.setattr(scoring, "STUCK_S", 0.1 if stuck else 60.0)
        if stuck:
            (tmp_path / "stuck").touch()
        pid = scorer.pid
        with pytest.raises(Refused, match="given up after 0 seconds") as late:
            await scorer.score(ASKED | {"seed": 1})
        assert late.value.code == "DEADLINE_EXCEEDED"
        monkeypatch.setattr(scoring, "LONGEST_S", 60.0)
        second = asyncio.create_task(scorer.score(ASKED | {"seed": 2}))
        assert await seen(tmp_path, 4) == ["health", "1", "up", "2"]
        (tmp_path / "go").touch()
        await second
        assert (scorer.pid == pid) is not stuck


async def test_health_is_the_workers_and_waits_for_nobody(tmp_path: Path) -> None:
    async with slow(tmp_path) as scorer:
        asked = asyncio.create_task(scorer.score(ASKED))
        await seen(tmp_path, 1)
        assert (await scorer.health())["well"] is False
        (tmp_path / "well").touch()
        assert [one["well"] for one in await asyncio.gather(*(scorer.health() for _ in range(20)))] == [True] * 20
        assert await seen(tmp_path, 3) == ["0", "health", "health"]
        (tmp_path / "go").touch()
        await asked


async def test_a_worker_that_ends_is_told_to_all_who_wait_and_the_next_starts_another(tmp_path: Path) -> None:
    async with slow(tmp_path) as scorer:
        tasks = [asyncio.create_task(scorer.score(ASKED)) for _ in range(3)]
        await seen(tmp_path, 1)
        (pid,) = {scorer.pid}
        assert pid is not None
        (tmp_path / "go").touch()
        scorer._process.kill()  # type: ignore[union-attr]
        first, *others = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(first, Refused | dict)
        assert all(isinstance(one, dict) for one in others)
        assert scorer.pid != pid


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"models": []}, "At least one model manifest is required"),
        ({"target_embedding": []}, "Target embedding must not be empty"),
        ({"models": [MODEL] * (MOST_MODELS + 1)}, "65 models, of at most 64"),
        ({"target_embedding": [0.0] * (MOST_NUMBERS + 1)}, "65537 numbers in one vector"),
    ],
)
def test_what_is_no_request_is_refused_as_the_reference_does(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Refused, match=says) as refused:
        parse_request(request_bytes(ASKED | change))
    assert refused.value.code == "INVALID_ARGUMENT"


def test_a_request_is_read_as_it_was_written_and_its_beginnings_are_refused() -> None:
    body = request_bytes(ASKED | {"models": [MODEL, MODEL | {"key": "k"}]})
    assert parse_request(body) == ASKED | {"models": [MODEL, MODEL | {"key": "k"}]}
    for size in range(len(body)):
        with pytest.raises(Refused):
            parse_request(body[:size])
    with pytest.raises(Refused):
        parse_request(body + b"x")


def test_a_vector_that_announces_more_than_there_is_costs_nothing() -> None:
    lying = Writer().text("u").text("c").u64(1).uleb128(1).text("u").text("c").u64(1).flag(False).uleb128(60_000).done()
    with pytest.raises(Refused, match="Invalid ScoreRequest"):
        parse_request(lying + struct.pack("<f", 1.0))


def test_an_answer_is_read_as_it_was_written() -> None:
    answer = {"winner": 1, "loss": 1.5, "embedding": [2.0, 0.25], "distance": 0.5}
    read = scoring.parse_response(scoring.response_bytes(answer))
    assert read == answer | {"loss": [1.5], "distance": [0.5]}
