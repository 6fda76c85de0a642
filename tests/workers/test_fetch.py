"""Weights come whole or not at all: side by side, going on after any end, and refused by name where they mean harm."""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

import base58
import pytest

from somatui.engine import cipher, header
from somatui.engine.cipher import WeightsError
from somatui.workers import fetch, line, ranges, stamp
from somatui.workers.fetch import FetchError, sealed_file, weights_file
from somatui.workers.shelf import Shelf
from tests.servers import NOBODY, Reply, answering
from tests.workers.weighing import KEY, Shop, a_session, fetched, plain_of

SIZE = 3 * 1024 * 1024
STEP = 256 * 1024


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranges that a small file has many of, and no pauses between tries."""
    monkeypatch.setattr(ranges, "RANGE", STEP)
    for module in (ranges, fetch):
        monkeypatch.setattr(module, "PAUSE_S", 0.0)


@pytest.fixture
def shop() -> Shop:
    return Shop(plain_of(SIZE))


@pytest.fixture
def address(shop: Shop) -> Iterator[str]:
    with answering(shop.reply) as found:
        yield found


def names(folder: Path) -> list[str]:
    """Of all files but the notes on them."""
    return sorted(f.name for f in folder.iterdir() if not f.name.endswith(stamp.ENDING))


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is hashed that lies on the disk already."""
    seen: list[Path] = []
    whole = fetch._hashed

    def noted(path: Path, *rest: Any) -> int:
        size = whole(path, *rest)
        if size:
            seen.append(path)
        return size

    monkeypatch.setattr(fetch, "_hashed", noted)
    return seen


def test_ranges_come_side_by_side_and_are_put_together_in_order(shop: Shop, address: str, tmp_path: Path) -> None:
    assert 12 * STEP < len(shop.sealed) < 13 * STEP
    shop.together = threading.Barrier(6)
    wanted = shop.wanted(address)
    assert fetched(wanted, tmp_path) == shop.plain
    assert sorted(shop.starts) == list(range(0, len(shop.sealed), STEP))
    assert names(tmp_path) == [f"{wanted.checksum}.safetensors"]


@pytest.mark.parametrize("tag", ['"one"', ""])
def test_a_server_without_ranges_sends_one_stream(shop: Shop, address: str, tmp_path: Path, tag: str) -> None:
    shop.ranges, shop.tag = False, tag
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert shop.starts == [0]


@pytest.mark.parametrize("status", [503, 403])
def test_what_has_come_is_not_asked_for_again(shop: Shop, address: str, tmp_path: Path, status: int) -> None:
    away = [True]
    shop.spoil = lambda _n, start, reply: (status, {}, b"") if away and start >= 6 * STEP else reply
    with pytest.raises(FetchError, match=str(status)):
        fetched(shop.wanted(address), tmp_path)
    assert (tmp_path / f"{shop.wanted(address).checksum}.part").stat().st_size == 6 * STEP
    away.clear()
    shop.starts.clear()
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert min(shop.starts) == 6 * STEP


def test_a_stream_that_breaks_is_gone_on_with_where_it_broke(shop: Shop, address: str, tmp_path: Path) -> None:
    shop.ranges = False
    short = {"Content-Length": str(len(shop.sealed))}
    shop.spoil = lambda n, _s, reply: (200, reply[1] | short, reply[2][: 5 * STEP]) if n == 0 else reply
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert shop.starts == [0, 0]


def test_a_range_that_breaks_is_opened_anew_where_it_broke(shop: Shop, address: str, tmp_path: Path) -> None:
    broken = [5 * STEP]

    def breaks(_number: int, start: int, reply: Reply) -> Reply:
        if start in broken:
            broken.remove(start)
            return reply[0], reply[1] | {"Content-Length": str(len(reply[2]))}, reply[2][:1000]
        return reply

    shop.spoil = breaks
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert 5 * STEP + 1000 in shop.starts


def test_a_server_that_forgets_a_range_is_asked_again(shop: Shop, address: str, tmp_path: Path) -> None:
    forgets = [5 * STEP]

    def whole(_number: int, start: int, reply: Reply) -> Reply:
        if start in forgets:
            forgets.remove(start)
            return 200, {"ETag": shop.tag}, shop.sealed
        return reply

    shop.spoil = whole
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert shop.starts.count(5 * STEP) == 2


