"""The epochs pane: the clock, the difficulty, the reward, and what is due before the next boundary."""

from __future__ import annotations

from typing import ClassVar

from textual.widget import Widget

from somatui.domain.deadline import opens_in
from somatui.domain.money import soma, soma_exact
from somatui.domain.snapshot import Duty, EpochView, Snapshot
from somatui.tui.format import NOTHING, Cell, amount, bar, cell, coarse, count, due, many, number, percent, plain
from somatui.tui.panes.base import Detail, Line, Pane
from somatui.tui.table import Column, Row


class EpochsPane(Pane):
    """The epoch, and the duties in the order in which they fall due."""

    NAME: ClassVar[str] = "epochs"
    NUMBER: ClassVar[int] = 4
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("DUTY", 18, grow=12),
        Column("OPENS", 6),
        Column("CLOSES", 11),
        Column("LOST OTHERWISE", 14, right=True),
        Column("", 18, grow=30),
    )

    def above(self) -> list[Widget]:
        """Clock, difficulty, money."""
        self.clock = Line(classes="block")
        return [self.clock]

    def on_resize(self) -> None:
        """Bars are as wide as there is room."""
        if self.snapshot is not None:
            self.tell(self.snapshot, self.now_ms)

    @property
    def row(self) -> str | None:
        """The id of what the duty is about, so that acts find their model."""
        key = self.table.cursor
        return None if key is None else key.partition(":")[2]

    def title(self, snapshot: Snapshot) -> Cell:
        """How much is due."""
        now = sum(d.opens_epoch <= snapshot.epoch.number for d in snapshot.duties)
        return (
            (f"  {len(snapshot.duties)} due" if snapshot.duties else "  nothing due", ""),
            (f"  {now} now" if now else "", "warn"),
        )

    def tell(self, snapshot: Snapshot, now_ms: int) -> None:
        """Clock, difficulty and money, in lines of their own."""
        epoch, width = snapshot.epoch, max(10, min(40, self.size.width - 53))
        lines = [_clock(epoch, now_ms, width), _hits(epoch, width), _difficulty(epoch)]
        if self.size.height >= 9:
            lines.append(_emission(epoch))
        if self.size.height >= 8:
            lines.append(_mine(snapshot))
        self.clock.say(*lines)
        self.tighten(len(lines))

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """When duties come up."""
        return "Nothing is due. Duties come with a published model (p) and with targets that can be claimed (c)."

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """One row a duty, the most urgent first."""
        return [_row(duty, place, snapshot.epoch.number) for place, duty in enumerate(snapshot.duties)]

    def detail(self) -> Detail:
        """The whole duty under the cursor, or the epoch where there is none."""
        snapshot = self.snapshot
        if snapshot is None:
            return []
        epoch = snapshot.epoch
        told: Detail = []
        for duty in snapshot.duties:
            if _duty_key(duty) == self.table.cursor:
                closes = "never" if duty.closes_epoch is None else f"at the end of epoch {duty.closes_epoch}"
                told += [("duty", duty.title), ("about", duty.subject)]
                told += [("opens", opens_in(epoch, duty.opens_epoch, self.now_ms)), ("closes", closes)]
                told += [("lost otherwise", f"{soma_exact(duty.at_stake_shannons)} SOMA"), ("how", plain(due(duty)))]
        p = epoch.parameters
        told += [
            ("epoch", str(epoch.number)),
            ("threshold", number(epoch.threshold, 6)),
            ("reward", f"{soma_exact(epoch.reward_shannons)} SOMA"),
            ("hits", f"{count(epoch.hits)} of {count(epoch.hits_wanted)} wanted, average {count(epoch.hits_ema)}"),
            ("targets", f"{count(epoch.targets_generated)} generated"),
            ("base fee", f"{soma_exact(p.base_fee_shannons)} SOMA"),
            ("bond", f"{soma_exact(p.bond_shannons_per_byte)} SOMA a byte"),
            ("least stake", f"{soma_exact(p.model_min_stake_shannons)} SOMA"),
            ("slashed", f"{p.reveal_slash_bps / 100:g}% of the stake when a reveal is missed"),
        ]
        return told


def _clock(epoch: EpochView, now_ms: int, width: int) -> Cell:
    done = (now_ms - epoch.starts_at_ms) / epoch.duration_ms if epoch.starts_at_ms and epoch.duration_ms else 0.0
    left = epoch.ends_at_ms - now_ms
    until = "ends any moment" if left <= 0 else f"{coarse(left)} left at the earliest"
    if not epoch.starts_at_ms:
        return (("epoch      ", "muted"), ("not known yet", "muted"))
    return (
        ("epoch      ", "muted"),
        (f"{epoch.number:<7,}", "strong"),
        *bar(min(1.0, int(done * 100) / 100), width),
        (f" {percent(min(1.0, done)):>4}", ""),
        (f"  {until}", "muted"),
    )


def _hits(epoch: EpochView, width: int) -> Cell:
    share = epoch.hits / epoch.hits_wanted if epoch.hits_wanted else 0.0
    return (
        ("hits       ", "muted"),
        (f"{count(epoch.hits):<7}", "strong"),
        *bar(share, width),
        (f" {percent(share):>4}", ""),
        (f"  of {count(epoch.hits_wanted)} wanted", "muted"),
    )


def _difficulty(epoch: EpochView) -> Cell:
    return (
        ("threshold  ", "muted"),
        (number(epoch.threshold), "strong"),
        ("   reward  ", "muted"),
        (soma_exact(epoch.reward_shannons), "money"),
        (" SOMA a target", "muted"),
    )


def _emission(epoch: EpochView) -> Cell:
    return (
        ("emission   ", "muted"),
        (soma(epoch.emission_per_epoch_shannons, 0), ""),
        (" SOMA an epoch   ", "muted"),
        (soma(epoch.emission_balance_shannons, 0), ""),
        (" left   ", "muted"),
        (count(epoch.targets_generated), ""),
        (" targets so far", "muted"),
    )


def _mine(snapshot: Snapshot) -> Cell:
    ledger = snapshot.ledger
    return (
        ("mine       ", "muted"),
        (many(ledger.hits, "hit"), ""),
        (f"   {many(ledger.claims, 'claim')}   {many(ledger.reveals, 'reveal')}   earned ", "muted"),
        (soma(ledger.earned_shannons, 6, sign=True), "good" if ledger.earned_shannons else "muted"),
        (" SOMA", "muted"),
    )


def _duty_key(duty: Duty) -> str:
    return f"{duty.action}:{duty.subject if duty.action != 'claim' else ''}"


def _row(duty: Duty, place: int, epoch: int) -> Row:
    tone = "good" if duty.armed else duty.severity if duty.severity != "info" else ""
    is_open = duty.opens_epoch <= epoch
    glyph = "●" if is_open else "○"
    closing = NOTHING
    if duty.closes_epoch is not None:
        closing = cell(f"end of {duty.closes_epoch}", "warn" if is_open and not duty.armed else "")
    risk = amount(duty.at_stake_shannons, tone="bad" if not duty.armed else "")
    return Row(
        key=_duty_key(duty),
        cells=(
            ((f"{glyph} ", tone), (duty.title, "strong")),
            cell("now", "accent") if is_open else cell(f"ep {duty.opens_epoch}"),
            closing,
            risk if duty.at_stake_shannons else cell("nothing", "muted"),
            due(duty),
        ),
        order=(place,),
        values=(duty.title, duty.opens_epoch, duty.closes_epoch, duty.at_stake_shannons, duty.armed),
        words=f"{duty.title} {duty.note} {duty.subject}".lower(),
    )
