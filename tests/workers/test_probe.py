"""What works is reported as such, with its facts; no report repeats a secret."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import base58
import pytest

from somatui.workers import gpu, hub, probe, webhook
from somatui.workers.protocol import Emitter
from somatui.workers.session import JobError, Session
from tests import servers

CUDA = {"version": "2.13.0", "cuda": "12.4", "usable": True}


def session(**secrets: str) -> Session:
    return Session(Emitter(io.StringIO()), secrets)


def test_a_token_that_opens_a_gated_set_is_good() -> None:
    with servers.answering(servers.hub) as url:
        found = hub.check(servers.OK, servers.GATED, url)
        ungated = hub.check("", servers.OPEN, url)
    assert [line.status for line in found.lines] == ["ok"] * 3
    assert found.facts == {"dataset": servers.GATED, "user": "ops", "role": "read", "gated": "auto"}
    assert ungated.ok and [line.status for line in ungated.lines] == ["skipped", "ok", "ok"]


def test_the_token_goes_to_the_hub_alone() -> None:
    heard: list[str | None] = []

    def elsewhere(_method: str, _path: str, headers: Any, _body: bytes) -> servers.Reply:
        heard.append(headers.get("Authorization"))
        return 200, {}, b'{"name": "ops"}'

    with (
        servers.answering(elsewhere) as end,
        servers.answering(lambda _m, path, *_: (307, {"Location": end + path}, b"")) as start,
    ):
        hub.check(servers.OK, servers.OPEN, start)
    assert heard and set(heard) == {None}


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "ops", "auth": [1], "siblings": 5}',
        b'{"name": "ops", "auth": {"accessToken": "x"}, "siblings": [1]}',
        b"[" * 100_000, b'{"name": {}}', b"\xff", b"<html>",
    ],
    ids=["numbers", "words", "deep", "nameless", "bytes", "page"],
)  # fmt: skip
def test_what_is_no_hub_is_reported_whatever_it_says(body: bytes) -> None:
    with servers.answering(servers.always(200, body)) as url:
        found = hub.check(servers.OK, servers.OPEN, url)
    assert [line.name for line in found.lines] == list(hub.NAMES)


def test_a_webhook_gets_a_message_that_slack_and_discord_understand() -> None:
    heard: list[dict[str, str]] = []

    def reply(method: str, _path: str, headers: Any, body: bytes) -> servers.Reply:
        assert (method, headers["Content-Type"]) == ("POST", "application/json")
        heard.append(json.loads(body))
        return 204, {}, b""

    with servers.answering(reply) as url:
        assert webhook.check(f"{url}/services/T0/B0/planted").ok
        job = {"what": "webhook", "text": "Model <!channel> of @here\x1b[2J is late\nmore"}
        assert probe.work(job, session(url=f"{url}/services/T0/B0/planted"))["ok"]
    quiet = {"allowed_mentions": {"parse": []}}
    tame = "Model ‹!channel› of @\u200bhere [2J is late\nmore"
    assert heard == [{"text": said, "content": said} | quiet for said in (webhook.TEXT, tame)]


def test_objects_are_looked_at_as_by_anybody_and_silence_is_not_yet_death(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LOOK_AGAIN_S", (0.01, 0.01))

    def reply(_method: str, path: str, headers: Any, _body: bytes) -> servers.Reply:
        assert "Authorization" not in headers
        return {"/there": (200, {}, b"data"), "/busy": (503, {}, b""), "/shut": (403, {}, b"")}.get(
            path, (404, {}, b"")
        )

    whole = base58.b58encode(hashlib.blake2b(b"data", digest_size=32).digest()).decode()
    with servers.answering(reply) as url:
        names = {"there": url, "busy": url, "shut": url, "gone": url, "nobody": servers.NOBODY}
        objects = [{"name": n, "url": f"{u}/{n}", "checksum": whole, "size": 4} for n, u in names.items()]
        objects += [objects[0] | {"name": "other", "size": 5}, objects[0] | {"name": "long", "checksum": ""},
                    objects[0] | {"name": "longer", "checksum": "", "size": 5}]  # fmt: skip
        found = probe.work({"what": "outside", "objects": objects}, session())
    assert {line["name"]: line["status"] for line in found["lines"]} == {
        "there": "ok", "busy": "warn", "shut": "bad", "gone": "bad", "nobody": "warn", "other": "bad",
        "long": "ok", "longer": "bad",
    }  # fmt: skip
    assert probe.work({"what": "outside"}, session()) == {"ok": True, "lines": [], "facts": {}}


def test_a_card_is_told_with_what_fits_on_it() -> None:
    l4 = gpu.Card("NVIDIA L4", 24 * gpu.GB, 23 * gpu.GB, (8, 9))
    h100 = gpu.Card("NVIDIA H100", 80 * gpu.GB, 80 * gpu.GB, (9, 0))
    found = gpu.judge(gpu.Found((l4, h100), "550.54", (12, 4)), CUDA)
    assert [line.status for line in found.lines] == ["ok"] * 4
    assert found.facts["fits"] == [
        {"models": 9, "train": True, "train_plain": False},
        {"models": 32, "train": True, "train_plain": True},
    ]


def test_a_driver_runs_builds_for_older_cuda_and_newer_ones_of_its_own_line() -> None:
    card = gpu.Card("L4", 24 * gpu.GB, 24 * gpu.GB, (8, 9))
    for cuda in ("11.8", "12.1", "12.6"):
        assert gpu.judge(gpu.Found((card,), "550.54", (12, 4)), CUDA | {"cuda": cuda}).ok
    assert not gpu.judge(gpu.Found((card,), "550.54", (12, 4)), CUDA | {"cuda": "13.0"}).ok


def test_the_worker_makes_the_check_that_is_named() -> None:
    found = probe.work({"what": "webhook"}, session(url="hooks.example/planted"))
    assert not found["ok"] and "planted" not in json.dumps(found)
    assert set(found["lines"][0]) == {"name", "status", "detail", "cure", "ms"}
    store = {"endpoint": servers.NOBODY, "bucket": "data"}
    keys = {"access_key": "planted-access", "secret_key": "planted-secret"}  # pragma: allowlist secret
    found = probe.work({"what": "storage", "store": store, "limit_s": 1}, session(**keys))
    assert found["lines"][0]["name"] == "signed put" and "planted" not in json.dumps(found)
    deleted = probe.work({"what": "delete", "store": store | {"public_mode": "acl"}, "key": "a"}, session(**keys))
    assert not deleted["ok"]
    found = probe.work({"what": "huggingface", "dataset": ""}, session(token="planted planted"))
    assert "planted" not in json.dumps(found)


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ({"what": "magic"}, "no check of magic"), ({"what": "storage"}, "describes no store"),
        ({"what": "webhook", "limit_s": 0}, "limit_s"), ({"what": "webhook", "limit_s": "1"}, "limit_s"),
    ],
)  # fmt: skip
def test_a_job_that_is_none_is_refused(job: dict[str, Any], says: str) -> None:
    with pytest.raises(JobError, match=says):
        probe.work(job, session())


@pytest.mark.skipif(gpu.look().cards != (), reason="this machine has a card")
def test_without_a_card_nothing_is_started_and_scoring_goes_on_the_processor() -> None:
    found = gpu.check()
    assert found.ok and found.facts["torch"] == {}
    assert found.lines[0].status == "warn"
