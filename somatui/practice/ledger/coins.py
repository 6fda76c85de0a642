"""Rules of TransferCoin, PayCoins and TransferObjects (protocol.md 4.3)."""

from __future__ import annotations

from somatui.practice.ledger.view import INSUFFICIENT_COIN_BALANCE, INVALID_ARGUMENTS, INVALID_OWNERSHIP, Failure, View
from somatui.wire.kinds import PayCoins, TransferCoin, TransferObjects


def transfer_coin(view: View, kind: TransferCoin, value_fee: int) -> None:
    """Send part of a coin or all of it; the gas coin keeps what the fees will take."""
    coin, amount = kind.coin.id, kind.amount
    balance = view.balance(coin)
    reserve = value_fee + 2 * view.state.parameters.write_object_fee
    if coin == view.gas:
        if amount is None:
            amount = balance - reserve
        if amount <= 0 or balance < amount + reserve:
            raise Failure(INSUFFICIENT_COIN_BALANCE)
    elif amount is None or amount == balance:
        view.set_owner(coin, kind.recipient)
        return
    elif balance < amount:
        raise Failure(INSUFFICIENT_COIN_BALANCE)
    view.set_balance(coin, balance - amount)
    view.create_coin(kind.recipient, amount)


def pay_coins(view: View, kind: PayCoins, value_fee: int) -> None:
    """Pay several recipients; the rest stays in the gas coin, or the first."""
    if not kind.coins:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one coin")
    if not kind.recipients:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one recipient")
    amounts = kind.amounts or ()
    if len(amounts) != len(kind.recipients):
        text = f"Amounts and recipients must match. Got {len(amounts)} amounts and {len(kind.recipients)} recipients"
        raise Failure(INVALID_ARGUMENTS, text)
    coins = [ref.id for ref in kind.coins]
    held = sum(view.balance(coin) for coin in coins)
    reserve = value_fee + view.state.parameters.write_object_fee * (1 + len(kind.recipients))
    if held < sum(amounts) + reserve:
        raise Failure(INSUFFICIENT_COIN_BALANCE)
    keeper = view.gas if view.gas in coins else coins[0]
    for coin in coins:
        if coin != keeper:
            view.delete(coin)
    view.set_balance(keeper, held - sum(amounts))
    for recipient, amount in zip(kind.recipients, amounts, strict=True):
        view.create_coin(recipient, amount)


def transfer_objects(view: View, kind: TransferObjects, value_fee: int) -> None:
    """Hand over whole objects."""
    if not kind.objects:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one object to transfer")
    for ref in kind.objects:
        if view.need(ref.id).owner.address != view.sender:
            raise Failure(INVALID_OWNERSHIP, object_id=ref.id)
        view.set_owner(ref.id, kind.recipient)
