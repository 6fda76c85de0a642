"""Every credential with every way to be wrong: what is given, who answers, and what the sentence must say."""

from __future__ import annotations

import asyncio
import functools
import os
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from somatui.agent.reaching import Reach, judge_clock
from somatui.domain.report import Line, Report
from somatui.storage.checks import check as check_store
from somatui.storage.refusals import Asked, why
from somatui.storage.s3 import Store
from somatui.vault.base import VaultError
from somatui.vault.file import FileVault
from somatui.wire.secretkey import recognise
from somatui.wire.text import TextError
from somatui.workers import gpu, hub, webhook
from tests import servers
from tests.agent import vaults
from tests.storage import stores

LIMIT_S = 0.3
R2 = f"https://{'ab' * 16}.r2.cloudflarestorage.com"
R2_KEYS = ("ab" * 16, "cd" * 32)


@dataclass
class World:
    """The servers that rows need; each starts when it is first asked for and is there until `stack` is closed."""

    folder: Path
    stack: ExitStack
    node: dict[str, Any] = field(default_factory=dict)
    """A practice network's address card."""

    @functools.cached_property
    def store(self) -> Store:
        """The practice network's store, which checks signatures."""
        return self.stack.enter_context(stores.running(self.folder / "store"))

    @functools.cached_property
    def hub(self) -> str:
        """What answers as huggingface.co does."""
        return self.stack.enter_context(servers.answering(servers.hub))

    @functools.cached_property
    def silent(self) -> str:
        """Takes lines and says nothing."""
        return self.stack.enter_context(servers.silent())

    def serving(self, reply: Any, tls: Path | None = None) -> str:
        """A server with that answer."""
        return self.stack.enter_context(servers.answering(reply, tls))

    def certified(self, days: int, name: str = "127.0.0.1") -> str:
        """A server with a certificate signed by itself that ends so many days from now."""
        path = servers.certificate(self.folder / f"cert-{days}", days=days, name=name)
        return self.serving(servers.always(200), path)


@dataclass(frozen=True)
class Row:
    """One wrong value: whose it is, how it is wrong, how it is tried, and words of the cause and of the cure."""

    credential: str
    fault: str
    tried: Callable[[World], Report | Line]
    cause: str
    cure: str

    @property
    def id(self) -> str:
        """Its name among the tests."""
        return f"{self.credential} {self.fault}"


def _store(endpoint: str | Callable[[World], str] = "", keys: tuple[str, str] = stores.PAIR, **changes: str) -> Any:
    def tried(world: World) -> Report:
        url = endpoint(world) if callable(endpoint) else endpoint
        told = {"endpoint": url or world.store.endpoint, "bucket": "practice"} | changes
        if told.get("public_url") == "own":
            told["public_url"] = world.store.public_url
        return check_store(told, *keys, limit_s=LIMIT_S, again_s=())

    return tried


def _refusing(*answer: Any, **changes: str) -> Any:
    return _store(lambda w: w.serving(servers.refusing(*answer)), **changes)


def _public(reply: Any) -> Any:
    """A store that works, with a public address that gives this answer."""

    def tried(world: World) -> Report:
        shown = reply(world) if callable(reply) else str(reply)
        door = world.serving(_private)
        return check_store(
            {"endpoint": door, "bucket": "bucket", "public_url": shown}, *stores.PAIR, limit_s=LIMIT_S, again_s=()
        )

    return tried


def _private(method: str, path: str, headers: Any, _body: bytes) -> servers.Reply:
    """A store that only its owner reads."""
    if "Authorization" not in headers:
        return 403, {}, b""
    if "lifecycle" in path:
        return 404, {}, b"<Error><Code>NoSuchLifecycleConfiguration</Code></Error>"
    if method == "HEAD":
        return 200, {"Content-Length": "2000", "Content-Type": "application/octet-stream"}, b""
    return (204 if method == "DELETE" else 200), {}, b""


def _hub(token: str, dataset: str = servers.GATED, at: Callable[[World], str] = lambda w: w.hub) -> Any:
    return lambda w: hub.check(token, dataset, at(w), LIMIT_S)


def _hook(url: str | Callable[[World], str]) -> Any:
    return lambda w: webhook.check(url(w) if callable(url) else url, LIMIT_S)


