"""The Snapshot: what was last seen of the chain, put together with the journal and the jobs; pure but for its inputs.

A section keeps its old value while only its time of reading differs, so that nothing is pushed when nothing changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from somatui.agent.alerts import Trouble, alerts
from somatui.agent.journal import Intent
from somatui.chain.snapshot import SystemView, marked_models, marked_targets
from somatui.config import Settings
from somatui.domain.codec import to_json
from somatui.domain.coins import assign_roles
from somatui.domain.duties import duties
from somatui.domain.snapshot import (
    Alert,
    CoinView,
    EpochView,
    JobView,
    LedgerView,
    ModelView,
    NetworkView,
    Snapshot,
    StakeView,
    TargetView,
    WalletName,
    WalletView,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look at the chain has brought; `system` is None until the network has answered once."""

    network: NetworkView
    system: SystemView | None = None
    targets: tuple[TargetView, ...] = ()
    stakes: tuple[StakeView, ...] = ()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What journal, vault and profile have to say: acts, money, names of models and wallets, keys that are at hand."""

    intents: tuple[Intent, ...] = ()
    ledger: LedgerView = LedgerView()
    labels: Mapping[str, str] = field(default_factory=dict)
    keys_at_hand: frozenset[str] = frozenset()
    names: tuple[WalletName, ...] = ()


@dataclass(frozen=True, slots=True)
class Own:
    """What this agent knows and the chain does not: wallet, jobs, what is recorded, what its parts have to say."""

    profile: str
    address: str
    unlocked: bool
    settings: Settings
    watch_only: bool = False
    coins: tuple[CoinView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    recorded: Recorded = Recorded()
    trouble: Trouble = field(default_factory=dict)
    noticed: tuple[Alert, ...] = ()


def compose(seen: Seen, own: Own, before: Snapshot, now_ms: int) -> Snapshot:
    """The picture at `now_ms`; `before` itself when nothing in it would differ."""
    epoch = seen.system.epoch if seen.system else EpochView()
    models = _models(seen, own)
    mine = frozenset(m.id for m in models if m.mine)
    draft = Snapshot(
        profile=own.profile,
        at_ms=before.at_ms,
        network=_network(seen.network, before.network),
        epoch=epoch,
        wallet=_wallet(seen, own, epoch, models),
        targets=_targets(marked_targets(seen.targets, own.address, mine), own.recorded.intents),
        models=models,
        jobs=own.jobs,
        intents=tuple(i.view() for i in own.recorded.intents),
        ledger=own.recorded.ledger,
    )
    settings = own.settings
    due = duties(
        draft,
        auto_reveal=settings.auto_reveal and not own.watch_only,
        auto_claim=settings.auto_claim and not own.watch_only,
        claim_min_net_shannons=settings.claim_min_net_shannons,
    )
    draft = replace(draft, duties=due)
    told = alerts(draft, own.recorded.intents, before.alerts, now_ms, own.trouble, own.noticed)
    made = replace(draft, alerts=told)
    return before if made == before else replace(made, at_ms=now_ms)


def sections(snapshot: Snapshot, before: Snapshot | None = None) -> dict[str, Any]:
    """The picture as JSON, section by section, as it goes over the socket; with `before` only what differs from it."""
    return {
        f.name: to_json(getattr(snapshot, f.name))
        for f in fields(snapshot)
        if before is None or getattr(snapshot, f.name) != getattr(before, f.name)
    }


def _network(now: NetworkView, before: NetworkView) -> NetworkView:
    """The time of the last good look moves only with something else: as long as all is well it says nothing."""
    if not now.reachable:
        return replace(now, synced_at_ms=before.synced_at_ms, chain=before.chain)
    steady = replace(now, synced_at_ms=before.synced_at_ms)
    return before if steady == before else now


def _models(seen: Seen, own: Own) -> tuple[ModelView, ...]:
    if seen.system is None:
        return ()
    known = own.recorded
    return tuple(
        replace(m, label=known.labels.get(m.id, m.label), key_at_hand=m.id in known.keys_at_hand) if m.mine else m
        for m in marked_models(seen.system.models, own.address, seen.targets)
    )


def _wallet(seen: Seen, own: Own, epoch: EpochView, models: Iterable[ModelView]) -> WalletView:
    waiting = any(m.mine and (m.state in ("created", "pending") or m.update_commit_epoch is not None) for m in models)
    names = own.recorded.names
    return WalletView(
        address=own.address,
        unlocked=own.unlocked,
        watch_only=own.watch_only,
        label=next((n.label for n in names if n.address == own.address), ""),
        others=tuple(n for n in names if n.address != own.address),
        coins=assign_roles(own.coins, epoch.parameters, reveal_pending=waiting),
        stakes=seen.stakes,
    )


def _targets(targets: tuple[TargetView, ...], intents: tuple[Intent, ...]) -> tuple[TargetView, ...]:
    """The targets with the state of this agent's own submission and the distance it had."""
    submitted = {i.subject: i for i in intents if i.action == "submit"}
    return tuple(_with_intent(t, submitted[t.id]) if t.id in submitted else t for t in targets)


def _with_intent(target: TargetView, intent: Intent) -> TargetView:
    hit = intent.args.get("hit") or {}
    return replace(target, intent=intent.state, best_distance=hit.get("distance"), best_model_id=hit.get("model_id"))
