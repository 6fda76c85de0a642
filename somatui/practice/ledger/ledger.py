"""The ledger as the servers see it: opened, read, changed one transaction at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from somatui.practice.ledger import execute as rules
from somatui.practice.ledger import history, listed, quiet
from somatui.practice.ledger.epoch import change_epoch, enter_safe_mode
from somatui.practice.ledger.genesis import SYSTEM, address_of_key, begin
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.store import Store
from somatui.practice.ledger.system import ChangeEpoch
from somatui.practice.ledger.values import Checkpoint, Executed, Fee, GenesisConfig, Locked, Refused, Stale
from somatui.practice.ledger.view import Deletion, View
from somatui.wire.hashes import derive_id, typed_hash
from somatui.wire.kinds import PayCoins
from somatui.wire.objects import SYSTEM_STATE_ID, Object, ObjectType, Target
from somatui.wire.text import hex_id
from somatui.wire.transaction import Signature, SignedTransaction, TransactionData, signing_message

FAUCET_SHANNONS = 2_000_000_000
STATUSES = listed.STATUSES


class Ledger:
    """One network's ledger; calls are synchronous and one at a time."""

    state: SystemState
    newest: int = -1
    """The number of the last checkpoint."""
    portray: Callable[[SystemState], bytes] = staticmethod(lambda state: b"")
    """Makes what is remembered of the state that an epoch begins with; the caller's to set and to read."""
    answered: int | None = None
    """How many of `executed` had been answered when the transaction at hand came; None: all. The caller's to set."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._quiet = quiet.Quiet(store.sql)
        self._ending: tuple[int, Fee] | None = None
        history.prepare(store.sql)

    @classmethod
    def create(cls, path: Path, genesis: GenesisConfig) -> Ledger:
        """Make the file and the network in it; raises LedgerError."""
        store = Store(path, create=True)
        ledger = cls(store)
        done, state = begin(genesis)
        with ledger._store.writing():
            ledger._store.keep(done, state)
        ledger.state = state
        ledger._remember(0)
        ledger.seal_checkpoint(genesis.now_ms)
        return ledger

    @classmethod
    def open(cls, path: Path, portray: Callable[[SystemState], bytes] | None = None) -> Ledger:
        """Open a network that was made before; raises LedgerError."""
        store = Store(path, create=False)
        ledger = cls(store)
        ledger.portray = portray or cls.portray
        try:
            ledger.state = store.state()
            last = store.checkpoint(None)
            ledger.newest = max(last.sequence if last else -1, ledger._quiet.newest())
            known = history.find(store.sql, ledger.state.epoch, with_portrait=True)
            if known is None and store.unsealed():
                ledger._ending = (max(ledger.state.epoch - 1, 0), Fee(0, 0, 0))
            elif known is None or (not known.portrait and ledger.newest <= known.first):
                ledger._remember(known.first if known else ledger.newest + 1)
        except BaseException:
            store.close()
            raise
        return ledger

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is executed inside is kept by one commit, or nothing of it; one within another is a part of it."""
        before = self.state, self.newest, self._ending
        try:
            with self._store.writing():
                yield
        except BaseException:
            self.state, self.newest, self._ending = before
            raise

    def _remember(self, first: int) -> None:
        """Keep that the current epoch began, with checkpoint `first`."""
        state = self.state
        history.begin(self._store.sql, state.epoch, state.epoch_start_timestamp_ms, first, self.portray(state))

    def get_object(self, object_id: bytes, version: int | None = None) -> Object | None:
        """The newest or one named version; None when there is none."""
        return self._store.object(object_id, version)

    def owned(
        self, owner: bytes, type: ObjectType | None, limit: int, after: bytes | None
    ) -> tuple[list[Object], bytes | None]:
        """A page in the order of protocol.md 2.4 and the token of the next; a bad token is Refused."""
        kind, balance, last = (-1, -1, b"") if after is None else listed.read_token(after)
        query = (
            "SELECT body FROM live WHERE owner = ? AND (type, balance, id) > (?, ?, ?) AND (? IS NULL OR type = ?)"
            " ORDER BY type, balance, id LIMIT ?"
        )
        wanted = None if type is None else int(type)
        rows = self._store.sql.execute(query, (owner, kind, balance, last, wanted, wanted, limit)).fetchall()
        page = [Object.from_bytes(row[0]) for row in rows]
        return page, self.owned_token(page[-1]) if len(page) == limit else None

    @staticmethod
    def owned_token(last: Object) -> bytes:
        """The token of the page after `last`."""
        balance = int.from_bytes(last.contents, "little") if last.type == ObjectType.COIN else 0
        return json.dumps([int(last.type), balance, last.id.hex()]).encode()

    def balance(self, owner: bytes) -> int:
        """The sum of an address's coins in shannons."""
        query = "SELECT COALESCE(SUM(balance), 0) FROM live WHERE owner = ? AND type = ?"
        total: int = self._store.sql.execute(query, (owner, int(ObjectType.COIN))).fetchone()[0]
        return total

    def targets(
        self, status: str | None, epoch: int | None, submitter: bytes | None, limit: int, after: bytes | None
    ) -> tuple[list[tuple[Object, Target]], bytes | None]:
        """A page in the order of protocol.md 2.4 and the token of the next; a bad token is Refused."""
        return listed.targets(self._store.sql, self.state.epoch, status, epoch, submitter, limit, after)

    @staticmethod
    def target_token(last: Object, target: Target) -> bytes:
        """The token of the page after a target."""
        return listed.token_of(last, target)

    def get_target(self, target_id: bytes) -> tuple[Object, Target] | None:
        """One target; None when there is none."""
        found = self._store.object(target_id)
        return (found, Target.from_bytes(found.contents)) if found and found.type == ObjectType.TARGET else None

    def transaction(self, digest: bytes) -> Executed | None:
        """An executed transaction; None when there is none."""
        return self._store.done(digest)

    def checkpoint(self, sequence: int | None = None) -> Checkpoint | None:
        """The newest or one numbered checkpoint."""
        wanted = self.newest if sequence is None else sequence
        if wanted > self.newest:
            return None
        return self._store.checkpoint(wanted) or quiet.find(self._store.sql, wanted)

    def checkpoint_by_digest(self, digest: bytes) -> Checkpoint | None:
        """The checkpoint of this digest."""
        number = quiet.sequence_in(digest)
        if number is None:
            number = history.sequence_of(self._store.sql, digest)
        found = None if number is None else self.checkpoint(number)
        return found if found and found.digest == digest else None

    def epoch(self, number: int, *, with_portrait: bool) -> history.Epoch | None:
        """What is remembered of an epoch; the portrait is of the state it began with."""
        return history.find(self._store.sql, number, with_portrait=with_portrait)

    def closes(self, sequence: int) -> int | None:
        """The epoch that begins after this checkpoint, if it is the last of one."""
        return history.closes(self._store.sql, sequence)

    def _deleted_now(self, object_id: bytes) -> Deletion | None:
        return self._store.deletion(object_id, self.state.epoch)

    def execute(self, signed: SignedTransaction, now_ms: int) -> Executed:
        """Execute once; the same digest again gives the first answer. Raises Refused."""
        _verify(signed)
        known = self._store.done(signed.data.digest)
        if known is not None:
            return known
        try:
            gone = self._deleted_now
            done, state = rules.run(signed.data, self.state, self._store.object, gone, now_ms, held=gone)
        except Refused as why:
            raise self._told(signed.data, why) from None
        done = replace(done, signed=signed.to_bytes())
        with self._store.writing():
            self._store.keep(done, state)
        self.state = state
        return done

    @property
    def executed(self) -> int:
        """How many transactions have been executed, the system's own among them."""
        return self._store.last()

    def _told(self, data: TransactionData, why: Refused) -> Refused:
        """A refusal as validators tell it, who know a newer version than the checkpoints (protocol.md 9.7, item 2)."""
        locked = why if isinstance(why, Locked) else self._in_flight(data)
        if locked is not None:
            return self._by_validators(locked)
        last = self.transaction(why.last) if isinstance(why, Stale) else None
        return self._by_validators(why) if last is not None and last.checkpoint is None else why

    def _in_flight(self, data: TransactionData) -> Locked | None:
        """The refusal of one that names what another uses whose answer was not out yet (protocol.md 9.5; 9.7, item 3).

        An object's version belongs to the first transaction that names it.
        """
        if self.answered is None:
            return None
        refs = {
            (ref.id, ref.version): ref for ref in (*data.gas_payment, *rules.RULES[type(data.kind)].refs(data.kind))
        }
        for digest in self._store.after(self.answered):
            other = self.transaction(digest)
            for change in other.effects.changed if other else ():
                ref = refs.get((change.id, change.input[0])) if change.input else None
                if ref is not None:
                    return rules.locked(ref, digest)
        return None

    def _by_validators(self, why: Refused) -> Refused:
        """The refusal in the words of the validators that made it."""
        names = ", ".join(f"k#{v.protocol_pubkey[:4].hex()}.." for v in self.state.all_validators())
        stake = sum(v.voting_power for v in self.state.all_validators())
        text = "Transaction is rejected as invalid by more than 1/3 of validators by stake (non-retriable)."
        return Refused(why.code, f"{text} Non-retriable errors: [{why.text} {{ {names} }} with {stake} stake].")

    def simulate(self, data: TransactionData, now_ms: int) -> Executed:
        """What executing would do; nothing is kept, no signature is needed, missing gas is picked. Raises Refused."""
        if not data.gas_payment:
            coins, _ = self.owned(data.sender, ObjectType.COIN, 100, None)
            data = TransactionData(data.kind, data.sender, tuple(c.ref for c in reversed(coins)))
        return rules.run(data, self.state, self._as_named(data), self._deleted_now, now_ms)[0]

    def _as_named(self, data: TransactionData) -> Callable[[bytes], Object | None]:
        """Owned inputs in the version that the transaction names, old ones too, as simulation does (9.7)."""
        rule = rules.RULES.get(type(data.kind))
        named = {r.id: r.version for r in (*data.gas_payment, *(rule.refs(data.kind) if rule else ()))}

        def find(object_id: bytes) -> Object | None:
            version = named.get(object_id)
            if version is None:
                return self._store.object(object_id)
            found = self._store.object(object_id, version) if version < 2**63 else None
            if found is None:
                text = f"Could not find the referenced object {hex_id(object_id)} at version Some(Version({version}))"
                raise Refused("INTERNAL", text)
            return found

        return find

    def faucet(self, recipient: bytes, now_ms: int) -> list[tuple[int, bytes, bytes]]:
        """One coin of 2 SOMA by a signed PayCoins: (amount, coin id, digest); Refused when the faucet is empty."""
        key = Ed25519PrivateKey.from_private_bytes(self.state.faucet_key)
        sender = address_of_key(self.state.faucet_key)
        query = "SELECT body FROM live WHERE owner = ? AND type = 1 AND balance > ? ORDER BY balance DESC LIMIT 1"
        row = self._store.sql.execute(query, (sender, 2 * FAUCET_SHANNONS)).fetchone()
        if row is None:
            raise Refused("FAILED_PRECONDITION", "The faucet is empty; start a new practice network")
        coin = Object.from_bytes(row[0]).ref
        data = TransactionData(PayCoins((coin,), (FAUCET_SHANNONS,), (recipient,)), sender, (coin,))
        signature = Signature(key.sign(signing_message(data.to_bytes())), key.public_key().public_bytes_raw())
        done = self.execute(SignedTransaction(data, signature), now_ms)
        return [(FAUCET_SHANNONS, derive_id(done.digest, 0), done.digest)]

    def advance_epoch(self, now_ms: int, *, failing: bool = False, upgrading: bool = False) -> int:
        """Begin the next epoch and return its number; the checkpoint sealed next is the last of the old one.

        `failing` has the change fail as it may on a real network, so that the epoch begins in safe mode. `upgrading`
        has it begin with the next protocol version, which wants models of the next architecture (R22).
        """
        state, ending = self.state.copy(), (self.state.epoch, Fee(*self.state.epoch_fees))
        if upgrading:
            state.protocol_version += 1
            state.parameters.model_architecture_version += 1
        system = self._store.object(SYSTEM_STATE_ID)
        if system is None:
            raise Refused("INTERNAL", "The system state object is missing; start a new practice network")
        last = self.checkpoint()
        seed = last.digest if last else bytes(32)
        kind = ChangeEpoch(state.epoch + 1, state.protocol_version, sum(state.epoch_fees), now_ms, seed)
        data = TransactionData(kind, SYSTEM, ())
        view = View(state, data.digest, SYSTEM, {SYSTEM_STATE_ID: system})
        if failing:
            enter_safe_mode(state, now_ms)
        else:
            change_epoch(view, now_ms)
        done = rules.finish(view, data, None, Fee(0, 0, 0), now_ms)
        with self._store.writing():
            self._store.keep(done, state)
        self.state, self._ending = state, ending
        return state.epoch

    def seal_checkpoint(self, now_ms: int, *, idle: bool = False) -> Checkpoint | None:
        """Seal what was executed since the last; None when nothing was, unless an idle one is wanted."""
        digests, last = self._store.unsealed(), self.checkpoint()
        if not digests:
            return self._seal_quiet(last, now_ms) if idle and last else None
        sequence, total = (last.sequence + 1, last.total_transactions) if last else (0, 0)
        epoch, fees = self._ending or (self.state.epoch, Fee(*self.state.epoch_fees))
        made = Checkpoint(
            sequence,
            epoch,
            typed_hash("CheckpointSummary", sequence.to_bytes(8, "little") + b"".join(digests)),
            last.digest if last else None,
            max(now_ms, last.timestamp_ms) if last else now_ms,
            digests,
            fees,
            total + len(digests),
        )
        with self._store.writing():
            self._store.seal(made)
            history.sealed(self._store.sql, made.digest, sequence)
            self._quiet.end(sequence - 1)
            if self._ending is not None:
                self._remember(sequence + 1)
        self._quiet.ended()
        self.newest, self._ending = sequence, None
        return made

    def _seal_quiet(self, last: Checkpoint, now_ms: int) -> Checkpoint | None:
        fees = Fee(*self.state.epoch_fees)
        try:
            with self._store.writing():
                sequence = self._quiet.next(last, self.state.epoch, fees, max(now_ms, last.timestamp_ms))
        except BaseException:
            self._quiet.ended()
            raise
        self.newest = sequence
        return self.checkpoint()

    def let_log_grow(self) -> None:
        """From now on only `fold` takes the file's log into the file, and no commit has to do it on the way."""
        self._store.let_log_grow()

    def fold(self) -> None:
        """Take the file's log into the file; nobody is kept from reading."""
        self._store.fold()

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self._quiet.end(self.newest)
        self._store.close()


def _verify(signed: SignedTransaction) -> None:
    signature = signed.signature
    if signature.address != signed.data.sender:
        raise Refused("INVALID_ARGUMENT", "Invalid signature: the key is not the sender's")
    try:
        key = Ed25519PublicKey.from_public_bytes(signature.public_key)
        key.verify(signature.signature, signing_message(signed.data.to_bytes()))
    except (InvalidSignature, ValueError):
        raise Refused("INVALID_ARGUMENT", "Invalid signature: it does not belong to this transaction") from None
