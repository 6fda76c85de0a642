"""Sets of the hub are streamed row by row and gone on with exactly; what they only name is fetched, many at a time."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from somatui.corpora import heritage, hub
from somatui.corpora.files import CorpusError
from somatui.corpora.hub import PRESETS, Hub, HubSet, local, named, sentence
from somatui.corpora.opening import open_corpus
from somatui.corpora.source import Circumstances, Item

pytestmark = pytest.mark.slow
TOKEN = "hf_" + "t" * 34


def around(most: int = 1000, token: str = "") -> Circumstances:
    return Circumstances([].append, lambda: False, most, token)


def table(made: Path, **columns: list[Any]) -> str:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), made, row_group_size=25)
    return str(made)


class Bucket(BaseHTTPRequestHandler):
    """Serves gzip objects by id, and notes how many were asked for at once: the first ones wait for so many.

    Up to request number `away` it hangs up; of what is in `cut` the first answer breaks off.
    """

    objects: dict[str, bytes]
    cut: set[str]
    away: int
    at_once: list[int]
    now: list[int]
    lock: threading.Lock
    gate: threading.Barrier

    def do_GET(self) -> None:
        with self.lock:
            self.now[0] += 1
            self.at_once.append(self.now[0])
            early = len(self.at_once) <= self.gate.parties
        if early:
            self.gate.wait(30)
        name = self.path.rpartition("/")[2]
        found = self.objects.get(name)
        if len(self.at_once) > self.away:
            self.send_response(200 if found is not None else 404)
            self.send_header("Content-Length", str(len(found or b"")))
            self.end_headers()
            self.wfile.write((found or b"")[: 9 if name in self.cut else None])
            self.cut.discard(name)
        with self.lock:
            self.now[0] -= 1

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def bucket() -> Iterator[tuple[type[Bucket], str]]:
    lock, gate = threading.Lock(), threading.Barrier(heritage.DOWNLOADS)
    handler = type("Own", (Bucket,), {"objects": {}, "at_once": [], "now": [0], "lock": lock, "gate": gate,
                                      "cut": set(), "away": 0})  # fmt: skip
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler, f"http://127.0.0.1:{server.server_address[1]}/content/"
    server.shutdown()
    server.server_close()


def test_rows_are_gone_on_with_exactly(tmp_path: Path) -> None:
    path = table(tmp_path / "t.parquet", id=[*range(90)], content=[f"row {n}" for n in range(90)])
    whole = list(Hub(local(path), around()).items(None))
    assert [(i.name, i.data) for i, _ in whole] == [(str(n), f"row {n}".encode()) for n in range(90)]
    for place in (0, 30, 31, 32, 70, 89):
        cursor = json.loads(json.dumps(whole[place][1]))
        assert [i for i, _ in Hub(local(path), around()).items(cursor)] == [i for i, _ in whole[place + 1 :]]
    with pytest.raises(CorpusError, match="no column patch: name one with --field, it has id, content"):
        list(Hub(local(path, ("patch",)), around()).items(None))


def test_named_bytes_are_fetched_many_at_once_decoded_and_in_order(
    tmp_path: Path, bucket: tuple[type[Bucket], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, address = bucket
    texts = {f"{n:040x}": f"größe {n}" for n in range(40)}
    handler.objects |= {k: gzip.compress(t.encode("latin-1")) for k, t in texts.items()}
    handler.objects["b" * 40] = gzip.compress(bytes(50 << 20))
    handler.objects["c" * 40] = b"no gzip"
    handler.objects["d" * 40] = gzip.compress(b"half of it " * 9)[:-8]
    ids = [*texts, "a" * 40, "b" * 40, "c" * 40, "d" * 40, "\n no id"]
    path = table(
        tmp_path / "t.parquet", blob_id=ids, src_encoding=["ISO-8859-1"] * 45, path=[f"/{n}.c" for n in range(45)]
    )
    whole = list(Hub(local(path, content=address), around()).items(None))
    assert [i for i, _ in whole] == [
        *(Item(f"/{n}.c", t.encode()) for n, t in enumerate(texts.values())),
        Item("/40.c", cut="missing"), Item("/41.c", cut="size"), Item("/42.c", cut="unreadable"),
        Item("/43.c", cut="unreadable"), Item("t.parquet:45", cut="malformed"),
    ]  # fmt: skip
    assert max(handler.at_once) == heritage.DOWNLOADS
    cursor = json.loads(json.dumps(whole[35][1]))
    assert [i for i, _ in Hub(local(path, content=address), around()).items(cursor)] == [i for i, _ in whole[36:]]
    files = [[{"blob_id": ids[2 * n], "src_encoding": "latin-1"}, {"blob_id": ids[2 * n + 1]}] for n in range(3)]
    smol = local(table(tmp_path / "s.parquet", repo=["x"] * 3, files=files), content=address)
    listed = list(Hub(smol, around()).items(None))
    assert [i.cut for i, _ in listed] == ["", "undecodable"] * 3
    assert [i for i, _ in Hub(smol, around()).items(listed[2][1])] == [i for i, _ in listed[3:]]


def test_bytes_cut_off_are_asked_for_again_and_a_store_that_is_away_costs_no_row(
    tmp_path: Path, bucket: tuple[type[Bucket], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heritage, "TRIES", 2)
    monkeypatch.setattr(hub, "FIRST_WAIT_S", 0.01)
    handler, address = bucket
    handler.gate = threading.Barrier(1)
    texts = {f"{n:040x}": f"number {n}" for n in range(20)}
    handler.objects |= {k: gzip.compress(t.encode()) for k, t in texts.items()}
    handler.cut = {f"{7:040x}"}
    path = table(tmp_path / "t.parquet", blob_id=[*texts])
    said: list[str] = []
    source = Hub(local(path, content=address), Circumstances(said.append, lambda: False, 1000))
    found = source.items(None)
    got = [next(found)[0].data for _ in range(3)]
    handler.away = len(handler.at_once) + 40
    got += [item.data for item, _ in found]
    assert got == [t.encode() for t in texts.values()]
    assert said and all(address in one and "does not answer" in one for one in said)
    refused = local(table(tmp_path / "r.parquet", blob_id=[f"{n:040x}" for n in range(100, 160)]), content=address)
    monkeypatch.setattr(heritage, "MISSING_MOST", 30)
    with pytest.raises(CorpusError, match="refused the bytes of 30 rows one after another"):
        list(Hub(refused, around()).items(None))
    gone = local(path, content="http://127.0.0.1:9/")
    with pytest.raises(CorpusError, match="http://127.0.0.1:9/, where the bytes of its rows are, does not answer"):
        list(Hub(gone, around()).items(None))


class Cut:
    """Rows of a real set whose line is cut once, behind the 40th."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows
        self.load_state_dict, self.state_dict = rows.load_state_dict, rows.state_dict

    def __iter__(self) -> Iterator[Any]:
        for number, row in enumerate(self._rows):
            if number == 40:
                raise ConnectionError("reset by peer")
            yield row


