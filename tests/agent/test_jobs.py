"""Jobs with their real workers: streaming, stopping, dying, going on after the agent was gone."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from somatui.agent import joblog
from somatui.agent.flows import ActRefused, OutcomeUnknown
from somatui.agent.ground import Ground
from somatui.agent.job import Job, tables
from somatui.agent.jobs import AT_ONCE, RESTARTS, Jobs, JobsError
from somatui.agent.journal import Journal
from somatui.agent.kinds import BOARD, KINDS, Kind, Score
from somatui.agent.methods import Methods
from somatui.agent.server import RpcError
from somatui.chain.client import Chain, Endpoints
from somatui.chain.errors import ChainError, Unreachable
from somatui.config import Profile, Settings
from somatui.domain.codec import from_json, to_json
from somatui.domain.snapshot import JobView
from somatui.paths import Paths
from somatui.vault.base import VaultLocked
from somatui.workers.protocol import VERSION, Message
from tests.agent import cut
from tests.storage import stores
from tests.workers.boards import Board

pytestmark = pytest.mark.slow

CORPUS = {"paths": [str(Path(__file__).parent)], "max_bytes": 16_384, "seed": 0}


def ground_in(folder: Path) -> Ground:
    paths = Paths.for_profile("practice", folder).create()
    profile = Profile("practice", "practice")
    return Ground(paths, profile, Settings(threads=1), Journal.open(paths.journal), Chain(Endpoints("")))


def jobs_on(ground: Ground, hits: list[dict[str, Any]] | None = None) -> Jobs:
    async def take(_job: str, hit: dict[str, Any]) -> str:
        if hits is not None:
            hits.append(hit)
        return "done"

    return Jobs(ground, take, lambda: None)


async def until(jobs: Jobs, job_id: str, holds: Callable[[JobView], bool], seconds: float = 60) -> JobView:
    """The job as soon as it is so."""
    async with asyncio.timeout(seconds):
        while True:
            found = jobs.get(job_id).view()
            if holds(found):
                return found
            assert found.state != "failed" or holds(found), found.error
            await asyncio.sleep(0.02)


def ended(job: JobView) -> bool:
    return job.state in ("done", "failed", "stopped")


def args(steps: int = 2, **more: Any) -> dict[str, Any]:
    return {"steps": steps, "micro_batch": 1, "accumulate": 1, "corpus": CORPUS, "checkpoint_every": 1} | more


def as_on(board: Board) -> Callable[[Score, Ground, Path], Awaitable[None]]:
    """What a score job prepares where the network's board is this one."""

    async def prepare(_kind: Score, _ground: Ground, folder: Path) -> None:
        (folder / BOARD).write_bytes(board.path.read_bytes())

    return prepare


def test_a_job_that_makes_no_sense_is_refused_and_one_that_fails_says_why(tmp_path: Path) -> None:
    async def day() -> JobView:
        jobs = jobs_on(ground_in(tmp_path))
        with pytest.raises(JobsError, match="steps must be"):
            jobs.start("train", args(steps=0))
        with pytest.raises(JobsError, match="no dance jobs"):
            jobs.start("dance", {})
        gone = {"paths": [str(tmp_path / "gone")], "max_bytes": 16_384, "seed": 0}
        job = jobs.start("train", args(corpus=gone))
        return await until(jobs, job.id, ended)

    failed = asyncio.run(day())
    assert failed.state == "failed" and failed.error is not None and "gone" in failed.error


