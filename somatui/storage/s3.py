"""Puts objects into an S3-compatible bucket by boto3; whether anybody can read them is `outside`'s to find out."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol
from urllib.parse import quote, urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

PublicMode = Literal["acl", "policy", "public_url"]
WHOLE = 64 * 1024 * 1024
"""Bytes up to which an object goes up in one request; larger ones go in parts."""
_NO_FILES = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
}
"""Settings of the AWS tools on this machine are nobody's business here."""


class StorageError(ValueError):
    """The store cannot be used so; the text is one sentence with the cure."""


class Readable(Protocol):
    """Whatever gives bytes piece by piece."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end."""


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
    """The bucket as its owner meets it."""

    def __init__(self, store: Store, access_key: str, secret_key: str) -> None:
        self.store = store
        session = botocore.session.Session(session_vars=_NO_FILES)
        config = Config(
            s3={"addressing_style": "path" if store.endpoint else "auto"},
            retries={"mode": "standard", "total_max_attempts": 4},
            connect_timeout=10,
            read_timeout=60,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            self._client: Any = boto3.Session(botocore_session=session).client(
                "s3", endpoint_url=store.endpoint or None, region_name=store.region, config=config,
                aws_access_key_id=access_key, aws_secret_access_key=secret_key,
            )  # fmt: skip
        except (BotoCoreError, ValueError) as failure:
            raise StorageError(f"The store {store.endpoint} cannot be addressed ({failure}): check it.") from None

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Put an object in one request; the store checks its MD5. Raises StorageError."""
        md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
        self._do(
            lambda: self._client.put_object(
                Bucket=self.store.bucket, Key=key, Body=data, ContentMD5=md5, **self._extra(content_type)
            )
        )

    def put_parts(
        self, key: str, data: Readable, content_type: str, checksum: str, told: Callable[[int], None] | None = None
    ) -> None:
        """Put a large object in parts, `told` of the bytes of each piece; the checksum stays beside it as metadata."""
        extra = self._extra(content_type) | {"Metadata": {"blake2b": checksum}}
        self._do(lambda: self._client.upload_fileobj(data, self.store.bucket, key, ExtraArgs=extra, Callback=told))

    def has_parts(self, key: str, checksum: str, size: int) -> bool:
        """Whether a large object is there already, whole, as `put_parts` puts it. Raises StorageError."""
        try:
            found = self._client.head_object(Bucket=self.store.bucket, Key=key)
        except ClientError:
            return False
        except BotoCoreError as failure:
            raise self._unreachable(failure) from None
        return (found["ContentLength"], found["Metadata"].get("blake2b")) == (size, checksum)

    def delete(self, key: str) -> None:
        """Take an object away; one that is not there is no error. Raises StorageError."""
        self._do(lambda: self._client.delete_object(Bucket=self.store.bucket, Key=key))

    def _extra(self, content_type: str) -> dict[str, Any]:
        public = {"ACL": "public-read"} if self.store.public_mode == "acl" else {}
        return {"ContentType": content_type, **public}

    def _do(self, call: Callable[[], object]) -> None:
        try:
            call()
        except ClientError as refused:
            raise self._refused(refused) from None
        except BotoCoreError as failure:
            raise self._unreachable(failure) from None
        except boto3.exceptions.S3UploadFailedError as failure:
            cause = failure.__context__
            raise (self._refused(cause) if isinstance(cause, ClientError) else self._unreachable(failure)) from None

    def _unreachable(self, failure: Exception) -> StorageError:
        where = self.store.endpoint or "AWS"
        return StorageError(f"The store at {where} does not answer ({type(failure).__name__}): check it and try again.")

    def _refused(self, refused: ClientError) -> StorageError:
        code = str(refused.response.get("Error", {}).get("Code", "unknown"))
        bucket = self.store.bucket
        cures = {
            "AccessControlListNotSupported": "set public_mode to policy or public_url",
            "NoSuchBucket": f"there is no bucket {bucket}, make it or name another",
            "InvalidAccessKeyId": "the access key is not known there, set the right one",
            "SignatureDoesNotMatch": "the secret key is not the right one, set it again",
            "AccessDenied": f"these keys may not write to {bucket}, give them the right to",
            "RequestTimeTooSkewed": "the clock of this machine is wrong, set it",
        }
        cure = cures.get(code) or "see what its provider says of that code"
        return StorageError(f"The store refused the upload ({code:.60}): {cure}.")
