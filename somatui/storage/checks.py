"""Tries a store as it will be used: put, head, anonymous read, rules, delete; finds how its objects become public."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from somatui.asking import Trouble
from somatui.domain.hosts import LOOPBACK
from somatui.domain.report import Line, Report, Status
from somatui.storage.outside import Seen, look
from somatui.storage.provider import AWS, PRACTICE, Provider, key_mistakes, mistakes, provider_of
from somatui.storage.s3 import Bucket, PublicMode, StorageError, Store

SLOW_MS = 3_000
LEAST_DAYS = 3
"""Submitted data is asked for until its audit epoch ends, two epochs at most after the upload (R5c)."""
OURS = ("data/", "weights/")
"""Where the console puts objects."""
AGAIN_S = (0.3, 1.0, 2.0)
TYPE = "application/octet-stream"


@dataclass(slots=True)
class Trial:
    """One store with its keys, and what has been found. `policy`: the bucket's policy may be changed if need be."""

    store: Store
    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    limit_s: float = 10
    policy: bool = False
    again_s: tuple[float, ...] = AGAIN_S
    lines: list[Line] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _name: str = field(default_factory=lambda: f"somatui-check/{secrets.token_hex(8)}")
    _data: bytes = field(default_factory=lambda: secrets.token_bytes(2_000))

    @property
    def provider(self) -> Provider:
        """Whose store it is."""
        return provider_of(self.store.endpoint, self.store.bucket)

    def run(self) -> Report:
        """Try everything; what is put is deleted again."""
        one = self.provider
        self.facts |= {"provider": one.name, "title": one.title, "region": self.store.region}
        store = self.store
        wrong = mistakes(store.endpoint, store.bucket, store.public_url)
        wrong = wrong or key_mistakes(store.endpoint, store.bucket, self.access_key, self.secret_key)
        if wrong is not None:
            self.lines.append(wrong)
            return self._skipping(0)
        try:
            bucket = self._bucket("policy")
        except StorageError as refused:
            self._say("endpoint", "bad", refused.trouble)
            return self._skipping(0)
        if self._step("signed put", lambda: bucket.put(self._name, self._data, TYPE)) is None:
            return self._skipping(1)
        try:
            self._head(bucket)
            self._outside(bucket)
        finally:
            self._step("delete", lambda: bucket.delete(self._name))
        self.lines.append(lifecycle(bucket))
        return Report(tuple(self.lines), self.facts)

    def _skipping(self, done: int) -> Report:
        names = ("signed put", "head", "anonymous read", "delete", "lifecycle")[done:]
        why = "Not tried, since what comes before it does not work"
        self.lines += [Line(name, "skipped", why) for name in names]
        return Report(tuple(self.lines), self.facts)

    def _bucket(self, mode: PublicMode) -> Bucket:
        return Bucket(
            replace(self.store, public_mode=mode), self.access_key, self.secret_key, limit_s=self.limit_s, tries=1
        )

    def _step(self, name: str, call: Callable[[], object], *, quiet: bool = False) -> int | None:
        """The ms a call took, with its line; None when it failed."""
        began = time.monotonic()
        try:
            call()
        except StorageError as refused:
            if not quiet:
                self._say(name, "bad", refused.trouble, _since(began))
            return None
        took = _since(began)
        if not quiet:
            self.lines.append(timed(Line(name, "ok", f"{name[:1].upper()}{name[1:]} works", ms=took)))
        return took

    def _say(self, name: str, status: Status, trouble: Trouble, ms: int = 0) -> None:
        self.lines.append(Line(name, status, trouble.detail, trouble.cure, ms))

    def _head(self, bucket: Bucket) -> None:
        began = time.monotonic()
        try:
            size, kind = bucket.head(self._name)
        except StorageError as refused:
            self._say("head", "bad", refused.trouble, _since(began))
            return
        if size != len(self._data):
            found = Trouble("bytes", f"The store has {size} bytes of {len(self._data)}", "try again")
            self._say("head", "bad", found, _since(began))
        else:
            kept = "" if kind == TYPE else f", its type is told as {kind or 'nothing'}"
            self.lines.append(timed(Line("head", "ok", f"The object is there, whole{kept}", ms=_since(began))))

    def _outside(self, bucket: Bucket) -> None:
        """Find the way by which everybody reads, and say it; the first that works is taken."""
        store = self.store
        told = self._look(store.address(self._name)) if store.public_url else None
        if told is not None and told.ok:
            self._found("public_url", told)
            return
        first = told
        if not self.provider.own_address:
            ways: tuple[tuple[PublicMode, Callable[[], Seen | None]], ...] = (
                ("policy", lambda: self._look(replace(store, public_url="").address(self._name))),
                ("acl", self._with_acl),
                ("policy", lambda: self._with_policy(bucket) if self.policy else None),
            )
            for mode, way in ways:
                seen = way()
                if seen is not None and seen.ok:
                    self._found(mode, seen, told)
                    return
                first = first or seen
        assert first is not None
        self._say("anonymous read", "bad", self._unseen(first), first.ms)

    def _found(self, mode: PublicMode, seen: Seen, told: Seen | None = None) -> None:
        self.facts |= {"public_mode": mode, "public_url": self.store.public_url if told is None else ""}
        went = f" (by way of {urlsplit(seen.url).netloc})" if _moved(seen, self.store) else ""
        how = {"public_url": "at its public address", "policy": "by the bucket's policy", "acl": "by each object's ACL"}
        detail = f"Anybody can read it {how[mode]}, checksum equal{went}"
        if told is None:
            self.lines.append(timed(Line("anonymous read", "ok", detail, ms=seen.ms)))
        else:
            text = f"{detail}, but not at public_url ({told.detail})"
            self.lines.append(Line("anonymous read", "warn", text, "leave public_url empty, or correct it", seen.ms))
        host = urlsplit(self.store.public_url or self.store.endpoint).hostname or ""
        if self.provider is not PRACTICE and near(host):
            self.lines.append(
                Line("from elsewhere", "warn", f"{host} is an address of this machine or its local network",
                     "validators cannot reach it: take a store on the internet, or stay on the practice network")
            )  # fmt: skip

    def _look(self, url: str) -> Seen:
        checksum = hashlib.blake2b(self._data, digest_size=32).digest()
        seen = look(url, checksum, len(self._data), self.limit_s)
        for pause in self.again_s:
            if not seen.passing or seen.status == 0:
                break
            time.sleep(pause)
            seen = look(url, checksum, len(self._data), self.limit_s)
        return seen

    def _with_acl(self) -> Seen | None:
        began = time.monotonic()
        try:
            self._bucket("acl").put(self._name, self._data, TYPE)
        except StorageError as refused:
            self.facts["takes_acls"] = False if refused.trouble.kind == "acl" else None
            return None
        seen = self._look(replace(self.store, public_url="").address(self._name))
        return replace(seen, ms=_since(began))

    def _with_policy(self, bucket: Bucket) -> Seen | None:
        if self._step("bucket policy", bucket.allow_everybody) is None:
            return None
        return self._look(replace(self.store, public_url="").address(self._name))

    def _unseen(self, seen: Seen) -> Trouble:
        one, public = self.provider, self.store.public_url
        if seen.status in (401, 403) and self.facts.get("takes_acls") is False:
            return Trouble("private", f"From outside the answer is {seen.status}, and the bucket takes no ACLs",
                           f"give it a bucket policy: {one.opens}")  # fmt: skip
        if seen.status in (401, 403):
            return Trouble("private", f"From outside the answer is {seen.status}, so the bucket is private", one.opens)
        if seen.status == 404:
            where = public or self.store.endpoint
            return Trouble("elsewhere", f"The object is not at {where} (404), which shows something else",
                           f"set public_url to the public address of bucket {self.store.bucket}")  # fmt: skip
        if seen.status == 0:
            cure = seen.cure or "correct public_url"
            return Trouble("way", f"From outside there is {seen.detail}", f"{cure}, which is public_url here")
        if "checksum differs" in seen.detail or "bytes" in seen.detail:
            return Trouble("others", f"From outside other bytes come ({seen.detail})",
                           "switch rewriting and compression off for public_url")  # fmt: skip
        return Trouble("odd", f"From outside {seen.detail}", "see the page of the address in a browser")


