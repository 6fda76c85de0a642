"""Transactions built in full, with coins chosen on purpose; pure, unsigned, their digest known before they are sent.

Which coin pays is `domain.coins`' to choose; signing and sending are the agent's.
"""

from __future__ import annotations

from collections.abc import Sequence

from somatui.domain.snapshot import CoinView
from somatui.wire.hashes import blake2b256, derive_id
from somatui.wire.kinds import (
    AddStakeToModel,
    ClaimRewards,
    CommitModel,
    CreateModel,
    DeactivateModel,
    Kind,
    PayCoins,
    RevealModel,
    SetModelCommissionRate,
    SubmitData,
    TransferCoin,
    WithdrawStake,
)
from somatui.wire.text import b58decode32, hex_id, parse_address, parse_id
from somatui.wire.transaction import MAX_TRANSACTION_BYTES, TransactionData
from somatui.wire.values import Manifest, ObjectRef, Tensor

MOST_COMMISSION_BPS = 10_000


class BuildError(ValueError):
    """A transaction that must not be sent; the text is one sentence."""


def reference(coin: CoinView) -> ObjectRef:
    """The coin's version as a transaction names it."""
    return ObjectRef(parse_id(coin.id), coin.version, b58decode32(coin.digest))


def new_model_id(data: TransactionData) -> str:
    """The id that a CreateModel transaction will give its model."""
    return hex_id(derive_id(data.digest, 0))


def replacement_target_id(data: TransactionData) -> str:
    """The id of the target that takes the place of the one a SubmitData transaction fills (protocol.md 9.4)."""
    return hex_id(derive_id(data.digest, 2))


def create_model(
    sender: str, coin: CoinView, *, stake_shannons: int, commission_bps: int, architecture_version: int
) -> TransactionData:
    """Register a model; the stake comes out of `coin`, which also pays."""
    _positive(stake_shannons, "The stake")
    _commission(commission_bps)
    return _made(sender, coin, (), CreateModel(stake_shannons, commission_bps, architecture_version))


def commit_model(
    sender: str,
    coin: CoinView,
    *,
    model_id: str,
    url: str,
    checksum: str,
    size: int,
    embedding: Sequence[float],
    key: bytes,
) -> TransactionData:
    """Commit encrypted weights that lie at `url`: checksum (Base58) and size are those of the encrypted bytes."""
    manifest = _manifest(url, checksum, size)
    kind = CommitModel(
        parse_id(model_id), manifest, manifest.checksum, Tensor.of(embedding).commitment, blake2b256(_key(key))
    )
    return _made(sender, coin, (), kind)


def reveal_model(
    sender: str, coin: CoinView, *, model_id: str, key: bytes, embedding: Sequence[float]
) -> TransactionData:
    """Reveal key (32 bytes) and embedding of what was committed one epoch ago."""
    return _made(sender, coin, (), RevealModel(parse_id(model_id), _key(key), Tensor.of(embedding)))


def submit(
    sender: str,
    coin: CoinView,
    *,
    target_id: str,
    model_id: str,
    url: str,
    checksum: str,
    size: int,
    embedding: Sequence[float],
    distance: float,
    losses: Sequence[float],
    sweep: Sequence[CoinView] = (),
) -> TransactionData:
    """Fill a target. One coin is bond and first gas coin at once, which costs least (protocol.md 9.1).

    `sweep` are coins that melt into it for nothing. Floats are rounded to f32, as the score worker's already are.
    """
    kind = SubmitData(
        parse_id(target_id),
        _manifest(url, checksum, size),
        parse_id(model_id),
        Tensor.of(embedding),
        Tensor.of([distance]),
        Tensor.of(losses),
        reference(coin),
    )
    return _made(sender, coin, sweep, kind)


