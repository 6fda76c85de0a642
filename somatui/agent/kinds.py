"""What kinds of jobs there are: which worker does each, what it is told, and what of it is worth drawing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, ClassVar

from somatui.agent.ground import Ground
from somatui.agent.weights import wanted
from somatui.domain.ids import short
from somatui.domain.secret_names import HUGGING_FACE
from somatui.files import write_whole
from somatui.vault.base import Vault, VaultError
from somatui.workers.protocol import VERSION

BOARD, WANTED = "board.json", "wanted.json"


class KindError(ValueError):
    """What was asked of a job makes no sense; the text is one sentence."""


class Kind:
    """One kind of job. `drawn` names the metric whose course a screen shows as a curve."""

    module: ClassVar[str]
    drawn: ClassVar[str]
    follows_board: ClassVar[bool] = False

    def title(self, args: dict[str, Any]) -> str:
        """What a screen calls it; raises KindError for arguments that make no sense."""
        raise NotImplementedError

    def worker(self, args: dict[str, Any]) -> str:
        """The module that does it."""
        return self.module

    def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
        """The job line of its worker; the same again goes on where the job's folder says that it stood."""
        raise NotImplementedError

    def secrets(self, args: dict[str, Any], vault: Vault | None) -> dict[str, str | None] | None:
        """What its worker gets by a pipe; None for one that needs none."""
        return None

    async def prepare(self, ground: Ground, folder: Path) -> None:
        """Write what the worker reads besides its line. Raises KindError, ChainError."""


class Train(Kind):
    """Training of a model of the small architecture on local files."""

    module: ClassVar[str] = "somatui.workers.train"
    drawn: ClassVar[str] = "loss"

    def title(self, args: dict[str, Any]) -> str:
        return f"train {_number(args, 'steps', 200)} steps on {_corpus_name(args)}"

    def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
        return {
            "job": "train",
            "version": VERSION,
            "config": str(args.get("config", "small")),
            "init": args.get("init"),
            "corpus": _corpus(args),
            "steps": _number(args, "steps", 200),
            "micro_batch": _number(args, "micro_batch", 2),
            "accumulate": _number(args, "accumulate", 2),
            "lr": float(args.get("lr", 1e-3)),
            "seed": _number(args, "seed", 0, least=0),
            "checkpoint_every": _number(args, "checkpoint_every", 50),
            "work_dir": str(folder),
            "threads": ground.settings.threads or os.cpu_count() or 1,
        }


class Score(Kind):
    """Scoring of files against the open targets."""

    module: ClassVar[str] = "somatui.workers.score"
    drawn: ClassVar[str] = "best_distance"
    follows_board: ClassVar[bool] = True

    def title(self, args: dict[str, Any]) -> str:
        limit, _, _ = _optional(args, "limit"), self._places(args), self._precision(args)
        return f"score {_corpus_name(args)}" if limit is None else f"score {limit} of {_corpus_name(args)}"

    def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
        return {
            "job": "score",
            "version": VERSION,
            "board": str(folder / BOARD),
            "weights_dir": str(ground.paths.weights_cache),
            "corpus": _corpus(args),
            "limit": _optional(args, "limit"),
            "max_hits": _optional(args, "max_hits"),
            **self._places(args),
            "precision": self._precision(args),
            "hits_each": _optional(args, "hits_each"),
            "kept": _optional(args, "kept"),
            "cursor": None,
            "work_dir": str(folder),
            "threads": ground.settings.threads or os.cpu_count() or 1,
        }

    def worker(self, args: dict[str, Any]) -> str:
        if args.get("nodes"):
            return "somatui.workers.nodes"
        return "somatui.workers.score_many" if self._places(args) else self.module

    @staticmethod
    def _precision(args: dict[str, Any]) -> str | None:
        """How it is scored at first; None for what the device is quick at."""
        asked = args.get("precision")
        if asked not in (None, "screen", "exact"):
            raise KindError("precision must be screen or exact.")
        return None if asked is None else str(asked)

    @staticmethod
    def _places(args: dict[str, Any]) -> dict[str, Any]:
        """Where it is scored, when not at one place as it comes: which cards, how many shards, how many machines."""
        gpus, shards = args.get("gpus"), _optional(args, "shards")
        numbers = isinstance(gpus, list) and gpus and all(type(n) is int and n >= 0 for n in gpus)
        if not (gpus in (None, "all", "none") or numbers):
            raise KindError("gpus must be all, none, or a list of the cards' numbers.")
        machines, at = _optional(args, "nodes"), args.get("rendezvous")
        if (machines is None) != (at is None):
            raise KindError("A job on many machines needs both their number and where they meet.")
        met = {} if machines is None else {"nodes": {"count": machines, "at": str(at)}}
        return {} if gpus is None and shards is None and not met else {"gpus": gpus, "shards": shards} | met

    def secrets(self, args: dict[str, Any], vault: Vault | None) -> dict[str, str | None] | None:
        """The hub's token where a set of it is read; while the vault is locked, sets are read as by anybody."""
        if vault is None or not any(s.get("kind") in ("hub", "preset") for s in _corpus(args).get("sources") or ()):
            return None
        try:
            return {"hf_token": vault.get(HUGGING_FACE).decode()}
        except (KeyError, VaultError):
            return None

    async def prepare(self, ground: Ground, folder: Path) -> None:
        content = await ground.chain.board()
        margin = ground.settings.distance_margin
        content["threshold"] = float(content["threshold"]) - margin
        write_whole(folder / BOARD, json.dumps(content).encode())


