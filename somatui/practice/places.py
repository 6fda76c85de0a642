"""Ports of 127.0.0.1 that are kept from others until the service that belongs there takes its place."""

from __future__ import annotations

import errno
import socket
from dataclasses import astuple

from somatui.practice.card import Ports, ServeError

HOST = "127.0.0.1"


class Places:
    """Holds the ports of one network; zeros become free ports. Nobody else is given one while it is held."""

    def __init__(self, wanted: Ports) -> None:
        """Raises ServeError when a port is taken."""
        self._held: dict[int, socket.socket] = {}
        try:
            self.ports = Ports(*(self._hold(port) for port in astuple(wanted)))
        except BaseException:
            self.close()
            raise

    def _hold(self, port: int) -> int:
        probe = socket.socket()
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as why:
            probe.close()
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


def taken(port: int, why: Exception) -> ServeError:
    """The sentence about a port that cannot be had."""
    if isinstance(why, OSError) and why.errno == errno.EACCES:
        return ServeError(f"Port {port} may not be used ({why.strerror}): choose others with --ports.")
    return ServeError(f"Port {port} is taken by another program: stop that one, or start with --ports free.")