def _node(url: str | Callable[[World], str], **more: Any) -> Any:
    def tried(world: World) -> Report:
        told = url(world) if callable(url) else url
        faucet = more.get("faucet", "")
        given = {n: v for n, v in more.items() if n not in ("faucet", "limit_s")}
        reach = Reach(
            told, faucet(world) if callable(faucet) else faucet, limit_s=more.get("limit_s", LIMIT_S), **given
        )
        return asyncio.run(reach.run())

    return tried


def _trusting(days: int, name: str = "127.0.0.1") -> Any:
    """A node whose certificate is trusted, and ends so many days from now."""

    def tried(world: World) -> Report:
        url, held = world.certified(days, name), os.environ.get("SSL_CERT_FILE")
        os.environ["SSL_CERT_FILE"] = str(world.folder / f"cert-{days}")
        try:
            return cast(Report, _node(url)(world))
        finally:
            os.environ.pop("SSL_CERT_FILE")
            os.environ.update({} if held is None else {"SSL_CERT_FILE": held})

    return tried


def _gpu(found: gpu.Found, **torch: Any) -> Any:
    return lambda _: gpu.judge(found, torch)


def _key(text: str) -> Any:
    def tried(_: World) -> Line:
        try:
            recognise(text)
        except TextError as refused:
            return _sentence("wallet", refused)
        raise AssertionError("it was taken")

    return tried


def _sentence(name: str, refused: Exception) -> Line:
    cause, _, cure = str(refused).rstrip(".").partition(": ")
    return Line(name, "bad", cause, cure)


def _vault(change: Callable[[Path], object], passphrase: str = "right") -> Any:
    """A vault whose passphrase is right, its file changed."""

    def tried(world: World) -> Line:
        path = world.folder / f"vault-{len(list(world.folder.iterdir()))}" / "vault.json"
        path.parent.mkdir(mode=0o700)
        with vaults.quick():
            FileVault.create(path, "right").lock()
            change(path)
            try:
                FileVault.open(path).unlock(passphrase)
            except VaultError as refused:
                return _sentence("passphrase", refused)
        raise AssertionError("it was opened")

    return tried


def _card(memory_gb: float = 24, free_gb: float | None = None, capability: tuple[int, int] = (8, 9)) -> gpu.Found:
    free = memory_gb if free_gb is None else free_gb
    card = gpu.Card("L4", int(memory_gb * gpu.GB), int(free * gpu.GB), capability)
    return gpu.Found((card,), "550.1", (12, 4))