def check(told: Mapping[str, Any], access_key: str, secret_key: str, **how: Any) -> Report:
    """Try the store that `told` describes by a profile's names; region and mode may be missing. Raises nothing."""
    text = {name: str(told.get(name) or "").strip() for name in ("endpoint", "bucket", "region", "public_url")}
    one = provider_of(text["endpoint"], text["bucket"])
    named = text["region"] if text["region"] not in ("", "auto") else ""
    region = named or (_aws_region(text["endpoint"]) if one is AWS else one.region)
    endpoint, public_url = (re.sub(r"(?<=[^:/])/+$", "", text[name]) for name in ("endpoint", "public_url"))
    store = Store(endpoint, text["bucket"], region, public_url)
    return Trial(store, access_key, secret_key, **how).run()


def lifecycle(bucket: Bucket) -> Line:
    """Whether a rule of the bucket deletes what others still ask for."""
    began = time.monotonic()
    look_yourself = "see in the bucket's settings that no rule deletes anything within three days"
    try:
        rules = bucket.lifecycle()
    except StorageError as refused:
        kind = refused.trouble.kind
        if kind == "no rules":
            return Line("lifecycle", "ok", "No rule deletes objects", ms=_since(began))
        said = "may not read its rules" if kind == "rights" else "were not told its rules"
        return Line("lifecycle", "skipped", f"These keys {said}", look_yourself, _since(began))
    for rule in rules:
        days = short_rule(rule)
        if days is not None:
            name = str(rule.get("ID") or "without a name")
            return Line("lifecycle", "warn", f"The bucket's rule {name:.40} deletes objects after {days:g} days",
                        "make it three days at least, or data vanishes in its audit and its bond is lost",
                        _since(began))  # fmt: skip
    return Line("lifecycle", "ok", "No rule deletes objects within three days", ms=_since(began))


