"""Rules of the validators' own kinds: join, leave, commission, keys and addresses (protocol.md 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from somatui.practice.ledger import points
from somatui.practice.ledger.state import Staged, StakingPool, Validator
from somatui.practice.ledger.values import Refused
from somatui.practice.ledger.view import INVALID_ARGUMENTS, OTHER_ERROR, Failure, View
from somatui.wire.bcs import BcsError, Reader
from somatui.wire.kinds import AddValidator, RemoveValidator, SetCommissionRate, UpdateValidatorMetadata

DUPLICATE_VALIDATOR, NOT_A_VALIDATOR, ALREADY_REMOVED = 7, 8, 9
DUPLICATE_METADATA, MISSING_PROOF, INVALID_PROOF = 54, 55, 56
NEW_COMMISSION_BPS = 10
INVALID = "Invalid value was given to the function"
_CLASHES = (
    ("protocol_pubkey", "protocol_pubkey", "protocol_pubkey"),
    ("network_pubkey", "network_pubkey", "network_pubkey"),
    ("worker_pubkey", "worker_pubkey", "worker_pubkey"),
    ("network_pubkey", "worker_pubkey", "network_pubkey/worker_pubkey"),
    ("worker_pubkey", "network_pubkey", "worker_pubkey/network_pubkey"),
    ("net_address", "net_address", "net_address"),
    ("p2p_address", "p2p_address", "p2p_address"),
    ("primary_address", "primary_address", "primary_address"),
)


def clash(one: Validator, other: Validator, *, staged: bool) -> str | None:
    """The first key or address that two validators share, with what they staged or without."""
    first, second = (_next(v) if staged else v for v in (one, other))
    return next((name for a, b, name in _CLASHES if getattr(first, a) == getattr(second, b)), None)


def _next(one: Validator) -> Validator:
    staged = {n: getattr(one.staged, n) for n in Staged.__dataclass_fields__}
    return replace(one, **{n: value for n, value in staged.items() if value is not None})


def _refuse_clashes(one: Validator, others: Sequence[Validator]) -> None:
    for other in others:
        if other.soma_address == one.soma_address:
            continue
        for mine, theirs in ((one, other), (one, _next(other)), (_next(one), other), (_next(one), _next(other))):
            shared = clash(mine, theirs, staged=False)
            if shared:
                raise Failure(DUPLICATE_METADATA, f"field={shared}")


def active(view: View) -> Validator:
    """The sender, who must be an active validator."""
    found = view.state.validator(view.sender)
    if found is None:
        raise Failure(NOT_A_VALIDATOR)
    return found


def add_validator(view: View, kind: AddValidator, value_fee: int) -> None:
    """Wait for stake and the next epoch; the proof of possession is read, its pairing is not computed here."""
    pool = StakingPool(view.next_id())
    if not points.is_protocol_key(kind.pubkey):
        raise Failure(INVALID_ARGUMENTS, f"Invalid protocol public key: {INVALID}")
    for name, key in (("network", kind.network_pubkey), ("worker", kind.worker_pubkey)):
        if not points.is_ed25519_key(key):
            raise Failure(INVALID_ARGUMENTS, f"Invalid {name} public key: {INVALID}")
    if not points.is_proof(kind.proof_of_possession):
        raise Failure(INVALID_PROOF, f"reason=Invalid PoP signature bytes: {INVALID}")
    made = Validator(
        soma_address=view.sender,
        protocol_pubkey=kind.pubkey,
        network_pubkey=kind.network_pubkey,
        worker_pubkey=kind.worker_pubkey,
        proof_of_possession=kind.proof_of_possession,
        net_address=_address(kind.net_address, "network address"),
        p2p_address=_address(kind.p2p_address, "p2p address"),
        primary_address=_address(kind.primary_address, "primary address"),
        proxy_address=_address(kind.proxy_address, "proxy address"),
        voting_power=0,
        commission_rate=NEW_COMMISSION_BPS,
        next_epoch_stake=0,
        next_epoch_commission_rate=NEW_COMMISSION_BPS,
        staking_pool=pool,
    )
    state = view.state
    if state.member(view.sender) is not None:
        raise Failure(DUPLICATE_VALIDATOR)
    _refuse_clashes(made, [*state.validators, *state.pending_validators])
    state.pending_validators.append(made)


def _address(encoded: bytes, name: str, short: str | None = None) -> str:
    try:
        reader = Reader(encoded)
        text = reader.text()
        reader.done()
    except (BcsError, UnicodeDecodeError):
        raise Failure(INVALID_ARGUMENTS, f"Failed to BCS deserialize {name} string") from None
    if not points.is_multiaddr(text):
        raise Failure(INVALID_ARGUMENTS, f"Invalid {short or name} multiaddr format: invalid multiaddr")
    return text


def remove_validator(view: View, kind: RemoveValidator, value_fee: int) -> None:
    """Leave when the epoch changes. Raises Refused for the last one: without validators a network stops."""
    state = view.state
    index = state.validators.index(active(view))
    if index in state.pending_removals:
        raise Failure(ALREADY_REMOVED)
    if len(state.pending_removals) + 1 == len(state.validators):
        text = "The last validator cannot leave: the real network would stop at the next epoch; nothing was changed"
        raise Refused("FAILED_PRECONDITION", text)
    state.pending_removals.append(index)


def set_commission(view: View, kind: SetCommissionRate, value_fee: int) -> None:
    """A commission from the next epoch on."""
    validator = active(view)
    if kind.new_rate > 10_000:
        raise Failure(OTHER_ERROR, "Commission rate too high")
    validator.next_epoch_commission_rate = kind.new_rate


def update_metadata(view: View, kind: UpdateValidatorMetadata, value_fee: int) -> None:
    """Stage keys and addresses for the next epoch."""
    validator = active(view)
    staged = validator.staged
    if kind.net_address is not None:
        staged.net_address = _address(kind.net_address, "network address", "network")
    if kind.p2p_address is not None:
        staged.p2p_address = _address(kind.p2p_address, "p2p address", "p2p")
    if kind.primary_address is not None:
        staged.primary_address = _address(kind.primary_address, "primary address", "primary")
    if kind.proxy_address is not None:
        staged.proxy_address = _address(kind.proxy_address, "proxy address", "proxy")
    if kind.protocol_pubkey is not None:
        _stage_protocol_key(staged, kind.protocol_pubkey, kind.proof_of_possession)
    for name, key in (("worker", kind.worker_pubkey), ("network", kind.network_pubkey)):
        if key is not None:
            if not points.is_ed25519_key(key):
                raise Failure(INVALID_ARGUMENTS, f"Invalid {name} public key format: {INVALID}")
            setattr(staged, f"{name}_pubkey", key)
    coming = _next(validator)
    if coming.network_pubkey == coming.worker_pubkey:
        raise Failure(DUPLICATE_METADATA, "field=network_pubkey == worker_pubkey (self)")
    _refuse_clashes(validator, view.state.validators)


def _stage_protocol_key(staged: Staged, key: bytes, proof: bytes | None) -> None:
    if not points.is_protocol_key(key):
        raise Failure(INVALID_ARGUMENTS, f"Invalid protocol public key format: {INVALID}")
    if proof is None:
        raise Failure(MISSING_PROOF)
    if not points.is_proof(proof):
        raise Failure(INVALID_PROOF, f"reason=Invalid PoP signature bytes: {INVALID}")
    staged.protocol_pubkey, staged.proof_of_possession = key, proof
