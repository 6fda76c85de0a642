"""Worker that answers scoring requests until its standard input ends: `python -m somatui.workers.scoring_service`.

Request lines: {"id": n, "data_url", "data_checksum", "data_size", "models": [{"url", "checksum", "size",
"key" | null}], "target_embedding": [x], "seed": n}. Answer lines: {"id", "ok": true, "winner", "loss", "embedding",
"distance"} or {"id", "ok": false, "error"}. Checksums and keys are Base58; what an address holds is checked first.
"""

from __future__ import annotations

import http.client
import json
import math
import os
import signal
import sys
import traceback
import urllib.error
import urllib.request
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Generic, TextIO, TypeVar
from urllib.parse import urlsplit

import base58
import numpy as np
import torch

from somatui.domain.hosts import LOOPBACK
from somatui.engine import contract, weights
from somatui.engine.weights import ModelConfig, Tensors

MODELS_KEPT, SCORES_KEPT = 64, 4096
LARGEST = 64 * 1024 * 1024
"""Bytes of one download, far above any model of the small architecture."""
SILENCE_S = 30.0
Value = TypeVar("Value")


class RequestError(ValueError):
    """A request that cannot be answered. “Invalid” and “Checksum” put the blame on the request (protocol.md 5.5)."""


class Kept(Generic[Value]):
    """The values used last, by key; the others are made again when they are asked for."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object, make: Callable[[], Value]) -> Value:
        """The value of a key, made now if it is not here."""
        if key not in self._held:
            self._held[key] = make()
            if len(self._held) > self._most:
                self._held.popitem(last=False)
        self._held.move_to_end(key)
        return self._held[key]


def fetch(url: str, checksum: str, size: int) -> bytes:
    """The bytes at an address, if they are those of the manifest. Raises RequestError."""
    address = urlsplit(url)
    if address.scheme not in ("http", "https"):
        raise RequestError(f"Invalid address {url:.200}: it is no http address")
    if not 0 < size <= LARGEST:
        raise RequestError(f"Invalid size {size} of {url:.200}: it must be 1 to {LARGEST} bytes")
    direct = [urllib.request.ProxyHandler({})] if address.hostname in LOOPBACK else []
    try:
        with urllib.request.build_opener(*direct).open(url, timeout=SILENCE_S) as answer:
            data: bytes = answer.read(size + 1)
    except urllib.error.HTTPError as refused:
        with refused:
            raise RequestError(f"{url:.200} answers {refused.code} {refused.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as why:
        raise RequestError(f"{url:.200} cannot be fetched ({getattr(why, 'reason', None) or why})") from None
    if len(data) != size:
        raise RequestError(f"Invalid size: {url:.200} does not hold {size} bytes")
    if weights.checksum(data) != _decoded(checksum, "checksum"):
        raise RequestError(f"Checksum mismatch: {url:.200} does not hold the bytes of {checksum}")
    return data


def _decoded(text: str, name: str) -> bytes:
    try:
        return base58.b58decode(text)
    except ValueError:
        raise RequestError(f"Invalid {name}: it is no Base58") from None


class Service:
    """Models and scores it has seen, and the way to an answer."""

    def __init__(self) -> None:
        self._models: Kept[tuple[ModelConfig, Tensors]] = Kept(MODELS_KEPT)
        self._scores: Kept[contract.Score] = Kept(SCORES_KEPT)

    def answer(self, line: str) -> dict[str, Any]:
        """The answer to one request line, whatever is wrong with it."""
        number: Any = None
        try:
            asked = json.loads(line)
            number = asked["id"]
            return {"id": number, "ok": True} | self._scored(asked)
        except RequestError as refused:
            return {"id": number, "ok": False, "error": str(refused)}
        except (ValueError, KeyError, TypeError) as why:
            return {"id": number, "ok": False, "error": f"Invalid request ({type(why).__name__}: {why!s:.200})"}
        except Exception as defect:
            traceback.print_exc()
            return {
                "id": number,
                "ok": False,
                "error": f"The scorer met something unforeseen ({type(defect).__name__})",
            }

    def _scored(self, asked: dict[str, Any]) -> dict[str, Any]:
        target = np.array(asked["target_embedding"], dtype=np.float32)
        if not asked["models"]:
            raise RequestError("At least one model manifest is required")
        if not target.size:
            raise RequestError("Target embedding must not be empty")
        data = fetch(asked["data_url"], asked["data_checksum"], int(asked["data_size"]))
        scores = [self._score(model, data, asked["data_checksum"], int(asked["seed"])) for model in asked["models"]]
        best = contract.winner(scores)
        embedding = scores[best].embedding
        try:
            distance = contract.distance(embedding, target)
        except ValueError as why:
            raise RequestError(f"Invalid target embedding: {why}") from None
        if not math.isfinite(distance):
            raise RequestError("Invalid target embedding: it must be finite and not all zero")
        return {"winner": best, "loss": scores[best].loss, "embedding": embedding.tolist(), "distance": distance}

    def _score(self, model: dict[str, Any], data: bytes, digest: str, seed: int) -> contract.Score:
        name = (model["checksum"], model.get("key"))
        config, tensors = self._models.get(name, lambda: _opened(model))
        found = self._scores.get((name, digest, seed), lambda: contract.score(config, tensors, data, seed))
        if not math.isfinite(found.loss):
            raise RequestError(f"Invalid model {model['checksum']}: its loss is not a finite number")
        return found


def _opened(model: dict[str, Any]) -> tuple[ModelConfig, Tensors]:
    data = fetch(model["url"], model["checksum"], int(model["size"]))
    try:
        plain = weights.crypt(data, _decoded(model["key"], "decryption key")) if model.get("key") else data
        return weights.open_bytes(plain)
    except weights.WeightsError as why:
        raise RequestError(f"Invalid model {model['checksum']}: {why}") from None


def main(lines: TextIO, out: TextIO) -> int:
    """Answer line after line, in their order; exit status 0 when the lines end."""
    torch.set_num_threads(1)
    service = Service()
    for line in lines:
        out.write(json.dumps(service.answer(line)) + "\n")
        out.flush()
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    # Ctrl-C in a terminal reaches the whole group; the end of the input is what ends this one, in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers, sys.stdout = sys.stdout, sys.stderr
    sys.exit(main(sys.stdin, answers))
