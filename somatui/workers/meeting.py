"""How the machines of a job meet: torchrun's command line, and what it hands each of its processes by a file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from somatui.files import write_whole

HANDED = "SOMATUI_NODE"
"""The environment variable that names the file; there is no secret in it, the job's key is in a file of its own."""
KEY = "nodes.key"
"""The file in the job's folder that has the key of its machines."""
OVER = "over"
"""The file in a machine's folder that says that its job has come to its end."""
MOST_MACHINES = 64
MOST_RESTARTS = 1000
_LAST_CALL_S = 2
"""Seconds that machines which have met wait for others."""


@dataclass(frozen=True, slots=True)
class Here:
    """One machine's part: where the store is, the key's file, its folders, and which cards it uses."""

    at: str
    key: str
    folder: str
    weights_dir: str
    gpus: Any = None

    def write(self) -> Path:
        """Write it into its folder."""
        path = Path(self.folder) / "node.json"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self)).encode())
        return path

    @classmethod
    def handed(cls, environ: Mapping[str, str]) -> Here:
        """What this process was handed. Raises OSError, KeyError, ValueError."""
        return cls(**json.loads(Path(environ[HANDED]).read_text("utf-8")))


def host_port(at: str) -> tuple[str, int]:
    """HOST:PORT in parts. Raises ValueError."""
    host, _, port = at.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{at} is no HOST:PORT")
    return host.strip("[]"), int(port)


def torchrun(at: str, places: int) -> list[str]:
    """The command line that has this machine take part with so many processes; it meets the others in our store."""
    return [
        sys.executable, "-P", "-m", "torch.distributed.run", f"--nnodes=1:{MOST_MACHINES}",
        f"--nproc-per-node={places}", "--rdzv-backend=c10d", f"--rdzv-endpoint={at}", "--rdzv-id=somatui",
        f"--rdzv-conf=is_host=false,last_call_timeout={_LAST_CALL_S}", f"--max-restarts={MOST_RESTARTS}",
        "--monitor-interval=0.5", "-m", "somatui.workers.node",
    ]  # fmt: skip


def environment(here: Here) -> dict[str, str]:
    """The environment of that command line; threads are shared out by the processes themselves."""
    return {"OMP_NUM_THREADS": "1", **os.environ, HANDED: str(here.write())}
