"""What a store's refusal means and what cures it, for each provider that says it in its own way."""

from __future__ import annotations

import re
from dataclasses import dataclass

from botocore.exceptions import ClientError

from somatui.asking import Trouble, trouble
from somatui.storage.provider import AWS, GCS, R2, Provider, provider_of


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of which bucket: `doing` is put, head, delete or the like."""

    endpoint: str
    bucket: str
    region: str
    doing: str = "put"
    limit_s: float = 10

    @property
    def provider(self) -> Provider:
        """Whose store it is."""
        return provider_of(self.endpoint, self.bucket)


RIGHTS = {"put": "write to", "head": "read", "delete": "delete from", "parts": "write to"}


def why(failure: Exception, asked: Asked) -> Trouble:
    """The cause of what boto3 raised, and its cure."""
    if isinstance(failure, ClientError):
        return _refused(failure, asked)
    found = trouble(failure, asked.endpoint or f"https://s3.{asked.region}.amazonaws.com", asked.limit_s)
    if found.kind in ("handshake", "name") and asked.provider is R2:
        return Trouble(found.kind, "Cloudflare knows no account with the number in that address",
                       "copy the S3 API address from R2 → Overview → Account details")  # fmt: skip
    if found.kind == "name" and asked.provider is AWS:
        return Trouble(
            "name", f"AWS has no address for region {asked.region}", "set region as the bucket's page shows it"
        )
    if found.kind == "broken":
        name, where = type(failure).__name__, asked.endpoint or "AWS"
        return Trouble("broken", f"The store at {where} does not answer ({name})", "check it and try again")
    if found.kind == "refused":
        return Trouble("refused", f"The store at {asked.endpoint} does not answer (the connection is refused)",
                       "start it, or correct host and port of the endpoint")  # fmt: skip
    return found


def _refused(refused: ClientError, asked: Asked) -> Trouble:
    error = refused.response.get("Error", {})
    status = refused.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code, said = str(error.get("Code", "unknown")), str(error.get("Message", ""))
    found = (
        _about_region(code, said, error, asked) or _about_keys(code, said, asked) or _about_bucket(code, said, asked)
    )
    if found:
        return found
    if code.isdigit() or code == "unknown":
        return _by_status(status or int(code if code.isdigit() else 0), asked)
    if code in ("SlowDown", "ServiceUnavailable", "InternalError", "503", "TooManyRequests"):
        return Trouble("busy", f"The store is busy ({code})", "wait a minute and try again")
    cure = "see what its provider says of that code"
    return Trouble("refused", f"The store refused the {asked.doing} ({code:.60})", cure)


def _about_region(code: str, said: str, error: dict[str, object], asked: Asked) -> Trouble | None:
    wanted = re.search(r"expecting '([a-z0-9-]+)'", said)
    told = str(error.get("Region") or (wanted[1] if wanted else ""))
    if code in ("AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException",
                "InvalidRegionName", "301") or wanted:  # fmt: skip
        right = told or ("auto" if asked.provider is R2 else "the one on the bucket's page")
        return Trouble("region", f"The bucket is not in region {asked.region}", f"set region to {right}")
    return None


def _about_keys(code: str, said: str, asked: Asked) -> Trouble | None:
    one = asked.provider
    if "access key has length" in said:
        return Trouble("keys", "The access key has another length than this store's keys",
                       f"copy the Access Key ID, not the token: {one.keys}")  # fmt: skip
    known = {
        "InvalidAccessKeyId": ("The access key is not known there", f"it belongs to another account or was deleted; "
                               f"set the right one: {one.keys}"),
        "Unauthorized": ("The store does not take these keys", "they belong to another account than the endpoint's, "
                         f"make new ones there: {one.keys}"),
        "SignatureDoesNotMatch": ("The secret key is not the right one", "set it again, whole and without "
                                  "spaces; it is shown only once, so make a new pair if it is gone"),
        "InvalidSecurity": ("The store does not know this pair of keys", f"make HMAC keys: {one.keys}"),
        "ExpiredToken": ("The keys have expired", f"make new ones without an end: {one.keys}"),
        "TokenRefreshRequired": ("The keys must be renewed", f"make new ones without an end: {one.keys}"),
        "InvalidToken": ("The keys belong to a session that is over", f"use lasting keys: {one.keys}"),
        "RequestTimeTooSkewed": ("The clock of this machine is wrong by more than 15 minutes", "set it: timedatectl "
                                 "set-ntp true"),
        "AllAccessDisabled": ("The account's access is switched off", "see the provider's messages about the account"),
        "AccountProblem": ("The provider has a problem with the account", "see its billing page"),
        "UserProjectAccountProblem": ("The project's billing is off", "switch it on in the provider's console"),
    }  # fmt: skip
    expired = "expired" in said.lower() and code in (
        "AccessDenied",
        "InvalidAccessKeyId",
        "Unauthorized",
        "InvalidArgument",
    )
    found = known["ExpiredToken"] if expired else known.get(code)
    return Trouble("clock" if code == "RequestTimeTooSkewed" else "keys", *found) if found else None


def _about_bucket(code: str, said: str, asked: Asked) -> Trouble | None:
    bucket, one = asked.bucket, asked.provider
    if "uniform bucket-level access" in said:
        code = "AccessControlListNotSupported"
    right = RIGHTS.get(asked.doing, "use")
    token = "the token's permission must be Object Read & Write" if one is R2 else "give them the right to"
    role = "give the service account the role Storage Object Admin" if one is GCS else token
    known = {
        "AccessControlListNotSupported": ("acl", "The bucket takes no ACLs", "set public_mode to policy or public_url"),
        "NoSuchBucket": ("bucket", f"There is no bucket {bucket} in this account", "make it or name another"),
        "NoSuchKey": ("missing", "The object is not there", "put it there first"),
        "NoSuchLifecycleConfiguration": ("no rules", "The bucket has no rules", "nothing needs to be done"),
        "NoSuchUpload": ("gone", "The store has forgotten the upload that was begun", "start it again"),
        "InvalidBucketName": (
            "bucket",
            f"The store takes {bucket} for no name of a bucket",
            "copy the name from its page",
        ),
        "AccessDenied": ("rights", f"These keys may not {right} {bucket}", role),
        "MethodNotAllowed": ("address", "The address takes no uploads", "enter the S3 address, not the public one"),
        "QuotaExceeded": ("space", "The account's space is used up", "delete what no audit needs, or raise the quota"),
        "XMinioStorageFull": ("space", "The store's disk is full", "free space there"),
        "EntityTooLarge": ("size", "The store takes no object of that size", "raise its limit, or use another store"),
        "BadDigest": (
            "bytes",
            "The bytes changed on their way",
            "try again; if it stays, a proxy on the way changes them",
        ),
        "NotImplemented": ("unknown", f"The store cannot {asked.doing}", "nothing needs it, or use another store"),
    }
    found = known.get(code)
    return Trouble(*found) if found else None


def _by_status(status: int, asked: Asked) -> Trouble:
    """Answers without a code: those to HEAD, and those of what is no store."""
    if status == 403:
        return Trouble("rights", f"These keys may not {RIGHTS.get(asked.doing, 'use')} {asked.bucket} (403)",
                       "give them the right to, or correct them")  # fmt: skip
    if status == 404:
        return Trouble(
            "bucket", f"Neither bucket {asked.bucket} nor object is there (404)", "correct the bucket's name"
        )
    if status in (502, 503, 504):
        return Trouble("busy", f"Something before the store answers {status}", "wait a minute and try again")
    return Trouble("no store", f"What answers at {asked.endpoint} is no object store ({status})",
                   "enter the S3 address of the account, host and port")  # fmt: skip
