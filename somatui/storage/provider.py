"""Whose store an endpoint belongs to, what that provider calls things, and mistakes that show before it is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from somatui.domain.hosts import LOOPBACK
from somatui.domain.report import Line


@dataclass(frozen=True, slots=True)
class Provider:
    """One kind of store. `opens` is the cure for a bucket that nobody else can read, `keys` where its keys are made."""

    name: str
    title: str
    opens: str
    keys: str
    region: str = "auto"
    own_address: bool = False
    """Whether the public reads at another address than the endpoint."""
    access: str = ""
    secret: str = ""
    """What its keys look like, as regular expressions; empty where anything goes."""


R2 = Provider(
    "r2", "Cloudflare R2",
    'enable "Public Development URL" in the bucket\'s settings at dash.cloudflare.com and set public_url to the '
    "https://pub-….r2.dev address shown there",
    "R2 → Manage API tokens, Object Read & Write for this bucket, then copy Access Key ID and Secret Access Key",
    own_address=True, access=r"[0-9a-f]{32}", secret=r"[0-9a-f]{64}",
)  # fmt: skip
AWS = Provider(
    "aws", "AWS S3",
    'in the bucket\'s permissions turn "Block public access" off and add a bucket policy that allows s3:GetObject to '
    "everybody",
    "IAM → Users → Security credentials → Create access key, with s3:PutObject, s3:GetObject and s3:DeleteObject",
    region="us-east-1", access=r"(AKIA|ASIA)[A-Z0-9]{12,28}", secret=r"[A-Za-z0-9/+]{40}",
)  # fmt: skip
GCS = Provider(
    "gcs", "Google Cloud Storage",
    'grant the role "Storage Object Viewer" to allUsers in the bucket\'s permissions and switch public access '
    "prevention off",
    "Cloud Storage → Settings → Interoperability → Create a key (HMAC) for a service account with Storage Object Admin",
    access=r"GOOG[A-Z0-9]{20,60}", secret=r"[A-Za-z0-9/+=]{40}",
)  # fmt: skip
PRACTICE = Provider(
    "practice", "the practice network's store",
    "set bucket and public_url as somatui paths shows them for the practice network",
    "they are in the practice network's own address card",
)  # fmt: skip
OTHER = Provider(
    "other", "an S3-compatible store",
    "let everybody read its objects: a bucket policy that allows s3:GetObject to *, or on MinIO "
    "mc anonymous set download",
    "the store's own console or its administrator, with the right to put, get and delete",
    region="us-east-1",
)  # fmt: skip


_KEYS_APART = "take everything up to the @ out, and enter the keys in their own fields"


def provider_of(endpoint: str, bucket: str = "") -> Provider:
    """The provider behind an endpoint; empty means AWS itself."""
    host = (urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").hostname or "").lower()
    if not endpoint or host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return AWS
    if host.endswith((".r2.cloudflarestorage.com", ".r2.dev")) or host == "r2.cloudflarestorage.com":
        return R2
    if host == "storage.googleapis.com" or host.endswith(".storage.googleapis.com"):
        return GCS
    return PRACTICE if host in LOOPBACK and bucket == "practice" else OTHER


def mistakes(endpoint: str, bucket: str, public_url: str = "") -> Line | None:
    """The first thing about these addresses that cannot be right, without asking anybody."""
    return _endpoint(endpoint, bucket) or _bucket(bucket, endpoint) or _public(public_url, endpoint, bucket)


def _bad(name: str, detail: str, cure: str) -> Line:
    return Line(name, "bad", detail, cure)


def _endpoint(endpoint: str, bucket: str) -> Line | None:
    if not endpoint.strip():
        return _bad("endpoint", "The endpoint is empty", "enter the S3 address of the account, such as "
                    "https://<account>.r2.cloudflarestorage.com")  # fmt: skip
    if re.search(r"[\s'\"]", endpoint):
        return _bad("endpoint", "The endpoint has a space, a line end or quotes in it", "enter the address alone")
    if not endpoint.startswith(("http://", "https://")):
        return _bad("endpoint", "The endpoint does not begin with https://", f"enter https://{endpoint.lstrip('/')}")
    if "@" in endpoint.partition("//")[2].partition("/")[0]:
        return _bad("endpoint", "The endpoint has keys in it, which every log would show", _KEYS_APART)
    try:
        address = urlsplit(endpoint)
        host, _ = (address.hostname or "").lower(), address.port
    except ValueError:
        host = ""
    if not host:
        return _bad("endpoint", "The endpoint is no address", "copy it again from the provider's page, host and all")
    if host.endswith(".r2.dev"):
        return _bad("endpoint", "The endpoint is R2's public address, where nothing can be uploaded",
                    "put it into public_url, and https://<account>.r2.cloudflarestorage.com into endpoint")  # fmt: skip
    if "dash.cloudflare.com" in host or "console." in host:
        return _bad("endpoint", "The endpoint is the provider's web page", "take the S3 API address that it shows")
    if bucket and address.path.strip("/") == bucket:
        clean = f"{address.scheme}://{address.netloc}"
        return _bad("endpoint", "The endpoint has the bucket's name at its end", f"enter {clean} and leave the bucket "
                    "in its own field")  # fmt: skip
    if bucket and host.startswith(f"{bucket.lower()}.") and provider_of(endpoint) is not OTHER:
        clean = f"{address.scheme}://{address.netloc[len(bucket) + 1 :]}"
        return _bad("endpoint", "The endpoint begins with the bucket's name", f"enter {clean}")
    if address.path.strip("/") or address.query:
        return _bad("endpoint", f"The endpoint has a path ({address.path or address.query:.40})",
                    f"enter {address.scheme}://{address.netloc} alone")  # fmt: skip
    return _account(host)


def _account(host: str) -> Line | None:
    if not host.endswith("r2.cloudflarestorage.com"):
        return None
    account = host.removesuffix("r2.cloudflarestorage.com").rstrip(".").split(".")[0]
    if re.fullmatch(r"[0-9a-f]{32}", account):
        return None
    return _bad("endpoint", f"The account in R2's address ({account or 'none'}) is not 32 hex digits",
                "copy the S3 API address from R2 → Overview → Account details")  # fmt: skip


def _bucket(bucket: str, endpoint: str) -> Line | None:
    if not bucket.strip():
        return _bad(
            "bucket", "The bucket's name is empty", f"make one at {provider_of(endpoint).title} and enter its name"
        )
    if bucket.startswith(("s3://", "http://", "https://")) or "/" in bucket:
        alone = bucket.rstrip("/").rpartition("/")[2] or "its name"
        return _bad("bucket", "The bucket's name has a slash in it", f"enter {alone} alone, no address and no folder")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]", bucket):
        return _bad("bucket", "The bucket's name can be none",
                    "it has 3 to 63 small letters, digits and hyphens: copy it from the provider's page")  # fmt: skip
    return None


def _public(public_url: str, endpoint: str, bucket: str) -> Line | None:
    if not public_url:
        if provider_of(endpoint, bucket).own_address:
            return _bad("public_url", "R2 serves the public at an address of its own, and none is given", R2.opens)
        return None
    address = urlsplit(public_url)
    if "@" in address.netloc:
        return _bad("public_url", "The public address has a password in it, which everybody would read on the chain",
                    "enter the address that opens without one")  # fmt: skip
    if address.scheme not in ("http", "https") or not address.hostname or re.search(r"[\s'\"]", public_url):
        return _bad("public_url", "The public address is no http address",
                    "enter it as a browser shows it, with https:// and without quotes")  # fmt: skip
    if (address.hostname or "").endswith(".r2.cloudflarestorage.com"):
        return _bad("public_url", "The public address is R2's S3 address, which answers to signed requests only",
                    "use the https://pub-….r2.dev address from the bucket's settings")  # fmt: skip
    return None


def key_mistakes(endpoint: str, bucket: str, access: str, secret: str) -> Line | None:
    """What the pair of keys shows by its form alone; neither is ever repeated."""
    one = provider_of(endpoint, bucket)
    for name, value in (("access key", access), ("secret key", secret)):
        if not value:
            return _bad("keys", f"The {name} is empty", f"make a pair: {one.keys}")
        if re.search(r"[\s'\"]", value):
            return _bad("keys", f"The {name} has a space, a line end or quotes in it",
                        f"paste the {name} again without them")  # fmt: skip
    if access == secret:
        return _bad("keys", "Access key and secret key are the same text", "copy each from its own field")
    if one.access and re.fullmatch(one.secret, access) and re.fullmatch(one.access, secret):
        return _bad("keys", "Access key and secret key are in each other's place", "swap them")
    if one.access and not re.fullmatch(one.access, access):
        return _bad("keys", f"The access key does not look like one of {one.title} ({len(access)} characters)",
                    f"copy the access key, not a token, from {one.keys}")  # fmt: skip
    if one.secret and not re.fullmatch(one.secret, secret):
        return _bad("keys", f"The secret key does not look like one of {one.title} ({len(secret)} characters)",
                    "copy the whole secret key; it is shown once, so make a new pair if it is gone")  # fmt: skip
    return None