HTML = servers.always(200, b"<html>", content_type="text/html")
CUDA_12 = {"version": "2.13.0", "cuda": "12.4", "usable": True}
ADDRESSES = [
    Row("endpoint", "empty", _store(" "), "endpoint is empty", "https://<account>"),
    Row("endpoint", "without https", _store("s3.example.com"), "does not begin with https", "https://s3.example.com"),
    Row("endpoint", "quoted", _store("'https://s3.example.com'"), "quotes", "address alone"),
    Row("endpoint", "no address", _store("https://"), "is no address", "copy it again"),
    Row("endpoint", "bucket inside", _store("https://s3.example.com/practice"), "bucket's name at its end",
        "own field"),
    Row("endpoint", "bucket before", _store("https://practice.s3.eu-west-1.amazonaws.com"), "begins with the bucket",
        "enter https://s3.eu-west-1.amazonaws.com"),
    Row("endpoint", "with a path", _store("https://s3.example.com/a/b"), "has a path", "s3.example.com alone"),
    Row("endpoint", "public address", _store("https://pub-1.r2.dev"), "public address", "into public_url"),
    Row("endpoint", "web page", _store("https://dash.cloudflare.com/x"), "web page", "S3 API address"),
    Row("endpoint", "cut account", _store("https://abc.r2.cloudflarestorage.com"), "not 32 hex", "Account details"),
    Row("bucket", "empty", _store(bucket=" "), "bucket's name is empty", "make one at"),
    Row("bucket", "malformed", _store(bucket="My_Bucket!"), "can be none", "3 to 63"),
    Row("bucket", "address", _store(bucket="s3://data"), "slash in it", "enter data alone"),
    Row("public_url", "empty", _store(R2, R2_KEYS), "R2 serves the public", "Public Development URL"),
    Row("public_url", "malformed", _store(public_url="pub-1.r2.dev"), "no http address", "as a browser shows it"),
    Row("public_url", "S3 address", _store(public_url=R2), "signed requests only", "r2.dev"),
]  # fmt: skip
STORE_KEYS = [
    Row("access key", "empty", _store(keys=("", "x")), "access key is empty", "make a pair"),
    Row("secret key", "empty", _store(keys=("x", "")), "secret key is empty", "make a pair"),
    Row("access key", "trailing newline", _store(keys=("practice\n", "right")), "access key has a space",
        "again without"),
    Row("secret key", "quoted", _store(keys=("practice", '"right"')), "secret key has a space", "again without"),
    Row("keys", "twice the same", _store(keys=("x", "x")), "same text", "own field"),
    Row("keys", "swapped", _store(R2, R2_KEYS[::-1], public_url="https://pub-1.r2.dev"), "each other's place", "swap"),
    Row("access key", "a token", _store(R2, ("t" * 40, R2_KEYS[1]), public_url="https://pub-1.r2.dev"),
        "does not look like one of Cloudflare", "not a token"),
    Row("secret key", "cut", _store("https://s3.eu-west-1.amazonaws.com", ("AKIA" + "A" * 16, "short")),
        "does not look like one of AWS", "make a new pair"),
    Row("access key", "unknown", _store(keys=("another", "right")), "not known there", "another account"),
    Row("secret key", "wrong", _store(keys=("practice", "wrong")), "secret key is not the right one", "set it again"),
    Row("keys", "wrong account", _refusing(401, "Unauthorized"), "does not take these keys", "another account"),
    Row("keys", "expired", _refusing(400, "ExpiredToken"), "have expired", "without an end"),
    Row("keys", "of a session", _refusing(400, "InvalidToken"), "session that is over", "lasting keys"),
    Row("keys", "no permission", _refusing(403, "AccessDenied"), "may not write to practice", "right to"),
    Row("keys", "wrong length", _refusing(400, "InvalidArgument", "Credential access key has length 20, should be 32"),
        "another length", "Access Key ID"),
    Row("keys", "of another scheme", _refusing(403, "InvalidSecurity"), "does not know this pair", "HMAC"),
]  # fmt: skip
STORE = [
    Row("bucket", "not there", _store(bucket="nothing"), "no bucket nothing", "make it or name another"),
    Row("region", "wrong", _refusing(400, "AuthorizationHeaderMalformed", "expecting 'eu-west-1'", region="us-east-1"),
        "not in region us-east-1", "set region to eu-west-1"),
    Row("store", "clock", _refusing(403, "RequestTimeTooSkewed"), "more than 15 minutes", "timedatectl"),
    Row("store", "busy", _refusing(503, "SlowDown"), "busy", "wait a minute"),
    Row("store", "full", _refusing(403, "QuotaExceeded"), "used up", "raise the quota"),
    Row("store", "web server", _store(lambda w: w.serving(servers.always(405, b"<html>"))), "no object store",
        "S3 address"),
    Row("store", "unreachable", _store(servers.NOBODY), "connection is refused", "host and port"),
    Row("store", "unnamed", _store("http://store.invalid"), "No machine is named store.invalid", "DNS"),
    Row("store", "slow", _store(lambda w: w.silent), "no answer within 0.3 seconds", "firewall"),
    Row("store", "http on https", _store(lambda w: w.store.endpoint.replace("http:", "https:")), "not speak https",
        "http://"),
    Row("store", "own certificate", _store(lambda w: w.certified(30)), "signed by itself", "known authority"),
    Row("store", "unknown account",
        lambda _: _line(why(ssl.SSLError(1, "[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure"),
                            Asked(R2, "b", "auto"))), "knows no account", "Account details"),
    Row("public_url", "private", _public(lambda w: w.serving(servers.always(403))), "is private", "policy"),
    Row("public_url", "of another bucket", _public(lambda w: w.serving(servers.always(404))), "(404)",
        "of bucket bucket"),
    Row("public_url", "other bytes", _public(lambda w: w.serving(servers.always(200, b"x" * 2000))), "other bytes",
        "rewriting"),
    Row("public_url", "unreachable", _public(servers.NOBODY), "From outside there is no answer", "public_url"),
]  # fmt: skip


def _line(found: Any) -> Line:
    return Line("store", "bad", found.detail, found.cure)


