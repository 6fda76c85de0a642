"""Weights from a distant store by ranges, beside one stream: `python -m tests.long.ranged_download`.

The store answers after 50 ms and gives each connection its share of a line and no more, as object stores do. Both
hash and open the same bytes onto the same disk, in turn; the ratio is the median of the rounds'.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import base58

from somatui.engine.cipher import Pass
from somatui.workers import ranges
from somatui.workers.fetch import PIECE, weights_file
from somatui.workers.prefetch import Wanted
from tests.workers.weighing import Shop, a_session, plain_of

LATENCY_S = 0.05
PART = 256 * 1024


@contextmanager
def distant(sealed: bytes, share: float) -> Iterator[str]:
    """A store of one object; `share` is a connection's bytes a second. Its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(LATENCY_S)
            asked = self.headers.get("Range")
            start, stop = (int(n) for n in asked.removeprefix("bytes=").split("-")) if asked else (0, len(sealed) - 1)
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(stop + 1 - start))
            if asked:
                self.send_header("Content-Range", f"bytes {start}-{stop}/{len(sealed)}")
            self.end_headers()
            began, whole = time.monotonic(), memoryview(sealed)[start : stop + 1]
            for at in range(0, len(whole), PART):
                time.sleep(max(0.0, began + at / share - time.monotonic()))
                self.wfile.write(whole[at : at + PART])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/weights"
        server.shutdown()


def one_stream(wanted: Wanted, folder: Path) -> Path:
    """The plain way: one request, read, hashed, opened and written as it comes."""
    opened, path = Pass(wanted.key), folder / "stream"
    asked = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(wanted.url, timeout=30)
    with asked as answer, path.open("wb") as file:
        while piece := answer.read(PIECE):
            for plain in opened.steps(piece):
                file.write(plain)
        file.flush()
        os.fsync(file.fileno())
    assert opened.checksum() == base58.b58decode(wanted.checksum)
    return path


def timed(fetch: Callable[[Wanted, Path], Path], wanted: Wanted, plain: bytes) -> float:
    """Seconds of one fetch into an empty folder, whose result must be right."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        path = fetch(wanted, Path(folder))
        took = time.monotonic() - began
        assert path.read_bytes() == plain, "a speed of wrong bytes is void"
    return took


def main(argv: list[str] | None = None) -> int:
    """Measure, print a line for each round and the median; 1 when it is below --least."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=268)
    parser.add_argument("--share", type=float, default=4.0, help="MB a second of one connection")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=4.0, help="the ratio below which this fails")
    parser.add_argument("--short", action="store_true", help="one round of 17 MB by ranges of 2 MB")
    args = parser.parse_args(argv)
    if args.short:
        args.megabytes, args.share, args.rounds, args.least = 17, 8.0, 1, 2.0
        ranges.RANGE = 2 * 1024 * 1024
    shop, ratios = Shop(plain_of(args.megabytes * 10**6)), []
    with distant(shop.sealed, args.share * 1e6) as address:
        wanted = shop.wanted(address)
        for number in range(args.rounds):
            stream = timed(one_stream, wanted, shop.plain)
            ours = timed(lambda w, folder: weights_file(w, folder, a_session()), wanted, shop.plain)
            ratios.append(stream / ours)
            print(f"round {number + 1}: one stream {stream:.2f} s, by ranges {ours:.2f} s, ratio {ratios[-1]:.2f}")
    median = statistics.median(ratios)
    print(f"median ratio {median:.2f} ({args.megabytes} MB, {args.share:g} MB/s a connection, 50 ms)")
    return 0 if median >= args.least else 1


if __name__ == "__main__":
    sys.exit(main())
