from __future__ import annotations

import pytest

from swell.model import AppKind
from swell.records import (
    AppRecord,
    BundleRecord,
    CallEnded,
    CallRecord,
    CallsCancelled,
    OutputsRecord,
    Record,
    SpanRecord,
    SpansDone,
)
from swell.store.sqlite.inline import ALONE_S, DEBT_MAX_S, QUICK_IN_THREAD, QUICK_S, WEIGHT_MAX, InlineRule, weight

QUICK, SLOW = QUICK_S / 5, QUICK_S * 3


def in_thread(rule: InlineRule, took_s: float, times: int = QUICK_IN_THREAD) -> None:
    for _ in range(times):
        rule.took(took_s, 0.0, inline=False)


def quick() -> InlineRule:
    rule = InlineRule()
    in_thread(rule, QUICK)
    return rule


def test_a_commit_is_made_on_the_event_loop_when_enough_in_the_thread_were_quick() -> None:
    rule = InlineRule()
    for _ in range(QUICK_IN_THREAD):
        assert not rule.allows(0.0, alone=True)
        rule.took(QUICK, 0.0, inline=False)
    assert rule.allows(0.0, alone=True)


def test_a_disk_that_is_mostly_slow_is_never_waited_for() -> None:
    rule = InlineRule()
    for _ in range(1_000):
        for took_s in (QUICK, SLOW, SLOW):
            rule.took(took_s, 0.0, inline=False)
            assert not rule.allows(0.0, alone=True)


def test_one_that_is_mostly_quick_is_tried() -> None:
    rule = InlineRule()
    for _ in range(2 * QUICK_IN_THREAD):
        in_thread(rule, QUICK, 2)
        in_thread(rule, SLOW, 1)
    in_thread(rule, QUICK, 2)
    assert rule.allows(0.0, alone=True)


def test_quick_commits_on_the_event_loop_go_on_for_ever() -> None:
    rule = quick()
    for number in range(100_000):
        assert rule.allows(number * QUICK, alone=True)
        rule.took(QUICK, number * QUICK, inline=True)


def test_a_stall_ends_them_and_keeps_them_away_in_proportion() -> None:
    rule = quick()
    rule.took(0.061, 10.0, inline=True)
    assert not rule.allows(10.0, alone=True)
    in_thread(rule, QUICK)
    assert not rule.allows(11.3, alone=True)  # 60 ms of debt, of which 5 may stay; 40 ms a second are paid off
    assert rule.allows(11.5, alone=True)


def test_after_a_stall_the_thread_must_find_the_disk_quick_again() -> None:
    rule = quick()
    rule.took(0.061, 10.0, inline=True)
    in_thread(rule, SLOW)
    assert not rule.allows(1_000.0, alone=True)
    in_thread(rule, QUICK)
    assert rule.allows(1_000.0, alone=True)


def test_a_single_commit_that_is_a_little_late_changes_nothing_and_many_do() -> None:
    rule = quick()
    rule.took(QUICK_S + DEBT_MAX_S / 2, 1.0, inline=True)
    assert rule.allows(1.0, alone=True)
    rule.took(QUICK_S + DEBT_MAX_S / 2, 100.0, inline=True)  # the first one is paid off
    assert rule.allows(100.0, alone=True)
    rule.took(QUICK_S + DEBT_MAX_S * 0.6, 100.0, inline=True)
    assert not rule.allows(100.0, alone=True)


def test_nobody_waits_for_the_disk_who_is_served_without_it() -> None:
    rule = quick()
    assert rule.allows(1.0, alone=True)
    assert not rule.allows(2.0, alone=False)
    assert not rule.allows(2.0 + ALONE_S / 2, alone=True)
    assert rule.allows(2.0 + ALONE_S, alone=True)


@pytest.mark.parametrize("took_s", [0.002, 0.01, 0.1, 3.0])
def test_the_event_loop_loses_a_small_share_of_its_time_whatever_the_disk_does(took_s: float) -> None:
    """As bad as can be: the disk is quick whenever the thread uses it."""
    rule, now, lost = quick(), 0.0, 0.0
    while now < 1_000:
        if rule.allows(now, alone=True):
            now += took_s
            lost += took_s - QUICK_S
            rule.took(took_s, now, inline=True)
        else:
            now += 0.01
            rule.took(QUICK, now, inline=False)
    assert 0 < lost < 1_000 * 0.04 + took_s + DEBT_MAX_S


CALL = CallRecord(
    call_id="fc-1",
    sequence=1,
    function_id="fu-1",
    function_name="f",
    method="",
    parent="",
    opened_at=1.0,
    accepted=1,
    sealed=True,
)


def test_spawns_and_their_results_are_light() -> None:
    records: list[Record] = [
        CALL,
        SpanRecord("fc-1", 0, [100], bytes(100)),
        OutputsRecord("fc-1", 0, 1, [3], b"out"),
        SpansDone("fc-1", [0]),
        CallEnded("fc-1", 1, 2.0),
    ]
    assert weight(records * 20) < WEIGHT_MAX


@pytest.mark.parametrize(
    "record",
    [
        SpanRecord("fc-1", 0, [WEIGHT_MAX], bytes(WEIGHT_MAX)),
        OutputsRecord("fc-1", 0, 50_000, list(range(50_000)), b""),
        SpansDone("fc-1", list(range(1_000))),
        CallEnded("fc-1", 1_000_000, 2.0),
        CallsCancelled(("fu-1",), "stopped", 2.0),
        BundleRecord("digest", b"data"),
        AppRecord("ap-1", "a", AppKind.DEPLOYED, 1.0),
    ],
    ids=lambda record: type(record).__name__,
)
def test_whatever_may_take_long_is_heavy(record: Record) -> None:
    assert weight([record]) > WEIGHT_MAX
