"""The targets pane: what is open, what fits, what is sent, what can be claimed."""

from __future__ import annotations

from typing import ClassVar

from somatui.domain.deadline import claim_window, opens_in
from somatui.domain.ids import short
from somatui.domain.money import soma, soma_exact
from somatui.domain.snapshot import OWN_NETWORKS, Snapshot, TargetView
from somatui.tui.format import NOTHING, Cell, amount, cell, count, joined, number, tiny
from somatui.tui.panes.base import UNKNOWN, Detail, Pane
from somatui.tui.table import Column, Row

Names = dict[str, tuple[str, bool]]
"""Model id to its name in a narrow column, and whether it is the operator's own."""

_UNDER_WAY = {"planned": "uploading", "uploaded": "signing", "signed": "sending"}
"""What an own submission is doing in each state of the journal that is not its last."""
_OPEN_RANK, _OTHERS_RANK = 3, 6


class TargetsPane(Pane):
    """Targets, those that pay or can be hit first."""

    NAME: ClassVar[str] = "targets"
    NUMBER: ClassVar[int] = 2
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("ID", 9),
        Column("STATE", 13),
        Column("MODELS", 19, grow=9),
        Column("BEST", 6, rank=1, right=True),
        Column("GAP", 7, right=True),
        Column("WINNER", 10, rank=3),
        Column("REWARD", 9, rank=2, right=True),
        Column("CLAIM", 7, right=True),
        Column("THRESHOLD", 9, rank=4, right=True),
        Column("EPOCH", 5, rank=5, right=True),
    )

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[TargetView, Row]] = {}
        self._made_for: tuple[int, Names] = (0, {})

    def title(self, snapshot: Snapshot) -> Cell:
        """How many are open, and what is the same for all of them."""
        if not (snapshot.network.reachable or snapshot.targets):
            return UNKNOWN
        is_open = sum(t.status == "open" for t in snapshot.targets)
        mine = len(snapshot.claimable)
        threshold, reward = snapshot.epoch.threshold, snapshot.epoch.reward_shannons
        return (
            (f"  {count(is_open)} open", ""),
            (f"  {mine} to claim" if mine else "", "good"),
            (f"  threshold {number(threshold)}" if threshold else "", "muted"),
            (f"  reward {soma(reward)} SOMA" if reward else "", "muted"),
        )

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """Where targets come from."""
        next_epoch = opens_in(snapshot.epoch, snapshot.epoch.number + 1, now_ms).split(", ")[-1]
        if not snapshot.network.reachable:
            return "The network does not answer, so its targets are not known: they come with the first answer."
        sooner = ", or press e for the next epoch" if snapshot.network.kind in OWN_NETWORKS else ""
        when = f"when the epoch turns ({next_epoch}{sooner})"
        if not any(m.state == "active" for m in snapshot.models):
            return f"No targets yet. They appear {when}, once a model is active: models pane, key 3."
        return f"No targets yet. They appear {when}."

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """One row a target; a row is made anew only for a target that changed."""
        names: Names = {m.id: (m.label or tiny(m.id), m.mine) for m in snapshot.models if m.label or m.mine}
        if self._made_for != (snapshot.epoch.number, names):
            self._made_for = (snapshot.epoch.number, names)
            self._made = {}
        made: dict[str, tuple[TargetView, Row]] = {}
        for target in snapshot.targets:
            known = self._made.get(target.id)
            if known is None or known[0] != target:
                known = (target, _row(target, names, snapshot.epoch.number))
            made[target.id] = known
        self._made = made
        return [row for _, row in made.values()]

    def detail(self) -> Detail:
        """The whole target under the cursor."""
        snapshot = self.snapshot
        target = next((t for t in snapshot.targets if t.id == self.row), None) if snapshot else None
        if snapshot is None or target is None:
            return []
        labels = {m.id: m.label for m in snapshot.models}
        window = claim_window(target)
        told: Detail = [
            ("target", target.id),
            ("state", target.status + (", mine" if target.mine else "")),
            ("threshold", number(target.threshold, 6)),
            ("reward", f"{soma_exact(target.reward_shannons)} SOMA"),
            ("from epoch", str(target.generation_epoch)),
            *(("model", f"{m}  {labels.get(m, '')}".rstrip()) for m in target.model_ids),
        ]
        if target.best_distance is not None:
            by = f"  by {short(target.best_model_id)}" if target.best_model_id else ""
            told.append(("best", number(target.best_distance, 6) + by))
        if target.fill_epoch is not None:
            told += [("filled in", f"epoch {target.fill_epoch}"), ("submitter", target.submitter or "–")]
            told += [("winner", target.winning_model_id or "–"), ("bond", f"{soma_exact(target.bond_shannons)} SOMA")]
        if target.data_url:
            told.append(("data", target.data_url))
        if target.status != "open":
            told.append(("claim", f"open {opens_in(snapshot.epoch, window.first, self.now_ms)}"))
        if target.intent:
            told.append(("under way", target.intent))
        return told