HUB = [
    Row("HF token", "malformed", _hub("abc"), "does not begin with hf_", "copy it whole"),
    Row("HF token", "cut", _hub("hf_abc"), "too short", "make a new one"),
    Row("HF token", "quoted", _hub(f"'{servers.OK}'"), "quotes in it", "paste it again"),
    Row("HF token", "of another service", _hub("ghp_" + "a" * 36), "another service", "begins with hf_"),
    Row("HF token", "empty", _hub(""), "needs a token", "accept the terms at"),
    Row("HF token", "expired", _hub(servers.EXPIRED), "token has expired", "without an end"),
    Row("HF token", "unknown", _hub(servers.UNKNOWN), "revoked", "make a new one"),
    Row("HF token", "no permission", _hub(servers.BLIND), "may not even tell", "type Read"),
    Row("HF token", "may write", _hub(servers.WRITE, servers.OPEN), "may write", "only read"),
    Row("HF token", "terms not accepted", _hub(servers.UNACCEPTED), "has not accepted its terms",
        "/datasets/owner/gated"),
    Row("HF token", "fine-grained", _hub(servers.FINE), "fine-grained", "public gated repos"),
    Row("HF token", "pending", _hub(servers.PENDING), "not yet answered", "wait"),
    Row("HF token", "rejected", _hub(servers.REFUSED), "has refused", "another set"),
    Row("data set", "not there", _hub(servers.OK, servers.NOWHERE), "no data set owner/nowhere", "correct its name"),
    Row("data set", "address", _hub(servers.OK, "https://huggingface.co/datasets/a/b"), "as an address", "a/b"),
    Row("data set", "malformed", _hub(servers.OK, "stack"), "name is none", "owner/name"),
    Row("hub", "without https", _hub(servers.OK, at=lambda _: "http://hub.example"), "others can read it", "https://"),
    Row("hub", "unreachable", _hub(servers.OK, at=lambda _: servers.NOBODY), "hub is not reached", "port"),
    Row("hub", "slow", _hub(servers.OK, at=lambda w: w.silent), "hub is not reached", "firewall"),
    Row("hub", "web page", _hub(servers.OK, at=lambda w: w.serving(HTML)), "is not the hub", "HF_ENDPOINT"),
]  # fmt: skip
WEBHOOK = [
    Row("webhook", "empty", _hook(""), "No webhook is given", "enter one"),
    Row("webhook", "malformed", _hook("hooks.example"), "no https address", "integration page"),
    Row("webhook", "with newline", _hook("https://hooks.example/x\n"), "line end", "without them"),
    Row("webhook", "revoked", _hook(lambda w: w.serving(servers.always(403))), "refuses the message", "make a new one"),
    Row("webhook", "gone", _hook(lambda w: w.serving(servers.always(404))), "does not exist", "make a new one"),
    Row("webhook", "a page", _hook(lambda w: w.serving(servers.always(405))), "takes no messages", "not the channel"),
    Row("webhook", "of another kind", _hook(lambda w: w.serving(servers.always(400))), "does not understand", "JSON"),
    Row("webhook", "moved", _hook(lambda w: w.serving(servers.always(301, Location="/x"))), "elsewhere",
        "where it ends"),
    Row("webhook", "failing", _hook(lambda w: w.serving(servers.always(500))), "server fails", "later"),
    Row("webhook", "unreachable", _hook(servers.NOBODY), "webhook is not reached", "port"),
    Row("webhook", "slow", _hook(lambda w: w.silent), "webhook is not reached", "firewall"),
]  # fmt: skip
NETWORK = [
    Row("network", "empty", _node(""), "address of the node is empty", "network's page"),
    Row("network", "malformed", _node("fullnode.example"), "does not begin with https", "enter https://fullnode"),
    Row("network", "quoted", _node("'https://x'"), "quotes in it", "enter it alone"),
    Row("network", "bad port", _node("https://x:99999"), "port that is none", "65535"),
    Row("network", "websocket", _node("wss://x"), "begins with wss://", "https:// instead"),
    Row("network", "password inside", _node(f"https://{'me:pw'}@x"), "password in it", "for the vault"),
    Row("network", "unreachable", _node(servers.NOBODY), "node is not reached", "port"),
    Row("network", "unnamed", _node("http://node.invalid"), "no machine is named node.invalid", "DNS"),
    Row("network", "slow", _node(lambda w: w.silent), "says nothing for 0.3 seconds", "this one hangs"),
    Row("network", "own certificate", _node(lambda w: w.certified(30)), "signed by itself", "known authority"),
    Row("network", "old certificate", _trusting(-1), "has expired", "renews it"),
    Row("network", "of another name", _trusting(29, "node.example"), "is for another name", "use the name"),
    Row("network", "web page", _node(lambda w: w.serving(HTML)), "web page and no node", "RPC address"),
    Row("network", "no node", _node(lambda w: w.serving(servers.always(200, b"{}"))), "no node of this",
        "host and port"),
    Row("network", "no credentials", _node(lambda w: w.serving(servers.always(401))), "wants credentials",
        "user:password"),
    Row("network", "wrong credentials", _node(lambda w: w.serving(servers.always(401)), auth="me:pw"),
        "does not take these", "as its operator gave them"),
    Row("network", "no permission", _node(lambda w: w.serving(servers.always(403))), "refuses this machine", "admit"),
    Row("network", "down", _node(lambda w: w.serving(servers.always(503))), "overloaded or down", "another node"),
    Row("network", "wrong chain", _node(lambda w: w.node["rpc_url"], chain="4c78adac", limit_s=10),
        "set up for 4c78adac", "another profile"),
    Row("network", "no faucet there", _node(lambda w: w.node["rpc_url"], faucet=servers.NOBODY, limit_s=10),
        "faucet is not reached", "coins sent"),
    Row("clock", "ahead", lambda _: judge_clock(90_000), "90 s ahead", "timedatectl"),
    Row("clock", "behind", lambda _: judge_clock(-8_000), "8.0 s behind", "timedatectl"),
]  # fmt: skip
GPU = [
    Row("GPU", "no driver", _gpu(gpu.Found(error="LibraryNotFound")), "no NVIDIA driver", "--gpus all"),
    Row("GPU", "driver half updated", _gpu(gpu.Found(error="LibRmVersionMismatch")), "old half", "restart"),
    Row("GPU", "no permission", _gpu(gpu.Found(error="NoPermission")), "may not use the cards", "group video"),
    Row("GPU", "no card", _gpu(gpu.Found()), "knows no card", "container"),
    Row("GPU", "too small", _gpu(_card(4), **CUDA_12), "too little for one model", "8 GB"),
    Row("GPU", "in use", _gpu(_card(24, 3), **CUDA_12), "only 3 of 24 GB free", "nvidia-smi"),
    Row("GPU", "no training", _gpu(_card(12), **CUDA_12), "no training", "24 GB"),
    Row("GPU", "build without CUDA", _gpu(_card(), version="2.13.0+cpu", cuda=None), "without CUDA",
        "--torch-backend=auto"),
    Row("GPU", "build for a newer driver", _gpu(_card(), version="2.13.0", cuda="13.0", usable=False),
        "the driver ends at 12.4", "update the driver"),
    Row("GPU", "hidden", _gpu(_card(), version="2.13.0", cuda="12.4", usable=False), "cannot use the card",
        "CUDA_VISIBLE"),
    Row("GPU", "too old", _gpu(_card(capability=(6, 1)), **CUDA_12), "has code for", "7.0"),
    Row("GPU", "broken PyTorch", _gpu(_card(), error="ImportError"), "cannot be asked", "install somatui again"),
]  # fmt: skip
WALLET = [
    Row("wallet key", "empty", _key(" "), "Nothing was given", "paste"),
    Row("wallet key", "placeholder", _key("0x" + "0" * 64), "placeholder", "real key"),
    Row("wallet key", "address of another network", _key("0x" + "ab" * 20), "address of another network", "64"),
    Row("wallet key", "with its public half", _key("ab" * 64), "public half", "first 64"),
    Row("wallet key", "one word", _key("hello"), "One word is no secret", "paste"),
    Row("wallet key", "cut in Bech32", _key("somaprivkey1qqqq"), "Bech32", "copy"),
    Row("wallet key", "odd digit", _key("ab" * 31 + "ag"), "Hex digits are", "copy the key again"),
    Row("wallet key", "half quoted", _key("'" + "ab" * 32), "one side", "paste it again"),
]  # fmt: skip
PASSPHRASE = [
    Row("passphrase", "wrong", _vault(lambda _: None, "wrong"), "does not open the vault", "keyboard layout"),
    Row("vault", "not there", _vault(lambda path: path.unlink()), "There is no vault", "create one"),
    Row("vault", "open to others", _vault(lambda path: path.chmod(0o644)), "Others can reach", "chmod 600"),
    Row("vault", "cut", _vault(lambda path: os.truncate(path, 60)), "vault", "copy"),
]  # fmt: skip
TABLE = [*ADDRESSES, *STORE_KEYS, *STORE, *HUB, *WEBHOOK, *NETWORK, *GPU, *WALLET, *PASSPHRASE]
