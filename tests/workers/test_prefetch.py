"""The shelf's own worker: what is wanted comes, what is old goes, no kill and no full disk spoils anything."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import base58
import pytest

from somatui.workers import fetch, prefetch, ranges
from somatui.workers.fetch import part_of, weights_file
from somatui.workers.prefetch import Wanted
from somatui.workers.protocol import Message
from somatui.workers.ranges import RANGE
from somatui.workers.shelf import RECENT_S, Shelf
from tests.servers import NOBODY, Reply, answering
from tests.workers import inside
from tests.workers.processes import rest, start, tell
from tests.workers.weighing import Shop, a_session, plain_of

inside.WORK["prefetch"] = (prefetch.work, ())
DAY_S = 86_400


def listed(wanted: Wanted) -> dict[str, Any]:
    key = base58.b58encode(wanted.key).decode() if wanted.key else None
    return {"id": wanted.id, "url": wanted.url, "checksum": wanted.checksum, "size": wanted.size, "key": key}


def job(folder: Path, *models: Wanted, live: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    file = folder / "wanted.json"
    file.write_text(json.dumps({"models": [listed(m) for m in models], "live": list(live)}))
    return {
        "job": "weights", "version": 1, "wanted": str(file), "ids": None, "weights_dir": str(folder / "weights"),
        "keep_days": 14, "limit_bytes": 10**9,
    } | more  # fmt: skip


def result(messages: list[Message]) -> dict[str, Any]:
    assert messages[-1].kind == "done", messages[-1]
    return dict(messages[-1].body["result"])


def said(messages: list[Message]) -> str:
    return "\n".join(m.body["text"] for m in messages if m.kind == "log")


def test_the_wanted_come_sealed_or_opened_and_one_that_cannot_be_had_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (ranges, fetch):
        monkeypatch.setattr(module, "PAUSE_S", 0.0)
    revealed, coming = Shop(plain_of(9000, seed=1)), Shop(plain_of(5000, seed=2))
    with answering(revealed.reply) as one, answering(coming.reply) as two:
        dead = Shop(plain_of(100)).wanted(NOBODY, id="0xdead")
        now = revealed.wanted(one, id="0x01"), dead, coming.wanted(two, id="0x02", key=b"")
        messages = inside.done("prefetch", job(tmp_path, *now))
        again = inside.done("prefetch", job(tmp_path, *now))
    assert result(messages) == {"models": 3, "fetched": 2, "failed": 1, "left": 0}
    assert "model 0xdead cannot be had: no answer" in said(messages)
    shelf = Shelf(tmp_path / "weights")
    assert shelf.plain(now[0].checksum).read_bytes() == revealed.plain
    assert shelf.sealed(now[2].checksum).read_bytes() == coming.sealed
    assert [m.body["done"] for m in messages if m.kind == "progress"][-1] == 1
    assert result(again)["fetched"] == 0
    told = inside.done("prefetch", job(tmp_path, coming.wanted(NOBODY, id="0x02"), dead, ids=["0x02"]))
    assert result(told) == {"models": 1, "fetched": 1, "failed": 0, "left": 0}
    assert shelf.plain(now[2].checksum).read_bytes() == coming.plain


def test_what_does_not_fit_is_left_unless_it_is_live_already(tmp_path: Path) -> None:
    shop = Shop(plain_of(9000))
    with answering(shop.reply) as address:
        early = inside.done("prefetch", job(tmp_path, shop.wanted(address, key=b""), limit_bytes=5000))
        live = inside.done("prefetch", job(tmp_path, shop.wanted(address), limit_bytes=5000))
    assert result(early) == {"models": 1, "fetched": 0, "failed": 0, "left": 1}
    assert "do not fit" in said(early)
    assert result(live)["fetched"] == 1


def aged(folder: Path, number: int, days: float, size: int = 1000, ending: str = ".safetensors") -> str:
    folder.mkdir(exist_ok=True)
    checksum = base58.b58encode(bytes([number]) * 32).decode()
    file = folder / f"{checksum}{ending}"
    file.write_bytes(bytes(size))
    at = time.time() - days * DAY_S
    os.utime(file, (at, at))
    return checksum


def test_what_was_long_not_used_goes_and_what_is_live_or_held_stays(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    fresh, old, live, held, part = (
        aged(tmp_path, 1, 13), aged(tmp_path, 2, 15), aged(tmp_path, 3, 99), aged(tmp_path, 4, 99),
        aged(tmp_path, 5, 15, ending=".sealed.part"),
    )  # fmt: skip
    used = aged(tmp_path, 6, 99)
    (tmp_path / "README").write_text("not ours")
    written = shelf.plain(used).stat().st_mtime_ns
    shelf.used(shelf.plain(used))
    assert shelf.plain(used).stat().st_mtime_ns == written
    with shelf.held(held) as alone:
        assert alone
        gone = shelf.prune({live}, 14, 10**9)
    assert {g.checksum for g in gone} == {old, part}
    assert {s.checksum for s in shelf.standing()} == {fresh, live, held, used}
    assert (tmp_path / "README").exists()
    assert {g.checksum for g in shelf.prune({live}, 0, 10**9)} == set()


def test_what_is_not_named_by_a_checksum_is_nobodys_to_remove(tmp_path: Path) -> None:
    for name in ("mine.safetensors", "*.safetensors", "[1-9].sealed"):
        (tmp_path / name).write_bytes(b"mine")
        os.utime(tmp_path / name, (1, 1))
    assert Shelf(tmp_path).prune((), 14, 0) == []
    assert len(list(tmp_path.iterdir())) == 3


def test_weights_that_somebody_begins_to_use_are_not_removed_under_his_hands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, eldest = Shop(plain_of(9000)), (1, 1)
    with answering(shop.reply) as address:
        wanted = shop.wanted(address)
        place = weights_file(wanted, tmp_path, a_session())

    class Late(Shelf):
        """Between its look and its lock another process opens what it found."""

        def held(self, checksum: str, halt: threading.Event | None = None) -> Any:
            weights_file(shop.wanted(NOBODY), tmp_path, a_session())
            return super().held(checksum, halt)

    def old() -> None:
        for file in tmp_path.iterdir():
            os.utime(file, eldest)

    old()
    assert Late(tmp_path).prune((), 14, 0) == [] and place.exists()
    old()
    whole = fetch._hashed

    def hashed(*args: Any) -> int:
        assert Shelf(tmp_path).prune((), 14, 0) == [], "while it is judged"
        return whole(*args)

    monkeypatch.setattr(fetch, "_hashed", hashed)
    assert weights_file(shop.wanted(NOBODY), tmp_path, a_session()).read_bytes() == shop.plain
    old()
    assert [g.checksum for g in Shelf(tmp_path).prune((), 14, 0)] == [wanted.checksum]
    assert list(tmp_path.iterdir()) == []


def test_above_the_limit_the_longest_unused_goes_first_and_nothing_that_was_used_lately(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    eldest, elder, live = aged(tmp_path, 1, 9), aged(tmp_path, 2, 8), aged(tmp_path, 3, 10)
    lately = aged(tmp_path, 4, 0.9 * RECENT_S / DAY_S)
    assert [g.checksum for g in shelf.prune({live}, 14, 3500)] == [eldest]
    assert [g.checksum for g in shelf.prune({live}, 14, 0)] == [elder]
    assert {s.checksum for s in shelf.standing()} == {live, lately}


def test_a_disk_without_room_is_named_before_anything_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(plain_of(9000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**6, 10**6, 10_000))
    with answering(shop.reply) as address:
        messages = inside.done("prefetch", job(tmp_path, shop.wanted(address)))
    assert "have to be free in" in said(messages)
    assert result(messages)["failed"] == 1
    assert shop.starts == []
    assert list((tmp_path / "weights").iterdir()) == []


@contextlib.contextmanager
def slow_shop(ranges_sent: int) -> Iterator[tuple[Shop, str]]:
    """A server that holds back all but the first ranges until it is told to go on."""
    shop = Shop(plain_of(36 * 1024 * 1024))
    kept: list[bool] = [True]

    def hold(_number: int, start: int, reply: Reply) -> Reply:
        while kept and start >= ranges_sent * RANGE:
            time.sleep(0.01)
        return reply

    shop.spoil = hold
    with answering(shop.reply) as address:
        shop.go = kept.clear  # type: ignore[attr-defined]
        yield shop, address
        kept.clear()


@pytest.mark.slow
def test_a_worker_killed_on_the_way_goes_on_where_it_was(tmp_path: Path) -> None:
    with slow_shop(2) as (shop, address):
        asked = job(tmp_path, shop.wanted(address))
        process = start("prefetch", asked)
        part = part_of(Shelf(tmp_path / "weights").plain(shop.wanted(address).checksum))
        while not part.exists() or part.stat().st_size < 2 * RANGE:
            time.sleep(0.01)
        process.kill()
        rest(process)
        come = part.stat().st_size
        shop.go()  # type: ignore[attr-defined]
        before = len(shop.starts)
        assert result(rest(start("prefetch", asked))) == {"models": 1, "fetched": 1, "failed": 0, "left": 0}
        assert min(shop.starts[before:]) == come
        assert Shelf(tmp_path / "weights").plain(shop.wanted(address).checksum).read_bytes() == shop.plain


@pytest.mark.slow
def test_a_disk_that_fills_up_on_the_way_is_told_and_what_has_come_makes_room(tmp_path: Path) -> None:
    """On a file system of 2 MB in a mount namespace of its own, where the kernel lets a user make one."""
    inner = (
        f"mount -t tmpfs -o size=2m none {tmp_path}/weights && {sys.executable} -m somatui.workers.prefetch && "
        f"ls -A {tmp_path}/weights > {tmp_path}/left"
    )
    shop = Shop(plain_of(3 * 1024 * 1024))
    (tmp_path / "weights").mkdir()
    # The look at the room beforehand is what must not catch it here.
    code = "import shutil; shutil.disk_usage = lambda _: shutil._ntuple_diskusage(1, 1, 10**12)"
    (tmp_path / "sitecustomize.py").write_text(code)
    with answering(shop.reply) as address:
        process = subprocess.Popen(
            ["unshare", "-rm", "sh", "-c", inner], env=os.environ | {"PYTHONPATH": str(tmp_path)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with contextlib.suppress(BrokenPipeError):
            tell(process, json.dumps(job(tmp_path, shop.wanted(address))))
        messages = rest(process)
    if not messages:
        pytest.skip("no mount namespaces for users here")
    assert "No space left on device" in said(messages) and "free space" in said(messages)
    assert (tmp_path / "left").read_text() == ""
