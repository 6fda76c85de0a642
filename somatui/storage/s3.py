"""Puts objects into an S3-compatible bucket by boto3; whether anybody can read them is `outside`'s to find out."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import quote, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from somatui.asking import Trouble
from somatui.storage.refusals import Asked, why

PublicMode = Literal["acl", "policy", "public_url"]
WHOLE = 64 * 1024 * 1024
"""Bytes up to which an object goes up in one request; larger ones go in parts."""
PARALLEL = 4
"""Parts that are on their way at the same time."""
_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Settings of the AWS tools on this machine are nobody's business here."""


@functools.cache
def _session() -> Any:
    """One for all buckets: reading the service's description takes longer than asking a store."""
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=_NO_FILES))


class StorageError(ValueError):
    """The store cannot be used so; the text is one sentence with the cure, `trouble` the two apart."""

    def __init__(self, told: str | Trouble) -> None:
        super().__init__(told if isinstance(told, str) else f"{told.detail}: {told.cure}.")
        self.trouble = Trouble("job", told.rstrip("."), "correct it") if isinstance(told, str) else told


@dataclass(frozen=True, slots=True)
class Store:
    """A bucket, and how its objects come to be readable by anybody.

    `public_url`: they are at that address (Cloudflare R2, CDNs, the practice store); `policy`: the bucket's own policy
    says so (AWS since 2023); `acl`: each object says so itself (older AWS, GCS, MinIO).
    """

    endpoint: str
    bucket: str
    region: str = "auto"
    public_url: str = ""
    public_mode: PublicMode = "public_url"

    @classmethod
    def of(cls, told: object) -> Store:
        """A store as a job tells it. Raises StorageError."""
        names = [f.name for f in fields(cls)]
        if (
            not isinstance(told, dict)
            or not all(isinstance(told.get(n, ""), str) for n in names)
            or not told.get("bucket")
        ):
            raise StorageError(
                "The job describes no store: it needs endpoint, bucket, region, public_url, public_mode."
            )
        store = cls(**{"endpoint": ""} | {n: told[n] for n in names if told.get(n)})
        if store.public_mode not in ("acl", "policy", "public_url"):
            raise StorageError(f"public_mode is {store.public_mode!r:.40}: it is acl, policy or public_url.")
        if store.public_mode == "public_url" and urlsplit(store.public_url).scheme not in ("http", "https"):
            raise StorageError("The store's public_url is no http address: set it to where anybody reads the bucket.")
        return store

    def address(self, key: str) -> str:
        """Where anybody reads the object."""
        if self.public_url:
            return f"{self.public_url.rstrip('/')}/{quote(key)}"
        if self.endpoint:
            return f"{self.endpoint.rstrip('/')}/{self.bucket}/{quote(key)}"
        return f"https://{self.bucket}.s3.{self.region}.amazonaws.com/{quote(key)}"


class Bucket:
    """The bucket as its owner meets it. `limit_s` is the longest silence, `tries` how often a call is made at most."""

    def __init__(self, store: Store, access_key: str, secret_key: str, *, limit_s: float = 60, tries: int = 4) -> None:
        self.store, self.limit_s = store, limit_s
        config = Config(
            s3={"addressing_style": "path" if store.endpoint else "auto"},
            retries={"mode": "standard", "total_max_attempts": tries},
            connect_timeout=min(10, limit_s),
            read_timeout=limit_s,
            max_pool_connections=PARALLEL + 1,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = _session().client(
                "s3", endpoint_url=store.endpoint or None, region_name=store.region, config=config,
                aws_access_key_id=access_key, aws_secret_access_key=secret_key,
            )  # fmt: skip
        except (BotoCoreError, ValueError) as failure:
            raise StorageError(f"The store {store.endpoint} cannot be addressed ({failure}): check it.") from None

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Put an object in one request; the store checks its MD5. Raises StorageError."""
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self.do(
            "put",
            lambda client: client.put_object(
                Bucket=self.store.bucket, Key=key, Body=data, ContentMD5=md5, **self.extra(content_type)
            ),
        )

    def has_parts(self, key: str, checksum: str, size: int) -> bool:
        """Whether a large object is there already, whole, as `parts` puts it. Raises StorageError."""
        try:
            found = self._client.head_object(Bucket=self.store.bucket, Key=key)
        except ClientError:
            return False
        except BotoCoreError as failure:
            raise StorageError(why(failure, Asked(self.store.endpoint, self.store.bucket, self.store.region))) from None
        return (found["ContentLength"], found["Metadata"].get("blake2b")) == (size, checksum)

    def delete(self, key: str) -> None:
        """Take an object away; one that is not there is no error. Raises StorageError."""
        self.do("delete", lambda client: client.delete_object(Bucket=self.store.bucket, Key=key))

    def head(self, key: str) -> tuple[int, str]:
        """Size and content type of an object as its owner sees it. Raises StorageError."""
        found = self.do("head", lambda client: client.head_object(Bucket=self.store.bucket, Key=key))
        return int(found["ContentLength"]), str(found.get("ContentType", ""))

    def lifecycle(self) -> list[dict[str, Any]]:
        """The bucket's rules for deleting objects, as S3 tells them. Raises StorageError, "no rules" for none."""
        where = {"Bucket": self.store.bucket}
        found = self.do("read the rules of", lambda client: client.get_bucket_lifecycle_configuration(**where))
        return list(found.get("Rules") or ())

    def allow_everybody(self) -> None:
        """Give the bucket a policy that lets everybody read its objects, and nothing else. Raises StorageError."""
        arn = f"arn:aws:s3:::{self.store.bucket}/*"
        statement = {"Effect": "Allow", "Principal": "*", "Action": ["s3:GetObject"], "Resource": [arn]}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.do("put a policy on", lambda client: client.put_bucket_policy(Bucket=self.store.bucket, Policy=policy))

    def extra(self, content_type: str) -> dict[str, Any]:
        """What goes with an upload: its type, and that everybody may read it where the object itself must say so."""
        public = {"ACL": "public-read"} if self.store.public_mode == "acl" else {}
        return {"ContentType": content_type, **public}

    def do(self, doing: str, call: Callable[[Any], Any]) -> Any:
        """The answer to a call of boto3's client. Raises StorageError, with the cause and its cure."""
        try:
            return call(self._client)
        except (ClientError, BotoCoreError, OSError) as failure:
            asked = Asked(self.store.endpoint, self.store.bucket, self.store.region, doing, self.limit_s)
            raise StorageError(why(failure, asked)) from None
