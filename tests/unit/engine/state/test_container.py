"""A container's life by its own verbs, under the names that people see; and what a delivery still has."""

from __future__ import annotations

from math import inf

import pytest

from swell.config import Settings
from swell.engine.state.app import App
from swell.engine.state.call import Call
from swell.engine.state.container import Container, Delivery
from swell.engine.state.pool import Pool
from swell.engine.state.span import Part, Segment
from swell.items import pack
from swell.model import AppKind, CallKind, DeliveryMode, Deployment, Environment, FunctionSpec, Source
from swell.policy.placement import Place
from swell.states import ContainerState, IllegalStep

VERSION = Deployment("ap", 0, (), Environment("/py", "/", ()))
APP = App("ap", AppKind.EPHEMERAL, 1, VERSION, 0.0)


@pytest.fixture
def container() -> Container:
    pool = Pool("fu", APP, FunctionSpec("f", Source("m", "f")), Settings(), VERSION)
    return Container("ta-1", pool, Place("node", ()), 1.0)


def delivery(container: Container, count: int, mode: DeliveryMode = DeliveryMode.SERIAL, number: int = 1) -> Delivery:
    call = Call(f"fc-{number}", CallKind.MAP, container.pool, "", 1, parent="", opened_at=0.0)
    segment = Segment(0, pack([b"x"] * count))
    part = Part(call, segment, 0, count, queued_at=0.0, alone=False)
    given = Delivery(number, container, mode, [part], 2.0)
    container.give(given, exclusive=False)
    return given


def test_a_usual_life(container: Container) -> None:
    container.begin_start()
    assert (container.shown_as, container.is_starting) == ("starting", True)
    assert container.check_in(2.0)
    assert (container.shown_as, container.takes_inputs, container.is_leaving) == ("ready", True, False)
    container.drain(9.0)
    assert (container.shown_as, container.takes_inputs, container.is_leaving) == ("draining", False, True)
    assert container.is_finishing and not container.is_cut_short
    container.end()
    assert (container.state, container.shown_as) == (ContainerState.STOPPED, "stopped")


def test_one_that_is_ready_before_the_backend_has_told_of_its_process_has_started(container: Container) -> None:
    assert container.check_in(2.0)
    container.begin_start()
    assert container.state is ContainerState.READY


def test_a_start_that_was_given_up_is_never_ready(container: Container) -> None:
    container.begin_start()
    container.kill("stopped before it was ready")
    assert (container.state, container.shown_as, container.is_killed) == (ContainerState.ABANDONED, "starting", True)
    assert not container.check_in(2.0)
    container.end()
    assert container.state is ContainerState.STOPPED


def test_one_that_leaves_by_itself_is_shown_as_ready_and_may_be_lost(container: Container) -> None:
    container.check_in(2.0)
    container.leave()
    assert (container.shown_as, container.takes_inputs) == ("ready", False)
    assert container.is_finishing and not container.was_told_to_leave
    container.end()
    assert container.state is ContainerState.LOST


def test_one_that_is_killed_is_shown_as_it_was_and_blamed_only_for_its_own_fault(container: Container) -> None:
    container.check_in(2.0)
    container.kill("")
    assert (container.shown_as, container.is_cut_short) == ("ready", True)
    container.end()
    assert container.state is ContainerState.LOST


def test_one_that_does_not_leave_is_still_expected_to_end(container: Container) -> None:
    container.check_in(2.0)
    container.drain(9.0)
    container.interrupt("a new version replaces it", 7.0)
    assert (container.shown_as, container.drain_until) == ("draining", 7.0)
    container.kill("")
    container.end()
    assert (container.state, container.crash_expected) == (ContainerState.STOPPED, "a new version replaces it")


def test_one_that_is_draining_does_not_become_ready_again(container: Container) -> None:
    container.check_in(2.0)
    container.drain(9.0)
    container.leave()
    assert container.state is ContainerState.DRAINING
    with pytest.raises(IllegalStep, match="from draining to draining"):
        container.drain(10.0)


def test_a_revoked_input_keeps_its_slot_until_it_is_answered(container: Container) -> None:
    container.check_in(1.5)
    given = delivery(container, 2, DeliveryMode.PARALLEL)
    given.revoke([1])
    assert (container.holds, container.executing, container.slots_used) == (2, 1, 2)
    given.close([1])
    assert (container.holds, given.revoked, container.slots_used) == (1, set(), 1)


def test_the_next_delivery_of_a_queue_begins_when_the_one_before_it_is_done(container: Container) -> None:
    container.check_in(1.5)
    first, second = delivery(container, 1), delivery(container, 1, number=2)
    assert container.slots_used == 1, "a queue uses one slot, however long it is"
    first.close_run(0, 1)
    assert not container.close(first, 5.0)
    assert second.since == 5.0


def test_what_is_said_of_its_inputs_is_over_when_it_holds_none(container: Container) -> None:
    container.check_in(1.5)
    given = delivery(container, 1)
    container.begin_reclaim()
    container.stall()
    container.must_yield(6.0)
    given.close([0])
    assert container.close(given, 5.0)
    assert (container.reclaiming, container.stalled, container.resist_until) == (False, False, inf)
    assert container.idle_since == 5.0