def test_a_killed_worker_goes_on_from_its_checkpoint_and_a_stopped_one_is_gone_for_good(tmp_path: Path) -> None:
    ground = ground_in(tmp_path)

    async def day() -> tuple[list[int], int]:
        jobs = jobs_on(ground)
        job = jobs.start("train", args(steps=100_000))
        await until(jobs, job.id, lambda j: j.metrics.get("step", 0) >= 3)
        assert job.worker is not None and job.worker.pid is not None
        os.killpg(job.worker.pid, signal.SIGKILL)
        await until(jobs, job.id, lambda j: any("died" in line for line in j.last_lines))
        before = int(job.metrics["step"])
        await until(jobs, job.id, lambda j: j.metrics.get("step", 0) > before + 1)
        pid = job.worker.pid
        await jobs.stop(job.id)
        with pytest.raises(JobsError, match="not running"):
            await jobs.stop(job.id)
        assert job.state == "stopped"
        events = [json.loads(line) for line in (job.folder / "events.jsonl").read_text().splitlines()]
        second = [e["kind"] for e in events].index("hello", 1)
        return [int(e["step"]) for e in events[second:] if e["kind"] == "metric"], pid

    steps, pid = asyncio.run(day())
    assert steps[0] > 1, "it began anew"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert jobs_on(ground).views()[0].state == "stopped"


def test_what_ran_when_the_agent_was_gone_goes_on_with_the_next_to_its_weights(tmp_path: Path) -> None:
    ground = ground_in(tmp_path)
    hits: list[dict[str, Any]] = []

    async def first() -> str:
        jobs = jobs_on(ground)
        job = jobs.start("train", args(steps=12, submit=True))
        await until(jobs, job.id, lambda j: j.metrics.get("step", 0) >= 2)
        with (job.folder / "hits.jsonl").open("a") as hits_:
            hits_.write('{"seq":9,"at":1,"kind":"hit","target_id":"0x1","distance":0.5,"name":"f"}\n')
        await jobs.close()
        return job.id

    async def second(name: str) -> JobView:
        jobs = jobs_on(ground, hits)
        jobs.resume()
        return await until(jobs, name, ended)

    done = asyncio.run(second(asyncio.run(first())))
    assert (done.state, done.done, done.metrics["step"], done.metrics["steps"]) == ("done", 1.0, 12.0, 12.0)
    assert [hit["target_id"] for hit in hits] == ["0x1"] and done.metrics["done"] == 1.0
    assert done.history and done.history[-1] == done.metrics["loss"]
    assert Path(done.result["weights"]).is_file() and len(base64.b64decode(done.result["embedding"])) == 64
    again = jobs_on(ground)
    assert [(j.id, j.state, j.result["embedding"]) for j in again.views()] == [
        (done.id, "done", done.result["embedding"])
    ]
    assert any("done" in line and "step 12" in line for line in again.log(done.id, 20))


def test_a_scoring_in_shards_tells_its_tables_live_and_they_are_not_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = ground_in(tmp_path / "home")

    async def day(board: Board) -> JobView:
        monkeypatch.setattr(Score, "prepare", as_on(board))
        jobs = jobs_on(ground)
        job = jobs.start("score", {"gpus": "none", "shards": 1, "limit": 3, "corpus": CORPUS})
        return await until(jobs, job.id, ended)

    with stores.running(tmp_path / "store") as store:
        board = Board(store, tmp_path / "board.json")
        board.add_target(1, [board.add_model(1)])
        board.write(threshold=-1.0)
        done = asyncio.run(day(board))
    assert (done.state, done.metrics["shards"], done.result["reason"]) == ("done", 1, "limit")
    assert done.tables["sources"][0]["given"] == done.metrics["scored"] == 3
    assert done.tables["near"][0]["target"] == board.told["targets"][0]["id"]
    assert "gauges" not in done.tables
    told = from_json(JobView, json.loads(json.dumps(to_json(done))))
    assert told == done
    folder = ground.paths.jobs_dir / done.id
    assert "near" not in (folder / "events.jsonl").read_text() + (folder / "job.json").read_text()
    assert jobs_on(ground).views()[0].tables == {}


class Told(Kind):
    """A job whose worker behaves as it is asked to."""

    module = "tests.workers.stand_in"
    drawn = "loss"

    def title(self, args: dict[str, Any]) -> str:
        return "told"

    def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
        return {"job": "stand_in", "version": VERSION, **args}


