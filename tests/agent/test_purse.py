"""The purse: which coin is taken, what effects and listings do to it."""

from __future__ import annotations

import pytest

from somatui.agent.purse import KEPT_APART, Purse
from somatui.chain.effects import ChangedView, EffectsView, FeeView, Written
from somatui.domain.coins import NoCoin
from somatui.domain.snapshot import CoinView, Parameters

P = Parameters()
OWNER = "aa" * 32


def coin(name: str, balance: int, version: int = 1) -> CoinView:
    return CoinView(name, version, f"{name}@{version}", balance)


def purse(*coins: CoinView) -> Purse:
    made = Purse()
    made.listed(coins, made.begin_listing(), 0)
    return made


def take(one: Purse, need: int, *, reserved: bool = False, sweep: bool = False, reveal: bool = False):  # type: ignore[no-untyped-def]
    return one.take(need, P, reveal_pending=reveal, reserved=reserved, sweep=sweep)


def balances(one: Purse) -> dict[str, tuple[int, int]]:
    return {c.id: (c.version, c.balance_shannons) for c in one.coins(P, reveal_pending=False)}


def effects(gas: str, version: int, fee: int, gone: tuple[str, ...] = (), epoch: int = 0) -> EffectsView:
    changed = (ChangedView(gas, version - 1, Written(version, f"{gas}@{version}", OWNER), "none"),)
    changed += tuple(ChangedView(g, version - 1, None, "deleted") for g in gone)
    return EffectsView("D", True, None, None, FeeView(fee, 0, 0, fee), epoch, version, changed, gas)


def test_a_coin_in_use_is_waited_for_and_one_that_is_too_small_is_not() -> None:
    one = purse(coin("a", 5_000_000))
    held = take(one, 1_000_000)
    assert held is not None and held.ids == ("a",)
    assert take(one, 1_000_000) is None
    with pytest.raises(NoCoin):
        take(one, 6_000_000)
    one.release(held.ids)
    assert take(one, 1_000_000) is not None


def test_the_reserved_coin_pays_only_what_it_is_reserved_for() -> None:
    one = purse(coin("big", 5_000_000), coin("small", 1_000_000))
    assert take(one, 1_000, reveal=True).coin.id == "big"
    assert take(one, 1_000, reveal=True) is None
    assert take(one, 1_000, reveal=True, reserved=True).coin.id == "small"


def test_dust_and_the_smallest_of_many_coins_are_swept_up_for_nothing() -> None:
    coins = [coin(f"c{n:02}", 1_000_000 + n) for n in range(KEPT_APART + 3)]
    held = take(purse(*coins, coin("dust", 10)), 1_000, sweep=True)
    assert held.coin.id == "c10" and {c.id for c in held.sweep} == {"dust", "c00", "c01"}
    assert held.total_shannons == sum(c.balance_shannons for c in (held.coin, *held.sweep))


def test_effects_move_the_payer_on_and_a_listing_from_before_them_changes_nothing() -> None:
    one = purse(coin("a", 5_000_000), coin("dust", 10))
    began = one.begin_listing()
    held = take(one, 1_000, sweep=True)
    one.wrote(effects("a", 7, 2_200, gone=("dust",)), held, 65_000)
    one.release(held.ids)
    assert balances(one) == {"a": (7, 5_000_010 - 2_200 - 65_000)}
    one.listed((coin("a", 5_000_000), coin("dust", 10)), began, 0)
    assert balances(one) == {"a": (7, 5_000_010 - 2_200 - 65_000)}


def test_a_listing_as_new_as_the_effects_is_believed() -> None:
    one = purse(coin("a", 5_000_000))
    one.wrote(effects("a", 7, 2_200), one.held(("a",)), 0)
    one.listed((coin("a", 123, 7), coin("b", 9_000_000, 7)), one.begin_listing(), 0)
    assert balances(one) == {"a": (7, 123), "b": (7, 9_000_000)}


def test_a_coin_that_a_failure_locked_comes_back_in_the_next_epoch() -> None:
    one = purse(coin("a", 5_000_000), coin("b", 4_000_000))
    one.wrote(effects("b", 7, 1_000, gone=("a",), epoch=3), one.held(("a",)), 0)
    shown = (coin("a", 5_000_000), coin("b", 4_000_000, 7))
    one.listed(shown, one.begin_listing(), 3)
    assert set(balances(one)) == {"b"}
    one.listed(shown, one.begin_listing(), 4)
    assert set(balances(one)) == {"a", "b"}


def test_a_coin_that_is_not_listed_any_more_is_gone_unless_it_is_in_use() -> None:
    one = purse(coin("a", 5_000_000), coin("b", 4_000_000))
    held = take(one, 1_000)
    one.listed((), one.begin_listing(), 0)
    assert set(balances(one)) == {"a"}
    one.release(held.ids)
    one.listed((), one.begin_listing(), 0)
    assert balances(one) == {}


def test_a_barred_coin_is_done_without_until_the_epoch_is_over() -> None:
    one = purse(coin("a", 5_000_000), coin("b", 4_000_000))
    one.bar("a", 3)
    one.listed((coin("a", 5_000_000), coin("b", 4_000_000)), one.begin_listing(), 3)
    assert set(balances(one)) == {"b"}
    one.listed((coin("a", 5_000_000), coin("b", 4_000_000)), one.begin_listing(), 4)
    assert set(balances(one)) == {"a", "b"}