def _row(target: TargetView, names: Names, epoch: int) -> Row:
    state, rank = _state(target)
    gap = None if target.best_distance is None else target.best_distance - target.threshold
    opens = claim_window(target).first
    filled = target.status != "open"
    models = joined(_model(m, names) for m in target.model_ids)
    words = (target.id[2:], target.status, target.intent, "mine" if target.mine else "", *_words(target, names))
    return Row(
        key=target.id,
        cells=(
            cell(short(target.id), "strong" if target.mine else ""),
            state,
            models,
            NOTHING if target.best_distance is None else cell(number(target.best_distance)),
            NOTHING if gap is None else cell(number(gap, sign=True), "good" if gap <= 0 and not filled else "muted"),
            _model(target.winning_model_id, names) if target.winning_model_id else NOTHING,
            amount(target.reward_shannons, 6),
            _claim(target, epoch) if filled else NOTHING,
            cell(number(target.threshold), "muted"),
            cell(str(target.generation_epoch), "muted"),
        ),
        order=(rank, gap if gap is not None and not filled else 9.0, target.generation_epoch),
        values=(
            target.id,
            rank,
            len(target.model_ids),
            target.best_distance,
            gap,
            target.winning_model_id,
            target.reward_shannons,
            opens if filled else None,
            target.threshold,
            target.generation_epoch,
        ),
        words=" ".join(w for w in words if w).lower(),
    )


def _claim(target: TargetView, epoch: int) -> Cell:
    opens = claim_window(target).first
    return cell(f"ep {opens}") if opens > epoch else cell("now", "good" if target.mine or target.own_model_won else "")


def _state(target: TargetView) -> tuple[Cell, int]:
    """Glyph and word for where a target stands, and its place in the natural order."""
    own = target.mine or target.own_model_won
    star: Cell = (("", ""),) if not own else ((" ★", "accent"),)
    if target.intent in _UNDER_WAY:
        return cell(f"↑ {_UNDER_WAY[target.intent]}", "accent"), 1
    if target.status == "claimable":
        return (("● claimable", "good" if own else "muted"), *star), 0 if own else _OTHERS_RANK
    if target.status == "filled":
        return (("◐ filled", "" if own else "muted"), *star), 2 if own else _OTHERS_RANK + 1
    if target.status == "expired":
        return cell("✗ expired", "muted"), _OTHERS_RANK + 2
    if target.intent in ("lost", "failed", "refused") and target.status == "open":
        return cell(f"! {target.intent}", "bad" if target.intent == "failed" else "warn"), 2
    if target.best_distance is not None and target.best_distance <= target.threshold:
        return cell("◆ hit", "good"), _OPEN_RANK
    return cell("○ open"), _OPEN_RANK + 1


def _model(identifier: str, names: Names) -> Cell:
    label, mine = names.get(identifier, (tiny(identifier), False))
    return ((f"{label}★", "accent"),) if mine else ((label, ""),)


def _words(target: TargetView, names: Names) -> tuple[str, ...]:
    return tuple(f"{m[2:]} {names[m][0] if m in names else ''}" for m in target.model_ids)
