"""The one registry of actions, and the acts that are about money, models and wallets.

Footer, help, palette, `:` line, confirm panel, CLI verbs and refusals are made from it; doing them is the agent's.
"""

from __future__ import annotations

from base64 import b64decode
from struct import error as StructError
from struct import unpack
from types import MappingProxyType
from typing import Any

from somatui.domain import consequence, preflight
from somatui.domain.action import PANES as PANES
from somatui.domain.action import Action as Action
from somatui.domain.action import Context as Context
from somatui.domain.checks import Check, Consequence, check
from somatui.domain.ids import resolve
from somatui.domain.job_actions import FetchWeights, RestartJob, Score, StopJob, Train
from somatui.domain.snapshot import ModelView, TargetView, WalletName


def _chosen_targets(context: Context) -> tuple[TargetView, ...]:
    snapshot = context.snapshot
    if context.words and context.words[0] != "all":
        wanted = {resolve(w, (t.id for t in snapshot.targets), "target") for w in context.words}
        return tuple(t for t in snapshot.targets if t.id in wanted)
    if not context.words and context.pane == "targets" and context.row is not None:
        row = tuple(t for t in snapshot.claimable if t.id == context.row)
        if row:
            return row
    return snapshot.claimable


def _chosen_model(context: Context) -> ModelView | None:
    models = context.snapshot.models
    if context.words:
        wanted = resolve(context.words[0], (m.id for m in models), "model")
        return next((m for m in models if m.id == wanted), None)
    mine = [m for m in models if m.mine and (m.state == "pending" or m.update_commit_epoch is not None)]
    return next((m for m in models if m.id == context.row and m.mine), mine[0] if mine else None)


class Claim(Action):
    """Claim rewards and bonds: the target under the cursor when it is claimable, else all of mine."""

    name, verb, key, takes = "claim", "targets claim", "c", "all, or targets"
    example = "somatui targets claim --all --yes"
    signs = confirms = True

    def checks(self, context: Context) -> tuple[Check, ...]:
        targets = _chosen_targets(context)
        if not targets:
            return (Check(False, "Nothing is claimable yet: a filled target opens two epochs after its fill."),)
        return preflight.claim(context.snapshot, targets, context.now_ms)

    def meaning(self, context: Context) -> Consequence | None:
        return consequence.claim(context.snapshot, _chosen_targets(context))

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "act", {"action": self.name, "args": {"target_ids": [t.id for t in _chosen_targets(context)]}}


class Reveal(Action):
    """Reveal the key of a committed model, in the one epoch that accepts it."""

    name, verb, key, takes = "reveal", "models reveal", "r", "a model"
    example = "somatui models reveal 7c1f --yes"
    signs = confirms = True

    def checks(self, context: Context) -> tuple[Check, ...]:
        model = _chosen_model(context)
        if model is None:
            return (Check(False, "No model of this wallet waits for its reveal: publish one with p."),)
        return preflight.reveal(context.snapshot, model, context.now_ms)

    def meaning(self, context: Context) -> Consequence | None:
        model = _chosen_model(context)
        return None if model is None else consequence.reveal(context.snapshot, model)

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        model = _chosen_model(context)
        return "act", {"action": self.name, "args": {"model_id": model.id if model else ""}}


