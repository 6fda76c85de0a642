"""What the operator should read now: judged from one picture and from what its agent knows besides; pure.

Each alert has a name of its own in `about`, which stays while its text changes. A `#` in it begins the step that an
alert has reached: a deadline that comes nearer is told again at each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from somatui.agent.journal import Intent
from somatui.agent.keeper import is_open, named
from somatui.agent.states import CREATED, FAILED
from somatui.domain import fees
from somatui.domain.deadline import commit_window, epoch_start_ms, reveal_window
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.domain.snapshot import Alert, Duty, Severity, Snapshot
from somatui.domain.versions import news
from somatui.files import LITTLE_BYTES

STUCK_MS = 120_000
"""Signed bytes that have been under way for so long are worth a word to the operator."""
HELD_UP_MS = 30_000
"""An act that has waited for so long on the same hindrance is worth one too."""
SILENT_MS = 900_000
"""A worker that is at it says something every few seconds."""
LADDER = ((43_200_000, "12 hours"), (21_600_000, "6 hours"), (7_200_000, "2 hours"), (1_800_000, "30 minutes"))
"""How many ms are left of a deadline when it is told once more, and that in words."""
EVENTS = ("job:", "act:", "stranger:")
"""Beginnings of `about` of what has happened, and neither goes on nor ends."""

Found = tuple[Severity, str, str]
"""Severity, `about` and text."""
Trouble = Mapping[tuple[str, str], str]
"""Why the keeper's last tries did not succeed, by action and subject."""


def alerts(
    seen: Snapshot,
    intents: tuple[Intent, ...],
    before: tuple[Alert, ...],
    now_ms: int,
    trouble: Trouble,
    noticed: Iterable[Alert] = (),
) -> tuple[Alert, ...]:
    """Everything there is to say of a picture whose duties are in it; an alert keeps the time at which it came up.

    `noticed` are those that other parts of the agent bring.
    """
    found = [
        *_network(seen),
        *_wallet(seen),
        *_duties(seen, now_ms, trouble),
        *_others(seen),
        *_coins(seen),
        *((a.severity, a.about, a.text) for a in noticed),
        *_jobs(seen, now_ms),
        *_acts(intents, now_ms),
    ]
    since = {a.about: a.at_ms for a in before}
    return tuple(Alert(severity, text, since.get(about, now_ms), about) for severity, about, text in found)


def disk_alerts(free_bytes: int, where: str) -> tuple[Alert, ...]:
    """What a disk that is nearly full will mean (R18)."""
    text = (
        f"Less than {LITTLE_BYTES // 1_000_000} MB are free on the disk of {where}: when it is full no act can be "
        "written down and nothing more is signed, so free some."
    )
    return (Alert("bad", text, about="disk"),) if free_bytes < LITTLE_BYTES else ()


def hits_alerts(waiting: int) -> tuple[Alert, ...]:
    """Hits that cannot be submitted since the vault is locked, in this epoch or never."""
    text = (
        f"{waiting} hit{'s wait' if waiting > 1 else ' waits'} for the vault: unlock it, they are submitted then as "
        "far as their targets are still open."
    )
    return (Alert("bad", text, about="hits"),) if waiting else ()


def stranger_alerts(digests: Iterable[str]) -> tuple[Alert, ...]:
    """Transactions of this wallet that this agent did not sign, or had given up (R10)."""
    return tuple(
        Alert(
            "bad",
            f"Transaction {short(digest)} was signed with this wallet's key and not by this agent: stop the other "
            "program that has the key, since two of them lock each other's coins until the epoch ends (R10), and hold "
            "the ledger against the chain with somatui ledger reconcile.",
            about=f"stranger:{digest}",
        )
        for digest in sorted(digests)
    )


def left_alerts(left: Mapping[str, tuple[Intent, ...]], names: Mapping[str, str]) -> tuple[Alert, ...]:
    """Acts of wallets that are not in use, by address; `names` are labels."""
    found = []
    for address, acts in left.items():
        costly = any(act.in_flight or act.state == CREATED for act in acts)
        name = names.get(address) or address[:12]
        what = ", ".join(f"{act.action} {act.subject[:10]}" for act in acts[:3]) + (" and more" if acts[3:] else "")
        text = f"Wallet {name} was left with acts that are not finished ({what}): somatui wallet use {name} ends them."
        found.append(Alert("bad" if costly else "warn", text, about=f"left:{address}"))
    return tuple(found)


def _network(seen: Snapshot) -> Iterator[Found]:
    network = seen.network
    if not network.reachable:
        yield "bad", "network", network.error or "The network does not answer."
    elif network.error:
        yield "warn", "second node", network.error
    if network.safe_mode:
        yield "bad", "safe mode", "The network is in safe mode: all but reveals is held until it recovers (R21)."
    for text in news(network.protocol_version, seen.epoch.parameters):
        yield "warn", f"versions:{text}", text


