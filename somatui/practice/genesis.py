"""Makes a network: its seeded models trained by a worker, encrypted, stored and written into the first ledger."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import shutil
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from somatui.files import write_whole
from somatui.practice.card import SMALL, Ports, ServeError
from somatui.practice.ledger.genesis import address_of_key, key_of
from somatui.practice.ledger.ledger import Ledger
from somatui.practice.ledger.values import GenesisConfig, GenesisModel
from somatui.practice.seeds import Seeded, find, keep, read, recipe
from somatui.practice.store import BUCKET
from somatui.practice.store_files import Folder
from somatui.practice.tied import command
from somatui.wire.text import b58encode

WORKER = "somatui.workers.seed"
CHAIN = "practice"
MODELS, THREADS = 3, 3
STAKE_SHANNONS = 1_000_000_000
"""Each seeded model's stake: the least that a model needs, so that a newcomer's model competes as an equal."""
PLAN, LEDGER = "genesis.json", "ledger.sqlite3"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a new network may have otherwise; a network that exists keeps what it began with.

    `steps` train each model: few make a network at once, whose models are good for nothing but the ledger's rules.
    `epoch_ms` is how long the chain says that an epoch lasts, whoever ends it. `cache` is the folder where trained
    models are kept for the next network of the same seed; None trains them each time. `dimensions` are those of
    embeddings, 16 or 2,048; the seeded models have 16, so that with 2,048 there are none, as without `models`.
    """

    dimensions: int = SMALL
    models: bool = True
    steps: int = 50
    epoch_ms: int = 86_400_000
    cache: Path | None = None

    @property
    def seeded(self) -> bool:
        """Whether the network begins with models."""
        return self.models and self.dimensions == SMALL


USUAL = Beginning()


@dataclass(frozen=True, slots=True)
class Plan:
    """What a folder's network is made of; written before anything else, so that an interrupted start goes on."""

    seed: int
    ports: Ports
    access_key: str
    secret_key: str = field(repr=False)

    @classmethod
    def read(cls, folder: Path) -> Plan | None:
        """The folder's plan, or None. Raises ServeError when it cannot be read."""
        try:
            found = json.loads((folder / PLAN).read_text("utf-8"))
            return cls(found["seed"], Ports(**found["ports"]), found["access_key"], found["secret_key"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as why:
            raise ServeError(f"{folder / PLAN} cannot be read ({why}): delete the folder and start anew.") from None

    @classmethod
    def new(cls, seed: int, ports: Ports) -> Plan:
        """A plan with keys of its own."""
        return cls(seed, ports, "practice", secrets.token_hex(20))

    def write(self, folder: Path) -> None:
        """Keep it in the folder, 0600."""
        write_whole(folder / PLAN, json.dumps(asdict(self)).encode() + b"\n")


def encrypt(data: bytes, key: bytes) -> bytes:
    """AES-256-CTR with an IV of zeros, as models lie in public (protocol.md 3.9)."""
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def make(
    folder: Path,
    seed: int,
    store: Folder,
    store_url: str,
    now_ms: int,
    tell: Callable[[str], None],
    worker: Sequence[str] | None = None,
    beginning: Beginning = USUAL,
) -> None:
    """Make the ledger of `folder`; what an interrupted start left is made anew. Raises ServeError."""
    work = folder / "seed"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(mode=0o700)
    words, log = worker or command(WORKER), folder / "seed.log"
    trained = await models_of(words, work, seed, beginning, log, tell) if beginning.seeded else ()
    models = [await _publish(n, one, seed, store, store_url) for n, one in enumerate(trained)]
    draft = folder / f"{LEDGER}.new"
    for leftover in folder.glob(f"{LEDGER}.new*"):
        leftover.unlink()
    config = GenesisConfig(
        CHAIN, tuple(models), now_ms, seed, epoch_duration_ms=beginning.epoch_ms, dim=beginning.dimensions
    )
    Ledger.create(draft, config).close()
    draft.replace(folder / LEDGER)
    shutil.rmtree(work, ignore_errors=True)
    (folder / f"{LEDGER}.new.lock").unlink(missing_ok=True)


async def _publish(number: int, one: Seeded, seed: int, store: Folder, store_url: str) -> GenesisModel:
    key = key_of(seed, f"model key {number}")
    sealed = encrypt(one.weights, key)
    path, digests = await store.receive(_once(sealed))
    checksum = bytes.fromhex(digests.blake2b)
    name = f"models/{b58encode(checksum)}.bin"
    store.keep(BUCKET, name, path, digests, digests.md5, "application/octet-stream")
    raw = base64.b64decode(one.embedding)
    embedding = struct.unpack(f"<{len(raw) // 4}f", raw)
    owner = address_of_key(key_of(seed, f"model owner {number}"))
    url = f"{store_url}/{BUCKET}/{name}"
    return GenesisModel(owner, url, checksum, len(sealed), key, embedding, STAKE_SHANNONS)


async def models_of(
    words: Sequence[str], work: Path, seed: int, beginning: Beginning, log: Path, tell: Callable[[str], None]
) -> tuple[Seeded, ...]:
    """A network's models: those kept from an earlier network of the same recipe, else trained and kept.

    Raises ServeError.
    """
    job = {"job": "seed", "version": 1, "count": MODELS, "steps": beginning.steps, "seed": seed}
    name = recipe(job) if beginning.cache is not None else ""
    if beginning.cache is not None and (kept := find(beginning.cache, name)) is not None:
        tell(f"Taking {MODELS} small models that were trained for an earlier network.")
        return kept
    tell(f"Training {MODELS} small models for the network.")
    made = read(await _train(words, job | {"work_dir": str(work), "threads": THREADS}, log, tell))
    if beginning.cache is not None:
        keep(beginning.cache, name, made)
    return made


async def _train(
    words: Sequence[str], job: dict[str, Any], log: Path, tell: Callable[[str], None]
) -> list[dict[str, Any]]:
    """The worker's models: weights file, embedding in Base64. Raises ServeError."""
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr, limit=2**24
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write((json.dumps(job) + "\n").encode())
        said, models = "", None
        async for line in process.stdout:
            message = _message(line)
            match message.get("kind"):
                case "done":
                    models = message.get("result", message).get("models")
                case "failed":
                    said = str(message.get("error"))
                case "progress":
                    tell(f"Training: {100 * float(message.get('done', 0)):.0f} %.")
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status != 0 or not isinstance(models, list) or len(models) != MODELS:
        cause = _cause(said, log.read_text("utf-8", "replace"), status)
        raise ServeError(f"The network's models could not be trained ({cause}): cure that and start again.")
    return models


def _cause(said: str, log: str, status: int) -> str:
    """Why the worker failed: its own words for a refusal, else the last line it left, else how it ended."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    left = lines[-1] if lines and ("Traceback" in log or not said) else ""
    ended = f"it was ended by signal {-status}" if status < 0 else f"it ended with status {status} and no models"
    return (left or said or ended).rstrip(".")


def _message(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
