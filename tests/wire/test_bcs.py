"""The codec is exact: what it writes it reads, and it reads nothing else."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from somatui.wire.bcs import BcsError, Reader, Writer
from somatui.wire.kinds import BY_NUMBER, Kind
from somatui.wire.objects import Filled, Object, Target
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData
from somatui.wire.values import Manifest, ObjectRef, Tensor

ids = st.binary(min_size=32, max_size=32)
u64 = st.integers(0, 2**64 - 1)
refs = st.builds(ObjectRef, ids, u64, ids)
manifests = st.builds(Manifest, st.text(max_size=40), ids, u64)
tensors = st.lists(st.floats(width=32, allow_nan=False), max_size=9).map(Tensor.of)
BY_TYPE: dict[str, st.SearchStrategy[typing.Any]] = {
    "bytes": ids,
    "int": u64,
    "int | None": st.none() | u64,
    "bytes | None": st.none() | st.binary(max_size=50),
    "ObjectRef": refs,
    "Manifest": manifests,
    "Tensor": tensors,
    "tuple[ObjectRef, ...]": st.lists(refs, max_size=3).map(tuple),
    "tuple[bytes, ...]": st.lists(ids, max_size=3).map(tuple),
    "tuple[int, ...] | None": st.none() | st.lists(u64, max_size=3).map(tuple),
}
kinds: st.SearchStrategy[Kind] = st.one_of(
    [st.builds(k, **{f.name: BY_TYPE[f.type] for f in dataclasses.fields(k)}) for k in BY_NUMBER.values()]
)
transactions = st.builds(
    SignedTransaction,
    st.builds(TransactionData, kinds, ids, st.lists(refs, max_size=3).map(tuple)),
    st.builds(Signature, st.binary(min_size=64, max_size=64), ids),
)
filled = st.builds(Filled, u64, ids, ids, ids, u64, manifests, tensors, tensors, tensors)
targets = st.builds(
    Target,
    tensors,
    st.lists(ids, max_size=3).map(tuple),
    tensors,
    u64,
    u64,
    st.none() | filled,
    st.lists(ids, max_size=2, unique=True).map(lambda v: tuple(sorted(v))),
)


def test_all_kinds_that_operators_and_validators_send_are_there() -> None:
    assert sorted(BY_NUMBER) == list(range(3, 26))


@given(transactions)
def test_transactions_survive_the_wire(signed: SignedTransaction) -> None:
    assert SignedTransaction.from_bytes(signed.to_bytes()) == signed


@given(targets)
def test_targets_survive_the_wire(target: Target) -> None:
    assert Target.from_bytes(target.to_bytes()) == target


@given(transactions, st.data())
def test_a_truncated_or_longer_transaction_is_refused(signed: SignedTransaction, data: st.DataObject) -> None:
    raw = signed.to_bytes()
    cut = data.draw(st.integers(0, len(raw) - 1))
    for wrong in (raw[:cut], raw + b"\0"):
        with pytest.raises(BcsError):
            SignedTransaction.from_bytes(wrong)


@given(st.binary(max_size=300))
def test_rubbish_is_refused_with_the_codec_s_own_error(raw: bytes) -> None:
    for read in (SignedTransaction.from_bytes, TransactionData.from_bytes, Target.from_bytes, Object.from_bytes):
        try:
            read(raw)
        except BcsError:
            continue


@given(st.integers(0, 2**32 - 1))
def test_lengths_have_one_form(value: int) -> None:
    raw = Writer().uleb128(value).done()
    assert Reader(raw).uleb128() == value
    with pytest.raises(BcsError):
        Reader(raw[:-1] + bytes([raw[-1] | 0x80, 0])).uleb128()


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff\x1f", b"\xff\xff\xff\xff\xff\x01", b""])
def test_lengths_above_32_bits_are_refused(raw: bytes) -> None:
    with pytest.raises(BcsError):
        Reader(raw).uleb128()


def test_a_huge_announced_sequence_costs_nothing() -> None:
    with pytest.raises(BcsError, match="announced"):
        Reader(Writer().uleb128(2**32 - 1).done()).seq(Reader.u8)


@given(st.dictionaries(st.binary(max_size=4), st.binary(max_size=4)))
def test_maps_are_sorted_by_encoded_key(entries: dict[bytes, bytes]) -> None:
    pairs = [(Writer().blob(k).done(), Writer().blob(v).done()) for k, v in entries.items()]
    raw = Writer().mapping(pairs).done()
    assert raw == Writer().mapping(reversed(pairs)).done()
    keys = [k for k, _ in Reader(raw).seq(lambda r: (Writer().blob(r.blob()).done(), r.blob()))]
    assert keys == sorted(keys)


def test_a_key_given_twice_and_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BcsError):
        Writer().mapping([(b"a", b"1"), (b"a", b"2")])
    for value, bits in ((256, 8), (-1, 64), (2**64, 64)):
        with pytest.raises(BcsError):
            Writer().uint(value, bits)


@given(st.integers(0, 2**256 - 1), st.sampled_from([8, 16, 32, 64, 128, 256]))
def test_integers_are_little_endian(value: int, bits: int) -> None:
    value %= 1 << bits
    raw = Writer().uint(value, bits).done()
    assert raw == value.to_bytes(bits // 8, "little")
    assert Reader(raw).uint(bits) == value
