"""The protobuf messages of protocol.md 2.5, built at start from one descriptor set; what they mean is the codec's.

`schema.binpb` is compiled from the `.proto` files beside it; a pool of its own keeps it apart from any other package.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from types import SimpleNamespace
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "soma.rpc"


@dataclass(frozen=True, slots=True)
class Method:
    """One RPC: its path, message classes, and whether the answer is a stream."""

    path: str
    name: str
    request: Any
    response: Any
    streaming: bool


def schema() -> bytes:
    """The committed FileDescriptorSet."""
    return resources.files("somatui.practice").joinpath("proto", "schema.binpb").read_bytes()


def _load() -> tuple[SimpleNamespace, dict[str, list[Method]]]:
    files = descriptor_pb2.FileDescriptorSet.FromString(schema())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    names = [f.name for f in files.file]
    made = {n.rpartition(".")[2]: c for n, c in message_factory.GetMessageClassesForFiles(names, pool).items()}
    services: dict[str, list[Method]] = {}
    for file in files.file:
        for service in file.service:
            full = f"{file.package}.{service.name}"
            services[full] = [
                Method(f"/{full}/{m.name}", m.name, _of(made, m.input_type), _of(made, m.output_type),
                       m.server_streaming)
                for m in service.method
            ]  # fmt: skip
    return SimpleNamespace(**made), services


def _of(made: dict[str, Any], full_name: str) -> Any:
    return made[full_name.rpartition(".")[2]]


_loaded = _load()
pb: Any = _loaded[0]
"""Message classes by their short name: `pb.Object`, `pb.Timestamp`."""
SERVICES: dict[str, list[Method]] = _loaded[1]
"""The methods of each service, by its full name; those of PACKAGE are the network's own."""
