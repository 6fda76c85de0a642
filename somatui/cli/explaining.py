"""`somatui score file`: one candidate scored exactly by a worker, and what its numbers mean, for people and scripts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from somatui.cli import live
from somatui.cli.nouns.score import worker
from somatui.cli.options import Arguments, paths_of
from somatui.cli.output import Answer, table
from somatui.cli.problem import USAGE, Problem
from somatui.domain.ids import resolve, short
from somatui.workers.protocol import VERSION

_ID = re.compile(r"(0x)?[0-9a-fA-F]{4,64}")


def score_file(args: Arguments) -> Answer:
    """Score it on the models named, or on those of a target that the agent knows. Raises Problem."""
    for path in (*args.model, args.data):
        if not path.is_file():
            raise Problem(f"There is no file {path}: name one that exists.", USAGE)
    aim = Path(args.target)
    job = {
        "job": "score_file",
        "version": VERSION,
        "models": [str(p.resolve()) for p in args.model],
        "data": str(args.data.resolve()),
        "threshold": args.threshold,
        "seed": args.seed,
    } | ({"target": str(aim.resolve())} if aim.is_file() else _on_the_board(args))
    if not args.model and aim.is_file():
        raise Problem("Name the models with --model, or a target of the network by its id with --target.", USAGE)
    result = worker("somatui.workers.score_file", job)
    for given, scored in zip(args.model, result["models"], strict=False):
        scored["model"] = str(given)
    return Answer(result, in_words(args.data.name, result))


def _on_the_board(args: Arguments) -> dict[str, Any]:
    """The target that --target means, and the board it stands on, from the agent. Raises Problem and IdError."""
    if not _ID.fullmatch(args.target):
        raise Problem(f"There is no file {args.target}: name one that exists, or a target by its id.", USAGE)
    target = resolve(args.target, (t.id for t in live.snapshot(args).targets), "target")
    board = live.call(args, "board")["path"]
    return {"board": board, "target_id": target, "weights_dir": str(paths_of(args).weights_cache)}


def in_words(name: str, result: dict[str, Any]) -> str:
    """The document for people; `name` is the file's."""
    data, models, lead = result["data"], result["models"], result["margin"]
    padding = f", {data['padding']:,} places of padding" if data["padding"] else ""
    batches = f" in {data['batches']} batches" if data["batches"] > 1 else ""
    rows = [
        (f"{'*' if i == result['winner'] else ' '} {_named(m)}", f"{m['loss']:.6f}", f"{m['distance']:.6f}")
        for i, m in enumerate(models)
    ]
    ahead = "" if lead is None else f"; it leads {_named(models[lead['runner_up']])} by {lead['loss']:.6f}"
    parts = [
        f"{name}: {data['bytes']:,} bytes, {data['chunks']} chunks{batches}{padding}",
        table("model >loss >distance", rows) + f"\n* the winner: the least loss{ahead}",
        "\n".join(result["audit"]["says"]),
    ]
    if result["nearest"]:
        others = [
            (short(o["target"]), f"{o['distance']:.6f}", short(o["model"]),
             f"lacks {o['lacks']} of its models" if o["lacks"] else "a hit" if o["hit"] else "")
            for o in result["nearest"]
        ]  # fmt: skip
        parts.append("Other targets it is nearest to:\n" + table("target >distance model note", others))
    return "\n\n".join(parts)


def _named(model: dict[str, Any]) -> str:
    """A model as it was named, or by its id where it came from the board."""
    return short(model["id"]) if "id" in model else str(model["model"])