@pytest.mark.parametrize("tag", ['"two"', '"one"'])
def test_a_part_of_another_object_is_begun_anew(shop: Shop, address: str, tmp_path: Path, tag: str) -> None:
    other = Shop(plain_of(SIZE, seed=2))
    shop.spoil = lambda _n, start, reply: (
        (503, {}, b"") if start >= 4 * STEP else (206, reply[1], other.sealed[start : start + STEP])
    )
    with pytest.raises((FetchError, WeightsError)):
        sealed_file(shop.wanted(address, key=b""), tmp_path, a_session(), lambda _size: None)
    assert (tmp_path / f"{shop.wanted(address).checksum}.sealed.part").stat().st_size == 4 * STEP
    shop.spoil, shop.tag = lambda _n, _s, reply: reply, tag
    assert fetched(shop.wanted(address), tmp_path) == shop.plain


def test_servers_that_do_not_agree_on_a_tag_are_no_obstacle(shop: Shop, address: str, tmp_path: Path) -> None:
    shop.spoil = lambda n, _s, reply: (reply[0], reply[1] | {"ETag": f'"{n % 2}"'}, reply[2])
    assert fetched(shop.wanted(address), tmp_path) == shop.plain


def test_what_lies_in_a_folder_that_cannot_be_written_is_read_and_nothing_else_is_had(
    shop: Shop, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = weights_file(shop.wanted(address), tmp_path, a_session())

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Shelf, "held", refused)
    assert fetched(shop.wanted(NOBODY), tmp_path) == shop.plain
    place.unlink()
    with pytest.raises(FetchError, match=r"cannot be written \(Read-only file system\): free space, or mend it"):
        fetched(shop.wanted(address), tmp_path)


def test_what_was_found_right_and_is_untouched_is_not_hashed_again(
    shop: Shop, address: str, tmp_path: Path, hashed: list[Path]
) -> None:
    wanted = shop.wanted(address)
    place = weights_file(wanted, tmp_path, a_session())
    for _ in range(3):
        assert fetched(wanted, tmp_path) == shop.plain
    Shelf(tmp_path).keep([wanted.checksum])
    assert fetched(wanted, tmp_path) == shop.plain
    assert hashed == [], "what has just come was hashed as it came"
    stamp.beside(place).unlink()
    assert fetched(wanted, tmp_path) == fetched(wanted, tmp_path) == shop.plain
    assert hashed == [place]


def flipped(place: Path, _plain: bytes) -> None:
    """As bad memory or a bad program would: in place, and the time of change as it was."""
    before = place.stat()
    with place.open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def swapped(place: Path, plain: bytes) -> None:
    before = place.stat()
    other = place.with_name("other")
    other.write_bytes(plain[:-1] + bytes([plain[-1] ^ 1]))
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(other, place)


CHANGES: dict[str, Any] = {
    "flipped": flipped,
    "swapped": swapped,
    "linked": lambda place, _plain: (place.rename(place.with_name("x")), place.symlink_to("x")),
    "folder of others": lambda place, _plain: place.parent.chmod(0o777),
    "file of others": lambda place, _plain: place.chmod(0o666),
    "note of others": lambda place, _plain: stamp.beside(place).chmod(0o620),
    "note of another": lambda place, _plain: stamp.note(place, "00"),
    "half a note": lambda place, _plain: os.truncate(stamp.beside(place), 20),
    "old note": lambda place, _plain: os.utime(stamp.beside(place), (time.time(), time.time() - stamp.BELIEVED_S - 1)),
    "note of tomorrow": lambda place, _plain: os.utime(stamp.beside(place), (time.time(), time.time() + 86_400)),
}


@pytest.mark.parametrize("how", CHANGES)
def test_what_was_touched_or_could_be_by_others_is_hashed_again(
    how: str, shop: Shop, address: str, tmp_path: Path, hashed: list[Path]
) -> None:
    wanted = shop.wanted(address)
    place = weights_file(wanted, tmp_path, a_session())
    CHANGES[how](place, shop.plain)
    assert fetched(wanted, tmp_path) == shop.plain
    assert hashed[:1] == [place]


