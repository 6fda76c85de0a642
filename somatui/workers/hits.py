"""Finds what scored candidates hit on the board, keeps them for targets to come, and tells each hit once."""

from __future__ import annotations

import base64
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import base58
import numpy as np
from numpy.typing import NDArray

from somatui.corpora.files import Candidate
from somatui.engine import contract
from somatui.engine.cipher import checksum
from somatui.engine.contract import Score
from somatui.engine.screen import DISTANCE_MARGIN, LOSS_MARGIN
from somatui.files import write_whole
from somatui.workers.board import Board, BoardTarget
from somatui.workers.lazy import Plan, Shares
from somatui.workers.matching import Aims, Kept, Named
from somatui.workers.nearest import Nearest
from somatui.workers.session import Session
from somatui.workers.stand import Stand

SLACK = 1e-4
"""Distances computed for many targets at once differ less than this from the contract's."""
_ROWS = 128
"""Rows that are copied at once."""


class Hits:
    """The board's targets that can be hit, and the candidates that were scored.

    `most` is the number of hits after which nothing more is told, `each` how many one new candidate may have; `learn`
    is told the source of each candidate that hits for the first time, and `verify` gives the exact score of a column
    and some bytes, where scores may be screened ones. All is done within a step of the stand.
    """

    def __init__(
        self, work_dir: Path, session: Session, stand: Stand, most: int | None, each: int | None = None,
        learn: Callable[[str], None] = lambda source: None, verify: Callable[[str, bytes], Score] | None = None,
    ) -> None:  # fmt: skip
        self._folder, self._session, self._stand = work_dir / "hits", session, stand
        self._most, self._each, self._learn, self._verify = most, each, learn, verify
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._board = Board(0, 0.0, (), {})
        self._places: dict[str, int] = {}
        self._kept = Kept((), 0, stand.kept)
        self._aims = Aims((), {}, 0)
        self._shares = Shares(())
        self.nearest = Nearest()

    @property
    def dim(self) -> int:
        """Numbers of an embedding, 0 while the board names no usable model."""
        return self._kept.dim

    def follow(self, board: Board, usable: dict[str, str], dims: dict[str, int]) -> None:
        """Take over a board; targets that were not there before are held against the kept candidates.

        `usable` gives the column of each model that can be scored, `dims` the size of each column's embeddings.
        """
        before = {t.id for t in self._aims.targets} if board.threshold == self._board.threshold else set()
        self._board = board
        self._stand.keep_targets(t.id for t in board.targets)
        dim = Counter(dims.values()).most_common(1)[0][0] if dims else 0
        columns = [c for c in dims if dims[c] == dim]
        self._kept = self._kept.with_columns(columns, dim)
        self._shares = Shares(columns, self._shares)
        self._places = place = {model: columns.index(c) for model, c in usable.items() if c in columns}
        good = [t for t in board.targets if t.embedding.size == dim and all(m in place for m in t.model_ids)]
        if left := len(board.targets) - len(good):
            text = f"{left} of {len(board.targets)} targets are left out: a model of theirs cannot be scored on"
            self._session.say("warn", text)
        self._aims = Aims(good, place, dim)
        self.nearest.follow([t.id for t in good], board.threshold, self._stand.reported)
        fresh = [t for t in good if t.id not in before]
        if fresh and len(self._kept):
            self._match(slice(0, None), Aims(fresh, place, dim), None)

    def tell_again(self) -> None:
        """Tell what earlier lives have told of targets that are still there: nobody may have heard it."""
        for target, hit in self._stand.told.items():
            if target in self._stand.reported:
                self._session.emitter.send("hit", **hit)

    def plan(self, everything: bool) -> Plan:
        """The way of a candidate through the models, as things stand now; `everything` is through all of them."""
        order = self._shares.order(self._aims)
        return Plan(self._kept.columns, order, self._aims, self._board.threshold + SLACK, everything)

    def screening(self, plan: Plan) -> Plan:
        """The same way with screened scores: verified where they may decide over a hit or over the best distance."""
        best = self._stand.best_distance
        doubt = max(plan.within, -math.inf if best is None else best) + DISTANCE_MARGIN
        return replace(plan, within=plan.within + DISTANCE_MARGIN, margin=2 * LOSS_MARGIN, doubt=doubt)

    def lacks(self, scores: Mapping[str, Score]) -> bool:
        """Whether there is a model that a candidate with these scores has not been through."""
        return any(column not in scores for column in self._kept.columns)

    def promising(self, named: Iterable[Named], screened: bool) -> set[Named]:
        """Those that, by what is known of them, may hit once they have been through more models."""
        within = self._board.threshold + SLACK + (DISTANCE_MARGIN if screened else 0)
        rows, found = self._kept.rows(named), set[Named]()
        for part in (rows[at : at + _ROWS] for at in range(0, len(rows), _ROWS)):
            far, _, reached = self._aims.near(*self._kept.view(part), 2 * LOSS_MARGIN if screened else 0)
            more = (np.isinf(far) & (reached <= within)).any(axis=1)
            found |= {self._kept[part[place]] for place in np.flatnonzero(more)}
        return found

    def known(self, candidate: Candidate) -> dict[str, Score]:
        """The scores that a candidate has already, by column."""
        return self._kept.known(Named(candidate.name, candidate.digest))

    def deal(self, candidate: Candidate, scores: dict[str, Score], learn: bool = True) -> bool:
        """Keep a scored candidate and tell what it hits; whether it hits anything. `learn` from it who wins."""
        row = self._kept.add(Named(candidate.name, candidate.digest), scores)
        if learn:
            self._shares.learn(self._aims, self._kept.view(slice(row, row + 1))[0][0])
        return self._match(slice(row, row + 1), self._aims, candidate.data)

    def _match(self, rows: slice, aims: Aims, data: bytes | None) -> bool:
        if not aims.targets:
            return False
        losses, embeddings = self._kept.view(rows)
        far, places, reached = aims.near(losses, embeddings, 2 * LOSS_MARGIN)
        sure = np.take_along_axis(self._kept.exact(rows), aims.winning(places), axis=1)
        self._best(rows.start, np.where(sure, far, np.inf), places, aims)
        named = [self._kept[row].name for row in range(*rows.indices(len(self._kept)))]
        # A screened distance is told as the most that it can be, and followed up as the least.
        told = np.where(sure, far, far + DISTANCE_MARGIN)
        self.nearest.see(told, named, None if aims is self._aims else [t.id for t in aims.targets])
        screened = (~np.isnan(losses) & ~self._kept.exact(rows)).any(axis=1, keepdims=True)
        far = np.where(screened & np.isfinite(far), np.minimum(far, reached - DISTANCE_MARGIN), far)
        before = self._stand.hits
        for number in np.flatnonzero((far <= self._board.threshold + SLACK).any(axis=0)):
            target = aims.targets[number]
            if target.id in self._stand.reported:
                continue
            if self._most is not None and self._stand.hits >= self._most:
                break
            if data is not None and self._each is not None and self._stand.hits - before >= self._each:
                break
            close = np.flatnonzero(far[:, number] <= self._board.threshold + SLACK)
            for row in close[np.argsort(far[close, number], kind="stable")]:
                if self._tell(target, rows.start + int(row), data):
                    break
        return self._stand.hits > before

    def _exact(self, row: int, target: BoardTarget, data: bytes | None) -> tuple[dict[str, Score], bytes | None]:
        """A kept candidate's scores, those on the target's models verified; its bytes if they were needed for that."""
        scores = self._kept.scores(row)
        doubted = [c for c in self._columns(target) if not scores[c].exact]
        if doubted and self._verify is not None and (data := data or self._again(self._kept[row])) is not None:
            scores |= {column: self._verify(column, data) for column in doubted}
            self._kept.add(self._kept[row], scores)
        return scores, data

    def _columns(self, target: BoardTarget) -> list[str]:
        return [self._kept.columns[self._places[model]] for model in target.model_ids]

    def _best(self, start: int, far: NDArray[np.float32], places: NDArray[np.intp], aims: Aims) -> None:
        row, number = np.unravel_index(int(far.argmin()), far.shape)
        if np.isfinite(far[row, number]):
            target, scores = aims.targets[number], self._kept.scores(start + int(row))
            score = scores[self._columns(target)[places[row, number]]]
            distance = contract.distance(score.embedding, target.embedding)
            self._nearer(distance)

    def _nearer(self, distance: float) -> None:
        if self._stand.best_distance is None or distance < self._stand.best_distance:
            self._stand.best_distance = distance

    def _tell(self, target: BoardTarget, row: int, data: bytes | None) -> bool:
        """Tell a hit after its bytes are on disk; False when the exact distance or the bytes are not what they were."""
        scores, data = self._exact(row, target, data)
        scored = [scores[column] for column in self._columns(target)]
        winner = contract.winner(scored)
        score = scored[winner]
        distance = contract.distance(score.embedding, target.embedding)
        if not all(one.exact for one in scored):
            return False
        self._nearer(distance)
        if not distance <= self._board.threshold:
            return False
        named = self._kept[row]
        told = base58.b58encode(named.digest).decode()
        path = self._folder / told
        if not path.exists():
            found = data if data is not None else self._again(named)
            if found is None:
                return False
            write_whole(path, found)
        hit = {
            "target_id": target.id, "model_id": target.model_ids[winner], "winner": winner, "loss": score.loss,
            "distance": distance, "threshold": self._board.threshold,
            "embedding": base64.b64encode(score.embedding.astype("<f4").tobytes()).decode(),
            "name": named.name, "path": str(path), "size": path.stat().st_size, "checksum": told,
            "epoch": self._board.epoch,
            "models": [{"id": m, "weights_checksum": self._board.models[m].checksum} for m in target.model_ids],
        }  # fmt: skip
        self._session.emitter.send("hit", **hit)
        self.nearest.cover(target.id)
        source = self._stand.hit(target.id, named.digest, hit)
        if source is not None:
            self._learn(source)
        return True

    def _again(self, named: Named) -> bytes | None:
        """A kept candidate's bytes, unless its file has changed since it was scored."""
        try:
            data = Path(named.name).read_bytes()
        except OSError:
            data = b""
        if checksum(data) == named.digest:
            return data
        text = f"{named.name} hits a new target and has changed since it was scored: left out"
        self._session.say("warn", text)
        return None