class Publish(Action):
    """Publish trained weights: stake, create and commit in one guarded step."""

    name, verb, key = "publish", "models publish", "p"
    options = MappingProxyType(
        {"stake": "stake_shannons", "commission": "commission_bps", "label": "label", "job": "job_id"}
    )
    example = "somatui models publish --job JOB --stake 1 --yes"
    signs = confirms = True

    def _trained(self, context: Context) -> str | None:
        chosen = context.options.get("job_id") or (context.row if context.pane == "jobs" else None)
        done = [j for j in context.snapshot.jobs if j.kind == "train" and j.state == "done"]
        return next((j.id for j in done if j.id == chosen), done[-1].id if done else None)

    def _embedding(self, context: Context) -> tuple[float, ...]:
        """The model's own embedding (base64 of f32), as given or as its training told; () when unknown."""
        job = next((j for j in context.snapshot.jobs if j.id == self._trained(context)), None)
        text = context.options.get("embedding") or (job.result.get("embedding", "") if job else "")
        try:
            data = b64decode(text, validate=True)
            return unpack(f"<{len(data) // 4}f", data)
        except (ValueError, StructError):
            return ()

    def _stake(self, context: Context) -> int:
        return int(context.options.get("stake_shannons") or context.snapshot.epoch.parameters.model_min_stake_shannons)

    def checks(self, context: Context) -> tuple[Check, ...]:
        if self._trained(context) is None and not context.options.get("weights"):
            return (Check(False, "No finished training to publish: train a model first with t."),)
        commission = int(context.options.get("commission_bps", 1_000))
        return preflight.publish(context.snapshot, self._stake(context), commission, self._embedding(context))

    def meaning(self, context: Context) -> Consequence | None:
        return consequence.publish(
            context.snapshot, str(context.options.get("label") or "the trained model"), self._stake(context)
        )

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        args = {"job_id": self._trained(context), "commission_bps": 1_000, "stake_shannons": self._stake(context)}
        return "act", {"action": self.name, "args": args | context.options}


class Advance(Action):
    """End the epoch now and begin the next."""

    name, verb, key = "advance", "practice advance", "e"
    example = "somatui practice advance"
    practice_only = True


class Faucet(Action):
    """Ask the faucet for coins."""

    name, verb, key = "faucet", "practice faucet", "f"
    example = "somatui practice faucet"
    panes = ("wallet",)

    def checks(self, context: Context) -> tuple[Check, ...]:
        have = bool(context.snapshot.wallet.address)
        none = "This profile has no wallet yet: somatui setup makes or imports one."
        return (check(have, "there is a wallet", none),)


class UseWallet(Action):
    """Act for another wallet of this profile; deadlines are kept for the wallet in use alone."""

    name, verb, key, word, takes = "use", "wallet use", "w", "other wallet", "a wallet"
    example = "somatui wallet use ops-2 --yes"
    panes = ("wallet",)
    confirms = True

    def _chosen(self, context: Context) -> WalletName | None:
        """The wallet of that label or address; without a word the other one, where there is one other alone."""
        others = context.snapshot.wallet.others
        if not context.words:
            return others[0] if len(others) == 1 else None
        word = context.words[0]
        named = next((w for w in others if w.label == word), None)
        if named is not None:
            return named
        address = resolve(word, (w.address for w in others), "wallet").removeprefix("0x")
        return next((w for w in others if w.address == address), None)

    def checks(self, context: Context) -> tuple[Check, ...]:
        wallet = context.snapshot.wallet
        names = [w.handle for w in wallet.others]
        if not wallet.others:
            return (Check(False, "There is no other wallet: make or import one with somatui wallet new or import."),)
        if context.words and wallet.label and context.words[0] == wallet.label:
            return (Check(False, f"{wallet.label} is the wallet in use already."),)
        if self._chosen(context) is None:
            return (Check(False, f"Say which one, as in :wallet use {names[0]}; there are {', '.join(names)}."),)
        open_acts = [i for i in context.snapshot.intents if not i.ended]
        scores = any(j.kind == "score" and j.running for j in context.snapshot.jobs)
        if open_acts:
            return (Check(False, "Acts of the wallet in use are not finished: wait until they are."),)
        if scores:
            stop = "A score job submits for the wallet in use: stop it first with x in the jobs pane."
            return (Check(False, stop),)
        return (Check(True, "no act and no score job of the wallet in use is under way"),)

    def meaning(self, context: Context) -> Consequence | None:
        chosen = self._chosen(context)
        return None if chosen is None else consequence.use_wallet(context.snapshot, chosen)

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        chosen = self._chosen(context)
        return "wallet.use", {"address": chosen.address if chosen else "", "anyway": True}


ACTIONS: tuple[Action, ...] = (
    Claim(),
    Reveal(),
    Score(),
    Train(),
    Publish(),
    Advance(),
    Faucet(),
    UseWallet(),
    StopJob(),
    RestartJob(),
    FetchWeights(),
)


def by_name(name: str) -> Action | None:
    """The action of that name, or of that key."""
    return next((a for a in ACTIONS if name in (a.name, a.key)), None)