def test_a_server_that_drips_is_given_up(
    shop: Shop, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "PATIENCE_S", 0)
    monkeypatch.setattr(ranges, "SLOWEST", 10**12)
    with pytest.raises(FetchError, match="bytes a second"):
        fetched(shop.wanted(address), tmp_path)


def test_weights_that_come_slowly_give_others_their_turn_and_stay(
    shop: Shop, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TURN_S", 0.0)
    monkeypatch.setattr(fetch, "LEAST", 10**12)
    with pytest.raises(FetchError, match="bytes a second"):
        fetched(shop.wanted(address), tmp_path)
    assert (tmp_path / f"{shop.wanted(address).checksum}.part").stat().st_size == fetch.TRIES * STEP


def ended(before: int) -> bool:
    """Whether no more threads are there, soon, than were before."""
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    return threading.active_count() <= before


@contextlib.contextmanager
def dripping(head: bytes, drop: bytes) -> Iterator[str]:
    """A server that says something, and then goes on for ever; its address."""
    end = threading.Event()

    def drip(line: socket.socket) -> None:
        with line, contextlib.suppress(OSError):
            line.recv(65_536)
            line.sendall(head)
            while not end.wait(0.01):
                line.sendall(drop)

    def serve(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        end.set()
        listener.shutdown(socket.SHUT_RDWR)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DRIPS = {
    "a header without an end": (b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "go on, go on": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "the size of a chunk": (CHUNKED, b"0"),
    "trailers": (CHUNKED + b"4\r\nabcd\r\n0\r\n", b"X: y\r\n"),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_goes_on_for_ever_without_content_is_given_up(
    what: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line, "STILL_S", 0.05)
    before = threading.active_count()
    with dripping(*DRIPS[what]) as address, pytest.raises(FetchError, match="no answer|came"):
        fetched(shop.wanted(address), tmp_path)
    assert ended(before)


def test_weights_fetched_before_the_reveal_are_opened_without_the_network(shop: Shop, tmp_path: Path) -> None:
    with answering(shop.reply) as address:
        sealed = sealed_file(shop.wanted(address, key=b""), tmp_path, a_session(), lambda _size: None)
        assert sealed.read_bytes() == shop.sealed
    wanted = shop.wanted(NOBODY)
    with pytest.raises(WeightsError, match="a wrong key"):
        fetched(shop.wanted(NOBODY, key=b"\1" * 32), tmp_path)
    assert names(tmp_path) == [f"{wanted.checksum}.sealed"]
    assert fetched(wanted, tmp_path) == shop.plain
    assert names(tmp_path) == [f"{wanted.checksum}.safetensors"]


def test_what_began_before_the_reveal_goes_on_after_it(shop: Shop, address: str, tmp_path: Path) -> None:
    away = [True]
    shop.spoil = lambda _n, start, reply: (503, {}, b"") if away and start >= 6 * STEP else reply
    with pytest.raises(FetchError, match="503"):
        sealed_file(shop.wanted(address, key=b""), tmp_path, a_session(), lambda _size: None)
    away.clear()
    shop.starts.clear()
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    assert min(shop.starts) == 6 * STEP


def test_sealed_weights_that_spoiled_on_disk_are_fetched_anew(shop: Shop, address: str, tmp_path: Path) -> None:
    sealed = sealed_file(shop.wanted(address, key=b""), tmp_path, a_session(), lambda _size: None)
    data = bytearray(sealed.read_bytes())
    data[-1] ^= 1
    sealed.write_bytes(data)
    assert fetched(shop.wanted(address), tmp_path) == shop.plain


def test_many_at_once_fetch_once(shop: Shop, address: str, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: fetched(shop.wanted(address), tmp_path), range(4)))
    assert found == [shop.plain] * 4
    assert len(shop.starts) == len(set(shop.starts))


def test_a_worker_told_to_stop_keeps_what_has_come(shop: Shop, address: str, tmp_path: Path) -> None:
    session = a_session()
    wanted = shop.wanted(address)

    def stop(size: int) -> None:
        if size >= 4 * STEP:
            session.stopping.set()

    with pytest.raises(fetch.Stopped):
        weights_file(wanted, tmp_path, session, stop)
    assert (tmp_path / f"{wanted.checksum}.part").stat().st_size >= 4 * STEP
    assert fetched(wanted, tmp_path) == shop.plain


def test_a_worker_told_to_stop_waits_for_no_server_and_leaves_no_line(shop: Shop, tmp_path: Path) -> None:
    session, go = a_session(), threading.Event()

    def late(_number: int, _start: int, reply: Reply) -> Reply:
        session.stopping.set()
        go.wait(30)
        return reply

    shop.spoil, before = late, threading.active_count()
    with answering(shop.reply) as address:
        with pytest.raises(fetch.Stopped):
            weights_file(shop.wanted(address), tmp_path, session)
        assert not go.is_set()
        go.set()
    assert ended(before)


def zipped(_plain: bytes) -> bytes:
    held = BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"t": [1.0]}))
    return held.getvalue()


