"""The answer to one HTTP request, of a server that may mean harm: no header, chunk or trailer without an end holds it.

A socket's time-out is for silence alone; a byte now and then would keep who reads a header waiting for years.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import urllib.request
from typing import Any

from somatui.asking import opener

STILL_S = 60.0
"""What is waited for and brings no content for so long, whatever else comes, is cut, at the latest after twice that."""


class _Noting(urllib.request.AbstractHTTPHandler):
    """Keeps the sockets of what it opens, also where a redirect leads."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        super().__init__()
        self._sockets = sockets

    def do_open(self, http_class: Any, req: urllib.request.Request, **args: Any) -> Any:
        def made(*given: Any, **named: Any) -> Any:
            line = http_class(*given, **named)
            connect = line.connect

            def connected() -> None:
                connect()
                self._sockets.append(line.sock)

            line.connect = connected
            return line

        return super().do_open(made, req, **args)


class _Plain(_Noting, urllib.request.HTTPHandler): ...


class _Secret(_Noting, urllib.request.HTTPSHandler): ...


class _NoFtp(urllib.request.FTPHandler):
    """A redirect may lead there, which nobody would watch."""

    def ftp_open(self, req: urllib.request.Request) -> Any:
        raise ValueError(f"{req.type} is no http address")


class Line:
    """An answer under way; `silence_s` is the longest silence of its server."""

    def __init__(self, asked: urllib.request.Request, silence_s: float) -> None:
        """Raises what urllib raises, TimeoutError, and ValueError for what is no HTTP in the end."""
        self._sockets: list[socket.socket] = []
        self._waits, self._waited, self._cut, self._over = True, 0, False, threading.Event()
        threading.Thread(target=self._watch, name="line", daemon=True).start()
        try:
            way = opener(asked.full_url, _Plain(self._sockets), _Secret(self._sockets), _NoFtp())
            answer = way.open(asked, timeout=silence_s)
            if not isinstance(answer, http.client.HTTPResponse):
                answer.close()
                raise ValueError("its address leads to no http address")
        except BaseException:
            self._over.set()
            raise
        self._answer, self._waits = answer, False
        self.status, self.headers = answer.status, answer.headers
        self._judge()

    def read(self, most: int) -> bytes:
        """Some bytes, at most so many; none at the end. Raises OSError and HTTPException."""
        self._waits, self._waited = True, self._waited + 1
        some = self._answer.read1(most)
        self._waits = False
        self._judge()
        return some

    def close(self) -> None:
        """Read no more."""
        self._over.set()
        self._answer.close()

    def _judge(self) -> None:
        if self._cut:
            self.close()
            raise TimeoutError(f"no content came for {STILL_S:g} s")

    def _watch(self) -> None:
        before = -1
        while not self._over.wait(STILL_S):
            if self._waits and self._waited == before:
                self._cut = True
                for one in self._sockets:
                    with contextlib.suppress(OSError):
                        # Not the method of a TLS socket, which takes its state away under who reads.
                        socket.socket.shutdown(one, socket.SHUT_RDWR)
                return
            before = self._waited
