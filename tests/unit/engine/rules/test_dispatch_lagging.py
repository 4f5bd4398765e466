"""A diary of clients that do not read: no results are made for them, nothing is lost, and others are served."""

from __future__ import annotations

import pytest

from swell.model import Batching, CallKind, Concurrency, OutputStatus, RetryPolicy


def test_inputs_of_a_client_that_does_not_read_wait_until_it_does(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1", 2)
    assert diary.lags() == []
    assert diary.ready("c1") == []
    assert diary.lags(is_lagging=False) == ["deliver #1 to c1: fc-1[0]"]
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "deliver #2 to c1: fc-1[1]"]


def test_what_runs_already_is_finished_and_told(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.lags()
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    assert diary.lags(is_lagging=False) == ["deliver #2 to c1: fc-1[1]"]


def test_others_take_the_slots(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1", 3)
    diary.calls("fc-2", client=2)
    diary.lags()
    assert diary.ready("c1") == ["deliver #1 to c1: fc-2[0]"]


def test_a_call_that_it_opens_then_waits_as_well(diary) -> None:
    diary.opens(max_containers=1)
    diary.lags()
    diary.calls("fc-1", 1, sealed=False)
    diary.puts("fc-1", 1, 2)
    assert diary.engine.state.pools[diary.function()].counts.pending_total == 3
    diary.lags(is_lagging=False)
    diary.ready("c1")
    assert diary.deliveries("c1")


def test_no_container_is_started_for_it(diary) -> None:
    diary.opens()
    diary.lags()
    assert diary.calls("fc-1", 5) == []
    assert diary.lags(is_lagging=False)[0] == "start c1"


def test_a_spawned_call_goes_on(diary) -> None:
    diary.opens(detach=True, max_containers=1)
    diary.lags()
    diary.spawns("fc-1")
    assert diary.ready("c1") == ["deliver #1 to c1: fc-1[0]"]


def test_a_retry_and_what_a_lost_container_had_wait_as_well(diary) -> None:
    diary.opens(max_containers=1, retry=RetryPolicy(1, 1.0, 1.0), concurrency=Concurrency(2, 2))
    diary.calls("fc-1", 2)
    diary.ready("c1")
    diary.lags()
    diary.completes("c1", 1, 0, status=OutputStatus.FAILURE)
    diary.exits("c1")
    diary.at(10.0)
    assert not [line for line in diary.meanwhile if line.startswith("deliver")]
    backlog = diary.pool().backlog
    assert (backlog.count, backlog.held_count, len(backlog)) == (0, 2, 2)
    assert diary.lags(is_lagging=False) == ["start c2"]
    assert backlog.count == 2


@pytest.mark.parametrize("kind", [CallKind.REMOTE, CallKind.MAP])
def test_its_end_ends_what_was_held(diary, kind: CallKind) -> None:
    diary.opens(client=2)
    diary.calls("fc-1", 1, kind=kind)
    diary.lags()
    diary.vanishes()
    assert not diary.engine.state.calls
    assert not diary.engine.state.clients.lagging
    assert not len(diary.engine.state.pools[diary.function()].backlog)


def test_a_container_that_waited_for_a_batch_to_fill_can_be_spared_meanwhile(diary) -> None:
    diary.opens(batching=Batching(4, 60_000))
    diary.calls("fc-1", 1)
    diary.ready("c1")
    (pool,) = diary.engine.state.pools.values()
    assert diary.engine.state.spare.first is None
    diary.lags()
    assert diary.engine.state.spare.first == pool.id
    diary.lags(is_lagging=False)
    assert diary.engine.state.spare.first is None
