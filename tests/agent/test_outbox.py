"""What of the alerts leaves the machine: each once, bad ones at once, others gathered, and nothing without a bound."""

from __future__ import annotations

import json

from somatui.agent.alerts import stranger_alerts
from somatui.agent.outbox import (
    APART_MS,
    AWAY_MS,
    FIRST_PAUSE_MS,
    GATHER_MS,
    MOST_CHARACTERS,
    MOST_LINES,
    MOST_PAUSE_MS,
    OVER_MS,
    Outbox,
)
from somatui.domain.snapshot import Alert
from tests.domain.worlds import NOW_MS

SLASH = Alert("bad", "Reveal alpha: key missing.", NOW_MS, "duty:reveal:a")
POOR = Alert("warn", "No single coin is large enough.", NOW_MS, "coins")


def sent(box: Outbox, now_ms: int) -> str:
    """The message that is due, taken; empty where none is."""
    if not box.due(now_ms):
        return ""
    text, count = box.message("ops", "testnet")
    box.taken(count, now_ms)
    return text


def test_an_alert_is_told_once_and_once_that_it_is_over_however_often_it_is_seen() -> None:
    box, told = Outbox(), []
    for second in range(0, 600, 2):
        now = NOW_MS + second * 1_000
        box.see((SLASH,) if second < 300 else (), "all", now)
        told.append(sent(box, now))
        box = Outbox.of(json.loads(json.dumps(box.kept())))
    lines = [text.splitlines()[1:] for text in told if text]
    assert lines == [["✗ Reveal alpha: key missing."], ["✓ over: Reveal alpha: key missing."]]
    assert told[0].startswith("somatui, profile ops on testnet"), "a bad one did not go out at once"


def test_what_is_gone_for_a_moment_is_not_told_twice() -> None:
    box = Outbox()
    box.see((SLASH,), "all", NOW_MS)
    assert sent(box, NOW_MS)
    box.see((), "all", NOW_MS + 1_000)
    box.see((SLASH,), "all", NOW_MS + OVER_MS - 1_000)
    box.see((), "all", NOW_MS + OVER_MS)
    box.see((), "all", NOW_MS + OVER_MS + 30_000)
    assert box.lines == []


def test_others_are_gathered_into_one_message_and_go_with_a_bad_one() -> None:
    box, job = Outbox(taken_ms=NOW_MS), Alert("warn", "Job b failed.", NOW_MS, "job:b")
    box.see((POOR,), "all", NOW_MS + 1_000)
    assert not box.due(NOW_MS + GATHER_MS - 1)
    box.see((POOR, job), "all", NOW_MS + 20_000)
    assert box.due(NOW_MS + GATHER_MS)
    box.see((POOR, job, SLASH), "all", NOW_MS + 30_000)
    assert sent(box, NOW_MS + 30_000).splitlines()[1:] == [f"! {POOR.text}", f"! {job.text}", f"✗ {SLASH.text}"]
    box.see((POOR, SLASH, Alert("bad", "More.", NOW_MS, "x")), "all", NOW_MS + 31_000)
    assert not box.due(NOW_MS + 31_000) and box.due(NOW_MS + 30_000 + APART_MS), (
        "a flood is held to one each ten seconds"
    )


def test_a_warning_that_becomes_bad_is_told_again_and_a_deadline_at_each_step_but_over_once() -> None:
    box = Outbox()
    box.see((POOR,), "all", NOW_MS)
    box.see((Alert("bad", POOR.text, NOW_MS, "coins"),), "all", NOW_MS)
    assert [mark for mark, _ in box.lines] == ["warn", "bad"]
    box = Outbox()
    for at, step in ((0, ""), (1, "#2 hours"), (OVER_MS + 2, "#30 minutes"), (3 * OVER_MS, "#30 minutes")):
        box.see((Alert("bad", f"Reveal{step}.", NOW_MS, f"duty:reveal:a{step}"),), "all", NOW_MS + at)
    box.see((), "all", NOW_MS + 4 * OVER_MS)
    box.see((), "all", NOW_MS + 6 * OVER_MS)
    assert box.lines == [["bad", "Reveal."], ["bad", "Reveal#2 hours."], ["bad", "Reveal#30 minutes."],
                         ["over", "Reveal#30 minutes."]]  # fmt: skip


