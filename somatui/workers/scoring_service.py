"""Worker that answers scoring requests until its standard input ends: `python -m somatui.workers.scoring_service`.

Request lines: {"id": n, "data_url", "data_checksum", "data_size", "models": [{"url", "checksum", "size",
"key" | null}], "target_embedding": [x], "seed": n}. Answer lines: {"id", "ok": true, "winner", "loss", "embedding",
"distance"} or {"id", "ok": false, "error"}. Checksums and keys are Base58; what an address holds is checked first.
{"id": n, "health": true} is answered between them, out of turn: {"id", "ok": true, "well": bool, "loss", "distance",
"card": bool}, where `card` says whether a card gives the same answer, if there is one. {"give_up": n} ends the request
of that number at its next chunk, or before it has begun; it is answered too.

Weights come into the folder of `--weights`, known by their checksum, and are mapped from there; data stay in memory.
With `--keep-days` and `--limit-bytes` old ones are removed. Models of the real network are scored on a card where
PyTorch can use one, in f32.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import math
import os
import sys
import threading
import time
import traceback
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Generic, TextIO, TypeVar
from urllib.parse import urlsplit

import base58
import numpy as np
import torch

from somatui.engine import contract, known, weights
from somatui.engine.chunks import Chunks
from somatui.engine.resident import Resident, prepared
from somatui.engine.weights import ModelConfig, Tensors
from somatui.workers.board import BoardModel
from somatui.workers.fetch import LARGEST, FetchError, sealed_file, weights_file
from somatui.workers.line import Line
from somatui.workers.protocol import Emitter, Kind
from somatui.workers.score_file import LARGEST_DATA
from somatui.workers.screening import Loaded, Screening, device_of
from somatui.workers.session import Session
from somatui.workers.shelf import Shelf
from somatui.workers.trouble import of_failure

DATA_KEPT = 64 * 1024 * 1024
"""Bytes of data that are kept: they are scored again though their address is dead (protocol.md 8, item 10)."""
SILENCE_S, FETCH_S = 30.0, 300.0
"""How long a server of data may say nothing, and how long all of it may take: others wait behind it."""
MOST_LETTERS = 64
"""Of a checksum or a key, with a few to spare."""
TIDY_S = 3600.0
"""So often at most old weights are looked for."""
PROCESSOR = torch.device("cpu")
Value = TypeVar("Value")


class RequestError(ValueError):
    """A request that cannot be answered. “Invalid” and “Checksum” put the blame on the request (protocol.md 5.5)."""


class Kept(Generic[Value]):
    """The values used last, by key, of no more bytes together than `most`, but always the newest."""

    def __init__(self, most: int) -> None:
        self._most, self._bytes = most, 0
        self._held: OrderedDict[object, tuple[Value, int]] = OrderedDict()

    def get(self, key: object, size: int, make: Callable[[], Value]) -> Value:
        """The value of a key, made now if it is not here; `size` is its bytes. Nothing makes room for what fails."""
        if key not in self._held:
            made = make()
            while self._held and self._bytes + size > self._most:
                self._bytes -= self._held.popitem(last=False)[1][1]
            self._held[key] = made, size
            self._bytes += size
        self._held.move_to_end(key)
        return self._held[key][0]

    def values(self) -> dict[object, Value]:
        """All that is held now."""
        return {key: value for key, (value, _) in self._held.items()}


def fetch(url: str, checksum: str, size: int, halt: threading.Event | None = None) -> bytes:
    """The bytes at an address, if they are those of the manifest. Raises RequestError, also when halted."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise RequestError(f"Invalid address {url:.200}: it is no http address")
    if not 0 < size <= LARGEST_DATA:
        raise RequestError(f"Invalid size {size} of {url:.200}: it must be 1 to {LARGEST_DATA} bytes")
    try:
        asked = urllib.request.Request(url, headers={"User-Agent": "somatui"})
        with contextlib.closing(Line(asked, SILENCE_S)) as answer:
            data = _read(answer, size + 1, halt or threading.Event())
            got = max(len(data), int(answer.headers.get("Content-Length") or 0))
    except urllib.error.HTTPError as refused:
        with refused:
            raise RequestError(f"{url:.200} answers {refused.code} {refused.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as why:
        raise RequestError(f"{url:.200} cannot be fetched ({getattr(why, 'reason', None) or why})") from None
    if got != size:
        text = f"size mismatch: expected {size} bytes, got {got} bytes"
        raise RequestError(f"Runtime competition error: Blob error: {text}")
    if weights.checksum(data) != _digest_of(checksum):
        raise RequestError(f"Checksum mismatch: {url:.200} does not hold the bytes of {checksum}")
    return data


def _read(answer: Line, most: int, halt: threading.Event) -> bytes:
    """Up to so many bytes, if they come in time. Raises OSError and RequestError."""
    pieces, left, until = [], most, time.monotonic() + FETCH_S
    while left and (piece := answer.read(left)):
        if halt.is_set():
            raise _given_up()
        if time.monotonic() > until:
            raise TimeoutError(f"not whole after {FETCH_S:g} s")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def _given_up() -> RequestError:
    return RequestError("The request was given up")


def _decoded(text: str, name: str) -> bytes:
    # What is far too long would take hours: decoding takes the square of its length.
    if len(text) > MOST_LETTERS:
        raise RequestError(f"Invalid {name}: it has {len(text)} letters, 32 bytes in Base58 have at most 44")
    try:
        return base58.b58decode(text)
    except ValueError:
        raise RequestError(f"Invalid {name}: it is no Base58") from None


def _digest_of(checksum: str) -> bytes:
    digest = _decoded(checksum, "checksum")
    if len(digest) != 32:
        raise RequestError(f"Invalid checksum {checksum:.50}: it is not of 32 bytes")
    return digest


class _Aloud(Emitter):
    """Says what others tell their parent in plain lines, and nothing but what they say."""

    def send(self, kind: Kind, **body: Any) -> None:
        if kind == "log":
            sys.stderr.write(f"{body['text']}\n")


class Models:
    """Weights in a folder, those used last mapped into memory; `keep` is for how many days, up to how many bytes."""

    def __init__(self, folder: Path, most_bytes: int, session: Session, keep: tuple[int, int] | None = None) -> None:
        self._folder, self._kept, self._session = folder, Kept[Loaded](most_bytes), session
        self._keep, self._tidy_at = keep, 0.0

    def held(self) -> dict[str, Loaded]:
        """Those that are mapped now, by name."""
        return {str(name): found for name, found in self._kept.values().items()}

    def get(self, model: dict[str, Any]) -> tuple[str, Loaded]:
        """The name of a manifest's weights, and what they are. Raises RequestError."""
        checksum, size, key = str(model["checksum"]), int(model["size"]), model.get("key")
        _digest_of(checksum)
        if not 0 < size <= LARGEST:
            raise RequestError(f"Invalid size {size} of model {checksum}: it must be 1 to {LARGEST} bytes")
        name = f"{checksum}.{key}"
        self._tidy()
        return name, self._kept.get(name, size, lambda: self._opened(str(model["url"]), checksum, size, key))

    def _tidy(self) -> None:
        """Remove old weights, now and then; those that are mapped here stay, and stay new for others."""
        if self._keep is None or time.monotonic() < self._tidy_at:
            return
        self._tidy_at = time.monotonic() + TIDY_S
        shelf, live = Shelf(self._folder), {name.partition(".")[0] for name in self.held()}
        with contextlib.suppress(OSError):
            shelf.keep(live)
            if gone := shelf.prune(live, *self._keep):
                size = sum(one.size for one in gone) / 1e9
                self._session.say("info", f"{len(gone)} old weights were removed ({size:.2f} GB)")

    def _opened(self, url: str, checksum: str, size: int, key: str | None) -> Loaded:
        model = BoardModel(checksum, url, checksum, size, _decoded(key, "decryption key") if key else b"")
        try:
            if key:
                return weights.open_file(weights_file(model, self._folder, self._session))
            # Weights that were published without a cipher are plain as they lie.
            return weights.open_file(sealed_file(model, self._folder, self._session, lambda come: None))
        except FetchError as why:
            raise RequestError(f"The weights {checksum} cannot be had from {url:.200}: {why}") from None
        except weights.WeightsError as why:
            raise RequestError(f"Invalid model {checksum}: {why}") from None


class Service:
    """Models, data and parts of scores it has seen, and the way to an answer."""

    def __init__(
        self, folder: Path, device: torch.device = PROCESSOR, keep: tuple[int, int] | None = None
    ) -> None:  # fmt: skip
        """Weights go into `folder`; those in use may map half of this machine's memory."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        self._session = Session(_Aloud(sys.stderr))
        self._models = Models(folder, memory // 2, self._session, keep)
        self._data = Kept[bytes](DATA_KEPT)
        self._scores = Screening(device, False, self._session.say)
        self._followed = set[str]()
        self._waiting: dict[int, threading.Event] = {}
        self.broken = False
        """Whether the device has met what this process cannot go on after."""

    def device_is_right(self) -> bool:
        """Whether a card gives the known candidate's answer, before anything else is computed there."""
        device = self._scores.device
        return device == PROCESSOR or known.is_right(*known.answered(partial(_on, device)))

    def expect(self, number: object) -> None:
        """A request of this number is about to be answered, so that it may be given up before."""
        if isinstance(number, int):
            self._waiting[number] = threading.Event()

    def give_up(self, number: object) -> None:
        """End that request at its next chunk, if it is not over."""
        if isinstance(number, int) and (halt := self._waiting.get(number)):
            halt.set()

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """The answer to one request, whatever is wrong with it; requests but health one at a time."""
        number = asked.get("id")
        try:
            return {"id": number, "ok": True} | (self._health() if "health" in asked else self._in_turn(number, asked))
        except RequestError as refused:
            return {"id": number, "ok": False, "error": str(refused)}
        except (ValueError, KeyError, TypeError, OverflowError) as why:
            return {"id": number, "ok": False, "error": f"Invalid request ({type(why).__name__}: {why!s:.200})"}
        except OSError as why:
            return {"id": number, "ok": False, "error": f"The weights cannot be kept ({why.strerror or why})"}
        except Exception as defect:
            traceback.print_exc()
            told = of_failure(defect)
            self.broken = told is not None
            text = told or f"The scorer met something unforeseen ({type(defect).__name__})"
            return {"id": number, "ok": False, "error": text}

    @staticmethod
    def _health() -> dict[str, Any]:
        torch.set_num_threads(1)
        loss, distance = known.answered()
        return {"well": known.is_right(loss, distance), "loss": loss, "distance": distance}

    def _in_turn(self, number: object, asked: dict[str, Any]) -> dict[str, Any]:
        halt = self._waiting.get(number) if isinstance(number, int) else None
        # What waits for weights on the way looks here too.
        self._session.stopping = halt or threading.Event()
        try:
            return self._scored(asked)
        finally:
            if isinstance(number, int):
                self._waiting.pop(number, None)

    def _go_on(self) -> None:
        if self._session.stopping.is_set():
            raise _given_up()

    def _scored(self, asked: dict[str, Any]) -> dict[str, Any]:
        target = np.array(asked["target_embedding"], dtype=np.float32)
        if not asked["models"]:
            raise RequestError("At least one model manifest is required")
        if not target.size:
            raise RequestError("Target embedding must not be empty")
        data = self._fetched(asked["data_url"], asked["data_checksum"], int(asked["data_size"]))
        scores = [self._score(model, data, int(asked["seed"])) for model in asked["models"]]
        best = contract.winner(scores)
        embedding = scores[best].embedding
        try:
            distance = contract.distance(embedding, target)
        except ValueError as why:
            raise RequestError(f"Invalid target embedding: {why}") from None
        if not math.isfinite(distance):
            raise RequestError("Invalid target embedding: it must be finite and not all zero")
        return {"winner": best, "loss": scores[best].loss, "embedding": embedding.tolist(), "distance": distance}

    def _fetched(self, url: str, checksum: str, size: int) -> bytes:
        self._go_on()
        return self._data.get((checksum, size), size, lambda: fetch(url, checksum, size, self._session.stopping))

    def _score(self, model: dict[str, Any], data: bytes, seed: int) -> contract.Score:
        self._go_on()
        name, loaded = self._models.get(model)
        # To follow takes a look at every part that is kept, which costs more than to answer for known bytes.
        if (held := self._models.held()).keys() != self._followed:
            self._scores.follow(held)
            self._followed = set(held)
        # Threads that share what is small cost more than they bring.
        torch.set_num_threads(1 if loaded[0].dim <= weights.SMALL.dim else os.cpu_count() or 1)
        # The parts that an answer is put together from are made and kept before it, so that it can be given up between.
        batch = contract.CHUNK * contract.BATCH
        step = contract.CHUNK if self._scores.device == PROCESSOR else batch
        for at in range(0, len(data), step):
            self._go_on()
            self._scores.exact(name, loaded, data[at : at + step], seed + at // batch)
        found = self._scores.exact(name, loaded, data, seed)
        if not math.isfinite(found.loss):
            raise RequestError(f"Invalid model {model['checksum']}: its loss is not a finite number")
        return found


def _on(device: torch.device, config: ModelConfig, tensors: Tensors, data: bytes) -> contract.Score:
    """The score of a model of any size on a card."""
    return Chunks().through("", Resident(config, prepared(config, tensors), device).parts, data)


def request_of(line: str) -> dict[str, Any]:
    """The object of a line; nothing where there is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def main(
    lines: TextIO, out: TextIO, folder: Path, device: torch.device, keep: tuple[int, int] | None = None
) -> int:  # fmt: skip
    """Answer line after line, in their order, health at once; exit status 0 when the lines end and all are answered."""
    service, turn = Service(folder, device, keep), threading.Lock()

    def tell(answer: dict[str, Any]) -> None:
        with turn:
            out.write(json.dumps(answer) + "\n")
            out.flush()
        if service.broken:
            os._exit(1)

    def answer(asked: dict[str, Any]) -> None:
        tell(service.answer(asked))

    with ThreadPoolExecutor(1) as scoring:
        right = scoring.submit(service.device_is_right)
        for line in lines:
            asked = request_of(line)
            if "health" in asked:
                found = service.answer(asked)
                tell(found | {"well": found.get("well") and right.result(), "card": right.result()})
            elif "give_up" in asked:
                service.give_up(asked["give_up"])
            else:
                service.expect(asked.get("id"))
                scoring.submit(answer, asked)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    parser = argparse.ArgumentParser(prog="python -m somatui.workers.scoring_service", allow_abbrev=False)
    parser.add_argument("--weights", type=Path, required=True, help="the folder that weights come into")
    parser.add_argument("--keep-days", type=int, help="remove weights that were not used for so long; 0 keeps them")
    parser.add_argument("--limit-bytes", type=int, default=2**62, help="above so many, old ones go sooner")
    given = parser.parse_args()
    answers, sys.stdout = sys.stdout, sys.stderr
    limits = None if given.keep_days is None else (given.keep_days, given.limit_bytes)
    sys.exit(main(sys.stdin, answers, given.weights, device_of({}), limits))
