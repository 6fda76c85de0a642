"""How a machine takes part in a job: torchrun's command line, and what its processes are handed by a file."""

from __future__ import annotations

import json
import os
import socket
import sys
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from somatui.files import write_whole

HANDED = "SOMATUI_NODE"
"""The environment variable that names the file; there is no secret in it, the job's key is in a file of its own."""
SAFE = "PYTHONSAFEPATH"
"""What `python -P` is as a variable; it is not for the programs that a job may start."""
KEY = "nodes.key"
"""The file in the job's folder that has the key of its machines."""
OVER = "over"
"""The file in a machine's folder that says that its job has come to its end."""
MOST_RESTARTS = 1000


@dataclass(frozen=True, slots=True)
class Here:
    """One machine's part: where the store is, the key's file, its folders, and which cards it uses.

    Machines may have the same host name and folders; `run` is of one alone, and stays while it takes part.
    """

    at: str
    key: str
    folder: str
    weights_dir: str
    gpus: Any = None
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

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


def torchrun(places: int) -> list[str]:
    """The command line that keeps so many processes on this machine, and starts them again when one dies.

    Machines meet in the job's own store: torchrun's meeting has all of them begin anew when one is lost, each loading
    its models again, and takes what it finds there for pickles (torch.distributed.elastic.rendezvous). Its folders for
    logs would be left empty in /tmp, some for each start.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return [
        sys.executable, "-P", "-m", "torch.distributed.run", f"--nproc-per-node={places}", "--nnodes=1",
        "--node-rank=0", "--rdzv-backend=static", "--master-addr=127.0.0.1", f"--master-port={port}",
        f"--max-restarts={MOST_RESTARTS}", "--monitor-interval=0.5",
        f"--log-dir={os.devnull}", "-m", "somatui.workers.node",
    ]  # fmt: skip


def environment(here: Here) -> dict[str, str]:
    """The environment of that command line, whose processes look for no module in the working folder."""
    return {**os.environ, SAFE: "1", HANDED: str(here.write())}
