"""Every method of the unmodified soma_sdk's client, called against a network on stand-in workers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import base58
import pytest
from soma_sdk import Keypair, SomaClient

from somatui.practice.card import NetworkInfo
from somatui.practice.ledger.genesis import G1_GENERATOR, key_of
from somatui.wire.bcs import Writer
from somatui.wire.kinds import TransferCoin
from somatui.wire.text import b58encode, parse_id
from somatui.wire.transaction import SignedTransaction, TransactionData
from somatui.wire.values import ObjectRef
from tests.practice.standins import running
from tests.practice.test_ledger_members import KEYS, public
from tests.practice.test_servers_sdk import DATA, EMBEDDING, SOMA, connected, put

METHODS = {name for name in dir(SomaClient) if not name.startswith("_")}
WEIGHTS = b"weights" * 100


class Watched:
    """A client that remembers which of its methods were used."""

    def __init__(self, client: Any) -> None:
        self.client, self.used = client, set[str]()

    def __getattr__(self, name: str) -> Any:
        self.used.add(name)
        return getattr(self.client, name)


@dataclass
class Day:
    """What the steps of the test hand on."""

    info: NetworkInfo
    sdk: Any
    key: Any = field(default_factory=Keypair.generate)
    friend: Any = field(default_factory=Keypair.generate)
    validator: Any = field(default_factory=lambda: Keypair.from_secret_key(key_of(1, "validator")))
    target: Any = None


def good(effects: Any) -> dict[str, str]:
    """Ids of a successful transaction's objects and what happened to them."""
    assert effects.V1.status == "Success"
    return {object_id: change["id_operation"] for object_id, change in effects.V1.changed_objects}


async def fails(call: Any, text: str) -> None:
    with pytest.raises(RuntimeError, match=text):
        await call


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_every_method_of_the_sdk_answers_or_gives_its_documented_error(tmp_path: Path) -> None:
    async with running(tmp_path) as info:
        sdk = Watched(await connected(info))
        day = Day(info, sdk)
        await helpers(day)
        await chain(day)
        await coins(day)
        await stakes(day)
        await model_and_target(day)
        await validators(day)
        await transactions(day)
        await epochs(day)
        assert METHODS - sdk.used == set()


async def helpers(day: Day) -> None:
    sealed, secret = day.sdk.encrypt_weights(WEIGHTS)
    assert day.sdk.decrypt_weights(sealed, secret) == WEIGHTS
    assert day.sdk.commitment(b"hello soma") == "DLuPdJuir2yCG3pTGTooeFssBDjZL9cfvWx1WXiefncf"
    assert (day.sdk.to_shannons(0.3), day.sdk.to_soma(5 * SOMA)) == (300_000_000, 5.0)
    assert day.sdk.model_manifest("http://h/w", encrypted_weights=sealed).url == "http://h/w"


async def chain(day: Day) -> None:
    sdk = day.sdk
    await sdk.check_api_version()
    assert (await sdk.get_chain_identifier(), await sdk.get_server_version()) == ("practice", "soma-node/0.1.19")
    assert (await sdk.get_protocol_version(), await sdk.get_architecture_version()) == (5, 1)
    assert (await sdk.get_embedding_dim(), await sdk.get_model_min_stake()) == (16, SOMA)
    (first, *_) = await sdk.get_active_models()
    (manifest,) = await sdk.get_model_manifests([first.model_id])
    assert await sdk.fetch_model(first.model_id) and manifest.decryption_key
    state = await sdk.get_latest_system_state()
    assert (state.epoch, len(state.validators.validators)) == (0, 1)
    now = await sdk.get_next_epoch_timestamp()
    assert await sdk.get_following_epoch_timestamp() - now == now - state.epoch_start_timestamp_ms == 86_400_000
    assert (await sdk.get_epoch()).epoch == 0
    newest = (await sdk.get_latest_checkpoint()).data
    assert (await sdk.get_checkpoint_summary(newest.sequence_number)).data.timestamp_ms == newest.timestamp_ms
    listed = await sdk.list_targets(limit=3)
    assert len(listed.targets) == 3 and listed.next_page_token
    day.target = (await sdk.get_targets(limit=1))[0]
    assert (day.target.status, len(day.target.embedding)) == ("open", 16)
    system = await sdk.get_object("0x" + "5".rjust(64, "0"))
    assert system.data.object_type == "SystemState"


async def coins(day: Day) -> None:
    sdk, key, friend = day.sdk, day.key, day.friend.address()
    for _ in range(4):
        (sent,) = (await sdk.request_faucet(key.address())).coins_sent
        assert sent.amount == 2 * SOMA
    await fails(sdk.transfer_coin(day.friend, key.address(), 1.0), "No coin found for")
    assert "Created" in good(await sdk.transfer_coin(key, friend, 0.25)).values()
    assert await sdk.get_balance(friend) == 0.25
    assert list(good(await sdk.pay_coins(key, [friend, friend], [0.1, 0.2])).values()).count("Created") == 2
    coin = (await sdk.list_owned_objects(key.address(), "coin"))[0]
    old = await sdk.get_object_with_version(coin.id, coin.version)
    assert (old.digest, old.data.contents) == (coin.digest, coin.data.contents)
    assert coin.id in good(await sdk.transfer_objects(key, friend, [coin.id]))
    good(await sdk.merge_coins(day.friend))
    assert len(await sdk.list_owned_objects(friend, "coin")) == 2


