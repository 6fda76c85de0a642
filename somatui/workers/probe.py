"""Worker that tries one credential, or the machine, and ends with a report: `python -m somatui.workers.probe`.

Jobs: {"job": "check", "version": 1, "what": name, …, "secrets_fd": n}, `limit_s` the longest silence in seconds:
  storage      "store": {"endpoint", "bucket", "region", "public_url"}, "policy": bool;
               secrets {"access_key", "secret_key"}
  delete       "store", "key": object; the same secrets
  huggingface  "dataset": owner/name, "hub": address; secrets {"token"}
  webhook      secrets {"url"}; "text": what is sent, without it a message that says it is a test
  outside      "objects": [{"name", "url", "size", "checksum": Base58 of Blake2b-256, empty where the length is
               enough}]; one line each, `warn` where nobody answered
  gpu
It ends with {"ok", "lines": [{"name", "status", "detail", "cure", "ms"}], "facts": {…}}. Nothing secret is in it.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from somatui.domain.report import Line, Report
from somatui.workers.session import JobError, Session, run

LIMIT_S = 10.0
LOOKS_AT_ONCE = 8
LOOK_AGAIN_S = (0.5, 1.5)


def storage(job: dict[str, Any], secrets: dict[str, str]) -> Report:
    """Try the store."""
    from somatui.storage.checks import check

    store, keys = _store(job), (secrets.get("access_key", ""), secrets.get("secret_key", ""))
    return check(store, *keys, limit_s=_limit(job), policy=job.get("policy") is True)


def delete(job: dict[str, Any], secrets: dict[str, str]) -> Report:
    """Take one object away; whether that may be is the asker's to know."""
    from somatui.storage.s3 import Bucket, StorageError, Store

    try:
        bucket = Bucket(Store.of(_store(job)), secrets.get("access_key", ""), secrets.get("secret_key", ""))
        bucket.delete(str(job["key"]))
    except StorageError as refused:
        return Report((Line("delete", "bad", refused.trouble.detail, refused.trouble.cure),))
    return Report((Line("delete", "ok", f"{job['key']} is deleted"),))


def huggingface(job: dict[str, Any], secrets: dict[str, str]) -> Report:
    """Try the token."""
    from somatui.workers.hub import check

    return check(secrets.get("token", ""), str(job.get("dataset") or ""), str(job.get("hub") or ""), _limit(job))


def webhook(job: dict[str, Any], secrets: dict[str, str]) -> Report:
    """Send a message to the webhook."""
    from somatui.workers.webhook import TEXT, check

    return check(secrets.get("url", ""), _limit(job), str(job.get("text") or TEXT))


def outside(job: dict[str, Any], _secrets: dict[str, str]) -> Report:
    """Look at objects as anybody would, several at a time."""
    from concurrent.futures import ThreadPoolExecutor

    limit_s = _limit(job)
    with ThreadPoolExecutor(LOOKS_AT_ONCE) as pool:
        return Report(tuple(pool.map(lambda wanted: _seen(wanted, limit_s), job.get("objects") or ())))


def _seen(wanted: dict[str, Any], limit_s: float) -> Line:
    """One object; one that is not seen is looked for again, since stores hesitate too."""
    import base58

    from somatui.storage.outside import length, look, patient

    url, size, checksum = str(wanted["url"]), int(wanted["size"]), base58.b58decode(str(wanted["checksum"]))
    once = partial(look, url, checksum, size, limit_s) if checksum else partial(length, url, size, limit_s)
    seen = patient(once, LOOK_AGAIN_S)
    silent = seen.status == 0 or seen.status >= 429
    return Line(str(wanted["name"]), "ok" if seen.ok else "warn" if silent else "bad", seen.detail, seen.cure, seen.ms)


def gpu(_job: dict[str, Any], _secrets: dict[str, str]) -> Report:
    """Look at the cards."""
    from somatui.workers.gpu import check

    return check()


KINDS = {
    "storage": storage, "delete": delete, "huggingface": huggingface, "webhook": webhook, "gpu": gpu,
    "outside": outside,
}  # fmt: skip


def _store(job: dict[str, Any]) -> dict[str, Any]:
    store = job.get("store")
    if not isinstance(store, dict):
        raise JobError("The job describes no store: it needs endpoint, bucket, region and public_url.")
    return store


def _limit(job: dict[str, Any]) -> float:
    told = job.get("limit_s", LIMIT_S)
    if not isinstance(told, int | float) or not 0 < told <= 600:
        raise JobError("limit_s is a number of seconds up to 600.")
    return float(told)


def work(job: dict[str, Any], session: Session) -> dict[str, Any]:
    """Make the check that the job names. Raises JobError."""
    kind = KINDS.get(str(job.get("what")))
    if kind is None:
        raise JobError(f"There is no check of {job.get('what')!s:.40}; there are {', '.join(KINDS)}.")
    return kind(job, session.secrets).told()


if __name__ == "__main__":
    sys.exit(run("check", work, orphan_s=1))