def test_a_figure_that_is_told_as_unknown_is_taken_back_and_one_of_the_moment_ends_with_its_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [
        Message(1, 1, "metric", {"hits": 2, "left_s": 9.5}), Message(2, 1, "metric", {"left_s": None}),
        Message(3, 1, "metric", {"chunks_per_s": 7.5, "under_way": 2}), Message(1, 1, "hello", {}),
    ]  # fmt: skip

    async def day() -> JobView:
        jobs = jobs_on(ground_in(tmp_path))
        return await until(jobs, jobs.start("told", {"lines": [message.to_line() for message in told]}).id, ended)

    monkeypatch.setitem(KINDS, "told", Told())
    assert asyncio.run(day()).metrics == {"hits": 2.0}


def test_a_job_that_was_stopped_is_started_again_where_it_is_and_not_while_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "told", Told())

    async def day() -> tuple[JobView, str, int]:
        jobs = jobs_on(ground_in(tmp_path))
        job = jobs.start("told", {"how": "hears"})
        await until(jobs, job.id, lambda j: j.last_lines[-1:] == ("begun",))
        with pytest.raises(JobsError, match="is running|is starting"):
            jobs.restart(job.id)
        stopped = (await jobs.stop(job.id)).view()
        job.lines.append("again")
        jobs.restart(job.id)
        await until(jobs, job.id, lambda j: j.last_lines[-1:] == ("begun",))
        return stopped, (await jobs.stop(job.id)).state, len(jobs.views())

    stopped, again, count = asyncio.run(day())
    assert (stopped.state, again, count) == ("stopped", "stopped", 1)


def test_hits_that_nobody_took_before_the_agent_died_are_taken_by_the_next_and_when_the_job_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    hit = Message(1, 1, "hit", {"target_id": "0x1", "distance": 0.5}).to_line()

    async def day() -> list[dict[str, Any]]:
        ground, hits = ground_in(tmp_path), list[dict[str, Any]]()

        made = jobs_on(ground).start("told", {"how": "hears", "lines": [hit], "submit": True})
        odd = Message(1, 1, "hit", {"target_id": "0x9", "distance": None}).to_line()
        (made.folder / joblog.HITS).write_text(f"{odd}\n{hit}\n")
        (made.folder / "job.json").write_text(json.dumps(made.card() | {"state": "stopping"}))
        jobs = jobs_on(ground, hits)
        jobs.resume()
        await cut.until(lambda: len(hits) >= 2)
        assert jobs.get(made.id).state == "stopped"
        jobs.restart(made.id)
        await until(jobs, made.id, lambda j: j.last_lines[-1:] == ("begun",))
        await cut.until(lambda: len(hits) >= 4)
        await jobs.stop(made.id)
        later = jobs_on(ground, hits)
        later.resume()
        assert not later.telling, "what has ended is told for ever"
        return hits

    assert [hit["target_id"] for hit in asyncio.run(day())] == ["0x9", "0x1"] * 2


@pytest.mark.parametrize("how", ["hears", ""])
def test_a_job_with_many_hits_stops_at_once_and_its_hits_go_on_also_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    told = [Message(n, 1, "hit", {"target_id": f"0x{n}", "distance": 0.5}).to_line() for n in range(20)]
    turns, taken = asyncio.Semaphore(0), list[str]()

    async def take(_job: str, hit: dict[str, Any]) -> str:
        await turns.acquire()
        taken.append(hit["target_id"])
        return "submitted"

    async def day() -> list[JobView]:
        ground = ground_in(tmp_path)
        jobs = Jobs(ground, take, lambda: None)
        job = jobs.start("told", {"how": how, "lines": told, "submit": True})
        await until(jobs, job.id, lambda j: j.metrics.get("waiting") == 20)
        if not how:
            await cut.until(lambda: job.worker is None)
        turns.release()
        await until(jobs, job.id, lambda j: j.metrics["waiting"] == 19)
        async with asyncio.timeout(20):
            stopped = (await jobs.stop(job.id)).view()
        with pytest.raises(JobsError, match="wait for its hits"):
            jobs.forget(job.id)
        await jobs.close()
        for _ in range(40):
            turns.release()
        again = Jobs(ground, take, lambda: None)
        again.resume()
        waits = again.get(job.id).view()
        await cut.until(lambda: not again.telling)
        last = Jobs(ground, take, lambda: None)
        last.resume()
        assert not last.telling, "hits that are over are handed on for ever"
        return [stopped, waits, again.get(job.id).view(), last.get(job.id).view()]

    stopped, waits, over_, last = asyncio.run(day())
    assert stopped.state == ("stopped" if how else "done")
    assert "19 of its hits wait" in stopped.last_lines[-1] and stopped.metrics["waiting"] == 19
    assert waits.metrics == {"waiting": 20} and over_.metrics == last.metrics == {"submitted": 20}
    assert set(taken) == {f"0x{n}" for n in range(20)}


