"""What is built here is byte for byte what the SDK's own verbs sent, and what must not be sent is not built."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from somatui.chain import build
from somatui.domain.snapshot import CoinView
from somatui.wire.kinds import ClaimRewards, PayCoins, SubmitData
from somatui.wire.text import b58decode32, b58encode, hex_id
from somatui.wire.transaction import SignedTransaction, TransactionData
from tests.chain.replay import fields
from tests.recordings import FILES, calls, lines

ME = "40" * 32
ID = "0x" + "ab" * 32
COIN = CoinView("0x" + "11" * 32, 5, b58encode(b"\x07" * 32), 10**9)


def field(message: bytes, number: int) -> bytes:
    return next(value for n, value in fields(message) if n == number)


def number(raw: bytes) -> int:
    return sum((b & 0x7F) << 7 * i for i, b in enumerate(raw))


def coin_of(reference: bytes) -> CoinView:
    text = dict(fields(reference))
    return CoinView("0x" + text[1].decode(), number(text[2]), text[3].decode(), 1)


def sent(method: str) -> Iterator[tuple[dict[str, Any], str, str, CoinView, bytes]]:
    """Each recorded call of a verb with the digest, sender, only gas coin and kind that it sent last."""
    for name in FILES:
        last = None
        for line in lines(name):
            if line.get("rpc", "").endswith("/ExecuteTransaction"):
                last = line
            if line.get("call") == method and last is not None and last["step"] == line["step"]:
                transaction = field(base64.b64decode(last["request"]), 1)
                payment = [v for n, v in fields(transaction) if n == 4]
                if len(payment) == 1:
                    coin = coin_of(payment[0])
                    kind = next(fields(field(transaction, 2)))[1]
                    yield line, field(transaction, 1).decode(), field(transaction, 3).decode(), coin, kind


def commit(sender: str, coin: CoinView, args: list[Any]) -> TransactionData:
    weights = args[3]
    if "blake2b" not in weights:
        pytest.skip("short weights are recorded as bytes")
    return build.commit_model(
        sender, coin, model_id=args[1], url=args[2], checksum=b58encode(bytes.fromhex(weights["blake2b"])),
        size=weights["size"], key=b58decode32(args[4]), embedding=args[5],
    )  # fmt: skip


VERBS: dict[str, Callable[[str, CoinView, list[Any]], TransactionData]] = {
    "reveal_model": lambda s, c, a: build.reveal_model(s, c, model_id=a[1], key=b58decode32(a[2]), embedding=a[3]),
    "claim_rewards": lambda s, c, a: build.claim(s, c, target_id=a[1]),
    "deactivate_model": lambda s, c, a: build.deactivate_model(s, c, model_id=a[1]),
    "set_model_commission_rate": lambda s, c, a: build.set_commission(s, c, model_id=a[1], commission_bps=a[2]),
    "commit_model": commit,
}


@pytest.mark.parametrize("method", sorted(VERBS))
def test_a_verbs_transaction_is_rebuilt_to_the_same_digest(method: str) -> None:
    same = 0
    for line, digest, sender, coin, _kind in sent(method):
        if line["kwargs"] or (method == "commit_model" and "blake2b" not in line["args"][3]):
            continue
        if method == "set_model_commission_rate" and line["args"][2] > 10_000:
            continue
        assert b58encode(VERBS[method](sender, coin, line["args"]).digest) == digest
        same += 1
    assert same >= 3


def test_a_model_gets_the_id_that_was_foretold() -> None:
    same = 0
    for line, digest, sender, coin, kind in sent("create_model"):
        stake, commission, version = (number(v) for _, v in fields(kind))
        if commission > build.MOST_COMMISSION_BPS:
            continue
        data = build.create_model(
            sender, coin, stake_shannons=stake, commission_bps=commission, architecture_version=version
        )
        assert b58encode(data.digest) == digest
        if "result" in line:
            assert build.new_model_id(data) == line["result"]
            same += 1
    assert same >= 3


@pytest.mark.parametrize("method", ["transfer_coin", "add_stake_to_model"])
def test_a_coin_that_pays_and_is_spent_stands_in_both_places(method: str) -> None:
    """The SDK mostly pays with another coin than it spends; put there, its digest comes out."""
    same = 0
    for _line, digest, sender, gas, kind in sent(method):
        parts = dict(fields(kind))
        if method == "transfer_coin":
            coin, recipient = coin_of(parts[1]), parts[3].decode()
            if 2 not in parts:
                continue
            data = build.transfer(sender, coin, recipient=recipient, amount_shannons=number(parts[2]))
        else:
            if 3 not in parts:
                continue
            coin, model = coin_of(parts[2]), parts[1].decode()
            data = build.stake_on_model(sender, coin, model_id=model, amount_shannons=number(parts[3]))
        assert data.gas_payment == (build.reference(coin),)
        assert b58encode(replace(data, gas_payment=(build.reference(gas),)).digest) == digest
        same += 1
    assert same >= 2


def test_a_stake_is_withdrawn_with_the_recorded_digest() -> None:
    same = 0
    for _line, digest, sender, coin, kind in sent("withdraw_stake"):
        staked = build.reference(coin_of(field(kind, 1)))
        assert b58encode(build.withdraw_stake(sender, coin, staked=staked).digest) == digest
        same += 1
    assert same


def by_hand() -> Iterator[TransactionData]:
    for call in calls("lanes", "execute_transaction"):
        if "bytes" in call["args"][0]:
            yield SignedTransaction.from_bytes(base64.b64decode(call["args"][0]["bytes"])).data


def views(data: TransactionData) -> list[CoinView]:
    return [CoinView(hex_id(r.id), r.version, b58encode(r.digest), 1) for r in data.gas_payment]


def test_submissions_and_claims_that_the_node_took_are_rebuilt_to_the_byte() -> None:
    seen = {"submit": 0, "claim": 0, "split": 0}
    for data in by_hand():
        sender = data.sender.hex()
        coin, *sweep = views(data)
        kind = data.kind
        if isinstance(kind, SubmitData) and kind.bond_coin == data.gas_payment[0] and kind.manifest.size:
            made = build.submit(
                sender, coin, target_id=hex_id(kind.target_id), model_id=hex_id(kind.model_id), url=kind.manifest.url,
                checksum=b58encode(kind.manifest.checksum), size=kind.manifest.size,
                embedding=kind.embedding.floats(), distance=kind.distance.floats()[0], losses=kind.loss.floats(),
                sweep=sweep,
            )  # fmt: skip
            seen["submit"] += 1
        elif isinstance(kind, ClaimRewards):
            made = build.claim(sender, coin, target_id=hex_id(kind.target_id), sweep=sweep)
            seen["claim"] += 1
        elif isinstance(kind, PayCoins) and set(kind.recipients) == {data.sender} and kind.coins == data.gas_payment:
            made = build.split(sender, coin, amounts_shannons=kind.amounts or ())
            seen["split"] += 1
        else:
            continue
        assert made.to_bytes() == data.to_bytes()
    assert min(seen.values()) > 0, seen


def submission(**changed: Any) -> TransactionData:
    whole: dict[str, Any] = {
        "target_id": ID, "model_id": ID, "url": "https://x.example/d", "checksum": b58encode(bytes(32)), "size": 9,
        "embedding": [0.5], "distance": 0.25, "losses": [1.0],
    }  # fmt: skip
    sender, coin = changed.pop("sender", ME), changed.pop("coin", COIN)
    return build.submit(sender, coin, **whole | changed)


def test_coins_swept_up_stand_behind_the_one_that_pays() -> None:
    dust = [replace(COIN, id="0x" + f"{n:064x}", balance_shannons=5) for n in range(1, 4)]
    data = submission(sweep=dust)
    assert data.gas_payment == tuple(build.reference(c) for c in (COIN, *dust))
    assert isinstance(data.kind, SubmitData) and data.kind.bond_coin == data.gas_payment[0]


def test_the_replacement_target_is_known_before_sending() -> None:
    data = submission()
    assert build.replacement_target_id(data) != build.replacement_target_id(submission(size=10))
    assert len(build.replacement_target_id(data)) == 66


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: submission(coin=replace(COIN, balance_shannons=0)), "coin of zero"),
        (lambda: submission(sweep=[COIN]), "twice"),
        (lambda: submission(sweep=[replace(COIN, id=f"0x{n:064x}") for n in range(1, 4_000)]), "sweep up fewer"),
        (lambda: submission(size=0), "more than zero"),
        (lambda: submission(url="ftp://x.example/d"), "http"),
        (lambda: build.transfer(ME, COIN, recipient=ME, amount_shannons=0), "more than zero"),
        (lambda: build.split(ME, COIN, amounts_shannons=[]), "at least one"),
        (lambda: build.split(ME, COIN, amounts_shannons=[1, 0]), "more than zero"),
        (lambda: build.set_commission(ME, COIN, model_id=ID, commission_bps=10_001), "10,000"),
        (lambda: build.reveal_model(ME, COIN, model_id=ID, key=b"k", embedding=[1.0]), "32 bytes"),
    ],
)
def test_what_must_not_be_sent_is_not_built(make: Callable[[], TransactionData], why: str) -> None:
    with pytest.raises(build.BuildError, match=why):
        make()
