"""A diary of functions that run by themselves."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from swell.engine.events import Persist
from swell.model import ScheduleSpec
from swell.records import SpanRecord
from swell.wire.payload import decode_arguments

HOURLY = ScheduleSpec("period", hours=1)


def runs(told: list[str]) -> int:
    return sum(line.startswith("record call ") for line in told)


def test_a_period_is_due_again_and_again_from_the_deployment_on(diary) -> None:
    diary.at(100.0).deploys(schedule=HOURLY, max_containers=1)
    assert diary.at(3_699.0).meanwhile == []
    told = diary.at(3_700.0).meanwhile
    assert [line.partition(" fc-")[0] for line in told] == [
        "record call",
        "record inputs",
        "accept",
        "record function f at version 1",
        "start c1",
    ]
    assert runs(diary.at(7_299.0).meanwhile) == 0
    assert runs(diary.at(7_300.0).meanwhile) == 1


def test_a_run_has_no_arguments(diary) -> None:
    diary.at(100.0).deploys(schedule=HOURLY)
    diary.now = 3_700.0
    diary.ticks()
    (span,) = (e.record for e in diary.last if isinstance(e, Persist) and isinstance(e.record, SpanRecord))
    assert decode_arguments(span.payload) == ((), {})


def test_a_run_is_named_by_its_time_so_that_it_takes_place_once(new_diary) -> None:
    ids = set()
    for _ in range(2):
        diary = new_diary()
        diary.at(100.0).deploys(schedule=HOURLY)
        diary.at(3_700.0)
        ids.add(next(iter(diary.engine.state.calls)))
        diary.at(7_300.0)
    assert len(ids) == 1
    assert len(diary.engine.state.calls) == 2


def test_a_cron_line_is_due_when_it_says_in_its_zone(diary) -> None:
    began = datetime(2026, 5, 4, 5, 0, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
    diary.at(began).deploys(schedule=ScheduleSpec("cron", "30 6 * * *", "Europe/Berlin"))
    assert runs(diary.at(began + 5_399.0).meanwhile) == 0
    assert runs(diary.at(began + 5_400.0).meanwhile) == 1
    assert diary.pool().next_run == began + 5_400.0 + 86_400.0


def test_a_period_begins_anew_with_a_version_and_a_cron_line_does_not(diary) -> None:
    diary.at(100.0).deploys(schedule=HOURLY)
    diary.at(1_000.0).deploys(schedule=HOURLY)
    assert diary.pool().next_run == 3_700.0, "the same again is no version"
    diary.at(1_000.0).deploys(schedule=HOURLY, code="two")
    assert diary.pool().next_run == 4_600.0
    assert runs(diary.at(4_599.0).meanwhile) == 0
    cron = ScheduleSpec("cron", "0 * * * *")
    diary.at(5_000.0).deploys(schedule=cron, code="three")
    diary.at(5_100.0).deploys(schedule=cron, code="four")
    assert diary.pool().next_run == 7_200.0


def test_a_version_that_comes_when_a_cron_line_is_due_does_not_take_that_run_away(diary) -> None:
    cron = ScheduleSpec("cron", "0 * * * *")
    diary.at(100.0).deploys(schedule=cron)
    diary.now = 3_600.2
    diary.deploys(schedule=cron, code="two")
    assert runs(diary.ticks()) == 1
    assert diary.pool().next_run == 7_200.0


def test_a_version_without_the_schedule_or_the_function_ends_it(diary) -> None:
    diary.at(100.0).deploys("f", "g", schedule=HOURLY)
    diary.at(200.0).deploys("f", code="two")
    assert runs(diary.at(100_000.0).meanwhile) == 0
    assert diary.pool().next_run is None


def test_a_stopped_app_runs_nothing_by_itself(diary) -> None:
    diary.at(100.0).deploys(schedule=HOURLY, min_containers=1)
    diary.ready("c1")
    diary.at(200.0).stops()
    assert runs(diary.at(100_000.0).meanwhile) == 0


def test_an_app_that_only_runs_has_its_schedule_too(diary) -> None:
    diary.at(100.0).opens(schedule=HOURLY)
    told = diary.at(3_700.0).meanwhile
    assert runs(told) == 1
    assert not any(line.startswith("record function") for line in told)


def test_pins_and_variants_do_not_run_by_themselves(diary) -> None:
    diary.at(100.0).deploys(schedule=HOURLY)
    diary.finds(version=1)
    variant = diary.binds(timeout_s=5.0)
    assert diary.pool(version=1).next_run is None
    assert diary.engine.state.pools[variant].next_run is None
    assert runs(diary.at(3_700.0).meanwhile) == 1


def test_runs_that_a_busy_or_sleeping_machine_misses_are_counted_and_skipped(diary) -> None:
    diary.at(0.0).deploys(schedule=HOURLY)
    diary.now = 3 * 3_600.0 + 5.0
    told = diary.ticks()
    assert runs(told) == 1
    assert "notice on f: 2 scheduled runs were skipped: the machine slept, or was very busy, when due" in told
    assert diary.pool().next_run == 4 * 3_600.0


def test_runs_missed_while_the_server_was_down_are_counted_and_skipped(diary) -> None:
    diary.at(0.0).deploys(schedule=HOURLY)
    diary.at(3_600.0)
    diary.now = 3 * 3_600.0 + 5.0
    told = diary.restarts()
    assert runs(told) == 0
    assert "notice on f: 2 scheduled runs were missed while the server was down, and skipped" in told
    assert diary.pool().next_run == 4 * 3_600.0, "in step with the deployment"
    diary.now += 1.0
    assert not any(line.startswith("notice") for line in diary.restarts()), "told once"
    assert runs(diary.at(4 * 3_600.0).meanwhile) == 1


def test_a_single_missed_run_reads_as_one(diary) -> None:
    diary.at(0.0).deploys(schedule=HOURLY)
    diary.now = 3_700.0
    assert "notice on f: 1 scheduled run was missed while the server was down, and skipped" in diary.restarts()


def test_a_run_that_the_limits_do_not_allow_is_skipped_with_a_word(new_diary) -> None:
    diary = new_diary(pending_async_max=1)
    diary.at(0.0).deploys(schedule=HOURLY)
    diary.spawns("fc-1")
    told = diary.at(3_600.0).meanwhile
    assert runs(told) == 0
    assert "notice on f: a scheduled run was skipped: too many inputs wait already" in told
    assert diary.pool().next_run == 7_200.0


def test_a_run_whose_results_would_have_no_room_is_skipped_with_the_reason(diary) -> None:
    diary.at(0.0).deploys(schedule=HOURLY)
    diary.troubles("only 3 MiB are free")
    told = diary.at(3_600.0).meanwhile
    assert runs(told) == 0
    assert "notice on f: a scheduled run was skipped: only 3 MiB are free" in told
    diary.troubles("")
    assert runs(diary.at(7_200.0).meanwhile) == 1


def test_a_schedule_that_cannot_be_is_refused_with_its_function(diary) -> None:
    (failed,) = diary.deploys(schedule=ScheduleSpec("period", seconds=0.1))
    assert failed == "fail 2: f: Period(seconds=0.1) is shorter than 1 s"
    (failed,) = diary.opens(schedule=ScheduleSpec("cron", "0 0 30 2 *"))
    assert failed.startswith("fail 1: f: Cron('0 0 30 2 *')")
