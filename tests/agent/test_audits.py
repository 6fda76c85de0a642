"""What others must be able to fetch is looked at: what is gone is put back, or told with its cause (R5c, R14)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from somatui.agent.audits import Audits, Kept, Watched
from somatui.domain.snapshot import Alert, Snapshot
from somatui.storage.s3 import Bucket, Store
from tests import servers
from tests.agent.harness import Household, household

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def bucket(home: Household) -> Bucket:
    """The practice store as its owner meets it."""
    card = home.card
    store = Store(card["store_url"], card["bucket"], public_url=f"{card['store_url']}/{card['bucket']}")
    return Bucket(store, card["access_key"], card["secret_key"])


async def of_objects(home: Household, holds: Callable[[tuple[Alert, ...]], bool]) -> tuple[Alert, ...]:
    """The alerts of what lies in the store, once they are so."""
    async with asyncio.timeout(30):
        while True:
            found = tuple(a for a in (await home.look()).alerts if a.about.startswith(("data:", "weights:")))
            if holds(found):
                return found
            await asyncio.sleep(0.1)


async def next_epoch(home: Household) -> Snapshot:
    await home.act("advance")
    return await home.look()


def test_an_outage_of_the_store_is_no_news_once_it_is_over_and_what_was_put_back_is_none_in_the_next_epoch() -> None:
    watched = Watched(Kept("data:x", "The data", "", "http://store.example/x", 1))

    def seen(*statuses: str) -> tuple[str, str, bool]:
        for status in statuses:
            watched.judge({"status": status}, 1)
        return watched.dead, watched.hindered, watched.returned

    assert seen("warn") == ("", "", False)
    assert seen("warn")[0] == "nobody answers"
    watched.hindered = "the store does not answer"
    assert seen("ok") == ("", "", False)
    assert seen("bad", "warn", "ok") == ("", "", True)
    nobody: Any = None
    audits = Audits(nobody, lambda: None)
    audits._watched["data:x"] = watched
    assert audits.alerts()[0].about == "data:x#back"
    audits._new_epoch(2)
    assert audits.alerts() == ()


async def test_data_that_are_gone_are_put_back_or_told_with_their_cause_until_the_audit_is_over(tmp_path: Path) -> None:
    heard: list[str] = []

    def channel(_method: str, _path: str, _headers: Any, body: bytes) -> servers.Reply:
        heard.append(json.loads(body)["text"])
        return 200, {}, b""

    with household(tmp_path) as home, servers.answering(channel) as url:
        home.start_agent()
        await home.call("vault.set", name="webhook/url", value_b64=base64.b64encode(url.encode()).decode())
        for _ in range(2):
            await home.act("faucet")
        seen = await home.look()
        first, second = [t for t in seen.targets if t.status == "open"][:2]
        hits = {t.id: home.hit(seen, t) for t in (first, second)}
        for hit in hits.values():
            await home.act("submit", {"hit": hit})
        published = await home.act("publish", home.publishing("alpha"))
        keys = {name: f"data/{hit['checksum']}" for name, hit in hits.items()}
        store = bucket(home)
        for key in keys.values():
            await asyncio.to_thread(store.delete, key)
        Path(hits[second.id]["path"]).unlink()
        weights = str(published["url"]).partition(f"/{home.card['bucket']}/")[2]
        length, _ = await asyncio.to_thread(store.head, weights)
        await asyncio.to_thread(store.delete, weights)
        await next_epoch(home)
        told = {a.about: a for a in await of_objects(home, lambda found: len(found) == 3)}
        assert (await asyncio.to_thread(store.head, weights))[0] == length == published["size"]
        assert told[f"weights:{published['model_id']}:{published['url']}#back"].severity == "warn"
        assert (await asyncio.to_thread(store.head, keys[first.id]))[0] == hits[first.id]["size"]
        assert told[f"data:{first.id}#back"].severity == "warn"
        lost = told[f"data:{second.id}"]
        assert lost.severity == "bad" and "404" in lost.text and "is gone too" in lost.text, lost
        assert keys[second.id] in lost.text and "epoch 1 ends" in lost.text
        async with asyncio.timeout(30):
            while f"✗ {lost.text}" not in "\n".join(heard):
                await asyncio.sleep(0.1)
        assert heard[0].startswith("somatui, profile practice on practice")
        await next_epoch(home)
        assert await of_objects(home, lambda found: not found) == ()
