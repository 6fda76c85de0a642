"""The models a score worker has loaded: the board's, as their weights come, a few at a time beside the scoring."""

from __future__ import annotations

import math
import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path

from somatui.engine import weights
from somatui.workers.board import Board, BoardModel
from somatui.workers.fetch import FetchError, weights_file
from somatui.workers.ranges import LOOK_S, aside
from somatui.workers.screening import Loaded
from somatui.workers.session import Session

ARCHITECTURES = (weights.SMALL, weights.FULL)
"""Those of the network: a validator loads no other, so that a hit on another model would cost its bond."""
AT_ONCE = 3
"""Models that are fetched side by side, each by many lines: one slow store does not hold up all others."""
WAIT_S = 20.0
"""So long scoring waits for weights that are on their way, if it has others to go on with."""
AGAIN_S = 600.0
"""After so long, weights that could not be fetched are tried again."""


class Models:
    """The weights of the board's models, each loaded once."""

    def __init__(self, folder: Path, session: Session) -> None:
        self._folder, self._session = folder, session
        self.loaded: dict[str, Loaded] = {}
        self._coming: dict[str, Future[Path]] = {}
        self._refused: dict[str, float] = {}
        self._turns = threading.Semaphore(AT_ONCE)

    @property
    def coming(self) -> bool:
        """Whether weights are on their way."""
        return bool(self._coming)

    @property
    def awaited(self) -> set[str]:
        """The columns of models that may be loaded yet: on their way, or such as are asked for again after a while."""
        return {*self._coming, *(column for column, until in self._refused.items() if until < math.inf)}

    def follow(self, board: Board) -> dict[str, str]:
        """Load what the board names and forget the rest; gives the column of each usable model.

        A model whose weights cannot be had, opened or used is left out and told of, once; one whose weights take long
        is left out until they are here, which the session then tells like a new board.
        """
        wanted = {m.column: m for m in board.models.values()}
        for known in (self.loaded, self._coming, self._refused):
            for column in known.keys() - wanted.keys():
                del known[column]
        begun: set[str] = set()
        for column, model in wanted.items():
            held = column in self.loaded or column in self._coming
            if not held and time.monotonic() >= self._refused.get(column, 0.0):
                self._coming[column] = aside(lambda model=model: self._fetched(model))  # type: ignore[misc]
                begun.add(column)
        if begun or not self.loaded:
            self._wait()
        for column, coming in list(self._coming.items()):
            if coming.done():
                del self._coming[column]
                self._take(wanted[column], coming)
            elif column in begun:
                self._session.say("info", f"model {wanted[column].id} is left out until its weights are here")
                coming.add_done_callback(lambda _: self._session.board_changed.set())
        return {m.id: m.column for m in board.models.values() if m.column in self.loaded}

    def _fetched(self, model: BoardModel) -> Path:
        with self._turns:
            return weights_file(model, self._folder, self._session)

    def _wait(self) -> None:
        """Wait for what comes: until all is here, or for some time where there is something to go on with."""
        began, stopping = time.monotonic(), self._session.stopping
        while self._coming and not stopping.is_set():
            here, under_way = wait(self._coming.values(), LOOK_S)
            some = self.loaded or any(not one.exception() for one in here)
            if not under_way or (some and time.monotonic() - began > WAIT_S):
                return

    def _take(self, model: BoardModel, coming: Future[Path]) -> None:
        try:
            config, tensors = weights.open_file(coming.result())
            if config not in ARCHITECTURES:
                raise weights.WeightsError(f"The weights are of another architecture than the network's: {config}.")
            self.loaded[model.column] = config, tensors
            self._refused.pop(model.column, None)
        except (FetchError, weights.WeightsError) as failure:
            # What is wrong with the bytes themselves is wrong for good: the column is their checksum and their key.
            passing = isinstance(failure, FetchError)
            self._refused[model.column] = time.monotonic() + AGAIN_S if passing else math.inf
            if not self._session.stopping.is_set():
                self._session.say("warn", f"model {model.id} is left out, its weights cannot be used: {failure}")
