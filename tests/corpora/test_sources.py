"""Sources give their items once and in order, go on exactly where a cursor says, and are done with when they end."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from somatui.corpora import lines, mixed, program
from somatui.corpora.files import Candidate, CorpusError
from somatui.corpora.lines import Lines
from somatui.corpora.opening import Corpus, open_corpus
from somatui.corpora.program import Program
from somatui.corpora.source import Circumstances, Shard
from somatui.corpora.tables import Parquet

PATIENCE_S = 30.0


def around(said: list[str] | None = None, most: int = 1000) -> Circumstances:
    return Circumstances((said if said is not None else []).append, lambda: False, most)


def everything(corpus: Corpus, most: int | None = None) -> list[Candidate]:
    """Candidates up to a number or the end."""
    found: list[Candidate] = []
    until = time.monotonic() + PATIENCE_S
    while (most is None or len(found) < most) and not corpus.over:
        assert time.monotonic() < until
        if (candidate := corpus.take()) is not None:
            found.append(candidate)
    return found


def spec(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"paths": None, "max_bytes": 500, "seed": 3, "sources": list(sources)} | more


def jsonl(path: Path, *records: Any) -> dict[str, Any]:
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    return {"kind": "jsonl", "path": str(path)}


def script(path: Path, text: str) -> dict[str, Any]:
    path.write_text(text)
    return {"kind": "program", "command": f"{sys.executable} -I -S {path}"}


def test_a_line_of_json_gives_its_text_its_content_its_data_or_the_fields_that_are_asked_for(tmp_path: Path) -> None:
    records = [
        {"text": "one", "name": "a"}, {"content": "two"}, {"data": base64.b64encode(b"\x01\x02").decode(), "id": 7},
        {"issue": "it breaks", "patch": "+ mend"}, [1], {"text": "\ud800"},
    ]  # fmt: skip
    asked = jsonl(tmp_path / "a.jsonl", *records)
    found = [(i.name, i.data, i.cut) for i, _ in Lines(Path(asked["path"]), around(), json_lines=True).items(None)]
    assert found == [
        ("a", b"one", ""), ("a.jsonl:2", b"two", ""), ("7", b"\x01\x02", ""), ("a.jsonl:4", b"", "malformed"),
        ("a.jsonl:5", b"", "malformed"), ("a.jsonl:6", b"", "undecodable"),
    ]  # fmt: skip
    paired = Lines(Path(asked["path"]), around(), json_lines=True, fields=("issue", "patch"))
    assert [i.data for i, _ in paired.items(None) if not i.cut] == [b"it breaks\n\n+ mend"]


def test_a_file_of_which_no_record_has_the_fields_is_refused_with_those_that_it_has(tmp_path: Path) -> None:
    records = [{"title": "a", "patch": None}] * (lines.PATIENCE + 5) + [{"patch": "+"}]
    for many, fields, told in (
        (len(records), ("patch",), "no text in patch"), (3, (), "no text in text, content, code or data"),
    ):  # fmt: skip
        path = Path(jsonl(tmp_path / "a.jsonl", *records[:many])["path"])
        found = Lines(path, around(), json_lines=True, fields=fields).items(None)
        with pytest.raises(CorpusError, match=f"a.jsonl has {told}: name fields with --field, it has title, patch"):
            assert {item.cut for item, _ in found} == {"malformed"}
    late = jsonl(tmp_path / "b.jsonl", *records[-lines.PATIENCE :])
    found = Lines(Path(late["path"]), around(), json_lines=True, fields=("patch",)).items(None)
    assert [item.data for item, _ in found][-1] == b"+"


def test_an_item_that_has_no_window_is_counted(tmp_path: Path) -> None:
    asked = jsonl(tmp_path / "a.jsonl", {"text": "short"}, {"text": " "}, {"text": "", "name": "a.py"})
    for window in ("chunk", "function"):
        corpus = open_corpus(spec(asked, window=window), tmp_path / window)
        if window == "chunk":
            with pytest.raises(CorpusError, match=r"no candidate \(left out: 2 empty, 1 no_window\): name other files"):
                everything(corpus)
        else:
            assert [c.data for c in everything(corpus)] == [b"short"]
            assert corpus.dropped == {"empty": 2}
        corpus.close()


def test_a_source_that_fails_is_told_of_while_others_go_on_and_when_all_fail_the_corpus_does(tmp_path: Path) -> None:
    good = jsonl(tmp_path / "a.jsonl", *({"text": f"number {n}"} for n in range(200)))
    bad, worse = (jsonl(tmp_path / f"{n}.jsonl", {"title": n}) for n in ("b", "c"))
    said: list[str] = []
    corpus = open_corpus(spec(good, bad), tmp_path / "one", tell=said.append)
    assert len(everything(corpus, 100)) == 100
    assert [one[:36] for one in said] == ["b.jsonl has no text in text, content"]
    assert len(everything(corpus)) == 100 and corpus.over and len(said) == 1
    corpus.close()
    for sources in ((bad, worse), (bad, jsonl(tmp_path / "d.jsonl"))):
        corpus = open_corpus(spec(*sources), tmp_path / "two", tell=said.append)
        with pytest.raises(CorpusError, match="^b.jsonl has no text in text"):
            everything(corpus)
        corpus.close()


def test_a_corpus_without_a_candidate_says_so_unless_it_is_one_shard_s_part(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for asked in (
        spec(jsonl(tmp_path / "a.jsonl")), spec(script(tmp_path / "p.py", "")), spec(paths=[str(tmp_path / "files")]),
        {"paths": [str(tmp_path / "files")]},
    ):  # fmt: skip
        corpus = open_corpus(asked, tmp_path / "work")
        with pytest.raises(CorpusError, match="^The corpus has no candidate: name other files"):
            everything(corpus)
        part = open_corpus(asked, tmp_path / "part", shard=Shard(0, 2))
        assert everything(part) == [] and part.over
        for one in (corpus, part):
            one.close()


def test_nobody_waits_for_a_slow_program_while_another_source_has_candidates(tmp_path: Path) -> None:
    slow = script(tmp_path / "p.py", 'import time\nprint(\'{"text": "one"}\', flush=True)\ntime.sleep(600)\n')
    corpus = open_corpus(spec(jsonl(tmp_path / "a", *({"text": f"{n}"} for n in range(300))), slow), tmp_path / "work")
    began = time.monotonic()
    found = everything(corpus, 301)
    assert time.monotonic() - began < 2 + 20 * mixed.PATIENCE_S
    assert {c.data for c in found} == {b"one", *(f"{n}".encode() for n in range(300))}
    corpus.close()


def test_names_that_are_no_text_are_counted_and_end_no_source(tmp_path: Path) -> None:
    odd = tmp_path / "files" / os.fsdecode(b"\xff")
    odd.mkdir(parents=True)
    (odd / "a.py").write_text("print(1)\n")
    (odd.parent / "b.py").write_text("print(2)\n")
    odd_lines = jsonl(
        tmp_path / os.fsdecode(b"\xfe.jsonl"), {"name": "\ud800", "none": 1}, {"name": "\ud800", "text": "one"}
    )
    asked = spec(odd_lines, {"kind": "files", "path": str(odd.parent)}, {"kind": "files", "path": str(odd)})
    corpus = open_corpus(asked, tmp_path / "work")
    found = everything(corpus)
    assert {c.data for c in found} == {b"one", b"print(2)\n"} and dict(corpus.dropped) == {
        "malformed": 1,
        "unreadable": 2,
    }
    assert all(text.isprintable() for c in found for text in (c.name, c.source))
    corpus.close()


@pytest.mark.parametrize("window", ["file", "chunk"])
def test_a_corpus_of_several_sources_goes_on_exactly(tmp_path: Path, window: str) -> None:
    text = "{} is told in words of its own, {}\n"

    def page(n: int, count: int) -> str:
        return "".join(text.format(n * k, k) for k in range(count))

    first = jsonl(tmp_path / "a.jsonl", *({"text": page(n, 70)} for n in range(1, 40)))
    (tmp_path / "b.txt").write_text("".join(text.format(-n, n % 20) for n in range(40)))
    (tmp_path / "folder").mkdir()
    for n in range(20):
        (tmp_path / "folder" / f"{n}.py").write_text(page(n + 100, 60))
    asked = spec(
        first, {"kind": "lines", "path": str(tmp_path / "b.txt")}, paths=[str(tmp_path / "folder")],
        window=window, max_bytes=4096,
    )  # fmt: skip
    whole = open_corpus(asked, tmp_path / "whole")
    expected = sorted(c.data for c in everything(whole))
    whole.close()
    assert len(expected) == len(set(expected)) > 50
    got: list[bytes] = []
    cursor = None
    while True:
        corpus = open_corpus(asked, tmp_path / "work", cursor)
        part = everything(corpus, 7)
        cursor = json.loads(json.dumps(corpus.cursor())) if part else cursor
        if part:
            corpus.take()
        corpus.close()
        got += [c.data for c in part]
        if not part:
            break
    assert sorted(got) == expected
    assert corpus.dropped == whole.dropped


def test_what_came_before_the_cursor_is_a_duplicate_and_its_bytes_are_kept_for_another_look(tmp_path: Path) -> None:
    asked = spec(jsonl(tmp_path / "a.jsonl", *({"text": f"number {n % 5}"} for n in range(20))))
    corpus = open_corpus(asked, tmp_path)
    first = everything(corpus, 3)
    cursor = corpus.cursor()
    corpus.close()
    resumed = open_corpus(asked, tmp_path, cursor)
    rest = everything(resumed)
    assert [c.data for c in first + rest] == [f"number {n}".encode() for n in range(5)]
    assert resumed.dropped == {"duplicate": 15}
    assert all(Path(c.name).read_bytes() == c.data and c.source == "a.jsonl" for c in first + rest)
    resumed.close()


def test_a_fifo_is_read_as_its_writer_writes_and_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    corpus = open_corpus(spec({"kind": "jsonl", "path": str(path)}), tmp_path / "work")
    assert corpus.take() is None
    assert not corpus.over
    with path.open("w") as writer:
        writer.write('{"text": "through a pipe"}\n')
        writer.flush()
        assert [c.data for c in everything(corpus, 1)] == [b"through a pipe"]
        assert not corpus.over
    assert everything(corpus) == []
    corpus.close()


def test_a_program_gives_lines_and_records_and_is_over_when_it_ends_well(tmp_path: Path) -> None:
    asked = script(tmp_path / "p.py", """if True:
        import sys, base64
        out = sys.stdout.buffer
        out.write(b'{"text": "a line", "name": "x"}\\n\\n')
        out.write((5).to_bytes(4, "big") + b"12345" + (2000).to_bytes(4, "big") + b"x" * 2000)
        out.write(b'no json\\n{"text": "' + b"y" * 9000 + b'"}\\n')
        out.write(b'{"data": "' + base64.b64encode(b"last") + b'"}')
    """)  # fmt: skip
    items = [(i.data, i.cut) for i, _ in Program(asked["command"], around()).items(None)]
    assert items == [
        (b"a line", ""), (b"12345", ""), (b"", "size"), (b"", "malformed"), (b"", "size"), (b"last", ""),
    ]  # fmt: skip


def test_a_program_that_fails_is_started_again_where_it_told_that_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FIRST_WAIT_S", 0.01)
    asked = script(tmp_path / "p.py", """if True:
        import json, os, sys
        at = json.loads(os.environ.get("SOMATUI_CURSOR", "0"))
        print(json.dumps({"text": f"number {at}", "cursor": at + 1}), flush=True)
        sys.exit(0 if at == 3 else 5)
    """)  # fmt: skip
    said: list[str] = []
    items = list(Program(asked["command"], around(said)).items(None))
    assert [i.data for i, _ in items] == [f"number {n}".encode() for n in range(4)]
    assert said == [f"{Path(sys.executable).name} ended with status 5: started again in 0.01 s"] * 3
    assert items[1][1] == {"count": 2, "told": 2}
    assert [i.data for i, _ in Program(asked["command"], around()).items(items[1][1])] == [b"number 2", b"number 3"]


def test_a_program_that_fails_again_and_again_without_going_on_is_started_later_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "FIRST_WAIT_S", 0.01)
    asked = script(tmp_path / "p.py", 'import os\nprint(\'{"text": "%s"}\' % os.getcwd())\nexit(5)\n')
    said: list[str] = []
    source = Program(asked["command"], around(said), folder=str(tmp_path))
    for (item, _), _ in zip(source.items(None), range(4), strict=False):
        assert item.data.decode() == str(tmp_path)
    source.close()
    assert [one.rpartition(" in ")[2] for one in said[:3]] == ["0.01 s", "0.02 s", "0.04 s"]


def test_a_program_that_only_fails_is_given_up_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(program, "TRIES", 2)
    corpus = open_corpus(spec({"kind": "program", "command": "/no/such/program"}), tmp_path)
    with pytest.raises(CorpusError, match="program ended with status 127 2 times"):
        everything(corpus, 1)
    corpus.close()
    with pytest.raises(CorpusError, match="quotes"):
        Program("'open", around())


def children(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


FOREVER = """if True:
    import subprocess, sys, time
    sys.stderr.write("a word of mine\\n")
    subprocess.Popen(["sleep", "600"])
    print('{"text": "begun"}', flush=True)
    time.sleep(600)
