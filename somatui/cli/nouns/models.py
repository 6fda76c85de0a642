"""`somatui models`: the registry, and this wallet's own models on their way through create, commit and reveal."""

from __future__ import annotations

import argparse
import base64
import json
import struct
from pathlib import Path
from typing import Any

from somatui.cli import live
from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, amount, at_least, clock_ms
from somatui.cli.output import Answer, fields, share, table
from somatui.cli.output import amount as shown
from somatui.cli.problem import USAGE, Problem
from somatui.domain.deadline import opens_in, reveal_window
from somatui.domain.ids import short


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state", choices=("created", "pending", "active", "inactive"), help="only these")
    parser.add_argument("--mine", action="store_true", help="only this wallet's")


def listing(args: Arguments) -> Answer:
    """The models of the agent's picture."""
    found = [
        m
        for m in live.snapshot(args).models
        if (args.state is None or m.state == args.state) and (not args.mine or m.mine)
    ]
    rows = [
        (
            short(m.id),
            m.label,
            m.state,
            shown(m.stake_shannons),
            share(m.commission_bps / 10_000),
            share(m.targets_share),
            "mine" if m.mine else short(m.owner),
        )
        for m in found
    ]
    return Answer({"models": found}, table("model label state >stake >commission >in_targets owner", rows))


def _id_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the model, or at least 4 digits of its id")


def show(args: Arguments) -> Answer:
    """One model with its reveal window."""
    seen = live.snapshot(args)
    model = live.named(args.id, seen.models, "model")
    window = reveal_window(model)
    text = fields(
        [
            ("model", model.id),
            ("label", model.label),
            ("owner", ("this wallet, " if model.mine else "") + "0x" + model.owner),
            ("state", model.state),
            ("stake", shown(model.stake_shannons, 9)),
            ("commission", share(model.commission_bps / 10_000)),
            ("weights", model.url or ""),
            ("checksum", model.weights_checksum or ""),
            ("size", f"{model.size_bytes:,} bytes" if model.size_bytes else ""),
            ("reveal", opens_in(seen.epoch, window.first, clock_ms()) if window else ""),
            ("key", "in the vault" if model.key_at_hand else ""),
        ]
    )
    return Answer(model, text)


def _publish_options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--job", metavar="JOB", help="the finished training to publish (default: the last one)")
    what.add_argument("--weights", metavar="FILE", type=Path, help="weights to publish instead; needs --embedding")
    parser.add_argument("--embedding", metavar="FILE", type=Path, help="the model's embedding, a JSON list of numbers")
    parser.add_argument("--stake", metavar="AMOUNT", type=amount, help="stake, like 1.5 or 1500sh (default: the least)")
    parser.add_argument(
        "--commission", metavar="BPS", type=at_least(0), default=1_000, help="0 to 10000 (default 1000)"
    )
    parser.add_argument("--label", metavar="NAME", help="your own name for it, kept on this machine")


def publish(args: Arguments) -> Answer:
    """Stake, create and commit in one guarded step."""
    options: dict[str, Any] = {"commission_bps": args.commission}
    if (args.weights is None) != (args.embedding is None):
        raise Problem("--weights and --embedding belong together: name both, or a training with --job.", USAGE)
    if args.weights is not None:
        if not args.weights.is_file():
            raise Problem(f"There is no file {args.weights}: name the weights to publish.", USAGE)
        options |= {"weights": str(args.weights.resolve()), "embedding": _embedding(args.embedding), "job_id": None}
    if args.job:
        options["job_id"] = args.job
    if args.stake is not None:
        options["stake_shannons"] = args.stake
    if args.label:
        options["label"] = args.label
    return perform(args, "publish", options=options)


def _embedding(file: Path) -> str:
    try:
        values = json.loads(file.read_text("utf-8"))
        return base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
    except (OSError, ValueError, TypeError, struct.error) as failure:
        text = f"{file} is not a JSON list of numbers ({failure}): write the embedding like [0.1, 0.2]."
        raise Problem(text, USAGE) from failure


def _reveal_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the model, or at least 4 digits of its id")


def reveal(args: Arguments) -> Answer:
    """Publish the key in the one epoch that accepts it."""
    return perform(args, "reveal", words=(args.id,))


def _fetch_options(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("ids", metavar="ID", nargs="*", default=[], help="models, or at least 4 digits of their ids")
    what.add_argument("--live", action="store_true", help="all that are active or wait for their reveal")


def fetch(args: Arguments) -> Answer:
    """Have the agent fetch weights."""
    return perform(args, "weights", words=("all",) if args.live else tuple(args.ids))


VERBS = (
    Verb("list", "List models.", "somatui models list --mine", listing, _list_options),
    Verb("show", "Show one model.", "somatui models show 7c1f", show, _id_option),
    Verb(
        "publish",
        "Publish trained weights: stake, create and commit in one guarded step.",
        "somatui models publish --stake 1 --label first --yes",
        publish,
        _publish_options,
        acts=True,
    ),
    Verb(
        "reveal",
        "Reveal the key of a committed model, in the one epoch that accepts it.",
        "somatui models reveal 7c1f --yes",
        reveal,
        _reveal_options,
        acts=True,
    ),
    Verb(
        "fetch",
        "Fetch models' weights now, sealed ones before their reveal, so that no job waits for them.",
        "somatui models fetch --live",
        fetch,
        _fetch_options,
        acts=True,
    ),
)
