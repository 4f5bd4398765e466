"""A diary of what is counted, and of what those see who look at everything."""

from __future__ import annotations

from bisect import bisect_left

import pytest

from swell.engine.events import ShutdownRequested
from swell.engine.state.engine_state import RETIRED_METRICS_MAX
from swell.model import Batching, CallKind, OutputStatus, RetryPolicy, WebSpec
from swell.wire import messages as m
from swell.wire.histogram import BOUNDS_S, Histogram
from swell.wire.web import EdgeUp


def measures(diary, name: str = "f", *, since: float = 0.0):
    return next(each for each in diary.engine.stats.functions(since) if each.row.name == name)


def counted(seconds: float, count: int = 1) -> list[int]:
    counts = [0] * (len(BOUNDS_S) + 1)
    counts[bisect_left(BOUNDS_S, seconds)] = count
    return counts


@pytest.mark.parametrize(("seconds", "index"), [(0.0, 0), (0.0005, 0), (0.00051, 1), (1_000.0, 17), (1_001.0, 18)])
def test_a_time_is_counted_below_its_bound(seconds: float, index: int) -> None:
    histogram = Histogram()
    histogram.add(seconds, 3)
    times = histogram.times()
    assert times.counts[index] == sum(times.counts) == 3
    assert times.total_s == pytest.approx(3 * seconds)


def test_waiting_running_and_starting_are_timed(diary) -> None:
    diary.opens(max_containers=1)
    diary.at(1.0).calls("fc-1", kind=CallKind.REMOTE)
    diary.at(3.0).ready("c1")
    diary.at(4.0).completes("c1", 1, 0, busy_s=0.3)
    found = measures(diary)
    assert found.counted.wait.counts == counted(2.0)
    assert found.counted.run.counts == counted(0.3)
    assert found.counted.start.counts == counted(2.0)
    assert found.counted.ended == {OutputStatus.SUCCESS: 1}
    assert (found.counted.accepted, found.requested, found.observed) == (1, 1, 1)


def test_failures_retries_and_losses_are_counted(diary) -> None:
    diary.opens(max_containers=1, retry=RetryPolicy(1, 1.0, 0.0))
    diary.calls("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0, status=OutputStatus.FAILURE)
    diary.at(2.0)
    diary.exits("c1")
    found = measures(diary).counted
    assert (found.retried, found.lost, found.containers_lost, found.ended) == (1, 1, 1, {})
    diary.ready("c2")
    diary.completes("c2", 3, 0, status=OutputStatus.FAILURE)
    assert measures(diary).counted.ended == {OutputStatus.FAILURE: 1}


def test_a_failed_start_is_counted(diary) -> None:
    diary.opens()
    diary.calls("fc-1")
    diary.fails_to_start("c1")
    assert measures(diary).counted.containers_failed == 1


def test_a_request_is_counted_as_any_input(diary) -> None:
    diary.opens(web=WebSpec("asgi"))
    diary.asks_for("fc-1")
    diary.ready("c1")
    diary.at(1.0).releases("fc-1", busy_s=0.2)
    assert measures(diary).counted.ended == {OutputStatus.SUCCESS: 1}
    assert measures(diary).counted.run.counts == counted(0.2)


def test_decisions_are_told_from_a_moment_on(diary) -> None:
    diary.opens()
    diary.at(1.0).calls("fc-1")
    told = measures(diary).decisions
    assert [row.plan for row in told][-1] == 1
    assert measures(diary, since=told[-1].at).decisions == []


def test_the_latest_calls_come_first_and_those_that_go_on_before_those_that_ended(diary) -> None:
    diary.opens(max_containers=1)
    for number in (1, 2, 3):
        diary.calls(f"fc-{number}")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    rows = diary.engine.stats.calls()
    assert [row.call_id for row in rows] == ["fc-3", "fc-2", "fc-1"]
    assert rows[-1].ended_at is not None
    assert (rows[0].app_name, rows[0].function_name) == ("ap", "f")


def test_nodes_and_urls_are_told(diary) -> None:
    diary.opens(web=WebSpec("asgi"))
    diary.says(EdgeUp("http://here"), client=7)
    diary.asks_for("fc-1")
    (node,) = diary.engine.stats.nodes()
    assert (node.name, node.cores, node.gpus, node.cpu_used) == ("n", 64, 2, 0.125)
    assert measures(diary).urls == ["http://here/ap-f-dev"]


def test_a_node_counts_the_containers_it_has_had_and_those_that_died(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.at(2.0)
    diary.exits("c1")
    (node,) = diary.engine.stats.nodes()
    assert (node.containers, node.started, node.lost) == (1, 2, 1)


def test_looking_changes_nothing(diary) -> None:
    diary.opens()
    diary.calls("fc-1", 3)
    before = measures(diary)
    assert measures(diary) == before
    diary.feed(ShutdownRequested("bye"))


def test_what_was_counted_of_a_variant_that_is_gone_is_kept_under_its_name(diary) -> None:
    diary.at(1.0).deploys("f")
    variant = diary.binds(batching=Batching(5, 0))
    diary.says(m.OpenCall("fc-1", variant, "", CallKind.MAP, [1], sealed=True), b"x")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    assert diary.engine.stats.retired() == []
    diary.at(2.0).deploys("g", code="two")
    diary.exits("c1")
    assert variant not in diary.engine.state.pools
    former = {(each.app_name, each.name): each for each in diary.engine.stats.retired()}
    kept = former["shop", "f"].counted
    assert (kept.accepted, kept.ended, sum(kept.wait.counts)) == (1, {OutputStatus.SUCCESS: 1}, 1)


def test_of_very_many_names_that_are_gone_only_the_latest_are_known(diary) -> None:
    diary.opens()
    pool = diary.engine.state.pools[diary.function()]
    for number in range(RETIRED_METRICS_MAX + 2):
        pool.app.name = f"app-{number}"
        diary.engine.state.forget(pool)
    known = [each.app_name for each in diary.engine.stats.retired()]
    assert len(known) == RETIRED_METRICS_MAX
    assert (known[0], known[-1]) == ("app-2", f"app-{RETIRED_METRICS_MAX + 1}")