def claim(sender: str, coin: CoinView, *, target_id: str, sweep: Sequence[CoinView] = ()) -> TransactionData:
    """Pay out a target after its audit; `sweep` are coins that melt into `coin` for nothing."""
    return _made(sender, coin, sweep, ClaimRewards(parse_id(target_id)))


def transfer(sender: str, coin: CoinView, *, recipient: str, amount_shannons: int) -> TransactionData:
    """Send an amount out of `coin`, which also pays; nothing is refused, since it would make a coin of zero (8.4)."""
    _positive(amount_shannons, "The amount")
    return _made(sender, coin, (), TransferCoin(reference(coin), amount_shannons, parse_address(recipient)))


def split(sender: str, coin: CoinView, *, amounts_shannons: Sequence[int]) -> TransactionData:
    """Cut coins of the given amounts off `coin` for oneself; what is left stays in it and pays."""
    if not amounts_shannons:
        raise BuildError("A coin is split into at least one part: name an amount.")
    for amount in amounts_shannons:
        _positive(amount, "Each part")
    own = parse_address(sender)
    kind = PayCoins((reference(coin),), tuple(amounts_shannons), (own,) * len(amounts_shannons))
    return _made(sender, coin, (), kind)


def stake_on_model(sender: str, coin: CoinView, *, model_id: str, amount_shannons: int) -> TransactionData:
    """Stake an amount out of `coin`, which also pays; without an amount the chain fails it (protocol.md 7)."""
    _positive(amount_shannons, "The stake")
    return _made(sender, coin, (), AddStakeToModel(parse_id(model_id), reference(coin), amount_shannons))


def withdraw_stake(sender: str, coin: CoinView, *, staked: ObjectRef) -> TransactionData:
    """Take a stake back; never for a pool that was slashed, which halts the node (R19, protocol.md 8, item 5)."""
    return _made(sender, coin, (), WithdrawStake(staked))


def deactivate_model(sender: str, coin: CoinView, *, model_id: str) -> TransactionData:
    """Retire a model for good."""
    return _made(sender, coin, (), DeactivateModel(parse_id(model_id)))


def set_commission(sender: str, coin: CoinView, *, model_id: str, commission_bps: int) -> TransactionData:
    """Set a model's commission from the next epoch on."""
    _commission(commission_bps)
    return _made(sender, coin, (), SetModelCommissionRate(parse_id(model_id), commission_bps))


def _made(sender: str, coin: CoinView, sweep: Sequence[CoinView], kind: Kind) -> TransactionData:
    """Put the payment to the act and check what the node would punish instead of refusing (protocol.md 8.4, 9.1)."""
    if coin.balance_shannons <= 0:
        raise BuildError("A coin of zero must never pay: it can halt the network; choose another coin.")
    payment = tuple(reference(c) for c in (coin, *sweep))
    if len({p.id for p in payment}) != len(payment):
        raise BuildError("One coin stands twice in the payment: name every coin once.")
    data = TransactionData(kind, parse_address(sender), payment)
    size = len(data.to_bytes())
    if size > MAX_TRANSACTION_BYTES:
        raise BuildError(
            f"The transaction has {size:,} bytes and {MAX_TRANSACTION_BYTES:,} are the most: sweep up fewer coins."
        )
    return data


def _manifest(url: str, checksum: str, size: int) -> Manifest:
    _positive(size, "The size")
    if not url.startswith(("http://", "https://")):
        raise BuildError("The address of the bytes must begin with http:// or https://.")
    return Manifest(url, b58decode32(checksum), size)


def _positive(amount: int, what: str) -> None:
    if amount <= 0:
        raise BuildError(f"{what} must be more than zero.")


def _commission(rate_bps: int) -> None:
    if not 0 <= rate_bps <= MOST_COMMISSION_BPS:
        raise BuildError("Commission must be between 0 and 10,000 basis points: 10 % is 1,000.")


def _key(key: bytes) -> bytes:
    if len(key) != 32:
        raise BuildError("A model's key has 32 bytes.")
    return key
