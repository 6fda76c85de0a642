"""Where a network listens, and ports that are kept from others until the service that belongs there takes its place."""

from __future__ import annotations

import errno
import ipaddress
import socket
from dataclasses import astuple, dataclass

from somatui.practice.card import Ports, ServeError

HOST = "127.0.0.1"
ACKNOWLEDGED = "--i-know-that-anyone-can-reach-it"


@dataclass(frozen=True, slots=True)
class Manner:
    """How one start behaves; nothing of it is kept. `lag_ms` is the time from execution to its checkpoint."""

    epoch_seconds: float | None = None
    lag_ms: int | None = None
    listen: str = HOST

    @property
    def reached_at(self) -> str:
        """The address that programs on this machine use."""
        return HOST if self.listen == "0.0.0.0" else self.listen


DEFAULT = Manner()


def listening_on(text: str | None, acknowledged: bool) -> str:
    """The address to listen on; any but loopback only for those who typed what it means. Raises ServeError."""
    if text is None:
        return HOST
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        why = f"“{text}” is not an IPv4 address: give --listen one of this machine, such as {HOST}."
        raise ServeError(why) from None
    if not address.is_loopback and not acknowledged:
        raise ServeError(
            f"On {text} everybody who reaches this machine could end epochs, take coins and fill the disk: "
            f"if that is meant, add {ACKNOWLEDGED}."
        )
    return str(address)


class Places:
    """Holds the ports of one network; zeros become free ports. Nobody else is given one while it is held."""

    def __init__(self, wanted: Ports, host: str = HOST) -> None:
        """Raises ServeError when a port is taken, or the address is not this machine's."""
        self._host = host
        self._held: dict[int, socket.socket] = {}
        try:
            self.ports = Ports(*(self._hold(port) for port in astuple(wanted)))
        except BaseException:
            self.close()
            raise

    def _hold(self, port: int) -> int:
        try:
            probe = held(port, self._host)
        except OSError as why:
            raise taken(port, why) from None
        number: int = probe.getsockname()[1]
        self._held[number] = probe
        return number

    def give(self, port: int) -> int:
        """Let go of a port at the moment its service binds it; returns it."""
        held = self._held.pop(port, None)
        if held is not None:
            held.close()
        return port

    def close(self) -> None:
        """Let go of all that is still held."""
        for port in tuple(self._held):
            self.give(port)


def held(port: int, host: str = HOST) -> socket.socket:
    """A port that nobody else is given until this is closed; 0 takes a free one. Raises OSError."""
    probe = socket.socket()
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
    except OSError:
        probe.close()
        raise
    return probe


def still_free(ports: Ports, host: str = HOST) -> Ports:
    """The ports that a network had, with zeros for those that others have meanwhile. Raises ServeError."""

    def own(port: int) -> int:
        try:
            held(port, host).close()
        except OSError as why:
            if why.errno != errno.EADDRINUSE:
                raise taken(port, why) from None
            return 0
        return port

    return Ports(*map(own, astuple(ports)))


def taken(port: int, why: Exception) -> ServeError:
    """The sentence about a port that cannot be had."""
    if isinstance(why, OSError) and why.errno == errno.EADDRNOTAVAIL:
        return ServeError("The address given with --listen is not this machine's: give one of its own.")
    if isinstance(why, OSError) and why.errno == errno.EACCES:
        return ServeError(f"Port {port} may not be used ({why.strerror}): choose others with --ports.")
    return ServeError(f"Port {port} is taken by another program: stop that one, or start with --ports free.")
