"""A diary of call leases: which client may send its calls straight to which container, and until when."""

from __future__ import annotations

from typing import Any

import pytest

from swell.model import Batching, CallKind, Concurrency, OutputStatus, RetryPolicy
from swell.wire import leases as cl
from swell.wire import messages as m

# ---------------------------------------------------------------- who gets one


def ready(diary, **options: Any) -> None:
    """A function with one container, which has run the call of a client that wants a lease; it took 1 ms."""
    diary.opens(**options)
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)


def test_who_wants_a_lease_gets_one_with_the_answer(diary) -> None:
    ready(diary)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "grant l1 on c1 to 1"]
    granted = diary.last[-1].message
    assert isinstance(granted, cl.LeaseGranted)
    assert (granted.function_id, granted.container_id, granted.is_retried) == (diary.function(), diary.id("c1"), False)
    opened = diary.last[-2].message
    assert opened == cl.OpenLease(granted.lease, granted.token)


def test_tokens_and_leases_differ(new_diary) -> None:
    first, second = new_diary(), new_diary()
    second.engine.state.seed = "another"
    granted: list[cl.LeaseGranted] = []
    for diary in (first, second):
        diary.leased()
        granted.append(diary.last[-1].message)
        diary.at(2.0).closes_lease("c1")
        diary.wants("fc-2")
        diary.completes("c1", 2, 0)
        granted.append(diary.last[-1].message)
    assert len({each.token for each in granted}) == len({each.lease for each in granted}) == 4
    assert not {each.token for each in granted} & {each.lease for each in granted}


def test_who_does_not_want_one_gets_none(diary) -> None:
    diary.opens()
    diary.calls("fc-1", kind=CallKind.REMOTE)
    diary.ready("c1", takes_calls=True)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_nothing_is_remembered_of_a_wish(diary) -> None:
    ready(diary)
    diary.calls("fc-2", client=2)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "deliver #2 to c1: fc-2[0]"]
    assert diary.completes("c1", 2, 0) == ["tell 2: fc-2[0]"]


def test_there_is_none_while_inputs_wait(diary) -> None:
    ready(diary, max_containers=1)
    diary.calls("fc-2", 300, client=2)
    diary.completes("c1", 1, 0, busy_s=0.004)
    assert diary.pool().leases.open == {}


@pytest.mark.parametrize(
    "options",
    [
        {"is_async": True},
        {"single_use": True},
        {"concurrency": Concurrency(2, 2)},
        {"batching": Batching(1, 0)},
    ],
    ids=str,
)
def test_containers_of_some_functions_are_not_leased(diary, options: dict[str, Any]) -> None:
    ready(diary, **options)
    assert not any("grant" in line for line in diary.completes("c1", 1, 0))


def test_a_container_that_does_not_listen_is_not_leased(diary) -> None:
    diary.opens()
    diary.wants("fc-1")
    diary.ready("c1")
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_a_container_that_can_have_had_no_direct_calls_reports_none(diary) -> None:
    ready(diary, single_use=True)
    killed = diary.reports("c1", "fc-2", "fc-3")[0]
    assert killed.startswith("kill c1: ")
    assert "can have had none" in killed


def test_a_setting_turns_them_off(new_diary) -> None:
    diary = new_diary(call_leases=False)
    ready(diary)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_functions_that_take_long_are_not_leased(diary) -> None:
    ready(diary)
    assert diary.completes("c1", 1, 0, busy_s=0.006) == ["tell 1: fc-1[0]"]


def test_a_client_that_does_not_read_gets_none(diary) -> None:
    ready(diary)
    diary.lags(client=1)
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]


def test_a_client_is_told_that_failures_are_retried(diary) -> None:
    ready(diary, retry=RetryPolicy(1))
    diary.completes("c1", 1, 0)
    assert diary.last[-1].message.is_retried


# ---------------------------------------------------------------- a slot that is held


def test_its_slot_is_given_to_nobody_else(diary) -> None:
    diary.leased(max_containers=1)
    assert diary.calls("fc-2", client=2) == []
    assert diary.pool().running == 1


def test_another_container_is_started_for_what_waits(diary) -> None:
    diary.leased()
    assert diary.at(1.001).calls("fc-2", client=2) == ["start c2"]


def test_its_container_is_not_idle_and_runs_one_input_as_far_as_people_are_shown(diary) -> None:
    diary.leased()
    [row] = diary.engine.snapshot.containers()
    assert row.running == 1
    assert diary.pool().fleet.idle == {}
    diary.says(m.GetStats(3, diary.function()))
    assert diary.last[-1].message == m.Stats(3, 0, 1, 1, 0)


# ---------------------------------------------------------------- for how long


def test_it_is_recalled_for_what_waits_after_some_milliseconds(diary) -> None:
    diary.leased(max_containers=1)
    assert diary.at(1.001).calls("fc-2", client=2) == []
    diary.at(1.0049)
    assert diary.meanwhile == []
    diary.at(1.0051)
    assert diary.meanwhile == ["recall l1 from c1"]
    assert diary.closes_lease("c1") == ["deliver #2 to c1: fc-2[0]"]


def test_an_older_one_is_recalled_at_once(diary) -> None:
    diary.leased(max_containers=1)
    assert diary.at(1.1).calls("fc-2", client=2) == ["recall l1 from c1"]


