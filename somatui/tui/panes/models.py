"""The models pane: the registry, the operator's own first, with what each of them needs next."""

from __future__ import annotations

from typing import ClassVar

from somatui.domain.deadline import commit_window, opens_in, reveal_window
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.domain.snapshot import Duty, ModelView, Snapshot
from somatui.tui.format import NOTHING, Cell, amount, bar, bytes_text, cell, due, named, percent, plain
from somatui.tui.panes.base import UNKNOWN, Detail, Pane
from somatui.tui.table import Column, Row

_STATES: dict[str, tuple[Cell, int]] = {
    "created": (cell("○ created", "warn"), 0),
    "pending": (cell("◐ pending", "warn"), 1),
    "active": (cell("● active", "good"), 2),
    "inactive": (cell("✗ inactive", "muted"), 3),
}


class ModelsPane(Pane):
    """Models, mine first, then by stake."""

    NAME: ClassVar[str] = "models"
    NUMBER: ClassVar[int] = 3
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("MODEL", 13, grow=7),
        Column("STATE", 10),
        Column("STAKE", 11, rank=1, right=True, grow=2),
        Column("COMM", 5, rank=3, right=True),
        Column("TARGETS", 7, rank=2, right=True),
        Column("", 10, rank=5),
        Column("KEY", 3, rank=1),
        Column("DUTY", 15, grow=12),
        Column("WEIGHTS", 8, rank=4, right=True),
        Column("SINCE", 5, rank=5, right=True),
        Column("ID", 9, rank=6),
        Column("OWNER", 9, rank=5),
    )

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, tuple[ModelView, Duty | None, Row]] = {}
        self._made_in = 0

    def title(self, snapshot: Snapshot) -> Cell:
        """How many of each, and how many are mine."""
        if not (snapshot.network.reachable or snapshot.models):
            return UNKNOWN
        active = sum(m.state == "active" for m in snapshot.models)
        mine = sum(m.mine for m in snapshot.models)
        return (
            (f"  {active} of {len(snapshot.models)} active", ""),
            (f"  {mine} mine" if mine else "", "muted"),
        )

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """How a model comes to be."""
        if not snapshot.network.reachable:
            return "The network does not answer, so its models are not known: they come with the first answer."
        if any(j.kind == "train" and j.state == "done" for j in snapshot.jobs):
            return "No models on this network yet. Press p to publish the one you trained."
        return "No models on this network yet. Press t to train one, then p to publish it."

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """One row a model; a row is made anew only for a model that changed."""
        due = {d.subject: d for d in reversed(snapshot.duties)}
        made: dict[str, tuple[ModelView, Duty | None, Row]] = {}
        if self._made_in != snapshot.epoch.number:
            self._made_in, self._made = snapshot.epoch.number, {}
        for model in snapshot.models:
            duty = due.get(model.id)
            known = self._made.get(model.id)
            if known is None or known[0] != model or known[1] != duty:
                known = (model, duty, _row(model, duty, snapshot.epoch.number))
            made[model.id] = known
        self._made = made
        return [row for _, _, row in made.values()]

    def detail(self) -> Detail:
        """The whole model under the cursor."""
        snapshot = self.snapshot
        model = next((m for m in snapshot.models if m.id == self.row), None) if snapshot else None
        if snapshot is None or model is None:
            return []
        told: Detail = [
            ("model", model.id),
            ("label", model.label or "–"),
            ("state", model.state + (", mine" if model.mine else "")),
            ("owner", f"0x{model.owner}"),
            ("stake", f"{soma_exact(model.stake_shannons)} SOMA"),
            ("commission", f"{model.commission_bps / 100:.2f}%"),
            ("in targets", percent(model.targets_share)),
            ("architecture", f"version {model.architecture_version}"),
            ("weights", f"{model.url or '–'}{f'  {bytes_text(model.size_bytes)}' if model.size_bytes else ''}"),
            ("checksum", model.weights_checksum or "–"),
        ]
        if model.create_epoch is not None:
            told.append(("created in", f"epoch {model.create_epoch}"))
        if model.commit_epoch is not None:
            told.append(("committed in", f"epoch {model.commit_epoch}"))
        if model.mine:
            told.append(("key", "at hand" if model.key_at_hand else "not at hand"))
        for name, window in (("commit", commit_window(model)), ("reveal", reveal_window(model))):
            if window is not None:
                told.append((name, f"opens {opens_in(snapshot.epoch, window.first, self.now_ms)}"))
        for duty in snapshot.duties:
            if duty.subject == model.id:
                lost = (
                    f"; {soma_exact(duty.at_stake_shannons)} SOMA are lost otherwise" if duty.at_stake_shannons else ""
                )
                told.append(("duty", f"{duty.title}: {plain(due(duty))}{lost}"))
        return told


def _row(model: ModelView, duty: Duty | None, epoch: int) -> Row:
    state, rank = _STATES[model.state]
    since = model.commit_epoch if model.commit_epoch is not None else model.create_epoch
    shown = model.state == "active"
    return Row(
        key=model.id,
        cells=(
            named(model.id, model.label, mine=model.mine),
            state,
            amount(model.stake_shannons),
            cell(f"{model.commission_bps / 100:g}%"),
            cell(percent(model.targets_share)) if shown else NOTHING,
            bar(model.targets_share, 10) if shown else (),
            _key(model),
            _duty(duty, epoch),
            cell(bytes_text(model.size_bytes), "muted") if model.size_bytes else NOTHING,
            cell(str(since), "muted") if since is not None else NOTHING,
            cell(short(model.id), "muted"),
            cell("you", "accent") if model.mine else cell(short(model.owner), "muted"),
        ),
        order=(not model.mine, rank if model.mine else rank == 3, -model.stake_shannons),
        values=(
            model.label or model.id,
            rank,
            model.stake_shannons,
            model.commission_bps,
            model.targets_share,
            model.targets_share,
            model.key_at_hand,
            duty.closes_epoch if duty else None,
            model.size_bytes,
            since,
            model.id,
            model.owner,
        ),
        words=f"{model.id[2:]} {model.label} {model.state} {model.owner} {'mine' if model.mine else ''}".lower(),
    )


def _key(model: ModelView) -> Cell:
    if not model.mine or model.state == "inactive":
        return NOTHING
    if model.key_at_hand:
        return cell("✓", "good")
    needed = model.state != "active" or model.update_commit_epoch is not None
    return cell("✗", "bad") if needed else NOTHING


def _duty(duty: Duty | None, epoch: int) -> Cell:
    if duty is None:
        return ()
    when = "now" if duty.opens_epoch <= epoch else f"ep {duty.opens_epoch}"
    if duty.armed:
        return cell(f"✓ {duty.action} {when}", "good")
    tone = {"bad": "bad", "warn": "warn", "info": ""}[duty.severity]
    return cell(f"{'! ' if tone else ''}{duty.action} {when}, {duty.note or 'by hand'}", tone)
