"""One immutable picture of the world at one moment: what every screen shows and every decision is made from.

The agent builds it from the chain, the journal and its jobs; it holds no secrets and no embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from somatui.domain.networks import standing, words

NetworkKind = Literal["practice", "localnet", "testnet", "custom"]
OWN_NETWORKS: tuple[NetworkKind, ...] = ("practice", "localnet")
"""Networks that run on the operator's own machine, whose epochs may be ended and which may be made anew."""
ENDED = frozenset({"done", "refused", "failed", "lost"})
"""The states of an act after which nothing more happens to it."""
TargetStatus = Literal["open", "filled", "claimable", "expired"]
ModelState = Literal["created", "pending", "active", "inactive"]
JobState = Literal["starting", "running", "stopping", "stopped", "done", "failed"]
CoinRole = Literal["reserved", "working", "dust"]
Severity = Literal["info", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class NetworkView:
    """Which network, and whether it answers."""

    name: str
    kind: NetworkKind
    chain: str = ""
    rpc_url: str = ""
    server_version: str = ""
    protocol_version: int = 0
    reachable: bool = False
    error: str | None = None
    synced_at_ms: int = 0
    safe_mode: bool = False
    colour: str = ""
    """practice, testnet or main: how careful the operator wants to be here; empty where nobody said."""
    has_store: bool = True
    """Whether the profile has a place for what is submitted."""

    @property
    def standing(self) -> str:
        """What it is at sight, which is also the name of its colour."""
        return standing(self.kind, self.colour)

    @property
    def words(self) -> str:
        """That in capitals, with the profile's name where that is another."""
        return words(self.kind, self.colour, self.name)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The chain's own parameters, as SystemParameters carries them (protocol.md 4.10); never constants."""

    base_fee_shannons: int = 1_000
    write_fee_shannons: int = 300
    value_fee_bps: int = 10
    model_min_stake_shannons: int = 1_000_000_000
    bond_shannons_per_byte: int = 65
    max_data_bytes: int = 1_048_576
    submitter_share_bps: int = 4_975
    model_share_bps: int = 4_975
    claimer_share_bps: int = 50
    reveal_slash_bps: int = 5_000
    embedding_dim: int = 2_048
    architecture_version: int = 1


@dataclass(frozen=True, slots=True)
class EpochView:
    """The current epoch: its clock, its difficulty and its reward."""

    number: int = 0
    starts_at_ms: int = 0
    duration_ms: int = 86_400_000
    threshold: float = 0.0
    reward_shannons: int = 0
    hits: int = 0
    hits_ema: int = 0
    hits_wanted: int = 86_400
    targets_generated: int = 0
    emission_per_epoch_shannons: int = 0
    emission_balance_shannons: int = 0
    parameters: Parameters = field(default_factory=Parameters)

    @property
    def ends_at_ms(self) -> int:
        """When the epoch may end at the earliest; an estimate, the chain decides (R21)."""
        return self.starts_at_ms + self.duration_ms


@dataclass(frozen=True, slots=True)
class CoinView:
    """One coin object of the wallet, at the version the agent would spend next."""

    id: str
    version: int
    digest: str
    balance_shannons: int
    role: CoinRole = "working"


@dataclass(frozen=True, slots=True)
class StakeView:
    """One StakedSoma object of the wallet."""

    id: str
    pool_id: str
    principal_shannons: int
    activation_epoch: int
    model_id: str | None = None


@dataclass(frozen=True, slots=True)
class WalletName:
    """One of the profile's wallets: how it is called, and whether it is an address without a key."""

    address: str
    label: str = ""
    watch_only: bool = False

    @property
    def handle(self) -> str:
        """What commands know it by: its label, else enough of its address."""
        return self.label or self.address[:12]


@dataclass(frozen=True, slots=True)
class WalletView:
    """The wallet's money and whether the agent can sign for it."""

    address: str = ""
    label: str = ""
    unlocked: bool = False
    watch_only: bool = False
    coins: tuple[CoinView, ...] = ()
    stakes: tuple[StakeView, ...] = ()
    others: tuple[WalletName, ...] = ()
    """The profile's other wallets, as far as a locked vault lets them be known."""

    @property
    def free_shannons(self) -> int:
        """The sum of all coins."""
        return sum(c.balance_shannons for c in self.coins)

    @property
    def staked_shannons(self) -> int:
        """The sum of all stakes' principals; a slash shows only at withdrawal (R19)."""
        return sum(s.principal_shannons for s in self.stakes)


@dataclass(frozen=True, slots=True)
class TargetView:
    """One target as the chain lists it, with what this operator has to do with it."""

    id: str
    status: TargetStatus
    model_ids: tuple[str, ...]
    threshold: float
    reward_shannons: int
    generation_epoch: int
    fill_epoch: int | None = None
    submitter: str | None = None
    winning_model_id: str | None = None
    bond_shannons: int = 0
    data_url: str | None = None
    mine: bool = False
    own_model_won: bool = False
    best_distance: float | None = None
    best_model_id: str | None = None
    intent: str | None = None


@dataclass(frozen=True, slots=True)
class ModelView:
    """One model of the registry, in whatever state."""

    id: str
    owner: str
    state: ModelState
    mine: bool = False
    label: str = ""
    stake_shannons: int = 0
    commission_bps: int = 0
    architecture_version: int = 1
    create_epoch: int | None = None
    commit_epoch: int | None = None
    update_commit_epoch: int | None = None
    url: str | None = None
    weights_checksum: str | None = None
    size_bytes: int | None = None
    key_at_hand: bool = False
    targets_share: float = 0.0


@dataclass(frozen=True, slots=True)
class JobView:
    """One job of the agent: what it does, how far it is, what it found."""

    id: str
    kind: str
    title: str
    state: JobState
    started_at_ms: int
    updated_at_ms: int
    done: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    history: tuple[float, ...] = ()
    last_lines: tuple[str, ...] = ()
    error: str | None = None
    result: dict[str, str] = field(default_factory=dict)
    tables: dict[str, tuple[dict[str, Any], ...]] = field(default_factory=dict)
    """What its worker tells in rows, as it told it last; nothing once the agent was started anew."""
    submits: bool = True
    """Whether what a score job hits is submitted, so that it signs and pays; an agent that says nothing may do so."""

    @property
    def running(self) -> bool:
        """Whether its worker is at it, and nobody has told it to stop."""
        return self.state in ("starting", "running")


@dataclass(frozen=True, slots=True)
class IntentView:
    """One act in the journal that changes the chain, with the state it has reached."""

    id: str
    action: str
    subject: str
    state: str
    updated_at_ms: int
    digest: str | None = None
    note: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.state in ENDED


@dataclass(frozen=True, slots=True)
class Duty:
    """Something the keeper must do, by when, and what is lost otherwise."""

    action: str
    subject: str
    title: str
    opens_epoch: int
    closes_epoch: int | None
    at_stake_shannons: int
    armed: bool
    severity: Severity = "info"
    note: str = ""

    @property
    def has_deadline(self) -> bool:
        """Whether stake is lost where it is not done in time."""
        return bool(self.at_stake_shannons) and self.closes_epoch is not None


@dataclass(frozen=True, slots=True)
class Alert:
    """A sentence the operator should read, with its weight."""

    severity: Severity
    text: str
    at_ms: int = 0
    about: str = ""
    """What it is about: the same as long as it is the same alert, whatever its text says by now."""


@dataclass(frozen=True, slots=True)
class LedgerView:
    """Sums of the journal's money table since the profile began."""

    earned_shannons: int = 0
    fees_shannons: int = 0
    bonded_shannons: int = 0
    bonds_returned_shannons: int = 0
    bonds_lost_shannons: int = 0
    staked_shannons: int = 0
    received_shannons: int = 0
    hits: int = 0
    claims: int = 0
    reveals: int = 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything at one moment; each section is replaced as a whole when it changes."""

    profile: str
    at_ms: int
    network: NetworkView
    epoch: EpochView = field(default_factory=EpochView)
    wallet: WalletView = field(default_factory=WalletView)
    targets: tuple[TargetView, ...] = ()
    models: tuple[ModelView, ...] = ()
    jobs: tuple[JobView, ...] = ()
    intents: tuple[IntentView, ...] = ()
    duties: tuple[Duty, ...] = ()
    alerts: tuple[Alert, ...] = ()
    ledger: LedgerView = field(default_factory=LedgerView)

    @property
    def claimable(self) -> tuple[TargetView, ...]:
        """Filled targets whose claim is open and that pay this operator: own submission or own model's win."""
        return tuple(t for t in self.targets if t.status == "claimable" and (t.mine or t.own_model_won))

    @property
    def bonded_shannons(self) -> int:
        """Bonds that lie in own filled targets."""
        return sum(t.bond_shannons for t in self.targets if t.mine)


def empty(profile: str, kind: NetworkKind, at_ms: int = 0) -> Snapshot:
    """The picture before anything is known."""
    return Snapshot(profile=profile, at_ms=at_ms, network=NetworkView(name=profile, kind=kind))
