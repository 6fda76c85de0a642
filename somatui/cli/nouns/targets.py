"""`somatui targets`: what is open, what is filled, what can be claimed."""

from __future__ import annotations

import argparse

from somatui.cli import live
from somatui.cli.acting import perform
from somatui.cli.options import Arguments, Verb, clock_ms
from somatui.cli.output import Answer, amount, fields, table
from somatui.cli.problem import USAGE, Problem
from somatui.domain.consequence import claim_income
from somatui.domain.deadline import claim_window, opens_in
from somatui.domain.ids import short


def _list_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--status", choices=("open", "filled", "claimable", "expired"), help="only these")
    parser.add_argument("--mine", action="store_true", help="only those this wallet submitted to")


def listing(args: Arguments) -> Answer:
    """The targets of the agent's picture."""
    found = [
        t
        for t in live.snapshot(args).targets
        if (args.status is None or t.status == args.status) and (not args.mine or t.mine or t.own_model_won)
    ]
    rows = [
        (
            short(t.id),
            t.status,
            f"{t.threshold:.4f}",
            f"{t.best_distance:.4f}" if t.best_distance is not None else "",
            amount(t.reward_shannons),
            " ".join(short(m) for m in t.model_ids),
            "mine" if t.mine else "my model" if t.own_model_won else "",
        )
        for t in found
    ]
    return Answer({"targets": found}, table("target status >threshold >best >reward models whose", rows))


def _id_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the target, or at least 4 digits of its id")


def show(args: Arguments) -> Answer:
    """One target with its claim window."""
    seen = live.snapshot(args)
    target = live.named(args.id, seen.targets, "target")
    opens = claim_window(target).first
    text = fields(
        [
            ("target", target.id),
            ("status", target.status),
            ("threshold", f"{target.threshold:.6f}"),
            ("reward", amount(target.reward_shannons, 9)),
            ("models", " ".join(target.model_ids)),
            ("generated in", f"epoch {target.generation_epoch}"),
            ("filled in", f"epoch {target.fill_epoch}" if target.fill_epoch is not None else ""),
            ("submitter", "0x" + target.submitter if target.submitter else ""),
            ("winner", target.winning_model_id or ""),
            ("bond", amount(target.bond_shannons, 9) if target.bond_shannons else ""),
            ("claim opens", opens_in(seen.epoch, opens, clock_ms())),
            ("brings", amount(claim_income(seen.epoch.parameters, target), 9)),
        ]
    )
    return Answer(target, text)


def _claim_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("ids", metavar="ID", nargs="*", help="targets, or at least 4 digits of each id")
    parser.add_argument("--all", action="store_true", help="everything of mine that can be claimed")


def claim(args: Arguments) -> Answer:
    """Claim rewards and bonds."""
    if bool(args.ids) == args.all:
        raise Problem("Name the targets to claim, or --all for everything of yours that is open.", USAGE)
    return perform(args, "claim", words=tuple(args.ids) or ("all",))


VERBS = (
    Verb("list", "List targets.", "somatui targets list --status open", listing, _list_options),
    Verb("show", "Show one target.", "somatui targets show 7c1f", show, _id_option),
    Verb("claim", "Claim rewards and bonds.", "somatui targets claim --all --yes", claim, _claim_options, acts=True),
)
