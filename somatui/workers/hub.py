"""Tries a Hugging Face token: whose it is, what it may, and whether the chosen data set opens to it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from somatui.asking import Answer, Trouble, ask
from somatui.domain.hosts import LOOPBACK
from somatui.domain.report import Line, Report

HUB = "https://huggingface.co"
TOKENS = "huggingface.co/settings/tokens"
DATA = (".parquet", ".jsonl", ".json", ".csv", ".zst", ".gz", ".arrow", ".txt")
NAMES = ("token", "data set", "access")
SLOW_MS = 5_000


def check(token: str, dataset: str, hub: str = HUB, limit_s: float = 10) -> Report:
    """Lines named token, data set and access; facts {"user", "role", "dataset", "gated"}. Raises nothing.

    Without a token only the data set is tried, as anybody reads it.
    """
    address = (hub or HUB).rstrip("/")
    wrong = mistakes(token, dataset) or _open_line(token, address)
    if wrong is not None:
        return _ended([wrong])
    facts: dict[str, Any] = {"dataset": dataset}
    lines = [_whose(token, address, limit_s, facts)]
    if lines[0].status == "bad" or not dataset:
        return _ended(lines, facts)
    found, files = _card(token, dataset, address, limit_s, facts)
    lines.append(found)
    if found.status != "bad":
        lines.append(_access(token, dataset, files, address, limit_s, facts))
    return _ended(lines, facts)


def mistakes(token: str, dataset: str) -> Line | None:
    """What the token and the set's name show by their form alone; the token is never repeated."""
    if re.search(r"[\s'\"]", token):
        return Line("token", "bad", "The token has a space, a line end or quotes in it", "paste it again without them")
    if token.startswith(("sk-", "ghp_", "github_pat_", "AKIA")):
        return Line("token", "bad", "This is a token of another service", f"make one that begins with hf_ at {TOKENS}")
    if token and not re.fullmatch(r"hf_[A-Za-z0-9]{20,}", token):
        said = "does not begin with hf_" if not token.startswith("hf_") else "is too short or has odd characters"
        return Line("token", "bad", f"The token {said}", f"copy it whole at {TOKENS}, or make a new one")
    if dataset.startswith(("http://", "https://")):
        name = "/".join(dataset.rstrip("/").split("/")[-2:])
        return Line("data set", "bad", "The data set is given as an address", f"enter its name alone, {name}")
    if dataset and not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        return Line("data set", "bad", "The data set's name is none", "enter owner/name, such as bigcode/the-stack-v2")
    return None


def _open_line(token: str, hub: str) -> Line | None:
    address = urlsplit(hub)
    if token and address.scheme != "https" and address.hostname not in LOOPBACK:
        return Line("token", "bad", f"The hub's address {hub:.60} would carry the token where others can read it",
                    "set HF_ENDPOINT to an https:// address, or leave it out")  # fmt: skip
    return None


def _ended(lines: list[Line], facts: dict[str, Any] | None = None) -> Report:
    told = {line.name for line in lines}
    rest = [Line(n, "skipped", "Not tried, since what comes before it does not work") for n in NAMES if n not in told]
    if facts and not facts.get("dataset") and lines[-1].status != "bad":
        rest = []
    return Report((*lines, *rest), facts or {})


def _get(token: str, url: str, limit_s: float, method: str = "GET", *, follow: bool = True) -> Answer | Trouble:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return ask(url, method=method, headers=headers, limit_s=limit_s, follow=follow)


def _trouble(name: str, found: Trouble) -> Line:
    return Line(name, "bad", f"The hub is not reached: {found.detail[:1].lower()}{found.detail[1:]}", found.cure)


def _whose(token: str, hub: str, limit_s: float, facts: dict[str, Any]) -> Line:
    if not token:
        return Line(
            "token", "skipped", "No token is given", f"ungated sets need none; for gated ones make one at {TOKENS}"
        )
    found = _get(token, f"{hub}/api/whoami-v2", limit_s)
    if isinstance(found, Trouble):
        return _trouble("token", found)
    if found.status == 200:
        return _user(found, facts)
    said = found.headers.get("x-error-message", "") + _text(found)
    if found.status == 401 and "expired" in said.lower():
        return Line("token", "bad", "The token has expired", f"make a new one without an end at {TOKENS}", found.ms)
    if found.status == 401:
        return Line("token", "bad", "The hub does not know this token: it was revoked, or it is not whole",
                    f"make a new one, Read is enough, at {TOKENS}", found.ms)  # fmt: skip
    if found.status == 403:
        return Line("token", "bad", "The token may not even tell whose it is (403)",
                    f"give it the right to read at {TOKENS}, or make one of type Read", found.ms)  # fmt: skip
    if found.status == 429:
        return Line("token", "warn", "The hub asks for patience (429)", "try again in some minutes", found.ms)
    return Line("token", "bad", f"What answers at {hub} is not the hub ({found.status})",
                "correct HF_ENDPOINT, or leave it out", found.ms)  # fmt: skip


