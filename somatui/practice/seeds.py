"""Keeps seeded models, so that a second network of the same seed need not train them again.

One file for each job: a checksum, what the worker told, the weights. What is spoiled is as if it were not there. How
models are trained is the worker's affair.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from somatui.files import write_whole

ROOMS = ("somatui.workers.seed", "somatui.engine", "somatui.corpora")
"""Whose sources decide what a seed's models are, beside the job itself."""
PACKAGES = ("torch", "numpy")
KEPT = 8
"""Files that stay, the last used ones: some 10 MB for networks with the usual three small models."""
SUFFIX = ".models"


@dataclass(frozen=True, slots=True)
class Seeded:
    """One seeded model: its safetensors file's bytes, and its embedding as f32 in Base64."""

    weights: bytes
    embedding: str


def read(told: list[dict[str, Any]]) -> tuple[Seeded, ...]:
    """The models that a worker has written, as it tells them. Raises OSError, KeyError or TypeError."""
    return tuple(Seeded(Path(one["weights"]).read_bytes(), str(one["embedding"])) for one in told)


def recipe(job: dict[str, Any]) -> str:
    """A name (64 hex digits) for everything that a job's models depend on: job, sources, packages, this Python.

    The same name means the same bytes on one machine. Reads sources, imports nothing of them.
    """
    digest = hashlib.blake2b(digest_size=32)
    made_by = [importlib.metadata.version(name) for name in PACKAGES]
    here = [sys.version, platform.machine(), sysconfig.get_path("stdlib")]
    digest.update(json.dumps([job, made_by, here], sort_keys=True).encode())
    for source in _sources():
        digest.update(hashlib.blake2b(source.read_bytes()).digest())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"{room} is not installed")
        folder = spec.submodule_search_locations is not None
        yield from sorted(Path(spec.origin).parent.rglob("*.py")) if folder else (Path(spec.origin),)


def find(folder: Path, name: str) -> tuple[Seeded, ...] | None:
    """The models kept under a name; None when there are none, or they are not as they were written."""
    path = folder / (name + SUFFIX)
    try:
        whole = path.read_bytes()
        checksum, body = whole[:32], memoryview(whole)[32:]
        if hashlib.blake2b(body, digest_size=32).digest() != checksum:
            return None
        size = int.from_bytes(body[:8], "little")
        listed, at, models = json.loads(bytes(body[8 : 8 + size])), 8 + size, []
        for one in listed:
            models.append(Seeded(bytes(body[at : at + one["size"]]), one["embedding"]))
            at += one["size"]
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tuple(models)


def keep(folder: Path, name: str, models: tuple[Seeded, ...]) -> None:
    """Keep models under a name, whole or not at all, and let go of the files longest not used.

    A folder that cannot be written keeps nothing: then they are trained the next time too.
    """
    listed = json.dumps([{"size": len(one.weights), "embedding": one.embedding} for one in models]).encode()
    body = len(listed).to_bytes(8, "little") + listed + b"".join(one.weights for one in models)
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / (name + SUFFIX), hashlib.blake2b(body, digest_size=32).digest() + body)
        kept = sorted(folder.glob("*" + SUFFIX), key=_used, reverse=True)
        for old in kept[KEPT:]:
            old.unlink(missing_ok=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
