"""The scoring service: BCS on the outside, a child process with the engine behind it (protocol.md 1.3, 5.5)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import struct
import time
from collections.abc import Callable, Sequence
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
HEALTH_SECONDS = 120.0
"""A worker that starts loads the engine first; one that has not answered by then is not well."""
LONGEST_S, STUCK_S = 3600.0, 300.0
"""How long one request may be worked on, and how long a worker may take to end one that is given up before it is ended
itself: others wait behind it."""
MOST_NUMBERS, MOST_MODELS, MOST_WAITING = 65_536, 64, 64
"""Of an embedding, of models in a request, and of requests before the service: far above what honest ones need."""
_INVALID = ("required", "must", "Checksum", "Invalid")
Answers = dict[int, asyncio.Future[dict[str, Any]]]
"""What one worker still owes, by the number of its line."""
log = logging.getLogger(__name__)


def _read_floats(reader: Reader) -> list[float]:
    count = reader.uleb128()
    if count > MOST_NUMBERS:
        raise BcsError(f"{count} numbers in one vector, of at most {MOST_NUMBERS}")
    return list(struct.unpack(f"<{count}f", reader.raw(4 * count)))


def _manifest(reader: Reader) -> dict[str, Any]:
    url, checksum, size = reader.text(), reader.text(), reader.u64()
    return {"url": url, "checksum": checksum, "size": size, "key": reader.option(Reader.text)}


def _manifests(reader: Reader) -> list[dict[str, Any]]:
    count = reader.uleb128()
    if count > MOST_MODELS:
        raise BcsError(f"{count} models, of at most {MOST_MODELS}")
    return [_manifest(reader) for _ in range(count)]


def parse_request(body: bytes) -> dict[str, Any]:
    """A ScoreRequest as the worker's request line, without its id. Raises Refused."""
    try:
        reader = Reader(body)
        found: dict[str, Any] = {
            "data_url": reader.text(),
            "data_checksum": reader.text(),
            "data_size": reader.u64(),
            "models": _manifests(reader),
            "target_embedding": _read_floats(reader),
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
    found |= {name: _read_floats(reader) for name in ("loss", "embedding", "distance")}
    reader.done()
    return found


class Scorer:
    """Starts the worker at the first request, hands it one after the other, and starts another when it has died."""

    def __init__(self, weights: Path, stderr: Path | None, words: Sequence[str] | None = None) -> None:
        """The worker keeps models in `weights`; what it says of itself goes to the file `stderr`, None for our own.

        `words` is another worker's command line.
        """
        self._words = list(words or [*command(WORKER), "--weights", str(weights)])
        self._stderr = stderr
        self._process: asyncio.subprocess.Process | None = None
        self._hearing: asyncio.Task[None] | None = None
        self._answers: Answers = {}
        self._number = self.waiting = 0
        self._starting, self._turn = asyncio.Lock(), asyncio.Lock()
        self._looking: asyncio.Task[dict[str, Any]] | None = None

    @property
    def pid(self) -> int | None:
        """The worker's id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def score(self, request: dict[str, Any]) -> dict[str, Any]:
        """The worker's answer, in the order of asking. Raises Refused, at once where too many wait already."""
        if self.waiting >= MOST_WAITING:
            text = f"The scoring service is busy: {MOST_WAITING} requests wait already, send this one again later"
            raise Refused("RESOURCE_EXHAUSTED", text)
        self.waiting += 1
        try:
            await self._turn.acquire()
        finally:
            self.waiting -= 1
        # The turn ends with the worker's answer, not with the asker: who goes away leaves no second request behind.
        number = self._next_number()
        asked = asyncio.create_task(self._answer(request, number))
        asked.add_done_callback(self._next)
        try:
            return await asyncio.wait_for(asyncio.shield(asked), LONGEST_S)
        except TimeoutError:
            text = f"The request was given up after {LONGEST_S:.0f} seconds: send fewer models or bytes at a time"
            raise Refused("DEADLINE_EXCEEDED", text) from None
        finally:
            if not asked.done():
                self._give_up(number, asked)

    def _next_number(self) -> int:
        self._number += 1
        return self._number

    def _give_up(self, number: int, asked: asyncio.Task[dict[str, Any]]) -> None:
        """Have the worker end a request that nobody waits for any more, at the latest with itself."""
        process = self._process
        if number not in self._answers or process is None:
            asked.cancel()
            return
        assert process.stdin is not None
        process.stdin.write((json.dumps({"give_up": number}) + "\n").encode())
        late = asyncio.get_running_loop().call_later(STUCK_S, _end, process)
        asked.add_done_callback(lambda _: late.cancel())

    def _next(self, ended: asyncio.Task[dict[str, Any]]) -> None:
        self._turn.release()
        if not ended.cancelled():
            ended.exception()

    async def health(self) -> dict[str, Any]:
        """What the worker makes of a candidate whose answer is known: `well`, and its numbers. Raises Refused.

        Requests that wait do not delay it, and those who ask meanwhile share one answer.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._answer({"health": True}, self._next_number()))
        try:
            return await asyncio.wait_for(asyncio.shield(self._looking), HEALTH_SECONDS)
        except TimeoutError:
            raise Refused("UNAVAILABLE", f"The scoring worker says nothing for {HEALTH_SECONDS:.0f} seconds") from None

    async def _answer(self, request: dict[str, Any], number: int) -> dict[str, Any]:
        process, answers = await self._running()
        future = answers[number] = asyncio.get_running_loop().create_future()
        try:
            assert process.stdin is not None
            process.stdin.write((json.dumps({"id": number} | request) + "\n").encode())
            await process.stdin.drain()
            answer: dict[str, Any] = await future
        except ConnectionError:
            raise _gone() from None
        finally:
            answers.pop(number, None)
        if not answer.get("ok"):
            text = str(answer.get("error", "the scoring worker gave no reason"))
            raise Refused("INVALID_ARGUMENT" if any(w in text for w in _INVALID) else "INTERNAL", text)
        return answer

    async def _running(self) -> tuple[asyncio.subprocess.Process, Answers]:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                with self._stderr.open("ab") if self._stderr else contextlib.nullcontext() as stderr:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                        limit=LINE_LIMIT, start_new_session=True,
                    )  # fmt: skip
                self._answers = {}
                self._hearing = asyncio.create_task(self._hear(self._process, self._answers))
            return self._process, self._answers

    async def _hear(self, process: asyncio.subprocess.Process, answers: Answers) -> None:
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
                future = answers.get(answer["id"])
            except (ValueError, KeyError, TypeError):
                log.warning("the scoring worker wrote a line that is no answer: ignored")
                continue
            if future is not None and not future.done():
                future.set_result(answer)
        await process.wait()
        for future in answers.values():
            if not future.done():
                future.set_exception(_gone())

    async def stop(self) -> None:
        """End the worker: close its input; SIGKILL where that takes long, or where it works for nobody any more."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 0 if self._turn.locked() else STOP_SECONDS)
            except TimeoutError:
                _end(process)
        if self._hearing is not None:
            await self._hearing


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _gone() -> Refused:
    return Refused("UNAVAILABLE", "The scoring worker ended unexpectedly: see its log, and send the request again")


Told = Callable[[dict[str, Any]], None]


def services(scorer: Scorer, tell: Told = lambda event: None) -> list[grpc.GenericRpcHandler]:
    """The scoring service; `tell` hears how each request ended: `event` is `scored` or `refused`."""

    async def score(request: bytes) -> bytes:
        began = time.monotonic()
        try:
            asked = parse_request(request)
            answer = await scorer.score(asked)
        except Refused as why:
            tell({"event": "refused", "code": why.code, "error": why.text})
            raise
        told = {"data": asked["data_checksum"], "bytes": asked["data_size"], "models": len(asked["models"])}
        told |= {name: answer[name] for name in ("winner", "loss", "distance")}
        tell({"event": "scored"} | told | {"seconds": round(time.monotonic() - began, 3)})
        return response_bytes(answer)

    async def health(_request: bytes) -> bytes:
        try:
            well = bool((await scorer.health()).get("well"))
        except Refused as why:
            log.warning("not well: %s", why.text)
            well = False
        return Writer().flag(well).done()

    return [service("scoring.Scoring", {"Score": unary(score), "Health": unary(health)})]
