"""`python -m somatui.tui.screenshots`: pictures of the console made from a real practice state, as SVG and PNG.

With --home it looks at the agent that runs there and changes nothing. Without, it spends a practice day in a temporary
folder first, goes on working on that state while it takes the pictures, and stops and deletes everything in the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from somatui.agent.client import AgentClient, AgentError, ensure_agent, stop_agent
from somatui.domain.actions import PANES, Action, by_name
from somatui.domain.snapshot import JobView, Snapshot
from somatui.paths import Paths, private_umask
from somatui.tui.screens.setup.entries import Entry
from somatui.tui.svg import save, standalone, transcript

PROFILE = "practice"
SETUP_PROFILE = "ops"
CONFIRMED = ("claim", "reveal", "publish")
"""Acts whose panel may be shown, the one that says most about a day first."""
WAIT_SECONDS = 300.0
CURVE_POINTS = 60
SCORED = 30


class NotShown(Exception):
    """A picture cannot be taken; the text is one sentence."""


def main() -> int:
    """Take the pictures; the exit status."""
    private_umask()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    parser = argparse.ArgumentParser(prog="python -m somatui.tui.screenshots", description=__doc__)
    parser.add_argument(
        "--home", type=Path, help="a somatui home whose agent runs (default: a practice day of its own)"
    )
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="where the pictures go")
    parser.add_argument("--theme", choices=("dark", "light", "ansi"), default="dark", help="colours (default dark)")
    parser.add_argument("--seed", type=int, default=1, help="fixes the practice network (default 1)")
    given = parser.parse_args()
    try:
        if given.home is not None:
            asyncio.run(take(Paths.for_profile(PROFILE, given.home), given.out, given.theme))
        else:
            with _practice_day(given.out, given.seed) as paths:
                asyncio.run(_work_and_take(paths, given.out, given.theme))
    except (NotShown, AgentError, OSError) as trouble:
        sys.stderr.write(f"{trouble}\n")
        return 1
    return 0


@contextlib.contextmanager
def _practice_day(out: Path, seed: int) -> Iterator[Paths]:
    """A state on which a day was spent, its network running again; gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="somatui-pictures-") as folder:
        home = Path(folder) / "day"
        try:
            told = _somatui("practice", "run", "--state", str(home), "--seed", str(seed))
            said = told.replace(str(home), "~/practice-day").replace(f"{sys.executable} -m somatui", "somatui")
            printed = f"$ somatui practice run\n{said.rstrip()}\n"
            _tell(save(transcript(printed, "somatui practice run", 100), out, "practice-run"))
            _somatui("--home", str(home), "practice", "serve", "--background", "--ports", "free")
            yield Paths.for_profile(PROFILE, home)
        finally:
            with contextlib.suppress(NotShown):
                _somatui("--home", str(home), "practice", "reset", "--yes")