def test_hits_that_wait_for_the_vault_are_handed_on_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    hit, hits = Message(1, 1, "hit", {"target_id": "0x1", "distance": 0.5}).to_line(), list[dict[str, Any]]()

    async def locked(_job: str, _hit: dict[str, Any]) -> str:
        raise VaultLocked("The key is locked: unlock the vault first.")

    async def day() -> None:
        ground = ground_in(tmp_path)
        jobs = Jobs(ground, locked, lambda: None)
        await until(jobs, jobs.start("told", {"lines": [hit], "submit": True}).id, ended)
        later = jobs_on(ground, hits)
        later.resume()
        await cut.until(lambda: not later.telling)
        jobs_on(ground, hits).resume()

    asyncio.run(day())
    assert [hit["target_id"] for hit in hits] == ["0x1"]


def test_a_job_waits_for_a_network_that_is_away_as_long_as_it_is_and_can_be_stopped_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("somatui.agent.jobs.AWAY_S", 0.01)
    tries, back = list[str](), set[str]()

    class Looks(Told):
        async def prepare(self, ground: Ground, folder: Path) -> None:
            tries.append(folder.name)
            if folder.name not in back:
                raise Unreachable("The network does not answer: wait.")

    monkeypatch.setitem(KINDS, "told", Looks())

    async def day() -> tuple[str, str]:
        jobs = jobs_on(ground_in(tmp_path))
        first, second = jobs.start("told", {}), jobs.start("told", {})
        await until(jobs, first.id, lambda _: tries.count(first.id) > 2 * RESTARTS)
        assert "tried again in 0.01 s: The network does not answer" in first.lines[-1]
        back.add(first.id)
        done = (await until(jobs, first.id, ended)).state
        monkeypatch.setattr("somatui.agent.jobs.AWAY_S", 3600)
        await until(jobs, second.id, lambda j: bool(j.last_lines) and "in 0.01 s" not in j.last_lines[-1])
        async with asyncio.timeout(5):
            await jobs.stop(second.id)
        return second.state, done

    assert asyncio.run(day()) == ("stopped", "done")


def test_a_hit_waits_for_a_network_that_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    monkeypatch.setattr("somatui.agent.jobs.AWAY_S", 0.01)
    hit = Message(1, 1, "hit", {"target_id": "0x1", "distance": 0.5}).to_line()
    troubles: list[Exception] = [OutcomeUnknown("digest", "It goes on."), Unreachable("The network does not answer.")]

    async def take(_job: str, _hit: dict[str, Any]) -> str:
        if not troubles:
            return "submitted"
        if isinstance(trouble := troubles.pop(), ChainError):
            raise ActRefused((), str(trouble)) from trouble
        raise trouble

    async def day() -> JobView:
        jobs = Jobs(ground_in(tmp_path), take, lambda: None)
        return await until(jobs, jobs.start("told", {"lines": [hit], "submit": True}).id, ended)

    assert asyncio.run(day()).metrics == {"submitted": 1}