def two_leases(diary) -> None:
    diary.opens(max_containers=2)
    diary.wants("fc-1", client=1)
    diary.wants("fc-2", client=2)
    diary.ready("c1", takes_calls=True)
    diary.ready("c2", takes_calls=True)
    assert "grant l1 on c1 to 1" in diary.at(1.0).completes("c1", 1, 0)
    assert "grant l2 on c2 to 2" in diary.completes("c2", 2, 0)


def test_no_more_are_recalled_than_inputs_wait(diary) -> None:
    two_leases(diary)
    assert diary.at(1.1).calls("fc-3", client=3) == ["recall l1 from c1"]
    assert diary.calls("fc-4", client=3) == ["recall l2 from c2"]
    assert diary.calls("fc-5", client=3) == []


def test_it_is_recalled_when_it_is_not_used(diary) -> None:
    diary.leased()
    diary.at(1.19)
    assert diary.meanwhile == []
    diary.at(1.21)
    assert diary.meanwhile == ["recall l1 from c1"]
    assert diary.closes_lease("c1") == []
    assert len(diary.pool().fleet.idle) == 1


def test_it_lasts_while_it_is_used(diary) -> None:
    diary.leased()
    for tenth in range(11, 30):
        diary.at(tenth / 10).reports("c1", f"fc-{tenth}")
        assert diary.meanwhile == []


def test_it_is_recalled_when_its_calls_have_become_slow(diary) -> None:
    diary.leased()
    told = [diary.at(1.0 + i / 100).reports("c1", f"fc-{i}", took=0.009) for i in range(1, 9)]
    assert ["recall l1 from c1"] in told


def test_it_is_recalled_when_its_client_is_gone(diary) -> None:
    diary.opens()
    diary.wants("fc-1", client=2)
    diary.ready("c1", takes_calls=True)
    diary.completes("c1", 1, 0)
    assert diary.vanishes(client=2) == ["recall l1 from c1"]


def test_it_ends_when_its_client_closes_it(diary) -> None:
    diary.leased()
    assert diary.closes_lease("c1") == []
    assert len(diary.pool().fleet.idle) == 1
    diary.at(9.0)
    assert diary.meanwhile == []


def test_a_container_that_does_not_close_it_is_killed_after_the_time_of_a_call(diary) -> None:
    diary.leased(timeout_s=10.0)
    diary.at(1.3)
    assert diary.meanwhile == ["recall l1 from c1"]
    diary.at(16.1)
    assert diary.meanwhile == []
    diary.at(16.3)
    assert diary.meanwhile[0] == "kill c1: it did not close a call lease that was recalled"
    diary.exits("c1")
    assert diary.engine.state.call_leases.by_id == {}


def test_a_function_scales_to_zero_though_its_client_keeps_its_connection(diary) -> None:
    diary.leased(scaledown_window=2)
    diary.at(1.3).closes_lease("c1")
    diary.at(3.4)
    assert diary.meanwhile == ["drain c1"]


def test_fewer_containers_are_wanted_at_run_time(diary) -> None:
    two_leases(diary)
    assert "recall l1 from c1" in diary.at(1.1).updates(max_containers=1)
    assert "drain c1" in diary.closes_lease("c1")


# ---------------------------------------------------------------- containers that leave


def test_an_app_that_closes_recalls_by_its_drain(diary) -> None:
    diary.leased()
    assert "drain c1" in diary.closes()
    assert diary.closes_lease("c1") == []
    assert "ap ended" in diary.exits("c1")


def test_a_container_that_wants_to_leave_is_told_to_after_its_lease(diary) -> None:
    diary.leased()
    assert diary.answers("c1", m.Leaving()) == ["recall l1 from c1"]
    assert "drain c1" in diary.closes_lease("c1")


def test_a_draining_container_is_not_killed_while_a_call_may_run_in_it(diary) -> None:
    diary.leased()
    diary.closes()
    diary.at(40.0)
    assert diary.meanwhile == []


def test_a_new_version_takes_over_when_no_more_calls_begin_in_the_former_one(diary) -> None:
    diary.deploys()
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)
    diary.at(1.0).completes("c1", 1, 0)
    diary.deploys(code="two")
    assert diary.at(1.1).meanwhile == ["recall l1 from c1"]
    assert diary.ready("c2", takes_calls=True) == []
    assert diary.pool().is_rolling
    assert diary.closes_lease("c1") == ["drain c1"]
    assert not diary.pool().is_rolling


def test_a_new_version_does_not_wait_for_ever(diary) -> None:
    diary.deploys()
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)
    diary.at(1.0).completes("c1", 1, 0)
    diary.deploys(code="two")
    diary.at(1.1).ready("c2", takes_calls=True)
    diary.at(1.9)
    assert diary.meanwhile == []
    diary.at(2.2)
    assert diary.meanwhile == ["drain c1"]


def test_no_lease_is_granted_while_a_new_version_takes_over(diary) -> None:
    diary.deploys()
    diary.wants("fc-1")
    diary.ready("c1", takes_calls=True)
    diary.deploys(code="two")
    assert not any("grant" in line for line in diary.completes("c1", 1, 0))


# ---------------------------------------------------------------- what is counted


def test_leases_are_counted(diary) -> None:
    diary.leased()
    diary.at(1.1).reports("c1", "fc-2", "fc-3")
    diary.at(1.5)
    counted = diary.pool().measures.counted(diary.pool().counts.accepted)
    found = (counted.leases_granted, counted.leases_recalled, counted.direct, counted.fallbacks, counted.accepted)
    assert found == (1, 1, 2, 1, 3)
    assert counted.ended == {int(OutputStatus.SUCCESS): 3}
