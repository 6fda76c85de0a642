"""One HTTP request as anybody would make it, and a name for what went wrong on the way."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from somatui.domain.hosts import LOOPBACK

MOST = 1024 * 1024
"""Bytes of an answer that are read."""
_LAYERS = 8


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why there was no answer: a word for the kind, what was found, and the cure."""

    kind: str
    detail: str
    cure: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with any status; `url` is where it came from in the end, `ms` how long it took."""

    status: int
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    ms: int = 0


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves a redirect as the answer."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow none."""


def opener(url: str, *handlers: urllib.request.BaseHandler) -> urllib.request.OpenerDirector:
    """What opens the address; one of this machine never goes by a proxy."""
    direct = [urllib.request.ProxyHandler({})] if (urlsplit(url).hostname or "") in LOOPBACK else []
    return urllib.request.build_opener(*direct, *handlers)


def ask(
    url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, data: bytes | None = None,
    limit_s: float = 10, follow: bool = True,
) -> Answer | Trouble:  # fmt: skip
    """One request; `limit_s` is the longest silence. Nothing is raised. Redirects drop an Authorization header."""
    began = time.monotonic()
    try:
        asked = urllib.request.Request(url, data=data, method=method, headers={"User-Agent": "somatui"})
        for name, value in (headers or {}).items():
            asked.add_unredirected_header(name, value)
        try:
            answer = opener(url, *(() if follow else (NoRedirect(),))).open(asked, timeout=limit_s)
        except urllib.error.HTTPError as refused:
            answer = refused
        with answer:
            body = b"" if method == "HEAD" else answer.read(MOST)
            told = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(int(answer.status or 0), answer.url, told, body, round((time.monotonic() - began) * 1000))
    except (OSError, http.client.HTTPException, ValueError) as failure:
        return trouble(failure, url, limit_s)


def trouble(failure: BaseException, url: str, limit_s: float = 10) -> Trouble:
    """The innermost cause of a failed request, by name."""
    host = urlsplit(url).hostname or url
    chain = _chain(failure)
    for one in chain:
        if isinstance(one, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(one):
            return _certificate(one, host)
    for one in chain:
        found = _named(one, host, limit_s)
        if found:
            return found
    said = str(chain[-1]) or type(chain[-1]).__name__
    return Trouble("broken", f"The line to {host} broke ({said:.120})", "try again, and look at the address's port")


def _chain(failure: BaseException) -> list[BaseException]:
    """The failure and what caused it, the outermost first."""
    chain: list[BaseException] = []
    inner: object = failure
    while isinstance(inner, BaseException) and len(chain) < _LAYERS and inner not in chain:
        chain.append(inner)
        told = getattr(inner, "reason", None)
        kwargs = getattr(inner, "kwargs", None)
        error = kwargs.get("error") if isinstance(kwargs, dict) else None
        inner = next(
            (n for n in (told, error, inner.__cause__, inner.__context__) if isinstance(n, BaseException)), None
        )
    return chain


def _named(one: BaseException, host: str, limit_s: float) -> Trouble | None:
    text = str(one)
    if isinstance(one, socket.gaierror) or "Name or service not known" in text or "Failed to resolve" in text:
        return Trouble("name", f"No machine is named {host}", "correct the address, or this machine's DNS")
    if isinstance(one, ConnectionRefusedError) or "Connection refused" in text:
        return Trouble(
            "refused", f"The connection to {host} is refused", "start what listens there, or correct the port"
        )
    if isinstance(one, TimeoutError) or "timed out" in text.lower() or "timeout" in type(one).__name__.lower():
        return Trouble("slow", f"{host} gave no answer within {limit_s:g} seconds",
                       "try again, and see whether a firewall or proxy holds the line back")  # fmt: skip
    if "WRONG_VERSION_NUMBER" in text or "UNEXPECTED_EOF" in text or "RECORD_LAYER" in text:
        return Trouble("plain", f"{host} does not speak https there", "write http:// or use its https port")
    if isinstance(one, ssl.SSLError) and "HANDSHAKE_FAILURE" in text.upper().replace(" ", "_"):
        return Trouble("handshake", f"{host} ended the handshake", "check the name: the provider serves none like it")
    if "redirect" in text and "infinite loop" in text:
        return Trouble("loop", f"{host} redirects in a circle", "take the address at which a browser ends")
    if isinstance(one, OSError) and one.errno in (101, 113):
        return Trouble("route", f"There is no way to {host}", "bring this machine's network up")
    if isinstance(one, http.client.HTTPException | UnicodeError | ValueError):
        if isinstance(one, http.client.InvalidURL | UnicodeError) or "unknown url" in text:
            return Trouble("address", "The address cannot be read", "enter it as a browser shows it")
        return Trouble("no http", f"What answers at {host} does not speak HTTP", "correct the port in the address")
    return None


def _certificate(one: BaseException, host: str) -> Trouble:
    text = str(one).lower()
    known = (
        ("expired", "has expired", "its owner renews it; if it is valid elsewhere, set this machine's clock"),
        ("not yet valid", "is not valid yet", "set the clock of this machine"),
        ("mismatch", "is for another name", "use the name that it is for"),
        ("doesn't match", "is for another name", "use the name that it is for"),
        (
            "self-signed",
            "is signed by itself",
            "put one of a known authority there: validators trust no other",
        ),
        (
            "self signed",
            "is signed by itself",
            "put one of a known authority there: validators trust no other",
        ),
    )
    for word, says, cure in known:
        if word in text:
            return Trouble("certificate", f"The certificate of {host} {says}", cure)
    said = re.sub(r".*verify failed: ([^(]*).*", r"\1", text, flags=re.DOTALL).strip() or "not trusted"
    return Trouble(
        "certificate", f"The certificate of {host} is not trusted ({said:.80})",
        "install the system's ca-certificates, or a full chain at the server",
    )  # fmt: skip
