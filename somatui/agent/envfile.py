"""A `.env` as the network's quickstart has it: which of its values are known, where each goes, what is wrong with it.

Read once and never put into this process's environment; what is found is moved by `wallets`.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from somatui.domain.hosts import LOOPBACK
from somatui.domain.ids import short
from somatui.wire.secretkey import PLACEHOLDER, Found, recognise
from somatui.wire.text import TextError

if TYPE_CHECKING:
    from dotenv.parser import Binding

ROLES: dict[str, tuple[str, ...]] = {
    "key": ("SOMA_SECRET_KEY", "SOMA_PRIVATE_KEY", "SOMA_KEY", "SOMA_MNEMONIC"),
    "hf": ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_TOKEN"),
    "endpoint": ("S3_ENDPOINT_URL", "S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "R2_ENDPOINT_URL"),
    "bucket": ("S3_BUCKET", "S3_BUCKET_NAME", "AWS_S3_BUCKET", "R2_BUCKET"),
    "access": ("S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID", "R2_ACCESS_KEY_ID"),
    "secret": ("S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "R2_SECRET_ACCESS_KEY"),
    "public_url": ("S3_PUBLIC_URL", "R2_PUBLIC_URL"),
    "region": ("S3_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "webhook": ("WEBHOOK_URL", "SOMATUI_WEBHOOK"),
}
_ROLE = {name: role for role, names in ROLES.items() for name in names}
SHOWN = frozenset({"endpoint", "bucket", "public_url", "region"})
"""What is no secret and is shown as it is."""
_GOES = {
    "hf": "vault: hf/token",
    "access": "vault: the store's access key",
    "secret": "vault: the store's secret key",
    "webhook": "vault: webhook/url",
    "endpoint": "config: store.endpoint",
    "bucket": "config: store.bucket",
    "public_url": "config: store.public_url",
    "region": "config: store.region",
}
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Item:
    """One value. `problem` is what is wrong or was put right; what does not `move` stays in the file."""

    name: str
    role: str = ""
    value: str = field(default="", repr=False)
    masked: str = ""
    goes_to: str = ""
    problem: str = ""
    moves: bool = False
    text: str = field(default="", repr=False)

    def refused(self, problem: str) -> Item:
        """The same, staying where it is."""
        return replace(self, problem=problem, goes_to="", moves=False)

    def corrected(self, value: str, problem: str) -> Item:
        """The same with a value that was put right."""
        both = f"{self.problem} {problem}".strip()
        return replace(
            self, value=value, masked=_masked(self.role, value) if self.role in SHOWN else self.masked, problem=both
        )


def looks_like_env(text: str) -> bool:
    """Whether several lines of a text, or one that is known here, are written NAME=value."""
    names = re.findall(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_]\w*)[ \t]*=", text, re.MULTILINE)
    return any(name in _ROLE for name in names) or len(names) > 1


def read(text: str, address_of: Callable[[Found], str]) -> list[Item]:
    """Every value of a file's text, in order; `address_of` derives a wallet and raises TextError."""
    found: list[Item] = []
    for binding in _bindings(text):
        line, original = f"line {binding.original.line}", binding.original.string
        if binding.error:
            found.append(Item(line, problem="Cannot be read: a quote is open, or = is missing.", text=original))
        elif binding.key is not None:
            found.append(_item(binding.key, binding.value, original, address_of))
    last = {item.role: item for item in found if item.role}
    found = [
        i.refused(f"{i.name} or its like stands again further down; that one counts.")
        if i.role and last[i.role] is not i
        else i
        for i in found
    ]
    return _together(found)


def _bindings(text: str) -> Iterator[Binding]:
    from dotenv.parser import parse_stream

    return parse_stream(io.StringIO(text.replace("\ufeff", "")))


def _item(name: str, value: str | None, text: str, address_of: Callable[[Found], str]) -> Item:
    role = _ROLE.get(name.upper(), "")
    item = Item(name, role, value or "", _masked(role, value or ""), _GOES.get(role, ""), moves=bool(role), text=text)
    if not role:
        return replace(item, problem="Not known here: it stays in the file.")
    value = item.value.strip()
    if not value:
        return item.refused("Empty: nothing to move.")
    if PLACEHOLDER.search(value) and role != "key":
        return item.refused("A placeholder: put the real value in its place.")
    if "${" in value or value.startswith("$"):
        return item.refused("Refers to another variable: write the value itself.")
    if value != item.value:
        item = item.corrected(value, "Spaces or a newline stood around it.")
    if role == "key":
        return _key(item, address_of)
    return _CHECKS[role](item) if role in _CHECKS else item


def _masked(role: str, value: str) -> str:
    if not value or role in SHOWN and "@" not in value:
        return value
    return f"•••• ({len(value)} character{'s' if len(value) != 1 else ''})"


def _key(item: Item, address_of: Callable[[Found], str]) -> Item:
    try:
        found = recognise(item.value)
        if found.others:
            raise TextError("Several keys stand in it: import the one you want with somatui wallet import.")
        address = address_of(found)
    except TextError as wrong:
        return item.refused(str(wrong))
    problem = ". ".join(note[:1].upper() + note[1:] for note in found.notes)
    if found.words and item.name.upper() != "SOMA_MNEMONIC":
        problem = f"{problem}. ".lstrip(". ") + "A mnemonic in the field of the key: taken as one"
    both = f"{item.problem} {problem + '.' if problem else ''}".strip()
    return replace(item, goes_to=f"vault: wallet {short(address)}, {found.form}", problem=both)