def headed(told: bytes, plain: bytes) -> bytes:
    return len(told).to_bytes(8, "little") + told + plain


HARMFUL: dict[str, Any] = {
    "pickle": lambda plain: pickle.dumps({"t": [1.0]}) + plain,
    "zip of pickles": zipped,
    "header of 2^63 bytes": lambda plain: (2**63).to_bytes(8, "little") + plain,
    "header of the whole file": lambda plain: (len(plain)).to_bytes(8, "little") + plain,
    "header of 90 MB": lambda plain: (90_000_000).to_bytes(8, "little") + b"{" + b" " * 90_000_000 + plain,
    "deep header": lambda plain: headed(b"[" * header.MOST, plain),
    "header that is no object": lambda plain: headed(b"[1, 2]", plain),
    "tensor beyond the end": lambda plain: headed(b'{"t":{"data_offsets":[0,99999999999]}}', plain),
    "tensors that overlap": lambda plain: headed(
        b'{"t":{"data_offsets":[0,8]},"u":{"data_offsets":[0,%d]}}' % len(plain), plain
    ),
    "bytes of no tensor": lambda plain: headed(b'{"t":{"data_offsets":[0,8]}}', plain),
}


@pytest.mark.parametrize("what", HARMFUL)
def test_a_file_that_means_harm_is_refused_before_it_has_all_come(what: str, tmp_path: Path) -> None:
    shop = Shop(HARMFUL[what](plain_of(SIZE)))
    with answering(shop.reply) as address, pytest.raises(WeightsError, match="pickle|safetensors|fill") as refused:
        fetched(shop.wanted(address), tmp_path)
    assert ("pickle" in what) == ("pickle" in str(refused.value))
    assert sum(STEP for _ in shop.starts) <= header.HEAD + (ranges.SIDE_BY_SIDE + 1) * STEP
    assert names(tmp_path) == []


def test_a_wrong_key_is_noticed_at_the_beginning_and_spoils_nothing(shop: Shop, address: str, tmp_path: Path) -> None:
    assert fetched(shop.wanted(address), tmp_path) == shop.plain
    with pytest.raises(WeightsError, match="a wrong key"):
        fetched(shop.wanted(address, key=b"\1" * 32), tmp_path)
    assert fetched(shop.wanted(NOBODY), tmp_path) == shop.plain


