"""Committed weights are here before their reveal and opened at it, by a job that comes and goes by itself."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.job import Job
from somatui.agent.kinds import KINDS, KindError
from somatui.agent.weights import AGAIN_MS, LARGE, LOOK_MS, Ahead, wanted
from somatui.chain import build
from somatui.chain.snapshot import SystemView, Weights
from somatui.cli.rehearse.script import Script
from somatui.cli.rehearse.stage import EMBEDDING
from somatui.config import Settings
from somatui.domain.snapshot import EpochView, JobView
from somatui.paths import Paths
from somatui.workers.prefetch import Wanted
from somatui.workers.shelf import Shelf
from tests.agent.harness import Household, household
from tests.domain.worlds import NOW_MS, an_id, model
from tests.servers import answering
from tests.workers.weighing import Shop, plain_of

RICH, POOR = an_id("a1"), an_id("a2")


def weights(name: str, key: str | None = None, size: int = LARGE) -> Weights:
    return Weights(f"http://store.example/{name}", name, size, key)


def system(**of: dict[str, Weights]) -> SystemView:
    models = (model("a2", stake_shannons=1), model("a1", stake_shannons=9))
    return SystemView(EpochView(), 2, False, models, of.get("weights", {}), {}, frozenset(), of.get("coming", {}))


@dataclass
class Desk:
    """In the place of jobs and ground: what is asked of it, and a clock that is turned by hand."""

    paths: Paths
    settings: Settings = field(default_factory=Settings)
    jobs: dict[str, JobView] = field(default_factory=dict)
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    now: int = NOW_MS

    def now_ms(self) -> int:
        return self.now

    def views(self) -> tuple[JobView, ...]:
        return tuple(self.jobs.values())

    def get(self, name: str) -> Job:
        view = self.jobs[name]
        return Job(name, view.kind, self.asked.get(name, {}), Path(), 1, 1, state=view.state)

    def start(self, kind: str, args: dict[str, Any]) -> None:
        KINDS[kind].title(args)
        name = f"{kind}-{len(self.asked)}"
        self.jobs[name], self.asked[name] = JobView(name, kind, "", "running", 1, 1), args

    def forget(self, name: str) -> None:
        assert not self.jobs.pop(name).running

    async def stop(self, name: str) -> None:
        self.stopped.append(name)

    def end(self, state: Any = "done") -> None:
        self.jobs = {n: replace(j, state=state) if j.kind == "weights" else j for n, j in self.jobs.items()}

    def scoring(self) -> None:
        self.jobs["score"] = JobView("score", "score", "", "running", 1, 1)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Paths.for_profile("practice", tmp_path))


def ids_after(ahead: Ahead, desk: Desk, seen: SystemView, later_ms: int = LOOK_MS) -> list[Any]:
    """What the weights jobs that are known now were asked for, after another look."""
    desk.now += later_ms
    ahead.look(seen)
    return [desk.asked[j]["ids"] for j in desk.jobs if j in desk.asked]


def test_the_largest_stake_comes_first_and_the_revealed_before_those_to_come() -> None:
    seen = system(weights={RICH: weights("r", "key"), POOR: weights("p", "key")}, coming={POOR: weights("q")})
    told = wanted(seen)
    assert [(m["id"], m["checksum"], m["key"]) for m in told["models"]] == [
        (RICH, "r", "key"), (POOR, "p", "key"), (POOR, "q", None)
    ]  # fmt: skip
    assert told["live"] == ["p", "q", "r"]
    assert wanted(system(weights={RICH: weights("slashed")})) == {"models": [], "live": []}


def test_large_committed_weights_are_fetched_while_a_score_job_runs(desk: Desk) -> None:
    ahead = Ahead(desk, desk)  # type: ignore[arg-type]
    seen = system(weights={RICH: weights("r", "key")}, coming={RICH: weights("q"), POOR: weights("s", size=LARGE - 1)})
    assert ids_after(ahead, desk, seen) == []
    desk.scoring()
    assert ids_after(ahead, desk, seen) == [[RICH]]
    desk.end()
    sealed = Shelf(desk.paths.weights_cache).sealed("q")
    sealed.parent.mkdir(parents=True)
    sealed.touch()
    os.truncate(sealed, LARGE)
    assert ids_after(ahead, desk, seen) == [[RICH]]
    assert list(desk.asked) == ["weights-0"], "nothing is lacking any more"
    revealed = system(weights={RICH: weights("q", "key")})
    assert ids_after(ahead, desk, revealed) == [[RICH]]
    assert list(desk.asked) == ["weights-0", "weights-1"], "what lies here sealed is opened"


def test_what_could_not_be_had_is_tried_again_after_a_while_and_new_ones_at_once(desk: Desk) -> None:
    ahead = Ahead(desk, desk)  # type: ignore[arg-type]
    desk.scoring()
    seen = system(coming={RICH: weights("q")})
    ahead.look(seen, away=True)
    assert desk.asked == {}, "a job was begun that cannot ask the network"
    assert ids_after(ahead, desk, seen) == [[RICH]]
    desk.end()
    ids_after(ahead, desk, seen)
    assert len(desk.asked) == 1
    more = system(coming={RICH: weights("q"), POOR: weights("s")})
    assert ids_after(ahead, desk, more) == [[RICH, POOR]]
    desk.end()
    ids_after(ahead, desk, more)
    assert len(desk.asked) == 2
    ids_after(ahead, desk, more, AGAIN_MS)
    assert len(desk.asked) == 3


@pytest.mark.parametrize("setting", ["scoring", "never"])
async def test_the_job_ends_with_the_scoring_that_it_is_for(desk: Desk, setting: str) -> None:
    ahead = Ahead(desk, desk)  # type: ignore[arg-type]
    desk.scoring()
    seen = system(coming={RICH: weights("q")})
    assert ids_after(ahead, desk, seen) == [[RICH]]
    if setting == "scoring":
        del desk.jobs["score"]
    desk.settings = Settings(weights_ahead=setting)
    ids_after(ahead, desk, seen)
    await asyncio.sleep(0)
    assert desk.stopped == ["weights-0"]


def test_always_keeps_all_weights_here_and_what_was_asked_for_by_hand_is_left_alone(desk: Desk) -> None:
    desk.settings = Settings(weights_ahead="always")
    ahead = Ahead(desk, desk)  # type: ignore[arg-type]
    desk.start("weights", {"ids": [POOR]})
    seen = system(weights={RICH: weights("r", "key", 10)}, coming={POOR: weights("s", size=10)})
    assert ids_after(ahead, desk, seen) == [[POOR]], "one at a time"
    desk.end()
    assert ids_after(ahead, desk, seen) == [[POOR], [RICH, POOR]]


def test_old_weights_are_taken_away_now_and_then_whether_or_not_any_are_fetched(desk: Desk) -> None:
    desk.settings = Settings(weights_ahead="never")
    ahead, live, old = Ahead(desk, desk), "1" * 32, "2" * 32  # type: ignore[arg-type]
    seen = system(weights={RICH: weights(live, "key")})
    assert ids_after(ahead, desk, seen) == []
    shelf = Shelf(desk.paths.weights_cache)
    shelf.folder.mkdir(parents=True)
    for name in (live, old):
        shelf.plain(name).touch()
        os.utime(shelf.plain(name), (1, 1))
    assert ids_after(ahead, desk, seen) == [], "not looked for so soon again"
    assert ids_after(ahead, desk, seen, AGAIN_MS) == [[]]
    desk.end()
    assert [s.checksum for s in shelf.old((), 14, 0)] == [old], "what is live here is in use for all profiles"
    shelf.plain(old).unlink()
    assert ids_after(ahead, desk, seen, AGAIN_MS) == [[]]
    assert (len(desk.asked), desk.stopped) == (1, [])


def test_a_job_names_its_models_or_is_refused() -> None:
    kind = KINDS["weights"]
    assert kind.title({"ids": [RICH]}) == "weights of model 0000…00a1"
    assert kind.title({"ids": [RICH, POOR], "ahead": True}) == "weights of 2 models, ahead of need"
    assert kind.title({"ids": [], "ahead": True}) == "removal of old weights"
    for wrong in ({}, {"ids": []}, {"ids": "0x01"}, {"ids": [1]}):
        with pytest.raises(KindError):
            kind.title(wrong)


async def until(house: Household, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():
            await house.call("refresh")
            await asyncio.sleep(0.1)


@pytest.mark.slow
def test_on_a_network_weights_are_here_before_the_reveal_and_opened_at_it_without_their_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOMATUI_WEIGHTS_AHEAD", "always")
    first, update = Shop(plain_of(300_000, seed=1)), Shop(plain_of(300_000, seed=2), key=b"\4" * 32)
    shelf = Shelf(Paths.for_profile("practice", tmp_path).weights_cache)

    async def day(house: Household) -> None:
        script = Script(house.chain(), b"\5" * 32)
        for _ in range(2):
            for coin in await script.chain.faucet(script.address):
                await script.chain.settled(coin.digest)
        name = await script.create(1_000_000_000)

        async def commit(shop: Shop) -> Wanted:
            with answering(shop.reply) as address:
                wanted = shop.wanted(f"{address}/weights")
                told = {"url": wanted.url, "checksum": wanted.checksum, "size": wanted.size, "key": wanted.key}
                coin = await script.coin()
                await script.send(build.commit_model(script.address, coin, model_id=name, embedding=EMBEDDING, **told))
                await until(house, shelf.sealed(wanted.checksum).exists)
            return wanted

        for shop in (first, update):
            wanted = await commit(shop)
            assert not shelf.plain(wanted.checksum).exists()
            house.kill_agent()
            await script.chain.advance_epoch()
            await script.reveal(name, shop.key)
            house.start_agent()
            await until(house, shelf.plain(wanted.checksum).exists)
            assert shelf.plain(wanted.checksum).read_bytes() == shop.plain
        jobs = [j for j in (await house.look()).jobs if j.kind == "weights"]
        assert len(jobs) == 1 and "ahead of need" in jobs[0].title

    with household(tmp_path) as house:
        house.start_agent()
        asyncio.run(day(house))