def _user(found: Answer, facts: dict[str, Any]) -> Line:
    told = _json(found)
    if not isinstance(told, dict) or not told.get("name"):
        return Line("token", "bad", "What answers to the token is not the hub", "correct HF_ENDPOINT, or leave it out")
    token = _object(_object(told.get("auth")).get("accessToken"))
    facts |= {"user": str(told["name"]), "role": str(token.get("role") or "")}
    if facts["role"] == "write":
        return Line("token", "warn", f"The token is {told['name']}'s and may write",
                    f"a token that may only read is enough: make one at {TOKENS}", found.ms)  # fmt: skip
    if found.ms >= SLOW_MS:
        return Line("token", "warn", f"The token is {told['name']}'s, but the answer took {found.ms / 1000:.1f} s",
                    "see what slows the line: data sets stream over it", found.ms)  # fmt: skip
    return Line("token", "ok", f"The token is {told['name']}'s", ms=found.ms)


def _card(token: str, dataset: str, hub: str, limit_s: float, facts: dict[str, Any]) -> tuple[Line, Sequence[str]]:
    """The set's own entry, and the names of its files."""
    found = _get(token, f"{hub}/api/datasets/{quote(dataset)}", limit_s)
    if isinstance(found, Trouble):
        return _trouble("data set", found), ()
    if found.status in (401, 404):
        return Line("data set", "bad", f"There is no data set {dataset}, or it is private",
                    "correct its name, or use a token of an account that may see it", found.ms), ()  # fmt: skip
    told = _json(found)
    if found.status == 403:
        return Line("data set", "bad", f"The token may not see {dataset} (403)",
                    f"accept the terms at {hub}/datasets/{dataset} with the token's account", found.ms), ()  # fmt: skip
    if found.status != 200 or not isinstance(told, dict):
        return Line("data set", "bad", f"The hub gave no entry of {dataset} ({found.status})", "try again later"), ()
    facts["gated"] = str(told.get("gated") or "no")
    listed = told.get("siblings")
    files = [str(_object(s).get("rfilename", "")) for s in listed] if isinstance(listed, list) else []
    gated = "" if facts["gated"] == "no" else ", gated"
    return Line("data set", "ok", f"{dataset} is there, {len(files)} files{gated}", ms=found.ms), files


def _access(
    token: str, dataset: str, files: Sequence[str], hub: str, limit_s: float, facts: dict[str, Any]
) -> Line:  # fmt: skip
    """Whether a file of the set itself would come."""
    name = next((f for f in files if f.endswith(DATA)), next(iter(files), "README.md"))
    page = f"{hub}/datasets/{dataset}"
    url = f"{page}/resolve/main/{quote(name)}"
    found = _get(token, url, limit_s, "HEAD", follow=False)
    if isinstance(found, Trouble):
        return _trouble("access", found)
    code, said = found.headers.get("x-error-code", ""), found.headers.get("x-error-message", "").lower()
    if found.status in (200, 206, 301, 302, 307, 308):
        return Line("access", "ok", f"Files of {dataset} can be read", ms=found.ms)
    if "fine-grained" in said or "public gated" in said:
        return Line("access", "bad", f"The fine-grained token has no right to gated sets such as {dataset}",
                    f'tick "Read access to contents of all public gated repos you can access" at {TOKENS}',
                    found.ms)  # fmt: skip
    if "awaiting" in said or "pending" in said:
        return Line("access", "bad", f"The owner of {dataset} has not yet answered this account's request",
                    f"wait, or choose another set; the request is at {page}", found.ms)  # fmt: skip
    if "rejected" in said:
        return Line("access", "bad", f"The owner of {dataset} has refused this account", "choose another set", found.ms)
    if code == "GatedRepo" or (facts.get("gated") != "no" and found.status in (401, 403)):
        who = f"the account {facts['user']}" if facts.get("user") else "an account and give its token here"
        what = "has not accepted its terms" if token else "needs a token"
        return Line("access", "bad", f"{dataset} is gated and this account {what}",
                    f"accept the terms at {page} with {who}", found.ms)  # fmt: skip
    if found.status in (401, 403):
        return Line("access", "bad", f"The token may not read files of {dataset} ({found.status})",
                    f"give it the right to read at {TOKENS}", found.ms)  # fmt: skip
    return Line("access", "warn", f"{name} of {dataset} did not come ({found.status})", f"see {page}", found.ms)


def _text(found: Answer) -> str:
    return found.body.decode("utf-8", "replace")


def _json(found: Answer) -> Any:
    try:
        return json.loads(found.body)
    except (ValueError, RecursionError):
        return None


def _object(found: Any) -> dict[str, Any]:
    """An answer's object, empty where it is none."""
    return found if isinstance(found, dict) else {}