def test_a_network_is_told_of_when_it_is_away_for_long_and_what_has_happened_is_never_over() -> None:
    box = Outbox()
    gone = Alert("bad", "The network does not answer.", NOW_MS, "network")
    failed = Alert("warn", "Job b failed.", NOW_MS, "job:b")
    (other,) = stranger_alerts(["7" * 44])
    box.see((gone, failed, other), "all", NOW_MS + AWAY_MS - 1)
    assert [text for _, text in box.lines] == [failed.text, other.text]
    box.see((gone,), "all", NOW_MS + AWAY_MS)
    box.see((gone,), "all", NOW_MS + AWAY_MS + OVER_MS)
    assert [text for _, text in box.lines] == [failed.text, other.text, gone.text]


def test_a_clock_that_is_set_back_holds_up_no_alert() -> None:
    box = Outbox(taken_ms=NOW_MS, failed_ms=NOW_MS, tries=1)
    box.see((POOR,), "all", NOW_MS - 3_600_000)
    assert box.due(NOW_MS - 3_600_000) and not box.due(NOW_MS + FIRST_PAUSE_MS - 1)
    gone = Alert("bad", "The network does not answer.", NOW_MS, "network")
    box = Outbox()
    for at, seen in ((0, (POOR,)), (1, ()), (-3_600_000, (gone,))):
        box.see(seen, "all", NOW_MS + at)
    assert box.lines == [["warn", POOR.text], ["bad", gone.text], ["over", POOR.text]]


def test_the_setting_leaves_out_warnings_or_all() -> None:
    box = Outbox()
    box.see((POOR, SLASH), "bad", NOW_MS)
    assert [text for _, text in box.lines] == [SLASH.text]
    box.see((POOR, SLASH), "all", NOW_MS)
    for later in (0, OVER_MS):
        box.see((POOR, SLASH), "bad", NOW_MS + later)
    assert [text for _, text in box.lines] == [SLASH.text, POOR.text], "what is only left out now is not over"
    box.see((POOR, SLASH), "off", NOW_MS)
    assert not box.due(NOW_MS + 1_000_000)
    box.see((SLASH,), "all", NOW_MS)
    assert box.due(NOW_MS), "what is there when it is switched on again is told"


def test_a_webhook_that_takes_nothing_is_tried_ever_less_often_and_what_waits_has_a_bound() -> None:
    box, now, tries = Outbox(), NOW_MS, 0
    box.see((SLASH,), "all", now)
    while now < NOW_MS + 86_400_000:
        if box.due(now):
            box.failed("It is silent", "ask it", now)
            tries += 1
        now += 1_000
    assert tries < 110 and box.failed_ms + MOST_PAUSE_MS + 1_000 > now
    for number in range(500):
        box.see((Alert("bad", "x" * 300, NOW_MS, f"job:{number}"),), "all", now + number * OVER_MS)
    assert len(box.lines) == MOST_LINES and box.left_out == 452
    sizes = []
    now = box.failed_ms + MOST_PAUSE_MS
    while text := sent(box, now):
        sizes.append(len(text))
        now += GATHER_MS
    assert len(sizes) > 5 and max(sizes) <= MOST_CHARACTERS and box.lines == []


def test_one_line_longer_than_a_message_goes_out_shortened() -> None:
    box = Outbox()
    box.see((Alert("bad", "y" * 5_000, NOW_MS, "y"),), "all", NOW_MS)
    text, count = box.message("ops", "testnet")
    assert (len(text), count) == (MOST_CHARACTERS, 1)


def test_a_file_that_is_no_outbox_begins_a_new_one() -> None:
    good = Outbox(lines=[["bad", "x"]])
    assert Outbox.of(good.kept()) == good
    for content in (
        None,
        [],
        {},
        {"known": {"a": {}}},
        good.kept() | {"more": 1},
        good.kept() | {"lines": [["odd", "x"]]},
    ):
        assert Outbox.of(content) == Outbox()
