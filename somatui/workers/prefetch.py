"""Worker that keeps the shelf of weights: `python -m somatui.workers.prefetch`; what is wanted is the agent's affair.

Job: {"job": "weights", "version": 1, "wanted": path, "ids": [id] | null, "weights_dir": path, "keep_days": n,
"limit_bytes": n}. The wanted file: {"models": [{"id", "url", "checksum", "size", "key": Base58 | null}], "live":
[checksum]}, in the order in which they are to come. First goes what is old, then come the weights of the models named
(null: of all); those without a key come as they were published. One that cannot be had is told of, the others go on.
"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base58

from somatui.engine.cipher import WeightsError
from somatui.workers.fetch import FetchError, Stopped, sealed_file, weights_file
from somatui.workers.session import JobError, Session, run
from somatui.workers.shelf import Shelf

TELL_EVERY_S = 0.5
RATE_OVER_S = 10.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """A model's weights as its manifest has them; `key` is empty before the reveal."""

    id: str
    url: str
    checksum: str
    size: int
    key: bytes


class Shelving:
    """One job."""

    def __init__(self, job: dict[str, Any], session: Session) -> None:
        self._session, self._folder = session, Path(job["weights_dir"])
        self._shelf, self._limit = Shelf(self._folder), int(job["limit_bytes"])
        ids, told = job.get("ids"), json.loads(Path(job["wanted"]).read_text("utf-8"))
        models = [_wanted(m) for m in told["models"]]
        self._chosen = [m for m in models if ids is None or m.id in ids]
        self._live = {*told["live"], *(m.checksum for m in models)}
        self._keep_days = int(job["keep_days"])
        self._counts = {"fetched": 0, "failed": 0, "left": len(self._chosen)}
        self._all, self._before, self._now = sum(m.size for m in self._chosen), 0, 0
        self._rates: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self._told = 0.0

    def run(self) -> dict[str, Any]:
        """Prune, then fetch; how many came, failed and were left."""
        gone = self._shelf.prune(self._live, self._keep_days, self._limit)
        if gone:
            self._session.say(
                "info", f"{len(gone)} old weights were removed ({sum(g.size for g in gone) / 1e9:.2f} GB)"
            )
        for model in self._chosen:
            self._one(model)
            if self._session.stopping.is_set():
                break
            self._before, self._now = self._before + model.size, 0
            self._tell(True)
        return {"models": len(self._chosen)} | self._counts

    def _one(self, model: Wanted) -> None:
        name = f"the weights of model {model.id}"
        try:
            if self._shelf.has(model.checksum, model.size, opened=bool(model.key)):
                self._counts["left"] -= 1
                return
            if model.key:
                weights_file(model, self._folder, self._session, self._came)
            elif (held := self._beside(model)) + model.size > self._limit:
                text = f"{name} are left, they do not fit: {held / 1e9:.2f} GB are kept, weights_limit_gb is the limit"
                self._session.say("warn", text)
                return
            else:
                sealed_file(model, self._folder, self._session, self._came)
            self._counts["fetched"] += 1
            self._session.say("info", f"{name} are here" + ("" if model.key else ", sealed until the reveal"))
        except Stopped:
            return
        except (FetchError, WeightsError) as failure:
            self._counts["failed"] += 1
            self._session.say("warn", f"{name} cannot be had: {failure}")
        self._counts["left"] -= 1

    def _beside(self, model: Wanted) -> int:
        """Bytes of all other weights that are here."""
        return sum(s.size for s in self._shelf.standing() if s.checksum != model.checksum)

    def _came(self, size: int) -> None:
        self._now = size
        self._tell(False)

    def _tell(self, now: bool) -> None:
        at, done = time.monotonic(), self._before + self._now
        if not now and at - self._told < TELL_EVERY_S:
            return
        self._told = at
        self._rates.append((at, done))
        while len(self._rates) > 2 and at - self._rates[1][0] >= RATE_OVER_S:
            self._rates.popleft()
        since, then = self._rates[0]
        rate = (done - then) / 1e6 / max(at - since, 1e-3)
        self._session.emitter.send("metric", mb_per_s=round(rate, 3), **self._counts)
        self._session.emitter.send("progress", done=done / max(self._all, 1))


def _wanted(told: dict[str, Any]) -> Wanted:
    key = base58.b58decode(told["key"]) if told["key"] else b""
    return Wanted(str(told["id"]), str(told["url"]), str(told["checksum"]), int(told["size"]), key)


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Do the job. Raises JobError for a list that cannot be read."""
    try:
        shelving = Shelving(job, session)
    except (ValueError, KeyError, TypeError) as failure:
        raise JobError(
            f"The list of wanted weights is not as it should be ({type(failure).__name__}: {failure})."
        ) from None
    return shelving.run()


if __name__ == "__main__":
    sys.exit(run("weights", work))