def _hf(item: Item) -> Item:
    if not re.fullmatch(r"hf_\w{8,}", item.value):
        return item.refused("A Hugging Face token begins with hf_: copy it again from settings, access tokens.")
    return item


def _address(item: Item) -> Item:
    if "://" not in item.value:
        if not re.match(r"[\w.-]+\.[a-z]{2,}|localhost|127\.", item.value):
            return item.refused("Not a web address: it begins with https://.")
        item = item.corrected(f"https://{item.value}", "https:// was missing and is put in front.")
    parts = urlsplit(item.value)
    if "@" in parts.netloc and item.role in SHOWN:
        return item.refused("A password stands in it, up to the @: take that out, keys have variables of their own.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return item.refused("Not a web address: it begins with https://.")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        item = item.corrected(item.value, "http:// sends in the open: use https:// if the store has it.")
    return item.corrected(item.value.rstrip("/"), "") if item.value.endswith("/") else item


def _endpoint(item: Item) -> Item:
    host = item.value.lower()
    if "dash.cloudflare.com" in host:
        return item.refused("The dashboard's address: the endpoint is https://<account>.r2.cloudflarestorage.com.")
    if ".r2.dev" in host:
        return item.refused(
            "The public address, which belongs into S3_PUBLIC_URL: the endpoint is "
            "https://<account>.r2.cloudflarestorage.com."
        )
    return _address(item)


def _public_url(item: Item) -> Item:
    if ".r2.cloudflarestorage.com" in item.value.lower():
        return item.refused("The endpoint's address, where nobody can read: the public one is https://pub-….r2.dev.")
    return _address(item)


def _bucket(item: Item) -> Item:
    if item.value.startswith("s3://"):
        item = item.corrected(item.value.removeprefix("s3://").strip("/"), "s3:// is no part of the name: taken off.")
    if not _BUCKET.fullmatch(item.value):
        return item.refused("Not a bucket's name: 3 to 63 small letters, digits, dots and dashes, no address.")
    return item


def _access(item: Item) -> Item:
    if re.fullmatch(r"[0-9a-f]{64}", item.value):
        return item.refused("64 hex digits, as a secret key has: the two seem to be swapped.")
    return _store_key(item)


def _secret(item: Item) -> Item:
    if re.fullmatch(r"[0-9a-f]{32}|(AKIA|ASIA)[A-Z0-9]{16}", item.value):
        return item.refused("This has the shape of an access key: the two seem to be swapped.")
    return _store_key(item)


def _store_key(item: Item) -> Item:
    if re.search(r"\s", item.value):
        return item.refused("Spaces stand inside it: copy it again.")
    return item


_CHECKS: dict[str, Callable[[Item], Item]] = {
    "hf": _hf,
    "endpoint": _endpoint,
    "public_url": _public_url,
    "webhook": _address,
    "bucket": _bucket,
    "access": _access,
    "secret": _secret,
}


def _together(items: list[Item]) -> list[Item]:
    """What only holds of several values: the bucket inside the endpoint, a half without its other half."""
    by_role = {i.role: i for i in items if i.moves}
    bucket, endpoint = by_role.get("bucket"), by_role.get("endpoint")
    changed: dict[str, Item] = {}
    if endpoint:
        changed["endpoint"] = (
            _without_bucket(endpoint, bucket.value)
            if bucket
            else endpoint.refused("No usable S3_BUCKET stands beside it: both are needed.")
        )
    elif bucket:
        changed["bucket"] = bucket.refused("No usable S3_ENDPOINT_URL stands beside it: both are needed.")
    for role in ("public_url", "region"):
        if role in by_role and not (endpoint and bucket):
            changed[role] = by_role[role].refused("Goes with endpoint and bucket: both are needed.")
    for role, other in (("access", "secret"), ("secret", "access")):
        if role in by_role and other not in by_role:
            changed[role] = by_role[role].refused("Its other half is missing or wrong: both are needed.")
    return [changed.get(i.role, i) if i.moves else i for i in items]


def _without_bucket(endpoint: Item, bucket: str) -> Item:
    parts = urlsplit(endpoint.value)
    host, path = parts.netloc, parts.path.strip("/")
    if host.startswith(f"{bucket}."):
        host = host.removeprefix(f"{bucket}.")
    elif not path:
        return endpoint
    if path and path != bucket:
        return endpoint.refused("A path stands behind the host: the endpoint ends with the host's name.")
    return endpoint.corrected(f"{parts.scheme}://{host}", "The bucket's name stood in it and is taken out.")


def key_in(text: str) -> Found:
    """The wallet's secret among a file's values. Raises TextError."""
    values = [b.value for b in _bindings(text) if b.key and _ROLE.get(b.key.upper()) == "key" and b.value]
    if not values:
        raise TextError("These are lines of NAME=value without SOMA_SECRET_KEY: put the wallet's key there.")
    found = recognise(values[-1])
    return replace(found, form=f".env file, {found.form}")


def left_over(items: Iterable[Item], text: str) -> str:
    """The file without the lines whose values have moved."""
    for item in items:
        if item.moves:
            text = text.replace(item.text, "", 1)
    return text
