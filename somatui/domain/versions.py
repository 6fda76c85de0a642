"""Which protocol and architecture this somatui was made for; others are shown, and what does not fit refused (R22)."""

from __future__ import annotations

from somatui.domain.checks import Check
from somatui.domain.snapshot import Parameters

PROTOCOL = 5
"""The protocol version whose fees, deadlines and windows stand in these rules (protocol.md 4.10)."""
ARCHITECTURE = 1
"""The version of the architectures that are trained and scored here."""


def fits(parameters: Parameters) -> Check:
    """Whether models made here can be registered; the chain counts any other version as a mismatch."""
    found = parameters.architecture_version
    return Check(
        found == ARCHITECTURE,
        f"the network's architecture is version {ARCHITECTURE}"
        if found == ARCHITECTURE
        else f"The network wants models of architecture version {found}, this somatui makes version {ARCHITECTURE}: "
        "update somatui and train anew.",
    )


def news(protocol_version: int, parameters: Parameters) -> tuple[str, ...]:
    """What an operator should know of a network that has moved on; nothing before it has told its versions."""
    found: list[str] = []
    if protocol_version not in (0, PROTOCOL):
        found.append(
            f"The network follows protocol version {protocol_version}, this somatui knows {PROTOCOL}: update it, and "
            "trust what the node tries more than fees and deadlines shown here."
        )
    check = fits(parameters)
    return (*found, *(() if check.ok else (check.text,)))
