"""What can go wrong between the console and the network, told apart by type and said in one sentence.

The texts that are read here were recorded from the real node (protocol.md 1.10, 2.4, 8, 9.7).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from somatui.chain.failures import quoted
from somatui.domain.ids import normalise_id, short

RefusalKind = Literal[
    "stale", "locked", "missing", "wrong_owner", "wrong_digest", "malformed", "too_large", "not_configured", "other"
]

_STATUS = re.compile(r'status: (\w+), message: "((?:[^"\\]|\\.)*)"', re.DOTALL)
_ABOUT_AN_OBJECT: tuple[tuple[re.Pattern[str], RefusalKind, str], ...] = (
    (
        re.compile(r"Object \((0x[0-9a-f]+), .{0,120}?is not available for consumption, its current version: \D*(\d+)"),
        "stale",
        "is at version {version} by now and the transaction names an older one: something else spent it, "
        "build the transaction anew.",
    ),
    (
        re.compile(r"Object \((0x[0-9a-f]+), .{0,120}?already locked by a different transaction"),
        "locked",
        "is held by another transaction until the epoch ends: use another coin.",
    ),
    (
        re.compile(r"not signed by the correct sender: Object (0x[0-9a-f]+)"),
        "wrong_owner",
        "belongs to another wallet: use one of your own.",
    ),
    (
        re.compile(r"Could not find the referenced object (0x[0-9a-f]+)"),
        "missing",
        "is gone or not there yet: read the wallet again and build the transaction anew.",
    ),
    (
        re.compile(r"Invalid Object digest for object (0x[0-9a-f]+)"),
        "wrong_digest",
        "has another content than the transaction says: read the wallet again.",
    ),
)
"""What the node's words look like, the first that fits counts; group 1 is the object, group 2 its version."""
_NEVER_SENT = ("tcp connect error", "dns error")
_BROKEN = ("transport error", "tcp connect error", "dns error", "connection")


class ChainError(Exception):
    """The network did not do what was asked; the text is one sentence.

    `outcome_unknown` says whether a transaction that was being executed may have landed or may still land: look for
    its digest, or send the same signed bytes again, before anything else is signed with its coins.
    """

    def __init__(self, text: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(text)
        self.outcome_unknown = outcome_unknown


class Unreachable(ChainError):
    """Nobody answers at the address, or the connection broke."""


class Timeout(ChainError):
    """No answer in time; `reason` is what the node gave as the cause, if it gave one."""

    def __init__(self, text: str, reason: Refused | None = None) -> None:
        super().__init__(text, outcome_unknown=True)
        self.reason = reason


class NotFound(ChainError):
    """The network does not know the object or transaction (yet: reads lag behind writes, protocol.md 8, item 2)."""


class Refused(ChainError):
    """The node did not take it; `kind` says why, `object_id` which object, where one is named."""

    def __init__(
        self, text: str, kind: RefusalKind, object_id: str | None = None, *, outcome_unknown: bool = False
    ) -> None:
        super().__init__(text, outcome_unknown=outcome_unknown)
        self.kind = kind
        self.object_id = object_id


@dataclass(frozen=True, slots=True)
class _Answer:
    code: str
    message: str


def from_sdk(failure: BaseException, who: str) -> ChainError:
    """The typed error for what the SDK raised while it was asking `who` (`the network`, `the faucet`)."""
    text = str(failure)
    if isinstance(failure, ValueError):
        return Refused(f"The request could not be made: {quoted(text)}.", "malformed")
    if "was provided when creating SomaClient" in text:
        return Refused(f"No address is set for {who}: add it to the profile's settings.", "not_configured")
    if "Error initializing RPC client" in text and "transport error" not in text:
        return Refused(f"The address of {who} is not a URL: correct it in the profile's settings.", "malformed")
    answer = _innermost(text)
    if answer.code == "NotFound":
        return NotFound(f"{_capital(who)} does not know it: {quoted(answer.message)}.")
    if answer.code == "DeadlineExceeded" or "before finality could be reached" in answer.message:
        return _timeout(answer.message)
    refused = _about_an_object(answer.message)
    if refused is not None:
        return refused
    return _by_code(answer, who)


def from_grpc(code: str, message: str, who: str) -> ChainError:
    """The same for an answer that did not come through the SDK; `code` is gRPC's name of it, in capitals."""
    answer = _Answer(code.title().replace("_", ""), message)
    if answer.code == "NotFound":
        return NotFound(f"{_capital(who)} does not know it: {quoted(message)}.")
    if answer.code == "DeadlineExceeded":
        return _timeout(message)
    return _about_an_object(message) or _by_code(answer, who)


def _by_code(answer: _Answer, who: str) -> ChainError:
    if answer.code in ("Unavailable", "Cancelled") or any(answer.message.startswith(b) for b in _BROKEN):
        unsent = answer.message.startswith(_NEVER_SENT)
        return Unreachable(
            f"{_capital(who)} does not answer ({quoted(answer.message)}): wait, or check its address.",
            outcome_unknown=not unsent,
        )
    if answer.code == "OutOfRange" or (answer.code == "ResourceExhausted" and "larger than max" in answer.message):
        return Refused(
            f"The answer of {who} is larger than the client accepts ({quoted(answer.message)}): ask for less at once.",
            "too_large",
            outcome_unknown=True,
        )
    if answer.code == "Unauthenticated":
        return Refused(
            f"{_capital(who)} wants credentials: unlock the vault, or store them with somatui network add --auth-fd.",
            "other",
        )
    if answer.code in ("InvalidArgument", "FailedPrecondition", "Unimplemented", "PermissionDenied"):
        return Refused(f"{_capital(who)} refused it: {quoted(answer.message)}.", "other")
    return Refused(f"{_capital(who)} failed: {quoted(answer.message)}.", "other", outcome_unknown=True)


def _about_an_object(message: str) -> Refused | None:
    """Refusals that name an object; whatever code carries them, nothing was executed."""
    for pattern, kind, says in _ABOUT_AN_OBJECT:
        found = pattern.search(message)
        if found:
            version = found[2] if pattern.groups > 1 else ""
            return Refused(f"Object {short(found[1])} {says.format(version=version)}", kind, normalise_id(found[1]))
    return None


def _timeout(message: str) -> Timeout:
    reason = _about_an_object(message)
    if reason is None:
        return Timeout("The network did not finish the transaction in time: look for its digest before trying again.")
    return Timeout(f"The network gave up after 90 seconds. {reason}", reason)


def _innermost(text: str) -> _Answer:
    """Code and text of the innermost status; the SDK's own verbs wrap one status in another."""
    found = _STATUS.search(text)
    if found is None:
        return _Answer("Unknown", text)
    message = found[2].replace('\\"', '"').replace("\\\\", "\\")
    inner = _STATUS.search(message)
    return _innermost(message) if inner else _Answer(found[1], message)


def _capital(who: str) -> str:
    return who[:1].upper() + who[1:]