def _wallet(seen: Snapshot) -> Iterator[Found]:
    due = bool(seen.duties)
    if not seen.wallet.address:
        yield "warn", "wallet", "This profile has no wallet: set one up to act."
    elif seen.wallet.watch_only:
        if due:
            yield "warn", "wallet", "This wallet is watch-only: nothing is revealed or claimed for it here."
    elif not seen.wallet.unlocked:
        text = "The key is locked: unlock the vault, the keeper cannot act."
        yield "bad" if due else "warn", "key", text


def _duties(seen: Snapshot, now_ms: int, trouble: Trouble) -> Iterator[Found]:
    """Duties that nobody will do, and those that were tried in vain."""
    for duty in seen.duties:
        about = f"duty:{':'.join(named(duty))}"
        title = f"{duty.title[:1].upper()}{duty.title[1:]}"
        why = trouble.get(named(duty))
        step, left = _left(duty, seen, now_ms)
        if why is not None and duty.armed and is_open(duty, seen.epoch.number):
            yield "bad" if duty.has_deadline else "warn", about + step, f"{title} does not succeed{left}: {why}"
        elif duty.severity == "bad":
            yield "bad", about + step, f"{title}: {duty.note}{left}."


def _left(duty: Duty, seen: Snapshot, now_ms: int) -> tuple[str, str]:
    """The step of the ladder that a deadline has come to, for its name and in words; none where it is far, or none."""
    if duty.closes_epoch is None:
        return "", ""
    rest = epoch_start_ms(seen.epoch, duty.closes_epoch + 1) - now_ms
    passed = [words for step, words in LADDER if 0 < rest <= step < seen.epoch.duration_ms]
    return (f"#{passed[-1]}", f", less than {passed[-1]} are left") if passed else ("", "")


def _others(seen: Snapshot) -> Iterator[Found]:
    """Models of the profile's other wallets that must be revealed or committed, which nobody does for them."""
    names = {w.address: w.handle for w in seen.wallet.others if not w.watch_only}
    for model in seen.models:
        window = commit_window(model) or (reveal_window(model) if model.state == "pending" else None)
        if window is None or model.owner not in names:
            continue
        what, name = "committed" if model.state == "created" else "revealed", names[model.owner]
        text = (
            f"Model {short(model.id)} of wallet {name} must be {what} by the end of epoch {window.last}, and that is "
            f"seen to for the wallet in use alone: take it into use with somatui wallet use {name}."
        )
        yield "bad", f"other:{model.id}", text


def _coins(seen: Snapshot) -> Iterator[Found]:
    """A wallet that could not pay for what its jobs or duties will want of it (R9)."""
    wallet, parameters = seen.wallet, seen.epoch.parameters
    if not wallet.address or wallet.watch_only or not seen.network.reachable:
        return
    largest = max((c.balance_shannons for c in wallet.coins), default=0)
    scoring = any(j.kind == "score" and j.running and j.submits for j in seen.jobs)
    pending = any(d.action == "reveal" for d in seen.duties)
    fee = fees.state_fee(parameters).total_shannons
    need, what = (fee, "the fee of a reveal is") if pending else (0, "")
    if scoring:
        need, what = fees.usual_submission(parameters), "a submission takes for bond and fee"
    if largest < need:
        text = f"No single coin holds the {soma_exact(need)} SOMA that {what}: ask the faucet, or send a larger coin."
        yield "bad" if pending and largest < fee else "warn", "coins", text


def _jobs(seen: Snapshot, now_ms: int) -> Iterator[Found]:
    for job in seen.jobs:
        if job.state == "failed":
            yield "warn", f"job:{job.id}", f"Job {job.title or job.id} failed: {job.error}"
        elif job.running and now_ms - job.updated_at_ms > SILENT_MS:
            long = f"{SILENT_MS // 60_000} minutes"
            text = (
                f"Job {job.title or job.id} has said nothing for {long}, since a source is silent or its worker hangs: "
                f"somatui jobs log {job.id} shows its last words."
            )
            yield "warn", f"silent:{job.id}", text


def _acts(intents: tuple[Intent, ...], now_ms: int) -> Iterator[Found]:
    for act in intents:
        waited = now_ms - act.updated_ms
        if act.in_flight and waited > STUCK_MS:
            text = f"{act.action} {act.subject[:10]}… is signed and not yet seen on the chain: the agent keeps looking."
            yield "warn", f"stuck:{act.id}", text
        elif act.note and not act.ended and not act.in_flight and waited > HELD_UP_MS:
            costly = act.action == "reveal" or act.state == CREATED
            text = f"{act.action} {act.subject[:10]}… is held up and tried again and again: {act.note}"
            yield "bad" if costly else "warn", f"held:{act.id}", text
    for act in intents[-10:]:
        if act.state == FAILED and act.note:
            yield "bad", f"act:{act.id}", f"A {act.action} failed: {act.note}"