async def stakes(day: Day) -> None:
    sdk, key = day.sdk, day.key
    address = (await sdk.get_latest_system_state()).validators.validators[0].metadata.soma_address
    done = good(await sdk.add_stake(key, address, 0.5))
    (staked,) = (i for i, what in done.items() if what == "Created")
    assert [o.id for o in await sdk.list_owned_objects(key.address(), "StakedSoma")] == [staked]
    assert good(await sdk.withdraw_stake(key, staked))[staked] == "Deleted"
    await fails(sdk.add_stake(key, day.friend.address(), 0.1), "AddStake failed .* ValidatorNotFound")


async def model_and_target(day: Day) -> None:
    sdk, key = day.sdk, Keypair.generate()
    for _ in range(3):
        await sdk.request_faucet(key.address())
    sealed, secret = sdk.encrypt_weights(WEIGHTS)
    url = await put(day.info, "weights", sealed)
    model = await sdk.create_model(key, 1000, 1.0)
    good(await sdk.commit_model(key, model, url, sealed, secret, EMBEDDING))
    good(await sdk.add_stake_to_model(key, model, 0.1))
    await fails(sdk.set_model_commission_rate(key, model, 5), "SetModelCommissionRate failed .* ModelNotActive")
    await sdk.scoring_health()
    where = await put(day.info, "data", DATA)
    target = day.target
    scored = await sdk.score(where, await sdk.get_model_manifests(target), target.embedding, data=DATA)
    good(await sdk.submit_data(key, target.id, DATA, where, target.model_ids[scored.winner], scored.embedding,
                               scored.distance[0], scored.loss_score))  # fmt: skip
    assert await sdk.fetch_submission_data(target.id) == DATA
    await fails(sdk.report_submission(key, target.id), "ReportSubmission failed .* NotAValidator")
    await fails(sdk.report_submission(day.validator, target.id), "AuditWindowClosed { fill_epoch: 0, current_epoch: 0")
    assert await sdk.advance_epoch() == 1
    good(await sdk.reveal_model(key, model, secret, EMBEDDING))
    good(await sdk.set_model_commission_rate(key, model, 500))
    good(await sdk.report_submission(day.validator, target.id))
    good(await sdk.undo_report_submission(day.validator, target.id))
    await fails(sdk.undo_report_submission(day.validator, target.id), "ReportRecordNotFound")
    await fails(sdk.claim_rewards(key, target.id), "AuditWindowOpen { fill_epoch: 0, current_epoch: 1 }")
    assert await sdk.advance_epoch() == 2
    assert list(good(await sdk.claim_rewards(key, target.id)).values()).count("Created") == 4
    good(await sdk.report_model(day.validator, model))
    good(await sdk.undo_report_model(day.validator, model))
    good(await sdk.deactivate_model(key, model))
    await fails(sdk.deactivate_model(key, model), "DeactivateModel failed .* ModelNotActive")


async def validators(day: Day) -> None:
    sdk, key, validator = day.sdk, day.key, day.validator

    def text(words: str) -> bytes:
        return Writer().text(words).done()

    where = [text(f"/ip4/127.0.0.1/tcp/{9000 + n}/http") for n in range(4)]
    good(await sdk.add_validator(key, KEYS[0], public(100), public(101), G1_GENERATOR, *where))
    await fails(sdk.add_validator(key, KEYS[0], public(100), public(101), G1_GENERATOR, *where), "DuplicateValidator")
    assert (await sdk.get_latest_system_state()).validators.pending_validators[0].commission_rate == 10
    good(await sdk.update_validator_metadata(validator, next_epoch_network_address=text("/dns/v.example/tcp/1/http")))
    good(await sdk.set_validator_commission_rate(validator, 300))
    good(await sdk.add_stake(validator, key.address(), 100.0))
    await fails(sdk.report_validator(validator, key.address()), "ReportValidator failed .* NotAValidator")
    assert await sdk.advance_epoch() == 3
    old, new = (await sdk.get_latest_system_state()).validators.validators
    assert (old.metadata.net_address, old.commission_rate) == ("/dns/v.example/tcp/1/http", 300)
    assert old.voting_power + new.voting_power == 10_000
    good(await sdk.report_validator(validator, key.address()))
    assert vars((await sdk.get_latest_system_state()).validator_report_records)
    good(await sdk.undo_report_validator(validator, key.address()))
    good(await sdk.remove_validator(key, KEYS[0]))
    await fails(sdk.remove_validator(validator, b""), "The last validator cannot leave")


async def transactions(day: Day) -> None:
    sdk, key = day.sdk, day.key
    coin = (await sdk.list_owned_objects(key.address(), "coin"))[-1]
    listed = ObjectRef(parse_id(coin.id), coin.version, base58.b58decode(coin.digest))
    data = TransactionData(TransferCoin(listed, 5, parse_id(day.friend.address())), parse_id(key.address()), (listed,))
    tried = await sdk.simulate_transaction(data.to_bytes())
    signed = key.sign(data.to_bytes())
    assert SignedTransaction.from_bytes(signed).data == data
    done = await sdk.execute_transaction(signed)
    assert vars(done.V1.transaction_fee) == vars(tried.V1.transaction_fee)
    digest = b58encode(data.digest)
    found = await _sealed(sdk, digest)
    assert found.V1.transaction_digest == digest == done.V1.transaction_digest


async def _sealed(sdk: Any, digest: str) -> Any:
    """A transaction once its checkpoint is there."""
    while True:
        with contextlib.suppress(RuntimeError):
            return await sdk.get_transaction(digest)
        await asyncio.sleep(0.05)


async def epochs(day: Day) -> None:
    other = await connected(day.info)
    waiting = asyncio.ensure_future(day.sdk.wait_for_next_epoch(60.0))
    newest = 3
    while not waiting.done():
        newest = await other.advance_epoch()
        await asyncio.wait({waiting}, timeout=1.5)
    assert 3 < await waiting <= newest
