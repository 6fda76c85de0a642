"""The ports of the network's services on this machine: open to everybody, or to this machine alone (R17)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from somatui.cli.doctor.finding import Finding, Scene

SERVICES = {9000: "the node", 9123: "the faucet", 9124: "scoring", 9125: "the admin service", 9126: "the object store"}
Listening = tuple[str, int]


def ports(scene: Scene) -> Iterator[Finding]:
    """Whether a service of the network listens to others."""
    yield from judged(_listening())


def judged(listening: Iterable[Listening] | None) -> Iterator[Finding]:
    """The findings for these listening sockets, (address, port) each; None where they cannot be seen."""
    if listening is None:
        yield Finding("ports", "skipped", "the system does not show who listens")
        return
    wide = sorted({(port, address) for address, port in listening if port in SERVICES and not _is_local(address)})
    for port, address in wide:
        detail = f"{SERVICES[port]} listens on {address}:{port}"
        meaning = "it asks for no password: anybody who reaches this machine can use it"
        cure = f"restart it bound to 127.0.0.1, or close port {port} in the firewall"
        yield Finding("ports", "bad", detail, meaning, cure)
    if not wide:
        yield Finding("ports", "ok", "no service of the network is open to others")


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _listening() -> list[Listening] | None:
    import psutil

    try:
        found = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    return [(c.laddr.ip, c.laddr.port) for c in found if c.status == psutil.CONN_LISTEN and c.laddr]
