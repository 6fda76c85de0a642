"""The keeper: what it begins, what it leaves alone, and how it comes back to what did not succeed."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from somatui.agent.keeper import PAUSE_MS, Keeper
from somatui.config import Settings
from somatui.domain.deadline import epoch_start_ms
from somatui.domain.duties import duties
from somatui.domain.snapshot import IntentView, Snapshot
from tests.domain.worlds import ME, NOW_MS, an_id, model, target, world

WAITING = model(state="pending", commit_epoch=411, key_at_hand=True)
PAYS = target("72", status="claimable", fill_epoch=410, generation_epoch=410, submitter=ME, mine=True)


def due(least: int = 0, **changes: object) -> Snapshot:
    made = world(**changes)
    found = duties(made, auto_reveal=True, auto_claim=True, claim_min_net_shannons=least)
    return replace(made, duties=found)


class Desk:
    """Takes what the keeper asks for, and fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.failures = failures
        self.now, self.steady = NOW_MS, 0

    async def act(self, action: str, args: dict[str, Any], key: str) -> None:
        self.asked.append((action, args, key))
        if self.failures:
            self.failures -= 1
            raise RuntimeError("not now")


def keeper_of(desk: Desk, settings: Settings | None = None) -> Keeper:
    return Keeper(desk.act, lambda: settings or Settings(), lambda: desk.now, lambda: desk.steady)


async def looks(keeper: Keeper, *pictures: Snapshot) -> None:
    for picture in pictures:
        keeper.look(picture)
        for _ in range(3):
            await asyncio.sleep(0)


def test_it_reveals_and_claims_what_is_open_once_a_look() -> None:
    desk = Desk()
    asyncio.run(looks(keeper_of(desk), due(models=(WAITING,), targets=(PAYS,))))
    assert [(a, args) for a, args, _ in desk.asked] == [
        ("reveal", {"model_id": WAITING.id}),
        ("claim", {"target_ids": [PAYS.id]}),
    ]


def test_a_failure_is_tried_again_after_a_pause_under_another_key() -> None:
    desk = Desk(failures=1)
    keeper = keeper_of(desk)
    picture = due(models=(WAITING,))

    async def twice() -> None:
        await looks(keeper, picture, picture)
        assert len(desk.asked) == 1, "not before the pause is over"
        desk.steady += PAUSE_MS + 1
        await looks(keeper, replace(picture, at_ms=desk.now + PAUSE_MS))

    asyncio.run(twice())
    assert len(desk.asked) == 2 and desk.asked[0][2] != desk.asked[1][2]


def test_however_often_a_reveal_has_failed_it_is_tried_again_before_its_epoch_is_over() -> None:
    desk, picture = Desk(failures=1_000), due(models=(WAITING,))
    keeper, ends = keeper_of(desk), epoch_start_ms(picture.epoch, picture.epoch.number + 1)

    async def tries(till: int) -> int:
        """Pass the time, a second at a step; how often it was tried."""
        before = len(desk.asked)
        while desk.now < till:
            await looks(keeper, picture)
            desk.now, desk.steady = desk.now + 1_000, desk.steady + 1_000
        return len(desk.asked) - before

    async def day() -> tuple[int, int]:
        desk.now = ends - 3_600_000
        return await tries(ends - 40_000), await tries(ends)

    early, last = asyncio.run(day())
    assert early < 40 and last > 10


def test_a_clock_that_is_set_back_holds_up_no_duty_and_what_was_tried_in_epochs_that_are_over_is_forgotten() -> None:
    desk, picture = Desk(failures=1), due(models=(WAITING,))
    keeper = keeper_of(desk)

    async def day() -> None:
        await looks(keeper, picture)
        desk.now -= 86_400_000
        desk.steady += PAUSE_MS
        await looks(keeper, picture)
        assert len(desk.asked) == 2 and len(keeper._not_before) == 1
        await looks(keeper, replace(picture, duties=(), epoch=replace(picture.epoch, number=413)))
        assert keeper._not_before == {}

    asyncio.run(day())


def test_what_is_under_way_already_is_left_alone() -> None:
    desk = Desk()
    began = (
        IntentView("r", "reveal", WAITING.id, "signed", NOW_MS),
        IntentView("c", "claim", PAYS.id, "planned", NOW_MS),
    )
    asyncio.run(looks(keeper_of(desk), due(models=(WAITING,), targets=(PAYS,), intents=began)))
    assert desk.asked == []


def test_nothing_is_begun_while_locked_or_unreachable() -> None:
    desk = Desk()
    picture = due(models=(WAITING,))
    locked = replace(picture, wallet=replace(picture.wallet, unlocked=False))
    gone = replace(picture, network=replace(picture.network, reachable=False))
    asyncio.run(looks(keeper_of(desk), locked, gone))
    assert desk.asked == []


def test_in_safe_mode_what_has_a_deadline_is_done_and_the_rest_waits() -> None:
    desk = Desk()
    picture = due(models=(WAITING,), targets=(PAYS,))
    asyncio.run(looks(keeper_of(desk), replace(picture, network=replace(picture.network, safe_mode=True))))
    assert [action for action, _, _ in desk.asked] == ["reveal"]


def test_a_duty_that_is_not_open_or_not_armed_waits() -> None:
    desk = Desk()
    early = due(models=(model(state="pending", commit_epoch=412, key_at_hand=True),))
    unarmed = due(models=(model(state="pending", commit_epoch=411, key_at_hand=False),))
    asyncio.run(looks(keeper_of(desk), early, unarmed))
    assert desk.asked == []


def test_targets_that_bring_too_little_are_not_claimed() -> None:
    desk = Desk()
    dear = replace(PAYS, id=an_id("73"), reward_shannons=900_000_000)
    least = 50_000_000
    picture = due(least, targets=(PAYS, dear))
    asyncio.run(looks(keeper_of(desk, Settings(claim_min_net_shannons=least)), picture))
    assert [args for _, args, _ in desk.asked] == [{"target_ids": [dear.id]}]