def test_an_interrupted_line_is_tried_again_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, said = table(tmp_path / "t.parquet", content=[f"row {n}" for n in range(60)]), list[str]()
    monkeypatch.setattr(hub, "FIRST_WAIT_S", 0.01)
    source = Hub(local(path), Circumstances(said.append, lambda: False, 1000))
    opened, cut = source._opened, [Cut]
    monkeypatch.setattr(source, "_opened", lambda: cut.pop()(opened()) if cut else opened())
    assert [(i.name, i.data) for i, _ in source.items(None)] == [
        (f"{source.name}:{n + 1}", f"row {n}".encode()) for n in range(60)
    ]
    assert len(said) == 1
    assert said[0].endswith("Tried again in 0.01 s.")


def test_what_the_hub_refuses_is_told_in_one_sentence_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(CorpusError) as failure:
        list(Hub(HubSet("owner/set"), around(token=TOKEN)).items(None))
    assert str(failure.value).startswith("The hub is not reached, so owner/set cannot be read")
    import httpx2
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub.errors import HfHubHTTPError

    refused = httpx2.Response(401, request=httpx2.Request("GET", "https://huggingface.co/api/datasets/o/s"))
    unknown = DatasetNotFoundError("Dataset 'o/s' doesn't exist")
    unknown.__cause__ = HfHubHTTPError("401, as the hub says of it to strangers", response=refused)
    for problem, told in (
        (DatasetNotFoundError("Dataset 'o/s' is a gated dataset on the Hub."), "o/s is gated: accept its terms"),
        (DatasetNotFoundError("Dataset 'o/s' doesn't exist"), "There is no data set o/s"),
        (ValueError(f"BuilderConfig 'x' not found {TOKEN}"), "o/s has no such configuration"),
        (RuntimeError(TOKEN), "o/s cannot be read (RuntimeError)"),
        (unknown, "There is no data set o/s"),
        (HfHubHTTPError("401", response=refused), "The hub does not accept the token hf/token"),
    ):
        assert sentence("o/s", problem).startswith(told)
        assert TOKEN not in sentence("o/s", problem)


def test_names_and_presets_say_what_is_read(tmp_path: Path) -> None:
    assert named({"kind": "hub", "name": "o/s/python:test", "fields": ["x"]}) == HubSet(
        "o/s", "python", None, "test", ("x",)
    )
    stack = named({"kind": "preset", "name": "stack-v2/Python"})
    assert (stack.name, stack.config, stack.content) == ("bigcode/the-stack-v2-dedup", "Python", heritage.CONTENT)
    star = named({"kind": "preset", "name": "starcoderdata/python"})
    assert (star.config, star.folder, star.fields) == (None, "python", ("content",))
    assert named({"kind": "preset", "name": "swe-bench:test"}).split == "test"
    assert named({"kind": "preset", "name": "fineweb-edu"}) == PRESETS["fineweb-edu"]
    for wrong in ({"kind": "preset", "name": "pile"}, {"kind": "hub", "name": "alone"}):
        with pytest.raises(CorpusError, match="preset pile|no data set's name"):
            open_corpus({"sources": [wrong]}, tmp_path)
