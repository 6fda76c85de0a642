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


def paid(view: View, kind: PayCoins) -> int:
    """Shannons that go to others: the amounts, or all that the coins hold."""
    return sum(view.balance(c.id) for c in kind.coins) if kind.amounts is None else sum(kind.amounts)


def pay_coins(view: View, kind: PayCoins, value_fee: int) -> None:
    """Pay several recipients; the rest stays in the gas coin, or the first."""
    if not kind.coins:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one coin")
    if not kind.recipients:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one recipient")
    if kind.amounts is None:
        _pay_all(view, [ref.id for ref in kind.coins], kind.recipients, value_fee)
        return
    amounts = kind.amounts
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


def _pay_all(view: View, coins: list[bytes], recipients: tuple[bytes, ...], value_fee: int) -> None:
    """Everything to one recipient: a new coin when the gas coin is among them, else the first coin itself."""
    if len(recipients) != 1:
        raise Failure(INVALID_ARGUMENTS, "Pay-all operation only supports a single recipient")
    held = sum(view.balance(coin) for coin in coins)
    if view.gas in coins:
        kept = value_fee + 2 * view.state.parameters.write_object_fee
        if held <= kept:
            raise Failure(INSUFFICIENT_COIN_BALANCE)
        view.set_balance(view.gas, kept)
        view.create_coin(recipients[0], held - kept)
    else:
        view.set_balance(coins[0], held)
        view.set_owner(coins[0], recipients[0])
    for coin in coins:
        if coin not in (view.gas, coins[0]) or (view.gas in coins and coin != view.gas):
            view.delete(coin)


def transfer_objects(view: View, kind: TransferObjects, value_fee: int) -> None:
    """Hand over whole objects."""
    if not kind.objects:
        raise Failure(INVALID_ARGUMENTS, "Must provide at least one object to transfer")
    for ref in kind.objects:
        if view.need(ref.id).owner.address != view.sender:
            raise Failure(INVALID_OWNERSHIP, object_id=ref.id)
        view.set_owner(ref.id, kind.recipient)
