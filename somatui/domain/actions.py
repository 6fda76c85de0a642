"""The one registry of actions.

Footer, help, palette, `:` line, confirm panel, CLI verbs and refusals are made from it; doing them is the agent's.
"""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass, field, replace
from struct import error as StructError
from struct import unpack
from typing import Any, ClassVar

from somatui.domain import consequence, preflight
from somatui.domain.checks import Check, Consequence, refusal
from somatui.domain.ids import IdError, resolve, short
from somatui.domain.snapshot import OWN_NETWORKS, JobView, ModelView, Snapshot, TargetView, WalletName
from somatui.domain.versions import fits

PANES = ("wallet", "targets", "models", "epochs", "jobs")


@dataclass(frozen=True, slots=True)
class Context:
    """Where the operator stands: snapshot, clock, pane, the row under the cursor, the words typed after the name."""

    snapshot: Snapshot
    now_ms: int
    pane: str = "wallet"
    row: str | None = None
    words: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


class Action:
    """An act of the operator. The docstring's first line is its help; subclasses say when it may be done.

    Subclasses fill `checks` and `meaning`, which may raise IdError for words that name nothing; users of an action ask
    `unavailable`, `preflight` and `consequence`, which turn that into a refusal.
    """

    name: ClassVar[str]
    verb: ClassVar[str]
    key: ClassVar[str] = ""
    word: ClassVar[str] = ""
    """What footer and refusals call it where its name alone would not tell what it does."""
    example: ClassVar[str] = ""
    panes: ClassVar[tuple[str, ...]] = PANES
    signs: ClassVar[bool] = False
    confirms: ClassVar[bool] = False
    practice_only: ClassVar[bool] = False

    def help(self) -> str:
        """The first line of the docstring."""
        return (type(self).__doc__ or "").strip().split("\n")[0]

    def unavailable(self, context: Context) -> str | None:
        """Why it cannot be done now, in one sentence, or None."""
        if self.practice_only and context.snapshot.network.kind not in OWN_NETWORKS:
            return f"{self.name}: only on the practice network or a local one."
        if self.signs and context.snapshot.wallet.watch_only:
            return preflight.WATCH_ONLY
        return refusal(self.preflight(context))

    def preflight(self, context: Context) -> tuple[Check, ...]:
        """The checks that the chain will make, made here first."""
        try:
            return self.checks(context)
        except IdError as unknown:
            return (Check(False, str(unknown)),)

    def consequence(self, context: Context) -> Consequence | None:
        """What it costs and risks; None for what costs nothing, and for words that `preflight` refuses.

        Where the network's colour is that of the main one, the profile's name has to be typed.
        """
        try:
            found = self.meaning(context)
        except IdError:
            return None
        if found is None or found.typed_word or context.snapshot.network.colour != "main":
            return found
        return replace(found, typed_word=context.snapshot.profile)

    def asks(self, context: Context) -> bool:
        """Whether the operator is asked before it is done."""
        return self.confirms

    def checks(self, context: Context) -> tuple[Check, ...]:
        """The checks of this action; may raise IdError."""
        return ()

    def meaning(self, context: Context) -> Consequence | None:
        """The consequence of this action; may raise IdError."""
        return None

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        """The agent's method and its parameters; raises IdError for words that `preflight` refuses."""
        return "act", {"action": self.name, "args": dict(context.options)}


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


def _none_runs(kind: str, snapshot: Snapshot) -> Check:
    runs = any(j.kind == kind and j.running for j in snapshot.jobs)
    return Check(not runs, f"A {kind} job runs already: stop it with x in the jobs pane.")


class Claim(Action):
    """Claim rewards and bonds: the target under the cursor when it is claimable, else all of mine."""

    name, verb, key = "claim", "targets claim", "c"
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

    name, verb, key = "reveal", "models reveal", "r"
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