def b58(data: bytes) -> str:
    return str(base58.b58encode(data).decode())


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "swapped": ({"checksum": b58(bytes(32))}, "not those that were published"),
    "longer": ({"size": SIZE - 4}, f"lie at its address, not {SIZE - 4}"),
    "truncated": ({"size": SIZE + 4096}, f"lie at its address, not {SIZE + 4096}"),
    "far too large": ({"size": 10**15}, "at most 6.4 GB"),
    "empty": ({"size": 0}, "at most 6.4 GB"),
    "short checksum": ({"checksum": b58(bytes(31))}, "not 32 bytes"),
    "checksum without an end": ({"checksum": "2" * 10**6}, "not 32 bytes"),
    "checksum that is a path": ({"checksum": "../../x"}, "not 32 bytes"),
    "another scheme": ({"url": "file:///etc/passwd"}, "no http address"),
    "half an address": ({"url": "http://[::1"}, "address cannot be read"),
    "address beyond ASCII": ({"url": "http://127.0.0.1:1/\u2603"}, "address cannot be read"),
    "address with a line's end": ({"url": "http://127.0.0.1:1/a b\r\nX: y"}, "address cannot be read"),
    "nobody there": ({"url": NOBODY}, "no answer"),
    "key of 31 bytes": ({"key": bytes(31)}, "31 bytes"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_as_published_is_refused_by_name(what: str, shop: Shop, address: str, tmp_path: Path) -> None:
    others, named = REFUSED[what]
    with pytest.raises((FetchError, WeightsError), match=named):
        fetched(shop.wanted(address, **others), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("status", [403, 404, 416, 500])
def test_an_answer_that_is_none_is_told(shop: Shop, address: str, tmp_path: Path, status: int) -> None:
    shop.spoil = lambda _n, _s, _reply: (status, {}, b"")
    with pytest.raises(FetchError, match=f"the answer is {status}"):
        fetched(shop.wanted(address), tmp_path)
    assert len(shop.starts) == (fetch.TRIES if status >= 500 else 1)


LIES: dict[str, tuple[Callable[[Reply], Reply], str]] = {
    "a redirect to a file": (lambda _: (302, {"Location": "file:///etc/hostname"}, b""), "answer is 302"),
    "a redirect to ftp": (lambda _: (302, {"Location": "ftp://127.0.0.1:1/x"}, b""), "address cannot be read"),
    "a redirect to itself": (lambda _: (302, {"Location": "/"}, b""), "answer is 302"),
    "a redirect to nowhere": (lambda _: (302, {"Location": "http://[/"}, b""), "address cannot be read|answer is 302"),
    "packed": (lambda r: (206, r[1] | {"Content-Encoding": "gzip"}, gzip.compress(r[2])), "came|broke|safetensors"),
    "packed as a whole": (lambda r: (200, {"Content-Encoding": "gzip"}, gzip.compress(r[2])), "lie at its address"),
    "nothing": (lambda _: (204, {}, b""), "0 bytes lie"),
    "less than it tells": (
        lambda r: (200, {"Content-Length": "-5"}, r[2][:9]),
        "-5 bytes lie|9 bytes came",
    ),
    "a range of no size": (lambda r: (206, r[1] | {"Content-Range": "bytes 0-"}, r[2]), "another range"),
    "a range of another size": (lambda r: (206, r[1] | {"Content-Range": "bytes 0-9/10"}, r[2]), "10 bytes lie at"),
    "other bytes": (lambda r: (206, r[1], bytes(len(r[2]))), "published|safetensors"),
}


@pytest.mark.parametrize("what", LIES)
def test_a_server_that_lies_is_refused_and_nothing_of_it_is_used(what: str, shop: Shop, tmp_path: Path) -> None:
    lie, named = LIES[what]
    shop.spoil = lambda _n, _s, reply: lie(reply)
    with answering(shop.reply) as address, pytest.raises((FetchError, WeightsError), match=named):
        fetched(shop.wanted(address), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


def test_more_than_was_asked_for_is_left_and_another_host_may_have_it(shop: Shop, tmp_path: Path) -> None:
    def generous(_number: int, start: int, reply: Reply) -> Reply:
        return reply[0], reply[1] | {"Content-Range": f"bytes {start}-{len(shop.sealed) - 1}/*"}, reply[2] + b"more"

    shop.spoil = generous
    with answering(shop.reply) as there, answering(lambda *_: (307, {"Location": there}, b"")) as here:
        assert fetched(shop.wanted(here), tmp_path) == shop.plain


def test_a_range_whose_number_is_endless_is_refused_as_any_other(shop: Shop, address: str, tmp_path: Path) -> None:
    shop.spoil = lambda _n, _s, reply: (206, {"Content-Range": f"bytes {'9' * 5000}-1/*"}, reply[2])
    with pytest.raises(FetchError, match="another range"):
        fetched(shop.wanted(address), tmp_path)


def test_a_true_header_is_taken() -> None:
    plain = plain_of(4096)
    header.check(plain, len(plain))
    told = json.dumps({"__metadata__": {"a": "b"}}).encode()
    header.check(headed(told, b""), 8 + len(told))
    assert cipher.crypt(cipher.crypt(plain, KEY), KEY) == plain


@pytest.mark.slow
def test_ranges_are_faster_than_one_stream_where_a_line_has_its_share() -> None:
    words = [sys.executable, "-m", "tests.long.ranged_download", "--short"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
