"""What a transaction did, read from the SDK's values (protocol.md 2.3; the SDK's stub file says otherwise)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from somatui.chain.failures import named
from somatui.domain.ids import normalise_address, normalise_id
from somatui.wire.text import b58decode32, parse_id
from somatui.wire.values import ObjectRef

Operation = Literal["none", "created", "deleted"]
_OPERATIONS: dict[str, Operation] = {"None": "none", "Created": "created", "Deleted": "deleted"}


class EffectsError(ValueError):
    """The SDK's value does not have the shape that is known; nothing of it is used."""


class FeeView(NamedTuple):
    """A fee in shannons; what left the gas coin is `total`."""

    base: int
    operation: int
    value: int
    total: int


class Written(NamedTuple):
    """An object as the transaction left it: digest in Base58, owner as 64 hex digits, None when shared."""

    version: int
    digest: str
    owner: str | None


@dataclass(frozen=True, slots=True)
class ChangedView:
    """One object that a transaction touched. `output` is None when it is not there any more.

    Deleted and written at once is what the node says of a bond coin that stands second among the gas coins; `build`
    never makes such a transaction (protocol.md 9.1).
    """

    id: str
    input_version: int | None
    output: Written | None
    operation: Operation


@dataclass(frozen=True, slots=True)
class EffectsView:
    """The outcome of one transaction. A failed one still costs a fee and moves its coins to `version`.

    `error_kind` is the chain's name of the failure (`TargetNotOpen`), `error_text` a sentence. `gas_id` is the coin
    that paid. `balance_changes` are (address, shannons), None where the SDK does not tell.
    """

    digest: str
    success: bool
    error_kind: str | None
    error_text: str | None
    fee: FeeView
    epoch: int
    version: int
    changed: tuple[ChangedView, ...]
    gas_id: str | None = None
    balance_changes: tuple[tuple[str, int], ...] | None = None

    def written(self, object_id: str) -> Written | None:
        """The object's newest version, or None when it was not written: at once usable, no checkpoint needed (9.2)."""
        return next((c.output for c in self.changed if c.id == object_id), None)

    def ref(self, object_id: str) -> ObjectRef | None:
        """The same as a reference for the next transaction."""
        found = self.written(object_id)
        return None if found is None else ObjectRef(parse_id(object_id), found.version, b58decode32(found.digest))

    def created(self, owner: str | None = None) -> tuple[ChangedView, ...]:
        """Objects that came into being: those of that owner, or the shared ones when None (a replacement target)."""
        return tuple(
            c for c in self.changed if c.operation == "created" and c.output is not None and c.output.owner == owner
        )

    @property
    def gone(self) -> tuple[str, ...]:
        """Ids that went in and did not come out: spent coins, the bond that a failure locked (protocol.md 8, 5a)."""
        return tuple(c.id for c in self.changed if c.output is None)


TransactionView = EffectsView
"""What is known of a transaction that is in a checkpoint."""


def read_effects(value: Any) -> EffectsView:
    """Read what `execute_transaction`, `simulate_transaction`, `get_transaction` and every write verb answer.

    Raises:
        EffectsError: another shape than protocol.md 2.3 describes.
    """
    try:
        return _read(value.V1)
    except EffectsError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, IndexError) as failure:
        raise EffectsError(f"effects have an unknown shape: {type(failure).__name__}") from failure


def _read(body: Any) -> EffectsView:
    fee = body.transaction_fee
    changed = tuple(_changed(entry, body.version) for entry in body.changed_objects)
    kind, text = _failure(body.status)
    gas = body.gas_object_index
    return EffectsView(
        digest=body.transaction_digest,
        success=kind is None,
        error_kind=kind,
        error_text=text,
        fee=FeeView(fee.base_fee, fee.operation_fee, fee.value_fee, fee.total_fee),
        epoch=body.executed_epoch,
        version=body.version,
        changed=changed,
        gas_id=None if gas is None else changed[gas].id,
    )


def _failure(status: Any) -> tuple[str | None, str | None]:
    if status == "Success":
        return None, None
    if isinstance(status, str):
        raise EffectsError(f"status {status:.40} is unknown")
    error = status.Failure.error
    details: dict[str, Any] = {}
    while not isinstance(error, str):
        name, inner = next(iter(_items(error)))
        held = dict(_items(inner)) if not isinstance(inner, str) else {}
        if name != "SomaError":
            details = held
            error = name
        else:
            error = inner
    return named(error, details)


def _items(value: Any) -> list[tuple[str, Any]]:
    return list((value if isinstance(value, Mapping) else vars(value)).items())


def _changed(entry: Any, version: int) -> ChangedView:
    object_id, states = entry
    before, after = states["input_state"], states["output_state"]
    if before not in ("NotExist",) and "Exist" not in before or after != "NotExist" and "ObjectWrite" not in after:
        raise EffectsError("an object's state is unknown")
    output = None
    if after != "NotExist":
        digest, owner = after["ObjectWrite"]
        output = Written(version, digest, _owner(owner))
    return ChangedView(
        id=normalise_id(object_id),
        input_version=None if before == "NotExist" else before["Exist"][0][0],
        output=output,
        operation=_OPERATIONS[states["id_operation"]],
    )


def _owner(owner: Any) -> str | None:
    if isinstance(owner, Mapping) and "AddressOwner" in owner:
        return normalise_address(owner["AddressOwner"])
    return None
