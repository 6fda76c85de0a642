"""The scoring service: BCS on the outside, a child process with the engine behind it (protocol.md 1.3, 5.5)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc

from somatui.practice.grpc_server import service, unary
from somatui.practice.ledger.values import Refused
from somatui.practice.tied import command
from somatui.wire.bcs import BcsError, Reader, Writer

WORKER = "somatui.workers.scoring_service"
PATH = "/scoring.Scoring/Score"
LINE_LIMIT = 16 * 1024 * 1024
STOP_SECONDS = 3.0
_INVALID = ("required", "must", "Checksum", "Invalid")
log = logging.getLogger(__name__)


def _float(reader: Reader) -> float:
    value: float = struct.unpack("<f", reader.raw(4))[0]
    return value


def _manifest(reader: Reader) -> dict[str, Any]:
    url, checksum, size = reader.text(), reader.text(), reader.u64()
    return {"url": url, "checksum": checksum, "size": size, "key": reader.option(Reader.text)}


def parse_request(body: bytes) -> dict[str, Any]:
    """A ScoreRequest as the worker's request line, without its id. Raises Refused."""
    try:
        reader = Reader(body)
        found: dict[str, Any] = {
            "data_url": reader.text(),
            "data_checksum": reader.text(),
            "data_size": reader.u64(),
            "models": list(reader.seq(_manifest)),
            "target_embedding": list(reader.seq(_float)),
            "seed": reader.u64(),
        }
        reader.done()
    except BcsError as why:
        raise Refused("INVALID_ARGUMENT", f"Invalid ScoreRequest: {why}") from None
    if not found["models"]:
        raise Refused("INVALID_ARGUMENT", "At least one model manifest is required")
    if not found["target_embedding"]:
        raise Refused("INVALID_ARGUMENT", "Target embedding must not be empty")
    return found


def _floats(writer: Writer, values: Sequence[float]) -> Writer:
    return writer.seq(values, lambda w, v: w.raw(struct.pack("<f", v)))


def _many(value: Any) -> list[float]:
    return [float(v) for v in value] if isinstance(value, list) else [float(value)]


def response_bytes(answer: dict[str, Any]) -> bytes:
    """A ScoreResponse out of the worker's answer; loss and distance may be a number or a list of one."""
    writer = Writer().u64(int(answer["winner"]))
    for name in ("loss", "embedding", "distance"):
        _floats(writer, _many(answer[name]))
    return writer.done()


def request_bytes(request: dict[str, Any]) -> bytes:
    """A ScoreRequest as a client sends it, from what `parse_request` gives."""
    writer = Writer().text(request["data_url"]).text(request["data_checksum"]).u64(request["data_size"])
    writer.seq(request["models"], _write_manifest)
    return _floats(writer, request["target_embedding"]).u64(request["seed"]).done()


def _write_manifest(writer: Writer, one: dict[str, Any]) -> None:
    writer.text(one["url"]).text(one["checksum"]).u64(one["size"]).option(one["key"], Writer.text)


def parse_response(body: bytes) -> dict[str, Any]:
    """Winner, loss, embedding and distance, the last three as lists. Raises BcsError."""
    reader = Reader(body)
    found: dict[str, Any] = {"winner": reader.u64()}
    found |= {name: list(reader.seq(_float)) for name in ("loss", "embedding", "distance")}
    reader.done()
    return found


class Scorer:
    """Starts the worker at the first request, hands it requests, and starts another when it has died."""

    def __init__(self, stderr: Path, words: Sequence[str] | None = None) -> None:
        """`words` is the worker's command line; `stderr` the file for what it says of itself."""
        self._words = list(words or command(WORKER))
        self._stderr = stderr
        self._process: asyncio.subprocess.Process | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._number = 0
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The worker's id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def score(self, request: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer. Raises Refused."""
        process = await self._running()
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            assert process.stdin is not None
            process.stdin.write((json.dumps({"id": number} | request) + "\n").encode())
            await process.stdin.drain()
            answer: dict[str, Any] = await future
        except ConnectionError:
            raise _gone() from None
        finally:
            self._waiting.pop(number, None)
        if not answer.get("ok"):
            text = str(answer.get("error", "the scoring worker gave no reason"))
            raise Refused("INVALID_ARGUMENT" if any(w in text for w in _INVALID) else "INTERNAL", text)
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                with self._stderr.open("ab") as stderr:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                        limit=LINE_LIMIT,
                    )  # fmt: skip
                self._hearing = asyncio.create_task(self._hear(self._process))
            return self._process

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:
                log.warning("the scoring worker wrote a line that is too long: ignored")
                continue
            if not line:
                break
            try:
                answer = json.loads(line)
                future = self._waiting.get(answer["id"])
            except (ValueError, KeyError, TypeError):
                log.warning("the scoring worker wrote a line that is no answer: ignored")
                continue
            if future is not None and not future.done():
                future.set_result(answer)
        await process.wait()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(_gone())

    async def stop(self) -> None:
        """End the worker: close its input, then SIGKILL."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), STOP_SECONDS)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        if self._hearing is not None:
            await self._hearing


def _gone() -> Refused:
    return Refused("UNAVAILABLE", "The scoring worker ended unexpectedly: see scoring.log, and send the request again")


def services(scorer: Scorer) -> list[grpc.GenericRpcHandler]:
    """The scoring service."""

    async def score(request: bytes) -> bytes:
        return response_bytes(await scorer.score(parse_request(request)))

    async def health(_request: bytes) -> bytes:
        return Writer().flag(True).done()

    return [service("scoring.Scoring", {"Score": unary(score), "Health": unary(health)})]
