"""Finds secrets wherever they were left, in every usual spelling: raw, hex, base64, Base58, Bech32, quoted, escaped."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

from somatui.wire.text import b58encode

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
LEAST = 8
"""A spelling shorter than this would be found by chance."""


def spellings(secret: bytes) -> dict[str, bytes]:
    """How the secret may look, by the name of the encoding; of base64 and Bech32 what no neighbour changes."""
    found = {
        "raw": secret,
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "base58": b58encode(secret).encode(),
        "bech32": _bech32(secret),
        "url": quote(secret, safe="").encode(),
        "url plus": quote_plus(secret).encode(),
        "repr": repr(secret)[2:-1].encode(),
    }
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret)[(0, 2, 3)[shift] : -4 if len(secret) > 9 else None]
        found[f"base64 {shift}"] = text
        found[f"base64url {shift}"] = text.translate(bytes.maketrans(b"+/", b"-_"))
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        pass
    else:
        found |= {"json": json.dumps(text)[1:-1].encode(), "utf-16": text.encode("utf-16-le")}
    return {name: spelt for name, spelt in found.items() if len(spelt) >= LEAST}


def _bech32(secret: bytes) -> bytes:
    bits = "".join(f"{byte:08b}" for byte in secret)
    return "".join(BECH32[int(bits[i : i + 5], 2)] for i in range(0, len(bits) - 4, 5)).encode()


class Search:
    """Looks for a set of secrets, each by its name."""

    def __init__(self, secrets: Mapping[str, bytes]) -> None:
        self._wanted = [(name, how, s) for name, secret in secrets.items() for how, s in spellings(secret).items()]
        self.found: set[tuple[str, str, str]] = set()

    def look(self, where: str, content: bytes) -> None:
        """Note what of it is in `content`."""
        self.found |= {(where, name, how) for name, how, spelt in self._wanted if spelt in content}

    def files(self, folders: Iterable[Path]) -> int:
        """Look into every file below these folders, and at every file's name; how many there were."""
        count = 0
        for folder in folders:
            for file in folder.rglob("*"):
                self.look(f"name of {file}", str(file).encode())
                if file.is_file() and not file.is_symlink():
                    count += 1
                    self.look(str(file), file.read_bytes())
        return count

    def processes(self) -> Iterator[int]:
        """Look at the arguments and the environment of every process; their ids."""
        for place in Path("/proc").glob("[0-9]*"):
            for name in ("cmdline", "environ"):
                try:
                    self.look(f"{name} of process {place.name}", (place / name).read_bytes())
                except OSError:
                    continue
            yield int(place.name)


class Watch:
    """Looks at all processes again and again until its end, beside the test."""

    def __init__(self, search: Search) -> None:
        self._search, self._over = search, threading.Event()
        self.seen: set[int] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.1):
            self.seen |= set(self._search.processes())
