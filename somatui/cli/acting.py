"""How a verb acts: preview, consequence, question, act; made from the registry of actions like the console's panel."""

from __future__ import annotations

import sys
import uuid
from dataclasses import dataclass
from typing import Any

from somatui.cli import live
from somatui.cli.options import Arguments, clock_ms
from somatui.cli.output import Answer, amount, fields, note
from somatui.cli.problem import REFUSED, USAGE, Problem
from somatui.domain.actions import Action, Context, by_name
from somatui.domain.checks import Check, Consequence
from somatui.domain.ids import short
from somatui.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Plan:
    """An act that has passed preflight: what to ask the agent for, and what it means."""

    action: Action
    method: str
    params: dict[str, Any]
    checks: tuple[Check, ...]
    consequence: Consequence | None
    told: str
    asks: bool
    simulated: dict[str, Any] | None


def perform(
    args: Arguments,
    name: str,
    *,
    words: tuple[str, ...] = (),
    options: dict[str, Any] | None = None,
) -> Answer:
    """Do action `name`: refuse what preflight refuses, show what it means, ask, act, report.

    Raises:
        Problem: refused (3), not confirmed (1), no terminal to ask on (2), or what the agent answered.
    """
    plan = live.with_agent(args, lambda client: _prepare(client, name, words, options or {}, args.dry_run))
    if args.dry_run:
        return _rehearsed(plan)
    if plan.asks:
        confirm(plan.told, args, plan.consequence.typed_word if plan.consequence else None)
    params = plan.params | ({"key": uuid.uuid4().hex} if plan.method == "act" else {})
    answer = live.call(args, plan.method, **params)
    result = answer.get("result", answer) if isinstance(answer, dict) else {}
    document = {"ok": True, "action": plan.action.name, "result": result, "consequence": plan.consequence}
    return Answer(document, _report(plan, result))


async def _prepare(client: Any, name: str, words: tuple[str, ...], options: dict[str, Any], try_it: bool) -> Plan:
    action = by_name(name)
    if action is None:
        raise Problem(f"There is no action {name}.", USAGE)
    seen = await live.read_snapshot(client)
    context = Context(seen, clock_ms(), pane="", words=words, options=options)
    reason = action.unavailable(context)
    if reason is not None:
        raise Problem(reason, REFUSED)
    method, params = action.call(context)
    simulated = None
    if method == "act" and (try_it or action.asks(context)):
        preview = await client.call("preview", action=params["action"], args=params["args"])
        if preview.get("refused"):
            raise Problem(str(preview["refused"]), REFUSED)
        simulated = preview.get("simulated")
    said = action.consequence(context)
    told = _told(said, seen) if said is not None else ""
    return Plan(action, method, params, action.preflight(context), said, told, action.asks(context), simulated)


def confirm(text: str, args: Arguments, typed_word: str | None = None) -> None:
    """Show what will happen and ask; --yes answers. Raises Problem when the answer is no or nobody can answer."""
    if args.yes:
        return
    if not sys.stdin.isatty():
        raise Problem(
            "This acts, and there is no terminal to ask on: add --yes to do it, or --dry-run to try it.", USAGE
        )
    note(text)
    wanted = typed_word or "y"
    print(f"Type {typed_word} to go on: " if typed_word else "Go on? [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().lower()
    if answer not in (wanted.lower(), *(("yes",) if typed_word is None else ())):
        raise Problem("Not done: nothing was sent.")


def _told(consequence: Consequence, seen: Snapshot) -> str:
    """The confirm panel's lines, for a terminal."""
    wallet = seen.wallet
    spent = (("spends", consequence.spends_shannons), ("locks", consequence.locks_shannons))
    lines = fields(
        [
            ("network", seen.network.words),
            ("wallet", wallet.label or short(wallet.address) if wallet.address else ""),
            ("fee", amount(consequence.fee_shannons, 9) if consequence.fee_shannons else ""),
            *((name, amount(value, 9) if value else "") for name, value in spent),
            ("brings", amount(consequence.gains_shannons, 9) if consequence.gains_shannons else ""),
            ("at stake", consequence.at_stake_text),
            ("undo", "cannot be undone" if consequence.irreversible else ""),
        ]
    )
    return f"{consequence.title}\n{consequence.effect}\n{lines}"


def _rehearsed(plan: Plan) -> Answer:
    tried = plan.simulated
    error = tried.get("error") if tried else None
    lines = [plan.told or plan.action.help(), *(f"  ok  {c.text}" for c in plan.checks)]
    if tried:
        fee = tried.get("fee_shannons")
        lines.append(
            f"the node refuses it: {error}" if error else f"the node accepts it, fee {amount(int(fee or 0), 9)}"
        )
    lines.append("Dry run: nothing was signed.")
    document = {
        "ok": error is None,
        "dry_run": True,
        "action": plan.action.name,
        "checks": plan.checks,
        "consequence": plan.consequence,
        "simulated": tried,
    }
    return Answer(document, "\n".join(lines), REFUSED if error else 0)


def _report(plan: Plan, result: dict[str, Any]) -> str:
    known = [(k.removesuffix("_shannons"), _shown(k, v)) for k, v in result.items() if isinstance(v, str | int | float)]
    title = plan.consequence.title if plan.consequence else plan.action.name
    head = f"Started: {title}" if plan.method in ("job.start", "job.restart") else f"Done: {title}"
    return "\n".join(part for part in (head, fields(known)) if part)


def _shown(key: str, value: object) -> str:
    return amount(int(str(value)), 9) if key.endswith("_shannons") else str(value)
