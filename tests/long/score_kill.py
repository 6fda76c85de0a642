"""A score worker killed with -9 about every second: what it dealt with is in its record once, in order, without a gap.

`python -m tests.long.score_kill [--seconds 60] [--seed N]`, or `--short` for four. Its candidates come from a folder,
from lines of a file and from a program, some of them from two of these; with `--plain` from the folder alone. After
each kill: every row of the record is there once; what a source gave is a beginning of what it has, so that nothing is
lost but what was in flight; counts, hits and bytes agree. Exit status 1 and the folder when one of these does not hold.

PyTorch takes longer to load than a second, so a process that has loaded it forks each worker.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import base58
import torch

from somatui.corpora.files import CorpusError, listed
from somatui.engine import cipher, contract
from somatui.engine.weights import SMALL
from somatui.workers.board import BoardError
from somatui.workers.protocol import VERSION, parse_message
from somatui.workers.score import work
from somatui.workers.session import run
from tests.storage import stores
from tests.workers import inside
from tests.workers.boards import Board

SHORT_S, PATIENCE_S = 4.0, 60.0
SEED = 1
MODELS, TARGETS, EACH, THRESHOLD = 2, 40, 20_000, 0.9
NOTHING: dict[str, Any] = {"scored": 0, "hits": 0, "source_hits": {}}
FRESH = 8
"""Targets that are new in each life, in place of the oldest."""
LOOKED_AT = 10
"""Rows whose losses are computed anew in the end."""
PROGRAM = """
import json, os, sys
at = json.loads(os.environ.get("SOMATUI_CURSOR", "0"))
for number in range(at, {each}):
    # Each fifth is also a line of the file.
    told = "line" if number % 5 == 0 else "told"
    print(json.dumps({{"text": f"def {{told}}_{{number}}(): pass", "cursor": number + 1}}), flush=True)
