"""Plays one recording against two ledgers, the executed and the checkpointed one, and judges every answer."""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from somatui.domain.money import bps
from somatui.practice import rpc
from somatui.practice.answers import status
from somatui.practice.faucet import parse_response
from somatui.practice.ledger.state import SystemState
from somatui.practice.ledger.values import Executed, Refused
from somatui.practice.messages import pb
from somatui.wire.hashes import blake2b256
from somatui.wire.objects import SYSTEM_STATE_ID, Object, parse_coin
from somatui.wire.text import b58decode32, parse_address, parse_id
from tests.practice.replaying import checkpoints
from tests.practice.replaying.compare import Difference, differences, named_system
from tests.practice.replaying.intended import name_of
from tests.practice.replaying.tape import METHODS, Event, Tape
from tests.practice.replaying.world import World, state_in, system_object

Step = Callable[[World], None]
NOT_COMPARED = {
    "Score": "the scorer has its own test against recorded scores",
    "Health": "of the scoring service, no part of the ledger",
}
_GONE = pb.ChangedObject(id_operation="NONE", output_state="OUTPUT_OBJECT_STATE_DOES_NOT_EXIST")
_REPORTED_GONE = _GONE.id_operation, _GONE.output_state
Answer = tuple[Any, tuple[str, str, bytes] | None]
IN_FLIGHT = {"7USY7AXCLNtf3EUeLAejBskgRqGYgPFkfpmhs3dgjabH"}
"""What was sent while another transaction with the same coin was on its way (steps 84 and 85 of lanes)."""


@dataclass
class Tally:
    """What became of a method's answers."""

    compared: int = 0
    equal: int = 0
    intended: int = 0
    unintended: int = 0
    skipped: int = 0


@dataclass
class Outcome:
    """All that one recording showed."""

    name: str
    tallies: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    meant: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def judge(self, event: Event, seen: list[Difference]) -> None:
        """Count one compared answer."""
        tally = self.tallies[event.method]
        tally.compared += 1
        names = [(one, name_of(event, one)) for one in seen]
        bad = [one for one, name in names if name is None]
        self.meant.update({name for _, name in names if name})
        if bad:
            tally.unintended += 1
            place = f"{self.name} line {event.n} step {event.step} {event.method}"
            more = f"; and {len(bad) - 6} more" if len(bad) > 6 else ""
            self.found.append(f"{place}: {'; '.join(map(str, bad[:6]))}{more}")
        elif names:
            tally.intended += 1
        else:
            tally.equal += 1

    def skip(self, event: Event, why: str) -> None:
        """Count an answer that is not compared."""
        self.tallies[event.method].skipped += 1
        self.skipped[f"{event.method}: {why}"] += 1


