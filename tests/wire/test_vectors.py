"""Our bytes are the network's: the vectors of protocol.md 3.11, the SDK's own signatures, the recordings."""

from __future__ import annotations

import base58
import pytest
import soma_sdk

from somatui.wire import text
from somatui.wire.hashes import address_of, blake2b256, derive_id, seed_of
from somatui.wire.kinds import TransferCoin
from somatui.wire.objects import Object, ObjectType, Owner, StakedSoma, Target, coin_contents, parse_coin
from somatui.wire.transaction import SignedTransaction, TransactionData
from somatui.wire.values import ObjectRef, Tensor
from tests.recordings import FILES, calls, plain

SEED = bytes(range(32))
PUBLIC = bytes.fromhex("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8")
ADDRESS = bytes.fromhex("160179a1565ea7cff27ead23f54cc7f50893bf58155cd7285156e57afa31c3ac")
BECH32 = "somaprivkey1qqqqzqsrqszsvpcgpy9qkrqdpc83qygjzv2p29shrqv35xcur50p7y6psq9"  # pragma: allowlist secret


def a_transfer() -> TransactionData:
    coin = ObjectRef(b"\x33" * 32, 5, b"\x07" * 32)
    return TransactionData(TransferCoin(coin, 5, b"\x11" * 32), ADDRESS, (coin,))


def test_keys_and_addresses() -> None:
    assert address_of(PUBLIC) == ADDRESS
    assert text.encode_secret(SEED) == BECH32
    assert text.decode_secret(BECH32) == SEED


@pytest.mark.parametrize("wrong", ["", BECH32[:-1], BECH32.replace("qqqq", "qqqp", 1), "bc1" + BECH32[12:]])
def test_a_mistyped_secret_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(text.TextError) as refused:
        text.decode_secret(wrong)
    assert BECH32[14:30] not in str(refused.value)


def test_commitments() -> None:
    assert text.b58encode(blake2b256(b"hello soma")) == "DLuPdJuir2yCG3pTGTooeFssBDjZL9cfvWx1WXiefncf"
    assert text.b58encode(Tensor.of([0.5, -1.25]).commitment) == "6ivtWcBYNPNRktYtSNHq2Ab42Va3qKxrzX43dmMgQEwL"


def test_ids_and_seeds() -> None:
    zero, seven = bytes(32), b"\x07" * 32
    assert text.hex_id(derive_id(zero, 0)) == "0x4a1931803561f431decab002e7425f0a8531d5e456a1a47fd9998a2530c0f800"
    assert text.hex_id(derive_id(seven, 2)) == "0x0498ed03ce79c4db19201a5398d1fd30cb6260b7723c5bbdba7a04b8511fc11b"
    assert [seed_of(zero, n) for n in (0, 1)] == [3599608884587731274, 445000614441370954]
    assert seed_of(seven, 1) == 17605874488008397018


def test_a_transfer_has_the_published_digest() -> None:
    assert text.b58encode(a_transfer().digest) == "E2NGooRsGq1HMGiVTM9aSVWHSUMSzFVCxrKKG7i4LKD3"


def test_what_the_sdk_signs_is_read_back_whole() -> None:
    data = a_transfer()
    signed = bytes(soma_sdk.Keypair.from_secret_key(SEED).sign(data.to_bytes()))
    read = SignedTransaction.from_bytes(signed)
    assert read.data == data
    assert read.signature.address == ADDRESS
    assert read.to_bytes() == signed


@pytest.mark.parametrize(
    ("made", "digest"),
    [
        (
            Object(b"\x22" * 32, ObjectType.COIN, 1, coin_contents(1000), Owner(b"\x11" * 32), bytes(32)),
            "AveywHSccPd3GPNr2yBrpJ9tVyyh1HqdASvMWHLWPU8e",
        ),
        (
            Object(
                b"\x77" * 32,
                ObjectType.STAKED_SOMA,
                2,
                StakedSoma(b"\x66" * 32, 4, 10**9).to_bytes(),
                Owner(b"\x11" * 32),
                b"\x07" * 32,
            ),
            "FNu2v5m8Aog46jwhup6fCHms1LTeRZWwJXe73SkeLuup",
        ),
        (
            Object(
                b"\x55" * 32,
                ObjectType.TARGET,
                2,
                Target(Tensor.of([0.5, -1.25]), (b"\x44" * 32,), Tensor.of([1.05]), 12685185, 3).to_bytes(),
                Owner(shared_since=1),
                b"\x07" * 32,
            ),
            "HKtMCqSeYnkeHWxrBYRKKu1RRTXr2iKSeCT1AxRYkNW3",
        ),
    ],
)
def test_objects_have_the_published_digests(made: Object, digest: str) -> None:
    assert text.b58encode(made.digest) == digest
    assert Object.from_bytes(made.to_bytes()) == made


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_transaction_is_read_and_written_unchanged(name: str) -> None:
    seen = 0
    for call in calls(name, "execute_transaction"):
        raw = plain(call["args"])[0]
        if isinstance(raw, bytes) and "result" in call:
            signed = SignedTransaction.from_bytes(raw)
            assert signed.to_bytes() == raw
            assert text.b58encode(signed.data.digest) == plain(call["result"])["V1"]["transaction_digest"]
            seen += 1
    assert seen > 0 or name not in ("day", "lanes")


@pytest.mark.parametrize("name", ["day", "lanes"])
def test_every_recorded_object_has_the_digest_that_the_sdk_computed(name: str) -> None:
    types = {"SystemState": ObjectType.SYSTEM_STATE, "Coin": ObjectType.COIN, "StakedSoma": ObjectType.STAKED_SOMA}
    seen = set()
    for method in ("get_object", "list_owned_objects"):
        for call in calls(name, method):
            result = plain(call.get("result"))
            for item in result if isinstance(result, list) else [result]:
                if not item or not isinstance(item["data"]["contents"], bytes):
                    continue
                kind, body = item["data"]["object_type"], item["data"]["contents"]
                owner = item["owner"]
                made = Object(
                    text.parse_id(item["id"]),
                    types.get(kind, ObjectType.TARGET),
                    item["version"],
                    body[32:],
                    Owner(text.parse_address(owner["AddressOwner"]))
                    if "AddressOwner" in owner
                    else Owner(shared_since=owner["Shared"]["initial_shared_version"]),
                    base58.b58decode(item["previous_transaction"]),
                )
                assert text.b58encode(made.digest) == item["digest"]
                if kind == "Target":
                    assert Target.from_bytes(body[32:]).to_bytes() == body[32:]
                if kind == "Coin":
                    assert coin_contents(parse_coin(body[32:])) == body[32:]
                seen.add(kind)
    assert "Coin" in seen