"""


class Broken(AssertionError):
    """Something is lost, or there twice."""


@dataclass
class Loop:
    """One job's folder, what its sources have, and what was told by workers of several lives."""

    folder: Path
    chance: random.Random
    plain: bool = False
    job: dict[str, Any] = field(default_factory=dict)
    board: Board | None = None
    expected: dict[str, list[bytes]] = field(default_factory=dict)
    """Digests of what each source has, in its order."""
    texts: dict[bytes, bytes] = field(default_factory=dict)
    hits: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    kills: int = 0

    def prepare(self) -> None:
        """Sources, a board, and its weights in place."""
        files = self.folder / "files"
        files.mkdir()
        for number in range(EACH // 10):
            (files / f"{number}.py").write_bytes(b"x = %d" % number)
        lines, told = ([f"def {name}_{n}(): pass".encode() for n in range(EACH)] for name in ("line", "told"))
        told[::5] = lines[::5]
        (self.folder / "lines.txt").write_bytes(b"\n".join(lines))
        (self.folder / "tell.py").write_text(PROGRAM.format(each=EACH))
        found = [Path(name).read_bytes() for name in listed([files], (), SEED)]
        named = [("files", found), ("lines.txt", lines), (Path(sys.executable).name, told)]
        for source, has in [("", found)] if self.plain else named:
            self.expected[source] = [cipher.checksum(text) for text in has]
            self.texts |= zip(self.expected[source], has, strict=True)
        sources = [
            {"kind": "files", "path": str(files)}, {"kind": "lines", "path": str(self.folder / "lines.txt")},
            {"kind": "program", "command": f"{sys.executable} {self.folder / 'tell.py'}"},
        ]  # fmt: skip
        self.job = {
            "job": "score", "version": VERSION, "board": str(self.folder / "board.json"),
            "weights_dir": str(self.folder / "weights"), "work_dir": str(self.folder / "work"), "threads": 1,
            "corpus": {"paths": None, "max_bytes": 4096, "seed": SEED, "sources": sources},
        }  # fmt: skip
        if self.plain:
            self.job["corpus"] = {"paths": [str(files)], "max_bytes": 4096, "seed": SEED}
        with stores.running(self.folder / "store") as store:
            self.board = Board(store, self.folder / "board.json")
            for seed in range(1, MODELS + 1):
                self.board.add_model(seed)
            self.renew_board()
            first = inside.done("score", self.job | {"limit": 1, "work_dir": str(self.folder / "first")})
        if first[-1].kind != "done":
            raise Broken(first[-1].body["error"])

    def renew_board(self) -> None:
        """Other targets, so that there is always something to hit."""
        assert self.board is not None
        for _ in range(FRESH):
            self.board.add_target(self.chance.randrange(1, 1 << 60), list(self.board.models))
        self.board.told["targets"] = self.board.told["targets"][-TARGETS:]
        self.board.write(threshold=THRESHOLD)

    def live(self, seconds: float) -> bytes:
        """One worker's life: killed after so many seconds, told to stop where there are none; its words."""
        heard, out = os.pipe()
        told, line = os.pipe()
        worker = os.fork()
        if worker == 0:
            with contextlib.suppress(BaseException):
                for end in (heard, line):
                    os.close(end)
                self.be_worker(told, out)
            os._exit(70)
        for end in (told, out):
            os.close(end)
        os.write(line, json.dumps(self.job).encode() + b"\n" + (b"" if seconds else b'{"cmd": "stop"}\n'))
        # Half of them live until they have dealt with something, however busy the machine is.
        waits = bool(seconds) and self.chance.random() < 0.5
        words, until = b"", time.monotonic() + (PATIENCE_S if waits or not seconds else seconds)
        while (left := until - time.monotonic()) > 0:
            if waits and b'"metric"' in words:
                waits, until = False, time.monotonic() + seconds / 2
            readable, _, _ = select.select([heard], [], [], left)
            if readable and not (piece := os.read(heard, 1 << 16)):
                break
            words += piece if readable else b""
        if seconds:
            os.kill(worker, signal.SIGKILL)
            self.kills += 1
        _, status = os.waitpid(worker, 0)
        os.close(line)
        while piece := os.read(heard, 1 << 16):
            words += piece
        os.close(heard)
        if (seconds and not os.WIFSIGNALED(status)) or not (seconds or os.WEXITSTATUS(status) == 0):
            raise Broken(f"the worker ended by itself: {words[-500:].decode()}")
        return words

    def be_worker(self, told: int, out: int) -> None:
        """In the forked process: what `python -m somatui.workers.score` does."""
        with (self.folder / "worker.log").open("ab") as log:
            os.dup2(log.fileno(), 2)
        sys.stdin, sys.stdout = os.fdopen(told), os.fdopen(out, "w")
        os._exit(run("score", work, BoardError, CorpusError))

    def hear(self, words: bytes) -> None:
        """Hits, each with its bytes on disk; a word that a kill cut short is none."""
        for line in words.split(b"\n")[:-1]:
            message = parse_message(line.decode())
            if message.kind == "hit":
                self.hits[message.body["target_id"]] += 1
                told, path = message.body["checksum"], Path(message.body["path"])
                if base58.b58encode(cipher.checksum(path.read_bytes())).decode() != told:
                    raise Broken(f"{path} does not hold the bytes that hit")

    def check(self) -> None:
        """Hold the record against the sources and against what was told."""
        (self.folder / "work").mkdir(exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.folder / "work" / "record.sqlite3")) as found:
            if not self.rows and not found.execute("SELECT 1 FROM sqlite_master").fetchone():
                return
            rows = found.execute("SELECT n, digest, source, losses, hits FROM scored ORDER BY n").fetchall()
            told = NOTHING | json.loads(found.execute("SELECT told FROM stand").fetchone()[0])
            reported = {t for (t,) in found.execute("SELECT target FROM hits")}
            owed = {d for (d,) in found.execute("SELECT digest FROM owed")}
        place = {digest: n for n, digest, *_ in rows}
        if [n for n, *_ in rows] != list(range(1, len(rows) + 1)) or len(place) != len(rows):
            twice = [d.hex() for d, count in Counter(d for _, d, *_ in rows).items() if count > 1]
            raise Broken(f"{len(rows)} rows of {len(place)} candidates, twice: {twice}")
        if len(rows) < self.rows or told["scored"] != len(rows):
            raise Broken(f"{told['scored']} counted, {len(rows)} rows, {self.rows} before")
        self.rows = len(rows)
        self.check_sources(rows, place)
        counted = (told["hits"], sum(r[4] for r in rows))
        if reported - set(self.hits) or len(set(counted)) > 1 or counted[0] > len(self.hits):
            raise Broken(f"hits: {counted} counted, {len(reported)} targets noted, {len(self.hits)} told of")
        sources = Counter(r[2] for r in rows if r[4])
        if sources != Counter(told["source_hits"]):
            raise Broken(f"hits of sources {told['source_hits']}, in the rows {dict(sources)}")
        half = {r[1].hex() for r in rows if len(json.loads(r[3])) < MODELS}
        kept = {path.name for path in (self.folder / "work").glob("owed/*")}
        if not half <= owed or not owed <= kept:
            raise Broken(f"{len(half)} lack models, {len(owed)} are owed, {len(kept)} are on disk")

    def check_sources(self, rows: list[Any], place: dict[bytes, int]) -> None:
        """What each source gave is a beginning of what it has, in its order, less what another had given before."""
        for name, has in self.expected.items():
            given = [r[1] for r in rows if r[2] == name]
            begun = has[: has.index(given[-1]) + 1] if given else []
            if lost := [d.hex() for d in begun if d not in place]:
                raise Broken(f"{name} gave what comes after {lost}, which is not in the record")
            if given != [d for d in begun if rows[place[d] - 1][2] == name]:
                raise Broken(f"{name} gave what it has in another order")

    def check_losses(self) -> None:
        """Some rows' losses, computed anew by the contract."""
        assert self.board is not None
        with contextlib.closing(sqlite3.connect(self.folder / "work" / "record.sqlite3")) as found:
            rows = found.execute("SELECT digest, losses FROM scored").fetchall()
        for digest, losses in self.chance.sample(rows, min(len(rows), LOOKED_AT)):
            exact = {contract.score(SMALL, tensors, self.texts[digest]).loss for tensors in self.board.models.values()}
            if not set(json.loads(losses).values()) <= exact:
                raise Broken(f"{digest.hex()} has losses {losses}, the contract says {exact}")


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.long.score_kill", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--short", action="store_true", help=f"{SHORT_S:g} seconds")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--plain", action="store_true", help="files of a folder alone, as without sources")
    args = parser.parse_args()
    seed = args.seed if args.seed is not None else random.SystemRandom().randrange(1_000_000)
    folder = Path(tempfile.mkdtemp(prefix="somatui-score-kill-"))
    print(f"seed {seed}, folder {folder}", flush=True)
    loop = Loop(folder, random.Random(seed), args.plain)
    try:
        loop.prepare()
        ends = time.monotonic() + (SHORT_S if args.short else args.seconds)
        while time.monotonic() < ends:
            loop.hear(loop.live(loop.chance.uniform(0.2, 1.8)))
            loop.check()
            loop.renew_board()
        loop.hear(loop.live(0))
        loop.check()
        if loop.rows < loop.kills / 4:
            raise Broken(f"{loop.rows} candidates say nothing: the machine is too busy")
        loop.check_losses()
    except Broken as broken:
        print(f"BROKEN after {loop.kills} kills: {broken} (seed {seed}, folder {folder})", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    again = sum(count - 1 for count in loop.hits.values())
    print(
        f"whole: {loop.kills} kills, {loop.rows} candidates once each, {len(loop.hits)} targets hit, {again} told again"
    )
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main())
