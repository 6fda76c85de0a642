"""Every way in which the chain can fail a transaction that it did take, in words (protocol.md 4.4)."""

from __future__ import annotations

from collections.abc import Mapping

OTHER = "OtherError"
"""The kind of failures that carry nothing but a text."""

_STATE_TEXT = "Model in invalid state for this operation"

SENTENCES: dict[str, str] = {
    "InsufficientGas": "The gas coin cannot pay the fee: pay with a larger coin.",
    "InvalidOwnership": "One of the objects belongs to another wallet: use one of your own.",
    "ObjectNotFound": "One of the objects is gone: read the wallet again and build the transaction anew.",
    "InvalidObjectType": "One of the objects is of another type than the act wants: choose a coin for a coin.",
    "InvalidTransactionType": "The network does not accept this kind of transaction from a wallet.",
    "InvalidArguments": "The network refused the arguments: {reason}.",
    "DuplicateValidator": "This wallet is a validator already.",
    "NotAValidator": "Only a validator may do this.",
    "ValidatorAlreadyRemoved": "The validator is leaving already.",
    "AdvancedToWrongEpoch": "The epoch change names the wrong epoch.",
    "ModelNotFound": "The network knows no such model: check its id.",
    "NotModelOwner": "The model belongs to another wallet.",
    "ModelNotActive": "The model is not active: read the models again before acting on one.",
    "InsufficientCoinBalance": "The coin holds less than the act needs: merge coins, or choose a larger one.",
    "CoinBalanceOverflow": "The coin would hold more than the network can count.",
    "ValidatorNotFound": "The network knows no such validator: check its address.",
    "StakingPoolNotFound": "The network knows no such staking pool.",
    "CannotReportOneself": "Nobody can report themselves.",
    "ReportRecordNotFound": "There is no such report to take back.",
    "InputObjectDeleted": "It is gone: somebody else was faster, most likely with a claim.",
    "CertificateDenied": "The network denied the transaction.",
    "ExecutionCancelledDueToSharedObjectCongestion": "Too many acts at once on one target: try again.",
    "ModelNotPending": "No commit of this model waits to be revealed.",
    "ModelAlreadyInactive": "The model is retired already.",
    "ModelRevealEpochMismatch": "This epoch does not accept the reveal: it comes exactly one epoch after the commit.",
    "ModelEmbeddingCommitmentMismatch": "The embedding is not the one that was committed.",
    "ModelDecryptionKeyCommitmentMismatch": "The key is not the one that was committed.",
    "ModelNoPendingUpdate": "No update of this model waits to be revealed.",
    "ModelArchitectureVersionMismatch": "The network runs another architecture version: train for that one.",
    "ModelCommissionRateTooHigh": "Commission is above 100 %: 10,000 basis points are the most.",
    "ModelMinStakeNotMet": "The stake is below the network's minimum.",
    "ModelInvalidState": "The model's state does not allow this now: read the models again.",
    "NoActiveModels": "No model is active: targets come with the first one.",
    "TargetNotFound": "The network knows no such target: it was claimed, or never existed.",
    "TargetNotOpen": "The target is filled: somebody was faster.",
    "TargetExpired": "The target expired with epoch {generation_epoch}: submit to one of this epoch's.",
    "TargetNotFilled": "The target is not filled, so there is nothing to claim yet.",
    "AuditWindowOpen": "The claim is not open yet: the target was filled in epoch {fill_epoch}, two epochs must pass.",
    "AuditWindowClosed": "The audit of this target is over since epoch {fill_epoch} has passed.",
    "TargetAlreadyClaimed": "The target is claimed already.",
    "ModelNotInTarget": "The winning model is not one of the target's: score against the target's own models.",
    "EmbeddingDimensionMismatch": "The embedding has {actual} numbers and the network wants {expected}.",
    "DistanceExceedsThreshold": "The distance is above the target's threshold.",
    "InsufficientBond": "The bond coin holds {provided} shannons and {required} are needed: choose a larger coin.",
    "InsufficientEmissionBalance": "The emission pool is empty.",
    "DataExceedsMaxSize": "The data has {size} bytes and {max_size} are the most: use a smaller file.",
    "DuplicateValidatorMetadata": "Another validator has the same {field}.",
    "MissingProofOfPossession": "The proof of possession is missing.",
    "InvalidProofOfPossession": "The proof of possession is wrong: {reason}.",
}


_MOST_QUOTED = 200


def quoted(message: str) -> str:
    """A node's words on one line, not endless, and with nothing in them that a terminal would obey."""
    line = " ".join("".join(c if c.isprintable() else " " for c in message).split()).rstrip(".")
    return line if len(line) <= _MOST_QUOTED else line[: _MOST_QUOTED - 1] + "…"


class _Blanks(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "…"


def named(kind: str, details: Mapping[str, object]) -> tuple[str, str]:
    """The failure's kind and its sentence; kinds that only carry a text get the name of what the text says."""
    if kind in SENTENCES:
        told = {name: quoted(value) if isinstance(value, str) else value for name, value in details.items()}
        return kind, SENTENCES[kind].format_map(_Blanks(told))
    text = quoted(str(details.get("error", "")))
    if text == _STATE_TEXT:
        return "ModelInvalidState", SENTENCES["ModelInvalidState"]
    return OTHER, f"The network failed the transaction: {text or quoted(kind)}."
