"""The services that every gRPC node has: health, and reflection in both versions (protocol.md 1.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
from google.protobuf import descriptor_pb2

from somatui.practice.answers import details
from somatui.practice.desk import Desk
from somatui.practice.grpc_server import abort, only, service, unary
from somatui.practice.ledger.values import Refused
from somatui.practice.messages import PACKAGE, SERVICES, pb, schema

HEALTH = "grpc.health.v1.Health"
REFLECTION = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
SERVED = (*sorted(name for name in SERVICES if name.startswith(PACKAGE)), HEALTH, *REFLECTION)


def _status(request: bytes) -> Any:
    name = pb.HealthCheckRequest.FromString(request).service
    if name and name not in SERVED:
        return None
    return pb.HealthCheckResponse(status="SERVING")


def _health(desk: Desk) -> grpc.GenericRpcHandler:
    async def check(request: bytes) -> bytes:
        found = _status(request)
        if found is None:
            raise Refused("NOT_FOUND", "service not registered")
        body: bytes = found.SerializeToString()
        return body

    async def watch(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        try:
            request = await only(requests)
        except Refused as why:
            await abort(context, why, details)
            return
        await context.send_initial_metadata(desk.headers)
        yield (_status(request) or pb.HealthCheckResponse(status="SERVICE_UNKNOWN")).SerializeToString()
        await asyncio.Event().wait()

    return service(
        HEALTH,
        {
            "Check": unary(check, lambda: desk.headers),
            "Watch": grpc.stream_stream_rpc_method_handler(watch),
        },
    )


def _symbols(file: Any) -> Iterator[str]:
    package = f"{file.package}." if file.package else ""
    for one in file.service:
        yield package + one.name
        yield from (f"{package}{one.name}.{method.name}" for method in one.method)
    for one in file.enum_type:
        yield package + one.name
    for one in file.message_type:
        yield from _nested(package, one)


def _nested(prefix: str, message: Any) -> Iterator[str]:
    yield prefix + message.name
    for one in (*message.field, *message.enum_type):
        yield f"{prefix}{message.name}.{one.name}"
    for one in message.nested_type:
        yield from _nested(f"{prefix}{message.name}.", one)


class Reflection:
    """Answers what services there are and which file holds a symbol."""

    def __init__(self) -> None:
        files = descriptor_pb2.FileDescriptorSet.FromString(schema()).file
        self._files = {file.name: file.SerializeToString() for file in files}
        self._symbols = {symbol: file.name for file in files for symbol in _symbols(file)}

    def answer(self, request: Any) -> Any:
        """A ServerReflectionResponse."""
        out = pb.ServerReflectionResponse(valid_host=request.host, original_request=request)
        match request.WhichOneof("message_request"):
            case "list_services":
                for name in SERVED:
                    out.list_services_response.service.add(name=name)
            case "file_by_filename":
                self._file(out, request.file_by_filename, f"File '{request.file_by_filename}' not found.")
            case "file_containing_symbol":
                symbol = request.file_containing_symbol
                self._file(out, self._symbols.get(symbol, ""), f"Symbol '{symbol}' not found.")
            case "all_extension_numbers_of_type" | "file_containing_extension":
                _error(out, grpc.StatusCode.NOT_FOUND, "extensions are not supported")
            case _:
                _error(out, grpc.StatusCode.INVALID_ARGUMENT, "invalid MessageRequest")
        return out

    def _file(self, out: Any, name: str, text: str) -> None:
        if name in self._files:
            out.file_descriptor_response.file_descriptor_proto.append(self._files[name])
        else:
            _error(out, grpc.StatusCode.NOT_FOUND, text)


def _error(out: Any, code: grpc.StatusCode, text: str) -> None:
    out.error_response.error_code, out.error_response.error_message = code.value[0], text


def _reflection(desk: Desk, name: str) -> grpc.GenericRpcHandler:
    made = Reflection()

    async def info(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        await context.send_initial_metadata(desk.headers)
        async for request in requests:
            try:
                asked = pb.ServerReflectionRequest.FromString(request)
            except Exception:
                await abort(context, Refused("INTERNAL", "failed to decode Protobuf message"), details)
                return
            yield made.answer(asked).SerializeToString()

    return service(name, {"ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(info)})


def services(desk: Desk) -> list[grpc.GenericRpcHandler]:
    """Health and reflection."""
    return [_health(desk), *(_reflection(desk, name) for name in REFLECTION)]