"""


def test_closing_a_corpus_ends_its_program_and_what_that_started(tmp_path: Path) -> None:
    corpus = open_corpus(spec(script(tmp_path / "p.py", FOREVER)), tmp_path)
    before = {p.pid for p in children(psutil.Process())}
    assert [c.data for c in everything(corpus, 1)] == [b"begun"]
    running = [p for p in children(psutil.Process()) if p.pid not in before or "p.py" in " ".join(p.cmdline())]
    assert running
    corpus.close()
    assert not psutil.wait_procs(running, PATIENCE_S)[1]


@pytest.mark.slow
def test_no_program_outlives_a_killed_worker_and_its_errors_are_in_the_log(tmp_path: Path) -> None:
    asked = spec(script(tmp_path / "p.py", FOREVER))
    code = (
        "import json, sys, pathlib; from somatui.corpora.opening import open_corpus\n"
        "corpus = open_corpus(json.loads(sys.argv[1]), pathlib.Path(sys.argv[2]))\n"
        "while (found := corpus.take()) is None: pass\n"
        "print(found.data, flush=True); sys.stdin.read()"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(asked), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert worker.stdout is not None and worker.stderr is not None
    assert worker.stdout.readline() == b"b'begun'\n"
    running = children(psutil.Process(worker.pid))
    assert len(running) >= 3
    worker.kill()
    assert not psutil.wait_procs(running, PATIENCE_S)[1]
    assert worker.stderr.read() == b"a word of mine\n"
    worker.communicate()


def test_a_source_of_no_kind_and_a_window_of_no_mode_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no source of kind magic"):
        open_corpus(spec({"kind": "magic"}), tmp_path)
    with pytest.raises(CorpusError, match="no window mode page"):
        open_corpus(spec(window="page"), tmp_path)
    with pytest.raises(CorpusError, match="no file"):
        open_corpus(spec({"kind": "lines", "path": str(tmp_path / "none")}), tmp_path)
    assert threading.active_count() < 100


@pytest.mark.slow
def test_rows_of_a_parquet_file_go_on_from_any_row(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    path = tmp_path / "t.parquet"
    table = pyarrow.table(
        {"path": [f"{n}.c" for n in range(50)], "content": [f"row {n}" for n in range(50)], "x": [1] * 50}
    )
    parquet.write_table(table, path, row_group_size=20)
    whole = list(Parquet(path, around()).items(None))
    assert [(i.name, i.data) for i, _ in whole] == [(f"{n}.c", f"row {n}".encode()) for n in range(50)]
    for _, cursor in whole[::7]:
        assert list(Parquet(path, around()).items(json.loads(json.dumps(cursor)))) == whole[cursor["row"] :]
    with pytest.raises(CorpusError, match="no column y: name one with --field, it has path, content, x"):
        list(Parquet(path, around(), ("y",)).items(None))
    schema = pyarrow.schema([("text", pyarrow.string())])
    texts = pyarrow.array([b"one", b"\xff\xfe", b"three"]).view(pyarrow.string())
    parquet.write_table(pyarrow.Table.from_arrays([texts], schema=schema), path)
    assert [(i.data, i.cut) for i, _ in Parquet(path, around()).items(None)] == [
        (b"one", ""), (b"", "undecodable"), (b"three", "")
    ]  # fmt: skip
    path.write_text("PAR1 no more")
    with pytest.raises(CorpusError, match="cannot be read as parquet"):
        list(Parquet(path, around()).items(None))


@pytest.mark.slow
def test_a_large_group_of_rows_is_not_read_into_memory(tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    rows = [os.urandom(1 << 15) for _ in range(1200)]
    table = pyarrow.table({"data": rows})
    parquet.write_table(table, tmp_path / "t.parquet", row_group_size=len(rows), write_batch_size=8)
    del table
    before = pyarrow.total_allocated_bytes()
    for number, (item, _) in enumerate(Parquet(tmp_path / "t.parquet", around(most=1 << 16)).items(None)):
        assert item.data == rows[number]
        assert pyarrow.total_allocated_bytes() - before < 16 << 20
    assert number == len(rows) - 1


@pytest.mark.slow
def test_items_that_mean_harm_are_each_counted_and_memory_is_bounded() -> None:
    sizes = ["--items", "110", "--huge", str(64 << 20), "--bomb", str(64 << 20), "--endless", str(96 << 20)]
    done = subprocess.run([sys.executable, "-m", "tests.long.hostile_corpus", *sizes], capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert done.returncode == 0, told
    assert 0 < told["grown_mib"] < 32


def test_what_hits_is_drawn_more_often_and_no_source_less_than_the_floor(tmp_path: Path) -> None:
    asked = [
        jsonl(tmp_path / f"{s}.jsonl", *({"text": f"{s} {n}"} for n in range(900))) for s in ("poor", "rich", "none")
    ]
    corpus = open_corpus(spec(*asked), tmp_path / "work")
    for _ in range(600):
        candidate = next(iter(everything(corpus, 1)))
        corpus.learn(candidate.source, int(candidate.source == "rich.jsonl"))
    given = {name: share.given for name, share in corpus.shares().items()}
    assert given["rich.jsonl"] > 400
    assert min(given.values()) > 600 * 0.05 / 2
    assert corpus.shares()["rich.jsonl"].hits == given["rich.jsonl"]
    corpus.close()
