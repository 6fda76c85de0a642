"""The desk: transactions on their way together, a clock that ends epochs, and what a fault in showing leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from somatui.practice import admin
from somatui.practice.card import FREE, NetworkInfo
from somatui.practice.desk import Desk, now_ms
from somatui.practice.genesis import LEDGER
from somatui.practice.ledger.values import Executed, Refused
from somatui.practice.places import Manner
from somatui.practice.serve import serve
from somatui.wire.kinds import TransferCoin
from somatui.wire.text import b58encode
from somatui.wire.transaction import SignedTransaction
from tests.practice.ledgers import OTHER, Wallet, network
from tests.practice.standin_workers import SCORE, SEED


@contextlib.asynccontextmanager
async def opened(path: Path, lag_ms: int = 0) -> AsyncIterator[Desk]:
    desk = Desk(path, lag_ms)
    try:
        yield desk
    finally:
        desk.close()


async def send(desk: Desk, signed: SignedTransaction) -> Executed:
    return await desk.change(lambda ledger: ledger.execute(signed, now_ms()))


async def test_of_two_transactions_on_their_way_with_one_coin_the_first_has_it(tmp_path: Path) -> None:
    ledger = network(tmp_path / "l.sqlite3")
    wallet = Wallet(ledger)
    spent, gas, *_ = wallet.coins()
    first, second, third = (wallet.signed(TransferCoin(spent.ref, n, OTHER), [gas]) for n in (1, 2, 3))
    ledger.close()
    async with opened(tmp_path / "l.sqlite3", lag_ms=60_000) as desk:
        won, lost = await asyncio.gather(send(desk, first), send(desk, second), return_exceptions=True)
        assert isinstance(won, Executed) and won.effects.success
        assert isinstance(lost, Refused) and lost.code == "FAILED_PRECONDITION"
        assert f"already locked by a different transaction: TransactionDigest({b58encode(won.digest)})" in lost.text
        with pytest.raises(Refused, match="is not available for consumption, its current version") as late:
            await send(desk, third)
        assert late.value.code == "INVALID_ARGUMENT"
        again, same = await asyncio.gather(send(desk, first), send(desk, first))
        assert again.digest == same.digest == won.digest


async def test_a_clock_counts_from_the_beginning_of_an_epoch_whoever_ended_the_one_before(tmp_path: Path) -> None:
    network(tmp_path / "l.sqlite3").close()
    async with opened(tmp_path / "l.sqlite3") as desk:
        assert await admin.advance_when_due(desk, 1000) == 1000
        assert await desk.ask(lambda ledger: ledger.state.epoch) == 1
        await admin.advance(desk)
        assert 50_000 < await admin.advance_when_due(desk, 60_000) <= 60_000
        assert await desk.ask(lambda ledger: ledger.state.epoch) == 2


async def test_epochs_end_by_the_clock_after_one_change_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = 0
    real = admin.advance_when_due

    async def once_full(desk: Desk, epoch_ms: int) -> int:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise Refused("RESOURCE_EXHAUSTED", "The practice network's disk is full")
        return await real(desk, epoch_ms)

    monkeypatch.setattr(admin, "advance_when_due", once_full)
    monkeypatch.setattr("somatui.practice.serve.CLOCK_AGAIN_S", 0.01)
    network(tmp_path / LEDGER).close()
    ready: asyncio.Future[NetworkInfo] = asyncio.get_running_loop().create_future()
    work = asyncio.create_task(
        serve(tmp_path, ports=FREE, manner=Manner(epoch_seconds=0.3, lag_ms=0), on_ready=ready.set_result,
              seed_worker=SEED, score_worker=SCORE)
    )  # fmt: skip
    await asyncio.wait({work, ready}, return_when=asyncio.FIRST_COMPLETED)
    while tried < 5 and not work.done():
        await asyncio.sleep(0.02)
    work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await work
    async with opened(tmp_path / LEDGER) as desk:
        assert await desk.ask(lambda ledger: ledger.state.epoch) >= 3


async def test_what_cannot_be_shown_stops_nobody(tmp_path: Path) -> None:
    network(tmp_path / "l.sqlite3").close()
    broken = True

    def describe(ledger: object) -> tuple[tuple[str, str], ...]:
        if broken and asked:
            raise KeyError("on purpose")
        return ()

    asked: list[int] = []
    desk = Desk(tmp_path / "l.sqlite3", 0, describe)
    try:
        asked.append(1)
        await desk.change(lambda ledger: ledger.faucet(OTHER, now_ms()))
        broken = False
        await asyncio.wait_for(desk.change(lambda ledger: ledger.faucet(OTHER, now_ms())), 20)
        assert await desk.ask(lambda ledger: ledger.balance(OTHER)) == 4 * 10**9
    finally:
        desk.close()
