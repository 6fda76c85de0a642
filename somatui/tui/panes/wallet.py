"""The wallet pane: what there is to spend, what is bound and since when, and what the journal has added up."""

from __future__ import annotations

from typing import ClassVar

from textual.widget import Widget

from somatui.domain.consequence import claim_income
from somatui.domain.ids import short
from somatui.domain.money import soma_exact
from somatui.domain.snapshot import CoinView, LedgerView, Snapshot, StakeView
from somatui.tui.format import NOTHING, Cell, amount_exact, cell, due, many, plain
from somatui.tui.panes.base import Detail, Line, Pane
from somatui.tui.table import Column, Row

_ROLES = {
    "working": (cell("● working"), "fees and bonds"),
    "reserved": (cell("◆ reserved", "accent"), "kept for reveals"),
    "dust": (cell("· dust", "muted"), "swept up later"),
}
_SIDE_BY_SIDE = 76
"""From this width on the journal's sums stand beside the money, below it they stand under it where there is room."""

Entry = tuple[str, Cell, Cell]
"""A name, an amount and a note."""


class WalletPane(Pane):
    """Money, and under it the coins and stakes it consists of."""

    NAME: ClassVar[str] = "wallet"
    NUMBER: ClassVar[int] = 1
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column("ID", 9),
        Column("KIND", 10),
        Column("SOMA", 15, right=True),
        Column("WHAT FOR", 17, rank=1, grow=22),
        Column("VERSION", 8, rank=2, right=True),
    )

    def above(self) -> list[Widget]:
        """Key, money and sums."""
        self.key_line, self.money = Line(classes="line"), Line(classes="block")
        return [self.key_line, self.money]

    def below(self) -> list[Widget]:
        """The next duty."""
        self.duty_line = Line(classes="line")
        return [self.duty_line]

    def on_resize(self) -> None:
        """The two blocks stand side by side or one under the other."""
        if self.snapshot is not None:
            self.tell(self.snapshot, self.now_ms)

    def tell(self, snapshot: Snapshot, now_ms: int) -> None:
        """Key, money, sums and the next duty."""
        self.key_line.say(_key(snapshot))
        money, sums = _money(snapshot), _sums(snapshot.ledger)
        if self.size.width >= _SIDE_BY_SIDE:
            self.money.say(*_beside(_lines(money), _lines(sums), self.size.width // 2))
        elif self.size.height >= 16:
            self.money.say(*_lines([*money, *sums]))
        else:
            self.money.say(*_lines(money))
        self.duty_line.say(*_duty(snapshot))
        self.duty_line.display = bool(snapshot.duties) and self.size.height >= 12
        self.tighten(6 if self.duty_line.display else 5)

    def empty(self, snapshot: Snapshot, now_ms: int) -> str:
        """Where coins come from."""
        if not snapshot.wallet.address:
            if snapshot.network.kind == "practice":
                return "No wallet yet: the practice network makes one when it starts."
            return "This profile has no wallet yet: leave with q, then somatui setup makes or imports one."
        if not snapshot.network.reachable:
            return "The network does not answer, so the coins are not known: they come with the first answer."
        if snapshot.network.kind in ("practice", "localnet"):
            return "No coins yet. Press f to ask the faucet for some."
        return f"No coins yet. Send SOMA to 0x{snapshot.wallet.address}."

    def rows(self, snapshot: Snapshot, now_ms: int) -> list[Row]:
        """Coins, the largest first, then stakes."""
        labels = {m.id: m.label or short(m.id) for m in snapshot.models}
        coins = [_coin_row(coin) for coin in snapshot.wallet.coins]
        return coins + [_stake_row(stake, labels, snapshot.epoch.number) for stake in snapshot.wallet.stakes]

    def detail(self) -> Detail:
        """The wallet in full, and the coin or stake under the cursor."""
        if self.snapshot is None:
            return []
        wallet, ledger = self.snapshot.wallet, self.snapshot.ledger
        told: Detail = [("address", f"0x{wallet.address}" if wallet.address else "none yet")]
        told += [(name, f"{plain(value).strip()} SOMA") for name, value, _ in [*_money(self.snapshot), *_sums(ledger)]]
        told += [("hits sent", str(ledger.hits)), ("claims", str(ledger.claims)), ("reveals", str(ledger.reveals))]
        told += [
            ("other wallet", f"{w.label}  0x{w.address}{'  watched' if w.watch_only else ''}".strip())
            for w in wallet.others
        ]
        for coin in wallet.coins:
            if coin.id == self.row:
                told += [("coin", coin.id), ("holds", f"{soma_exact(coin.balance_shannons)} SOMA")]
                told += [("role", f"{coin.role}: {_ROLES[coin.role][1]}"), ("version", str(coin.version))]
        for stake in wallet.stakes:
            if stake.id == self.row:
                told += [("stake", stake.id), ("principal", f"{soma_exact(stake.principal_shannons)} SOMA")]
                told += [("in pool", stake.pool_id), ("model", stake.model_id or "–")]
                told.append(("earns from epoch", str(stake.activation_epoch)))
        return told


def _key(snapshot: Snapshot) -> Cell:
    wallet = snapshot.wallet
    if not wallet.address:
        return cell("no wallet", "warn")
    state: Cell = cell("✓ key at hand", "good")
    if wallet.watch_only:
        state = cell("○ watching only", "muted")
    elif not wallet.unlocked:
        state = cell("✗ key locked: press u", "bad")
    label = ((f"{wallet.label}  ", "strong"),) if wallet.label else ()
    more = f"  and {len(wallet.others)} more: w" if wallet.others else ""
    return (*label, (f"{short(wallet.address)}  ", "muted"), *state, (more, "muted"))


def _money(snapshot: Snapshot) -> list[Entry]:
    wallet, claimable = snapshot.wallet, snapshot.claimable
    if not snapshot.epoch.starts_at_ms:
        return [(name, NOTHING, ()) for name in ("free", "staked", "bonded", "claimable")]
    bonds = sum(t.mine for t in snapshot.targets if t.bond_shannons)
    income = sum(claim_income(snapshot.epoch.parameters, t) for t in claimable)
    return [
        ("free", amount_exact(wallet.free_shannons, tone="money"), cell(many(len(wallet.coins), "coin"), "muted")),
        ("staked", amount_exact(wallet.staked_shannons), cell(many(len(wallet.stakes), "stake"), "muted")),
        ("bonded", amount_exact(snapshot.bonded_shannons), cell(many(bonds, "target"), "muted")),
        (
            "claimable",
            amount_exact(income, sign=True, tone="good"),
            cell("press c", "accent") if claimable else cell("nothing yet", "muted"),
        ),
    ]


def _sums(ledger: LedgerView) -> list[Entry]:
    lost = ledger.bonds_lost_shannons
    return [
        (
            "earned",
            amount_exact(ledger.earned_shannons, sign=True, tone="good"),
            cell(many(ledger.claims, "claim"), "muted"),
        ),
        ("fees", amount_exact(-ledger.fees_shannons), cell(many(ledger.reveals, "reveal"), "muted")),
        ("bonds back", amount_exact(ledger.bonds_returned_shannons), cell(many(ledger.hits, "hit"), "muted")),
        ("bonds lost", amount_exact(-lost, tone="bad"), cell("", "")),
    ]


def _lines(entries: list[Entry]) -> list[Cell]:
    room = max(len(plain(value)) for _, value, _ in entries)
    names = max(len(name) for name, _, _ in entries)
    return [
        ((f"{name:<{names}}  ", "muted"), (" " * (room - len(plain(value))), ""), *value, ("  ", ""), *note)
        for name, value, note in entries
    ]


def _beside(left: list[Cell], right: list[Cell], room: int) -> list[Cell]:
    return [(*a, (" " * max(2, room - len(plain(a))), ""), *b) for a, b in zip(left, right, strict=True)]


def _duty(snapshot: Snapshot) -> tuple[Cell, ...]:
    if not snapshot.duties:
        return ()
    duty = snapshot.duties[0]
    when = "now" if duty.opens_epoch <= snapshot.epoch.number else f"in epoch {duty.opens_epoch}"
    more = len(snapshot.duties) - 1
    return (
        (
            ("next  ", "muted"),
            (f"{duty.title} {when}", ""),
            ("  ", ""),
            *due(duty),
            (f"  and {more} more: key 4" if more else "", "muted"),
        ),
    )


def _coin_row(coin: CoinView) -> Row:
    role, purpose = _ROLES[coin.role]
    return Row(
        key=coin.id,
        cells=(
            cell(short(coin.id)),
            role,
            amount_exact(coin.balance_shannons),
            cell(purpose, "muted"),
            cell(str(coin.version), "muted"),
        ),
        order=(0, -coin.balance_shannons),
        values=(coin.id, coin.role, coin.balance_shannons, purpose, coin.version),
        words=f"{coin.id[2:]} coin {coin.role}",
    )


def _stake_row(stake: StakeView, labels: dict[str, str], epoch: int) -> Row:
    name = labels.get(stake.model_id or "", short(stake.model_id or stake.pool_id))
    since = f", from ep {stake.activation_epoch}" if stake.activation_epoch > epoch else ""
    return Row(
        key=stake.id,
        cells=(
            cell(short(stake.id)),
            cell("▲ staked", "good" if stake.activation_epoch <= epoch else ""),
            amount_exact(stake.principal_shannons),
            ((f"in {name}", ""), (since, "muted")),
            cell("–", "muted"),
        ),
        order=(1, -stake.principal_shannons),
        values=(stake.id, "staked", stake.principal_shannons, name, None),
        words=f"{stake.id[2:]} stake {name} {stake.model_id or ''}".lower(),
    )
