"""Small real servers on 127.0.0.1, each with one thing about it: silent, fixed answers, a bad certificate, a hub."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

Reply = tuple[int, dict[str, str], bytes]
"""Status, headers and body of an answer."""
NOBODY = "http://127.0.0.1:1"
"""Where nobody listens."""


@contextlib.contextmanager
def answering(
    reply: Callable[[str, str, Any, bytes], Reply], tls: Path | None = None, protocol: str = "HTTP/1.0"
) -> Iterator[str]:
    """A server that gives `reply(method, path, headers, body)`; its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def serve(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = reply(self.command, self.path, self.headers, sent)
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = serve

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Clients that leave in the handshake are what is tested."""

    with Server(("127.0.0.1", 0), Handler) as server:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_port}"
        server.shutdown()


def always(status: int, body: bytes = b"", **headers: str) -> Callable[[str, str, Any, bytes], Reply]:
    """The same answer to everybody; `content_type` becomes Content-Type."""
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda *_: (status, told, body)


def refusing(status: int, code: str, message: str = "", more: str = "") -> Callable[[str, str, Any, bytes], Reply]:
    """A store that refuses everything with one code of S3."""
    body = f"<Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>".encode()
    return always(status, body, content_type="application/xml")


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Takes lines and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def certificate(path: Path, *, days: int, name: str = "127.0.0.1") -> Path:
    """A certificate signed by itself that ends so many days from now, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=30)).not_valid_after(now + datetime.timedelta(days=days))
    )  # fmt: skip
    if name == "127.0.0.1":
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False)
    signed = made.sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*form) + signed.public_bytes(serialization.Encoding.PEM))
    return path


OK, EXPIRED, UNKNOWN, WRITE, UNACCEPTED, FINE, PENDING, REFUSED, BLIND = (
    "hf_" + word.ljust(24, "0")
    for word in ("ok", "expired", "unknown", "write", "unaccepted", "fine", "pending", "refused", "blind")
)
"""Tokens as the hub below knows them."""
GATED, OPEN, NOWHERE = "owner/gated", "owner/open", "owner/nowhere"
_REFUSALS = {
    UNACCEPTED: (
        403,
        "GatedRepo",
        "Access to dataset owner/gated is restricted and you are not in the authorized list.",
    ),
    FINE: (403, "", "Please enable access to public gated repositories in your fine-grained token settings."),
    PENDING: (
        403,
        "GatedRepo",
        "Your request to access dataset owner/gated is awaiting a review from the repo authors.",
    ),
    REFUSED: (403, "GatedRepo", "Your request to access dataset owner/gated has been rejected by the repo's authors."),
    "": (401, "GatedRepo", "Access to dataset owner/gated is restricted. You must have access to it."),
}


def hub(method: str, path: str, headers: Any, _body: bytes) -> Reply:
    """Answers as huggingface.co does to `whoami-v2`, to a data set's entry and to one of its files."""
    token = (headers.get("Authorization") or "").removeprefix("Bearer ")
    if path == "/api/whoami-v2":
        if token in (EXPIRED, UNKNOWN):
            said = "User Access Token is expired" if token == EXPIRED else "Invalid credentials in Authorization header"
            return 401, {"X-Error-Message": said}, json.dumps({"error": said}).encode()
        if token == BLIND:
            return 403, {}, b'{"error": "Forbidden"}'
        role = "write" if token == WRITE else "fineGrained" if token == FINE else "read"
        return 200, {}, json.dumps({"name": "ops", "auth": {"accessToken": {"role": role}}}).encode()
    if path.startswith("/api/datasets/"):
        name = path.removeprefix("/api/datasets/")
        if name not in (GATED, OPEN):
            return (404 if token else 401), {"X-Error-Code": "RepoNotFound"}, b'{"error": "Repository not found"}'
        files = [{"rfilename": f} for f in ("README.md", "data/one.parquet")]
        return (
            200,
            {},
            json.dumps({"id": name, "gated": "auto" if name == GATED else False, "siblings": files}).encode(),
        )
    assert method == "HEAD" and path.endswith("/resolve/main/data/one.parquet"), path
    status, code, said = _REFUSALS.get(token, (302, "", "")) if GATED in path else (302, "", "")
    more = {"Location": "https://elsewhere.invalid/signed"} if status == 302 else {}
    return status, {"X-Error-Code": code, "X-Error-Message": said} | more, b""