class Player:
    """One recording on its way; `done` is the executed ledger, `read` the one that reads see, behind by some steps."""

    def __init__(self, tape: Tape, folder: Path) -> None:
        self.tape = tape
        self.outcome = Outcome(tape.path.name.partition(".")[0])
        first = tape.states[0]
        self.done, self.read = (World.of(folder / f"{n}.sqlite3", first, tape.stamps) for n in ("done", "read"))
        self.done.reader = self.read
        born = tape.objects.get((SYSTEM_STATE_ID, 1))
        for world in (self.done, self.read):
            world.put([] if born is None else [born])
        self.log: list[Step] = []
        self.at = 0
        self.lost: Counter[str] = Counter()
        self.tokens: dict[bytes, bytes] = {}
        self.met_system = self.maker_known = False

    def close(self) -> None:
        """Let go of both ledgers."""
        self.done.close()
        self.read.close()

    def change(self, step: Step) -> None:
        """Do something to the executed ledger now and to the other one when it catches up."""
        step(self.done)
        self.log.append(step)

    def play(self) -> Outcome:
        """Every event in order."""
        handlers = {
            "ExecuteTransaction": self._execute,
            "RequestGas": self._faucet,
            "AdvanceEpoch": self._advance,
            "SubscribeCheckpoints": lambda e: checkpoints.stream(self, e),
            "GetCheckpoint": lambda e: checkpoints.get(self, e),
            "GetServiceInfo": lambda e: checkpoints.info(self, e),
        }
        begun = False
        for event in self.tape.events:
            begun = begun or not event.responses or event.method != "GetEpoch" or _state(event) is not None
            if not begun:
                self.outcome.skip(event, "before the first recorded state")
                continue
            self._keep_epoch(event)
            if event.method in handlers:
                handlers[event.method](event)
            elif event.path in METHODS:
                self._ask(event)
            else:
                self.outcome.skip(event, NOT_COMPARED[event.method])
        return self.outcome

    def answer(self, world: World, event: Event, request: Any) -> Answer:
        """What the practice network says."""
        try:
            return rpc.CALLS[event.method](world, request), None
        except Refused as why:
            return None, (why.code, why.text, status(why).SerializeToString())

    def compared(self, event: Event, answer: Answer) -> list[Difference]:
        """Every difference of an answer from the recorded one."""
        ours, refused = answer
        if refused is not None or event.error is not None:
            return list(_errors(ours, refused, event))
        told = event.responses[0]
        if (
            event.method == "GetBalance"
            and self.lost[event.request.owner.removeprefix("0x")] == ours.balance - told.balance
        ):
            return [Difference("balance (of lost bonds)", d.ours, d.theirs) for d in differences(ours, told)]
        seen = (named_system(d, told) for d in differences(ours, told))
        return [self._of_unknown_making(d, told) if event.method == "ListTargets" else d for d in seen]

    def _of_unknown_making(self, difference: Difference, told: Any) -> Difference:
        """Marks what differs in a target of an epoch whose change has no digest in the recording."""
        place = re.match(r"targets\[(\d+)\]", difference.path)
        if place is None:
            return difference
        target = told.targets[int(place.group(1))]
        epoch = target.generation_epoch if target.HasField("generation_epoch") else self.done.state.epoch
        if epoch in self.tape.epoch_digests:
            return difference
        return Difference(f"{difference.path} (maker not on record)", difference.ours, difference.theirs)

    def _keep_epoch(self, event: Event) -> None:
        """Begin the epochs that this event already shows and nobody asked for."""
        if event.method in ("AdvanceEpoch", "RequestGas"):
            return
        shown = -1
        for reply in event.responses:
            state = _state(event)
            if state is not None:
                shown = state.epoch
            elif event.method == "GetEpoch" and not event.request.HasField("epoch"):
                shown = reply.epoch.epoch
            elif event.method == "ExecuteTransaction" and reply.transaction.effects.transaction_digest:
                shown = reply.transaction.effects.epoch
        while self.done.state.epoch < shown:
            self._begin_epoch()

    def _begin_epoch(self) -> None:
        number = self.done.state.epoch + 1
        state = self.done.state
        guess = state.epoch_start_timestamp_ms + state.parameters.epoch_duration_ms
        at = self.tape.epoch_starts.get(number, guess)
        known = self.tape.epoch_digests.get(number)
        digest = known or blake2b256(b"epoch" + number.to_bytes(8, "little"))
        self.maker_known = known is not None
        self.change(lambda world: world.begin_epoch(digest, at))

    def _advance(self, event: Event) -> None:
        number = int.from_bytes(event.responses[0], "little")
        self._begin_epoch()
        ours = self.done.state.epoch
        self.outcome.judge(event, [] if ours == number else [Difference("epoch", ours, number)])

    def _faucet(self, event: Event) -> None:
        if event.error is not None:
            self.outcome.skip(event, "a refused address, which the server in front of the ledger refuses")
            return
        told, coins = parse_response(event.responses[0])
        before = self.done.state.copy()
        given = self.done.faucet(parse_address(event.request[1:].decode()), self.done.state.epoch_start_timestamp_ms)
        fee = 1000, 600, bps(given[0][0], before.parameters.value_fee_bps)
        self._undo(given[0][2], before, again=False)
        seen = [] if told == "Success" else [Difference("status", "Success", told)]
        seen += [] if len(coins) == len(given) else [Difference("coins.length", len(given), len(coins))]
        for index, ((amount, object_id, digest), (ours, our_id, _)) in enumerate(zip(coins, given, strict=False)):
            if amount != ours:
                seen.append(Difference(f"coins[{index}].amount", ours, amount))
            seen.append(Difference(f"coins[{index}].id", our_id.hex(), object_id))
            made = self.tape.first_version(parse_id(object_id), b58decode32(digest))

            def give(world: World, made: Object | None = made) -> None:
                state = world.state.copy()
                a, b, c = (x + y for x, y in zip(state.epoch_fees, fee, strict=True))
                state.epoch_fees = (a, b, c)
                world.put([] if made is None else [made], state=state)

            self.change(give)
        self.outcome.judge(event, seen)

    def _execute(self, event: Event) -> None:
        if event.responses:
            self._meet(event)
        digest = b58decode32(event.request.transaction.digest)
        before, again = self.done.state.copy(), self.done.transaction(digest) is not None
        self.done.answered = self.done.executed - 1 if event.request.transaction.digest in IN_FLIGHT else None
        answer = self.answer(self.done, event, event.request)
        self.outcome.judge(event, self.compared(event, answer))
        if event.error is not None:
            self._undo(digest, before, again)
            return
        self.log.append(lambda world: self._quietly(world, event))
        self._count_lost(event.responses[0].transaction.effects)
        corrected = None if again else self._corrections(event.responses[0].transaction.effects)
        if corrected is not None:
            self.change(corrected)

    def _count_lost(self, effects: Any) -> None:
        """Add up the coins that recorded effects report as gone though they stay (protocol.md 8, item 5a)."""
        for change in effects.changed_objects:
            if (change.id_operation, change.output_state) == _REPORTED_GONE:
                coin = self.done.get_object(bytes.fromhex(change.object_id.removeprefix("0x")))
                if coin is not None:
                    self.lost[change.input_owner.address.removeprefix("0x")] += parse_coin(coin.contents)

    def _undo(self, digest: bytes, before: SystemState, again: bool) -> None:
        """Take back what the node refused and the practice network executed."""
        done = self.done.transaction(digest)
        if done is None or again:
            return
        old = (self.done.get_object(c.id, c.input[0]) for c in done.effects.changed if c.input)
        self.done.put([one for one in old if one], [o for o in done.objects if self._new(done, o)], before)

    @staticmethod
    def _new(done: Executed, one: Object) -> bool:
        return any(c.id == one.id and c.operation == "created" for c in done.effects.changed)

    def _quietly(self, world: World, event: Event) -> None:
        with contextlib.suppress(Refused):
            rpc.CALLS[event.method](world, event.request)

    def _meet(self, event: Event) -> None:
        """Give the system state's object the version and maker of the node's, where no earlier answer told them."""
        effects = event.responses[0].transaction.effects
        system = [c for c in effects.changed_objects if parse_id(c.object_id) == SYSTEM_STATE_ID]
        if not system or self.maker_known:
            return
        held = [self.done.get_object(parse_id(c.object_id)) for c in effects.changed_objects if c not in system]
        known = {one.previous_transaction for one in held if one is not None}
        unknown = [d for d in map(b58decode32, effects.dependencies) if d not in known]
        now = self.done.get_object(SYSTEM_STATE_ID)
        version = now.version if now is not None and self.met_system else system[0].input_version
        previous = unknown[0] if unknown else next(iter(known), bytes(32))
        self.met_system = self.maker_known = True
        self.change(lambda world: world.put([system_object(version, previous)]))

    def _corrections(self, recorded: Any) -> Step | None:
        """What makes the executed ledger agree with recorded effects, so that a difference does not spread."""
        put, gone = [], []
        for change in recorded.changed_objects:
            object_id = parse_id(change.object_id)
            held = self.done.get_object(object_id)
            if object_id == SYSTEM_STATE_ID:
                version = change.output_version
                maker = b58decode32(recorded.transaction_digest)
                if held is None or held.version != version:
                    put.append(system_object(version, maker))
            elif change.HasField("output_version"):
                if held is None or held.digest != b58decode32(change.output_digest):
                    right = self.tape.objects.get((object_id, change.output_version))
                    if right is not None:
                        put.append(right)
            elif change.id_operation == pb.ChangedObject.IdOperation.Value("NONE"):
                before = self.done.get_object(object_id, change.input_version)
                if before is not None:
                    put.append(before)
            elif held is not None:
                gone.append(held)
        return (lambda world: world.put(put, gone)) if put or gone else None

    def _ask(self, event: Event) -> None:
        request = type(event.request)()
        request.CopyFrom(event.request)
        if "page_token" in request.DESCRIPTOR.fields_by_name and request.page_token:
            request.page_token = self.tokens.get(request.page_token, request.page_token)
        answer, seen = self.catching_up(event, lambda world: self.answer(world, event, request))
        ours, _ = answer
        if ours is not None and event.responses and "next_page_token" in ours.DESCRIPTOR.fields_by_name:
            self.tokens[event.responses[0].next_page_token] = ours.next_page_token
        self.outcome.judge(event, seen)
        if event.method == "GetEpoch" and event.responses and any(name_of(event, d) is None for d in seen):
            self._resync(event.responses[0])

    def _resync(self, response: Any) -> None:
        state = response.epoch.system_state
        if response.epoch.HasField("system_state") and state.epoch == self.done.state.epoch:
            self.change(lambda world: world.put((), state=state_in(state, world.state)))

    def catching_up(self, event: Event, ask: Callable[[World], Answer]) -> tuple[Answer, list[Difference]]:
        """The answer of the first moment since the last read that agrees, else the newest one's."""
        while True:
            answer = ask(self.read)
            seen = self.compared(event, answer)
            if all(name_of(event, one) for one in seen) or self.at == len(self.log):
                return answer, seen
            self.log[self.at](self.read)
            self.at += 1


def _state(event: Event) -> Any:
    """The system state that an answer tells, if it does."""
    if event.method != "GetEpoch" or not event.responses or not event.responses[0].epoch.HasField("system_state"):
        return None
    return event.responses[0].epoch.system_state


def _errors(ours: Any, refused: tuple[str, str, bytes] | None, event: Event) -> Iterator[Difference]:
    if refused is None:
        yield Difference("error", f"no error but {ours}", event.error and event.error[:2])
    elif event.error is None:
        yield Difference("error", refused[:2], "no error")
    else:
        for name, one, two in zip(("code", "message"), refused, event.error, strict=False):
            if one != two:
                yield Difference(f"error.{name}", one, two)
        told = pb.Status.FromString(event.error[2])
        for one in differences(pb.Status.FromString(refused[2]), told):
            if one.path not in ("code", "message"):
                yield Difference(f"error.{one.path}", one.ours, one.theirs)