def test_a_defect_ends_a_job_as_failed_and_a_full_disk_loses_no_hit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(Told):
        def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
            return super().line(args, folder, ground) | {"lr": float(args.get("lr", 1))}

    def full(_folder: Path, _message: Message) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(KINDS, "told", Odd())
    monkeypatch.setattr(joblog, "note", full)
    hit, hits = Message(1, 1, "hit", {"target_id": "0x1", "distance": 0.5}).to_line(), list[dict[str, Any]]()

    async def day() -> tuple[JobView, JobView]:
        jobs = jobs_on(ground_in(tmp_path), hits)
        odd, good = jobs.start("told", {"lr": "much"}), jobs.start("told", {"lines": [hit], "submit": True})
        return await until(jobs, odd.id, ended), await until(jobs, good.id, ended)

    odd, good = asyncio.run(day())
    assert (odd.state, good.state, len(hits)) == ("failed", "done", 1) and "ValueError" in str(odd.error)


def test_no_job_is_started_again_beside_another_of_its_kind(tmp_path: Path) -> None:
    ground = ground_in(tmp_path)
    for number, state in ((1, "failed"), (2, "running")):
        card = Job(f"train-{number}", "train", {}, ground.paths.jobs_dir / f"train-{number}", number, 1).card()
        (ground.paths.jobs_dir / f"train-{number}").mkdir(parents=True)
        (ground.paths.jobs_dir / f"train-{number}" / "job.json").write_text(json.dumps(card | {"state": state}))
    nobody: Any = None
    methods = Methods(ground, *[nobody] * 3, jobs_on(ground), *[nobody] * 5)
    for job, why in (("train-1", "runs already"), ("train-3", "There is no job train-3")):
        with pytest.raises(RpcError, match=why):
            asyncio.run(methods.job_restart(job))


@pytest.mark.parametrize(("steady_s", "state"), [(0.0, "stopped"), (3600.0, "failed")])
def test_a_worker_that_lived_long_before_it_died_is_counted_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steady_s: float, state: str
) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    monkeypatch.setattr("somatui.agent.jobs.RESTARTS", 1)
    monkeypatch.setattr("somatui.agent.jobs.STEADY_S", steady_s)

    async def day() -> str:
        jobs = jobs_on(ground_in(tmp_path))
        job = jobs.start("told", {"how": "hears"})
        for _ in range(2):
            await until(jobs, job.id, lambda j: j.last_lines[-1:] == ("begun",))
            job.lines.append("killed")
            assert job.worker is not None and job.worker.pid is not None
            os.killpg(job.worker.pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while job.state == "running" and job.lines[-1] != "begun":
                await asyncio.sleep(0.02)
        return (await jobs.stop(job.id)).state if job.alive else job.state

    assert asyncio.run(day()) == state


@pytest.mark.parametrize("told", [None, [1], {"near": "far", "sources": [3, {"source": "a"}]}])
def test_what_is_no_table_is_left_out(told: Any) -> None:
    assert tables(told) == ({"sources": ({"source": "a"},)} if isinstance(told, dict) else {})


def test_a_flood_of_hits_is_submitted_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    told = [Message(n, 1, "hit", {"target_id": f"0x{n}", "distance": 0.5}).to_line() for n in range(50)]
    under_way, most = 0, 0

    async def take(_job: str, _hit: dict[str, Any]) -> str:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return "submitted"

    async def day() -> JobView:
        jobs = Jobs(ground_in(tmp_path), take, lambda: None)
        twice = [*told, *told[:5]]
        return await until(jobs, jobs.start("told", {"lines": twice, "submit": True}).id, ended)

    assert (asyncio.run(day()).metrics, most) == ({"submitted": 50.0}, AT_ONCE)


def test_an_agent_that_ends_begins_no_more_submissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "told", Told())
    told = [Message(n, 1, "hit", {"target_id": f"0x{n}", "distance": 0.5}).to_line() for n in range(50)]
    begun: list[str] = []

    async def take(_job: str, hit: dict[str, Any]) -> str:
        begun.append(hit["target_id"])
        await asyncio.Event().wait()
        return "submitted"

    async def day() -> int:
        jobs = Jobs(ground_in(tmp_path), take, lambda: None)
        job = jobs.start("told", {"lines": told, "submit": True})
        await until(jobs, job.id, lambda _: len(begun) == AT_ONCE)
        await jobs.close()
        return len(job.tells)

    assert (asyncio.run(day()), len(begun)) == (0, AT_ONCE)
