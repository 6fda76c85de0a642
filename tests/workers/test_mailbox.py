"""Messages among machines come in order, once, and only from who has the job's key."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from somatui.workers.mailbox import Mailbox, opened, own_key, read_key
from somatui.workers.meeting import HANDED, Here, environment, host_port, torchrun


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def put(box: Mailbox, name: str, message: dict[str, Any]) -> None:
    """Put a message; it is there once this returns, since the store answers a line's questions in their order."""
    box.put(name, message)
    box.names()


def test_messages_come_in_order_once_and_forged_ones_never() -> None:
    port, key = free_port(), bytes(range(32))
    server = opened("127.0.0.1", port, serve=True)
    one, other = Mailbox(server, key, begins=True), Mailbox(opened("127.0.0.1", port, serve=False), key)
    stranger = Mailbox(opened("127.0.0.1", port, serve=False), bytes(32))
    assert one.names() == []
    other.knock("b")
    for n in range(3):
        put(other, "out/b", {"n": n})
    assert list(one.taken("out/b")) == [{"n": 0}, {"n": 1}, {"n": 2}] and list(one.taken("out/b")) == []
    put(stranger, "out/c", {"cmd": "task"})
    assert (list(one.taken("out/c")), one.forged) == ([], 1)
    put(other, "out/d", {"n": 4})
    server.set("somatui/out/e/1", server.get("somatui/out/d/1"))
    assert (list(one.taken("out/e")), one.forged, list(one.taken("out/d"))) == ([], 2, [{"n": 4}])
    assert one.names() == ["b"]
    with pytest.raises(OSError):
        opened("127.0.0.1", port, serve=True)


def test_a_message_longer_than_the_store_takes_at_once_comes_whole_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = opened("127.0.0.1", free_port(), serve=True)
    box, long = Mailbox(store, bytes(32), begins=True), {"text": "x" * (9 << 20)}
    before = store.num_keys()
    put(box, "out/a", long)
    put(box, "out/a", {"n": 1})
    assert list(box.taken("out/a")) == [long, {"n": 1}] and store.num_keys() == before
    monkeypatch.setattr("somatui.workers.mailbox.PIECE", 10)
    for text in ("", *("y" * n for n in range(1, 22))):
        put(box, "out/b", {"t": text})
        assert list(box.taken("out/b")) == [{"t": text}]
    assert (box.forged, store.num_keys()) == (0, before)
    monkeypatch.setattr("somatui.workers.mailbox.MOST", 90)
    put(box, "out/c", {"t": "z" * 90})
    assert (list(box.taken("out/c")), box.forged) == ([], 1)


def test_what_was_said_in_an_earlier_life_of_a_job_says_nothing_in_this_one() -> None:
    key, told = bytes(range(32)), {"kind": "done", "result": {"reason": "corpus"}}
    before, now = (opened("127.0.0.1", free_port(), serve=True) for _ in range(2))
    Mailbox(before, key, begins=True)
    put(Mailbox(before, key), "out/a", told)
    here = Mailbox(now, key, begins=True)
    put(Mailbox(now, key), "out/b", told)
    now.set("somatui/out/a/1", before.get("somatui/out/a/1"))
    assert (list(here.taken("out/a")), here.forged, list(here.taken("out/b"))) == ([], 1, [told])


def test_the_store_is_served_at_its_address_alone() -> None:
    port = free_port()
    store = opened("127.0.0.1", port, serve=True)
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", port), 2):
        pass
    assert store.check(["anything"]) is False


def test_a_key_is_made_once_and_is_the_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "job" / "nodes.key"
    key = own_key(path)
    assert (len(key), own_key(path), read_key(path)) == (32, key, key)
    assert path.stat().st_mode & 0o077 == 0
    path.write_text("abcd")
    with pytest.raises(ValueError):
        read_key(path)


def test_what_a_process_of_torchrun_is_handed_has_no_secret_in_it(tmp_path: Path) -> None:
    key = own_key(tmp_path / "nodes.key")
    here = Here("10.0.0.5:29400", str(tmp_path / "nodes.key"), str(tmp_path / "node"), str(tmp_path), [0, 1])
    env = environment(here)
    assert Here.handed(env) == here
    line, again = torchrun(2), torchrun(2)
    told = json.dumps(env) + Path(env[HANDED]).read_text() + " ".join(line)
    assert key.hex() not in told
    assert line != again, "the same port, which may be taken by now"
    assert {"--nproc-per-node=2", "--log-dir=/dev/null"} <= set(line) and env["PYTHONSAFEPATH"] == "1"


@pytest.mark.parametrize("wrong", ["", "host", "host:", "host:0", "host:65536", ":29400", "host:x", "host:٣"])
def test_an_address_is_a_host_and_a_port(wrong: str) -> None:
    assert host_port("[::1]:29400") == ("::1", 29400)
    with pytest.raises(ValueError):
        host_port(wrong)