def _somatui(*words: str) -> str:
    """What a command printed, progress and answer together; what interrupts us ends it first, by its own means.

    Raises NotShown when it fails.
    """
    running = subprocess.Popen(
        [sys.executable, "-m", "somatui", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        printed, _ = running.communicate()
    except BaseException:
        running.terminate()
        running.wait()
        raise
    if running.returncode:
        last = printed.strip().rpartition("\n")[2]
        raise NotShown(f"somatui {' '.join(words[:2])} ended with status {running.returncode}: {last}")
    return printed


async def _work_and_take(paths: Paths, out: Path, theme: str) -> None:
    """Score, submit and train on the state, and take the pictures meanwhile."""
    await ensure_agent(paths)
    client = await AgentClient.connect(paths)
    try:
        await client.call("settings.set", key="auto_claim", value=False)
        await _score(paths, client)
        for _ in range(2):
            await client.call("act", action="advance", args={}, key=uuid.uuid4().hex)
        await _score(paths, client)
        looked = await client.call("job.start", kind="score", args={"submit": False, "corpus": {"sources": _sources()}})
        await _seen(
            paths, lambda s: _job(s, looked["job_id"]).metrics.get("scored", 0) >= SCORED, "a scoring under way"
        )
        await client.call("job.start", kind="train", args={"steps": 400, "seed": 3})
        await _seen(paths, lambda s: _course(s) >= CURVE_POINTS, "a training under way")
        await take(paths, out, theme)
        await take_setup(paths, out, theme)
        for job in (await _seen(paths, lambda _: True, "the jobs")).jobs:
            if job.running:
                await client.call("job.stop", job_id=job.id)
    finally:
        await client.close()


def _sources() -> list[dict[str, Any]]:
    """Some folders of the standard library, each a source of its own."""
    library = Path(sysconfig.get_path("stdlib"))
    return [{"kind": "files", "path": str(library / name)} for name in ("asyncio", "email", "test")]


async def _score(paths: Paths, client: AgentClient) -> None:
    """Score files of the standard library and submit what hits, until three targets are filled or it ends."""
    started = await client.call("job.start", kind="score", args={"submit": True, "limit": 300, "max_hits": 4})
    await _seen(paths, lambda s: not _job(s, started["job_id"]).running, "a scoring")


def _job(snapshot: Snapshot, job_id: str) -> JobView:
    found = next((j for j in snapshot.jobs if j.id == job_id), None)
    return found or JobView(job_id, "", "", "starting", 0, 0)


def _course(snapshot: Snapshot) -> int:
    return max((len(j.history) for j in snapshot.jobs if j.kind == "train" and j.running), default=0)


async def _seen(paths: Paths, holds: Callable[[Snapshot], bool], what: str) -> Snapshot:
    """The agent's picture once a condition holds on it. Raises NotShown when it does not in time."""
    from somatui.domain.codec import from_json

    client = await AgentClient.connect(paths)
    until = time.monotonic() + WAIT_SECONDS
    try:
        while not holds(seen := from_json(Snapshot, await client.call("snapshot"))):
            if time.monotonic() > until:
                raise NotShown(f"Waited {WAIT_SECONDS:.0f} s for {what} in vain.")
            await asyncio.sleep(0.2)
    finally:
        await client.close()
    return seen


async def take(paths: Paths, out: Path, theme: str) -> None:
    """The four pictures of the console itself."""
    _tell(save(await _picture(paths, theme, (160, 48), _on_pane("jobs")), out, "home"))
    _tell(save(await _picture(paths, theme, (80, 24), _on_pane("targets")), out, "targets"))
    _tell(save(await _picture(paths, theme, (80, 24), _on_panel), out, "confirm"))
    _tell(save(await _picture(paths, theme, (100, 30), _on_scoring), out, "scoring"))


async def _picture(paths: Paths, theme: str, size: tuple[int, int], arrange: Callable[[Any], Any]) -> str:
    from somatui.tui.console import SomatuiApp

    app = SomatuiApp(paths, theme)
    async with app.run_test(size=size) as pilot:
        await _until(pilot, lambda: app.world.connected and app.world.snapshot is not None, "the agent")
        await arrange(pilot)
        await pilot.pause()
        return standalone(app.export_screenshot(title="somatui"))


async def take_setup(paths: Paths, out: Path, theme: str) -> None:
    """The guided setup at its storage, tried: a profile of its own on the practice network's addresses and store."""
    from somatui.config import practice_network
    from somatui.tui.console import SomatuiApp
    from somatui.tui.setup.walk import Walk

    card = practice_network(paths)
    if card is None:
        raise NotShown("No practice network runs here, so the setup has nothing to try.")
    walk = Walk(Paths.for_profile(SETUP_PROFILE, paths.home))
    told = {"rpc_url": card.rpc_url, "faucet_url": card.faucet_url, "profile": SETUP_PROFILE}
    passphrase = uuid.uuid4().hex
    for entered in (
        {"purpose": "submit", "network": "custom"} | told, {}, {"passphrase": passphrase, "again": passphrase},
        {"wallet": "new", "label": "main"},
    ):  # fmt: skip
        report = await walk.perform(entered, lambda _text: None)
        if not report.ok:
            raise NotShown(f"The setup did not go on: {report.trouble and report.trouble.sentence}")
        walk.accept()
    store = {"endpoint": card.store_url, "bucket": card.bucket, "access": card.access_key}
    store |= {"secret": card.secret_key, "public_url": f"{card.store_url}/{card.bucket}"}
    app = SomatuiApp(paths, theme, walk=walk)
    try:
        async with app.run_test(size=(80, 24)) as pilot:
            await _until(pilot, lambda: bool(app.screen.query("#field-secret")), "the step")
            for name, value in store.items():
                app.screen.query_one(f"#field-{name}", Entry).value = value
            await pilot.press("f5")
            await _until(pilot, lambda: "lifecycle" in _panel_text(pilot, "#told"), "the checks")
            await pilot.pause()
            _tell(save(standalone(app.export_screenshot(title="somatui setup")), out, "setup"))
    finally:
        await walk.close()
        await stop_agent(walk.paths)


def _on_pane(name: str) -> Callable[[Any], Any]:
    async def arrange(pilot: Any) -> None:
        await pilot.press(str(PANES.index(name) + 1))
        await _until(pilot, lambda: _filled(pilot.app), "the panes")

    return arrange


async def _on_scoring(pilot: Any) -> None:
    """The jobs pane with the cursor on the last scoring."""
    await _on_pane("jobs")(pilot)
    jobs = pilot.app.world.snapshot.jobs
    pilot.app.query_one("#pane-jobs").table.move_to(next((j.id for j in reversed(jobs) if j.kind == "score"), ""))


def _filled(app: Any) -> bool:
    """Whether every pane that there is room for has shown the picture."""
    panes = list(app.query(".pane"))
    return len(panes) >= (len(PANES) if app.home.in_grid else 1) and all(p.snapshot is not None for p in panes)


async def _on_panel(pilot: Any) -> None:
    """Open the confirm panel of the first act that is possible."""
    context = pilot.app.context()
    action = next((a for n in CONFIRMED if (a := by_name(n)) and _possible(a, context)), None)
    if action is None:
        raise NotShown("No act that asks first is possible on this state, so there is no panel to show.")
    screen = pilot.app.screen
    await pilot.press(action.key)
    await _until(pilot, lambda: pilot.app.screen is not screen, "the panel")
    await _until(pilot, lambda: "trying it" not in _panel_text(pilot), "the node to try it")


def _panel_text(pilot: Any, where: str = "#text") -> str:
    return " ".join(str(text.render()) for text in pilot.app.screen.query(where))


def _possible(action: Action, context: Any) -> bool:
    return context is not None and action.unavailable(context) is None


async def _until(pilot: Any, holds: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > until:
            raise NotShown(f"Waited {WAIT_SECONDS:.0f} s for {what} in vain.")
        await pilot.pause(0.05)


def _tell(files: tuple[Path, Path]) -> None:
    sys.stdout.write(f"{files[0]}  {files[1]}\n")


if __name__ == "__main__":
    sys.exit(main())