def short_rule(rule: Mapping[str, Any]) -> float | None:
    """The days after which a rule deletes the console's objects, if they are fewer than three."""
    ends = rule.get("Expiration") or {}
    chosen = rule.get("Filter") or {}
    chosen = {**chosen, **(chosen.get("And") or {})}
    prefix = str(chosen.get("Prefix") or rule.get("Prefix") or "")
    ours = any(place.startswith(prefix) or prefix.startswith(place) for place in OURS)
    if rule.get("Status") != "Enabled" or not ours or chosen.get("Tag") or chosen.get("Tags"):
        return None
    days = float(ends.get("Days") or 0)
    if isinstance(ends.get("Date"), datetime):
        days = max((ends["Date"] - datetime.now(UTC)).total_seconds() / 86_400, 0.1)
    return days if 0 < days < LEAST_DAYS else None


def timed(line: Line) -> Line:
    """The line, as a warning where it took long."""
    if line.status != "ok" or line.ms < SLOW_MS:
        return line
    detail = f"{line.detail}, but it took {line.ms / 1000:.1f} s"
    return replace(
        line, status="warn", detail=detail, cure="choose a region near this machine, or see what slows the line"
    )


def near(host: str) -> bool:
    """Whether a host is this machine or on a private network."""
    if host in LOOPBACK:
        return True
    try:
        return ip_address(host).is_private
    except ValueError:
        return host.endswith((".local", ".lan", ".internal")) or "." not in host


def _aws_region(endpoint: str) -> str:
    parts = (urlsplit(endpoint).hostname or "").split(".")
    return next((p for p in parts if p.count("-") >= 2 and p[-1:].isdigit()), AWS.region)


def _moved(seen: Seen, store: Store) -> bool:
    known = {urlsplit(store.public_url).netloc, urlsplit(store.endpoint).netloc}
    return bool(seen.url) and urlsplit(seen.url).netloc not in known


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