class Fetch(Kind):
    """Fetching of models' weights, and removal of old ones."""

    module: ClassVar[str] = "somatui.workers.prefetch"
    drawn: ClassVar[str] = "mb_per_s"

    def title(self, args: dict[str, Any]) -> str:
        ids = args.get("ids")
        if not (isinstance(ids, list) and all(isinstance(i, str) for i in ids) and (ids or args.get("ahead"))):
            raise KindError("ids must be a list of models' ids.")
        what = f"model {short(ids[0])}" if len(ids) == 1 else f"{len(ids)} models"
        return (
            f"weights of {what}" + (", ahead of need" if args.get("ahead") else "") if ids else "removal of old weights"
        )

    def line(self, args: dict[str, Any], folder: Path, ground: Ground) -> dict[str, Any]:
        return {
            "job": "weights",
            "version": VERSION,
            "wanted": str(folder / WANTED),
            "ids": args["ids"],
            "weights_dir": str(ground.paths.weights_cache),
            "keep_days": ground.settings.weights_keep_days,
            "limit_bytes": ground.settings.weights_limit_gb * 10**9,
        }

    async def prepare(self, ground: Ground, folder: Path) -> None:
        write_whole(folder / WANTED, json.dumps(wanted(await ground.chain.system())).encode())


KINDS: dict[str, Kind] = {"train": Train(), "score": Score(), "weights": Fetch()}


def _number(args: dict[str, Any], name: str, default: int, least: int = 1) -> int:
    value = args.get(name, default)
    if type(value) is not int or value < least:
        raise KindError(f"{name} must be a whole number of at least {least}.")
    return value


def _optional(args: dict[str, Any], name: str) -> int | None:
    return None if args.get(name) is None else _number(args, name, 1)


def _corpus(args: dict[str, Any]) -> dict[str, Any]:
    return {"paths": None, "max_bytes": 16_384, "seed": 0} | (args.get("corpus") or {})


def _source_name(source: dict[str, Any]) -> str:
    """Its file's name, or the program's, or the set's."""
    if source.get("path"):
        return Path(str(source["path"])).name
    words = str(source.get("command") or source.get("name") or source.get("kind")).split()
    return Path(words[0]).name if words else "source"


def _corpus_name(args: dict[str, Any]) -> str:
    paths, sources = _corpus(args)["paths"], _corpus(args).get("sources") or ()
    if sources:
        told = [_source_name(source) for source in sources]
        return ", ".join(told[:3]) + (f" and {len(told) - 3} more" if len(told) > 3 else "")
    if not paths:
        return "Python's standard library"
    return Path(paths[0]).name if len(paths) == 1 else f"{len(paths)} folders"