class Score(Action):
    """Score files against the open targets and submit what hits."""

    name, verb, key = "score", "score run", "s"
    example = "somatui score run --limit 200"
    confirms = True

    def asks(self, context: Context) -> bool:
        return bool(context.options.get("submit", True))

    def checks(self, context: Context) -> tuple[Check, ...]:
        snapshot = context.snapshot
        is_open = any(t.status == "open" for t in snapshot.targets)
        submits = bool(context.options.get("submit", True))
        wallet = snapshot.wallet
        return (
            Check(
                not (submits and wallet.address and not wallet.unlocked and not wallet.watch_only),
                "The key is locked, so hits would be lost: somatui vault unlock, or score without submitting.",
            ),
            Check(
                not (submits and wallet.watch_only),
                "This wallet is watch-only and cannot submit: import its key, or score without submitting.",
            ),
            Check(snapshot.network.reachable, "The network does not answer: wait, or check the address of its RPC."),
            _none_runs("score", snapshot),
            Check(is_open, "No open targets yet: they appear when the epoch turns, once a model is active."),
        )

    def meaning(self, context: Context) -> Consequence | None:
        if not self.asks(context):
            return None
        corpus = context.options.get("corpus") or {}
        named = corpus.get("paths") or corpus.get("sources")
        what = "what the sources give" if named else "files of Python's standard library"
        return consequence.score(context.snapshot, what, context.options.get("max_hits"))

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.start", {"kind": "score", "args": {"submit": True} | context.options}


class Train(Action):
    """Train a model of the network's architecture on local files."""

    name, verb, key = "train", "train run", "t"
    example = "somatui train run --steps 200"

    def checks(self, context: Context) -> tuple[Check, ...]:
        return (fits(context.snapshot.epoch.parameters), _none_runs("train", context.snapshot))

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.start", {"kind": "train", "args": dict(context.options)}


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
        return (Check(bool(context.snapshot.wallet.address), "This profile has no wallet yet: make or import one."),)


class UseWallet(Action):
    """Act for another wallet of this profile; deadlines are kept for the wallet in use alone."""

    name, verb, key, word = "use", "wallet use", "w", "other wallet"
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
        names = [w.label or short(w.address) for w in wallet.others]
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


class StopJob(Action):
    """Stop the job under the cursor; it can be resumed."""

    name, verb, key = "stop", "jobs stop", "x"
    example = "somatui jobs stop JOB"
    panes = ("jobs",)

    def checks(self, context: Context) -> tuple[Check, ...]:
        wanted = context.words[0] if context.words else context.row
        alive = any(j.id == wanted and j.running for j in context.snapshot.jobs)
        return (Check(alive, "No running job under the cursor."),)

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.stop", {"job_id": context.words[0] if context.words else context.row}


class RestartJob(Action):
    """Start the job under the cursor again, which failed or was stopped; it goes on where it stood."""

    name, verb, key = "restart", "jobs restart", "b"
    example = "somatui jobs restart JOB"
    panes = ("jobs",)
    confirms = True

    def _job(self, context: Context) -> JobView | None:
        wanted = context.words[0] if context.words else context.row
        return next((j for j in context.snapshot.jobs if j.id == wanted), None)

    def asks(self, context: Context) -> bool:
        job = self._job(context)
        return job is not None and job.kind == "score"

    def checks(self, context: Context) -> tuple[Check, ...]:
        job = self._job(context)
        if job is None or job.state not in ("failed", "stopped"):
            return (Check(False, "No job under the cursor that failed or was stopped."),)
        return Score().checks(context) if job.kind == "score" else (_none_runs(job.kind, context.snapshot),)

    def meaning(self, context: Context) -> Consequence | None:
        job = self._job(context)
        left = "what the job's sources still give"
        return consequence.score(context.snapshot, left, None) if job is not None and job.kind == "score" else None

    def call(self, context: Context) -> tuple[str, dict[str, Any]]:
        return "job.restart", {"job_id": context.words[0] if context.words else context.row}


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
)


def by_name(name: str) -> Action | None:
    """The action of that name, or of that key."""
    return next((a for a in ACTIONS if name in (a.name, a.key)), None)
