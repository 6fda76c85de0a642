"""What the agent's picture of the network says: coins that cannot pay, deadlines ahead, models, jobs, hits."""

from __future__ import annotations

from collections.abc import Iterator

from somatui.cli.doctor.finding import Finding, Scene
from somatui.domain.fees import USUAL_BYTES, usual_submission
from somatui.domain.ids import short
from somatui.domain.money import soma, soma_exact
from somatui.domain.report import Status
from somatui.domain.snapshot import Snapshot

CURES = {
    ("reveal", ""): "somatui models reveal",
    ("reveal", "key missing"): "bring the key back: restore vault and journal of the machine that committed",
    ("reveal", "vault locked"): "somatui vault unlock, and leave it open until the reveal is through",
    ("commit", ""): "somatui ledger show says what was left undone; leave the agent running, it goes on with it",
    ("claim", ""): "somatui targets claim --all",
}
"""What cures a duty of that action, with that note or with any."""

MANY_DUST = 50
LONG_WITHOUT = 200


def judged(scene: Scene) -> Iterator[Finding]:
    """Every finding of the picture; one that is skipped where there is no picture."""
    seen = scene.snapshot
    if seen is None:
        yield Finding("picture", "skipped", "no agent runs, so coins, duties and jobs are not known")
        return
    if not seen.network.reachable:
        yield Finding("picture", "skipped", "the network does not answer, so coins and duties are not known")
        return
    for look in (_safe_mode, _coins, _duties, _models, _jobs, _hits):
        yield from look(seen)


def _safe_mode(seen: Snapshot) -> Iterator[Finding]:
    if seen.network.safe_mode:
        meaning = "epochs go on and reveal windows close while rewards stand still (R21)"
        yield Finding(
            "safe mode", "warn", "the network is in safe mode", meaning, "leave the agent running, it reveals"
        )


def _coins(seen: Snapshot) -> Iterator[Finding]:
    wallet, parameters = seen.wallet, seen.epoch.parameters
    if not wallet.address:
        yield Finding("coins", "skipped", "no wallet yet")
        return
    largest = max((c.balance_shannons for c in wallet.coins), default=0)
    need = usual_submission(parameters)
    if largest < need:
        held = f"the largest coin holds {soma_exact(largest)} SOMA of {soma_exact(wallet.free_shannons)}"
        detail = held if wallet.coins else "the wallet has none"
        meaning = f"bond and fee of {USUAL_BYTES:,} bytes are {soma_exact(need)} SOMA, out of one single coin"
        yield Finding("coins", "warn", detail, meaning, "ask the faucet, send one larger coin, or submit smaller data")
    else:
        yield Finding("coins", "ok", f"{len(wallet.coins)}, the largest {soma(largest)} SOMA")
    dust = sum(c.role == "dust" for c in wallet.coins)
    if dust >= MANY_DUST:
        meaning = "tools that pick a coin at random fail on them; the console does not"
        yield Finding(
            "dust", "warn", f"{dust} coins too small to pay", meaning, "send them to yourself in one transaction"
        )


def _duties(seen: Snapshot) -> Iterator[Finding]:
    urgent = [d for d in seen.duties if d.severity != "info"]
    for duty in urgent:
        meaning = f"{soma(duty.at_stake_shannons)} SOMA are at stake" if duty.at_stake_shannons else "income waits"
        if duty.closes_epoch is not None:
            meaning += f" until epoch {duty.closes_epoch} ends"
        cure = CURES.get((duty.action, duty.note)) or CURES[duty.action, ""]
        status: Status = "bad" if duty.severity == "bad" else "warn"
        yield Finding("duty", status, f"{duty.title} ({duty.note or 'not armed'})", meaning, cure)
    if not urgent:
        ahead = len(seen.duties)
        yield Finding("duties", "ok", f"{ahead} ahead, all armed" if ahead else "none")


def _models(seen: Snapshot) -> Iterator[Finding]:
    for model in (m for m in seen.models if m.mine):
        name = model.label or short(model.id)
        if model.state == "pending":
            opens = (model.commit_epoch or seen.epoch.number) + 1
            detail = (
                f"{name} is committed and not active: its reveal is valid in epoch {opens}, not before and not later"
            )
            yield Finding("model", "ok", detail)
        elif model.state == "inactive":
            meaning = "it is in no target; after a missed reveal half its stake is gone"
            yield Finding("model", "warn", f"{name} is inactive", meaning, "somatui models publish makes a new one")
        if not 0 <= model.commission_bps <= 10_000:
            meaning = "the chain counts in basis points: 10 % is 1,000"
            yield Finding("commission", "bad", f"{name} has {model.commission_bps}", meaning, "give it in percent")


def _jobs(seen: Snapshot) -> Iterator[Finding]:
    for job in [j for j in seen.jobs if j.state == "failed"][-3:]:
        reason = job.error or (job.last_lines[-1] if job.last_lines else "no reason was given")
        meaning = "its worker has died; no scoring service outside is needed"
        yield Finding(
            "job",
            "warn",
            f"{job.kind} {short(job.id)} failed: {reason.rstrip('.')}",
            meaning,
            f"somatui jobs log {job.id}",
        )


def _hits(seen: Snapshot) -> Iterator[Finding]:
    scoring = [j for j in seen.jobs if j.kind == "score"]
    tried = sum(int(j.metrics.get("scored", 0)) for j in scoring)
    hits = sum(int(j.metrics.get("hits", 0)) for j in scoring)
    if tried >= LONG_WITHOUT and not hits:
        detail = f"{tried} candidates scored, none within {seen.epoch.threshold:.3f}"
        meaning = "no candidate of the right direction yet; the threshold falls and rises with the epoch's hits"
        yield Finding("hits", "warn", detail, meaning, "score more varied data: other languages, other kinds of text")
