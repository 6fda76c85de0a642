"""What a node says of itself, read from bytes, and what credentials mean as a header."""

from __future__ import annotations

import base64

import grpc.aio
import pytest

from somatui.chain.errors import Refused, Unreachable
from somatui.chain.identity import LONGEST_NAME, METHOD, Identity, ask, read, unary
from somatui.chain.relay import header_of, meant_for, no_auth, readable_on_the_way
from somatui.domain.hosts import as_credentials
from tests.recordings import lines


@pytest.mark.parametrize("name", ["day", "lanes"])
def test_the_real_nodes_answer_is_understood(name: str) -> None:
    told = {read(base64.b64decode(x["response"])) for x in lines(name) if str(x.get("rpc")).endswith("GetServiceInfo")}
    (one,) = told
    assert (one.name, one.server) == ("localnet", "soma-node/0.1.21") and 40 <= len(one.chain_id) <= 44


@pytest.mark.parametrize("answer", [b"\x0a", b"\x0a\x05ab", b"\xff" * 12, b"\x0a\x02\xff\xfe", b"\x0b", b""])
def test_what_is_no_node_is_said_to_be_none(answer: bytes) -> None:
    with pytest.raises(Unreachable, match="check the address"):
        read(answer)


def test_numbers_and_times_in_the_answer_are_passed_over() -> None:
    answer = b"\x0a\x03abc\x12\x07testnet\x18\x96\x01\x2a\x02\x08\x01\x4a\x01z\x42\x0bsoma-node/1"
    assert read(answer) == Identity("abc", "testnet", "soma-node/1")


async def test_an_answer_of_any_length_is_refused_before_it_is_read() -> None:
    class Endless(grpc.GenericRpcHandler):  # type: ignore[misc]
        def service(self, _details: object) -> object:
            return grpc.unary_unary_rpc_method_handler(answer)

    async def answer(_request: bytes, _context: object) -> bytes:
        return bytes(LONGEST_NAME + 1)

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Endless(),))
    address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        with pytest.raises(Unreachable, match="no node of this network"):
            await ask(address, 10)
        assert len(await unary(address, METHOD, b"", 10)) == LONGEST_NAME + 1
        with pytest.raises(Refused, match="larger than the client accepts") as refused:
            await unary(address, METHOD, b"", 10, LONGEST_NAME)
        assert refused.value.kind == "too_large"
    finally:
        await server.stop(None)


@pytest.mark.parametrize("text", ["", "secret", "Bad Name: x", "grpc-bin: x", "x-key: ", "x-key: naïve"])
def test_credentials_that_are_no_header_are_refused_without_repeating_them(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        header_of(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["ops:secret", " Basic ops:secret\n", "basic  ops:secret", "BASIC ops:secret"])
def test_user_and_password_are_taken_however_basic_is_written(text: str) -> None:
    assert header_of(as_credentials(text)) == ("authorization", "Basic " + base64.b64encode(b"ops:secret").decode())
    assert as_credentials(" x-api-key: k ") == "x-api-key: k" and as_credentials(" ") == ""


@pytest.mark.parametrize(
    ("address", "readable"),
    [
        ("https://node.example", False), ("http://node.example:9000", True), ("http://127.0.0.1:9000", False),
        ("http://localhost:1", False), ("http://[::1]:1", False), ("http://127.0.0.1.example", True),
    ],
)  # fmt: skip
def test_plain_http_is_readable_but_on_this_machine(address: str, readable: bool) -> None:
    assert readable_on_the_way(address) is readable


def test_another_host_is_somebody_else() -> None:
    def auth() -> str:
        return "Basic a:b"

    assert meant_for("https://node.example:8443", "https://node.example", auth) is auth
    assert meant_for("https://other.example", "https://node.example", auth) is no_auth
