"""A diary of calls that are cancelled while they run in more containers than one event may change."""

from __future__ import annotations

import pytest

from swell.model import CallKind


def spread_out(diary, containers: int = 5, *, changes: int = 2) -> None:
    """A map runs in so many containers, of which an event may change so many."""
    diary.opens(max_containers=containers)
    diary.calls("fc-1", containers, kind=CallKind.MAP, sealed=False)
    for number in range(1, containers + 1):
        diary.ready(f"c{number}")
    diary.engine.state.agenda.bound(looks=64, changes=changes)


def test_what_runs_in_many_containers_is_stopped_some_at_a_time(diary) -> None:
    spread_out(diary)
    assert diary.cancels("fc-1") == [
        "cancel #5[0] in c5",
        "tell 1: fc-1[4] TERMINATED",
        "cancel #4[0] in c4",
        "tell 1: fc-1[3] TERMINATED",
    ]
    assert diary.engine.next_deadline() == 0.0, "the rest is due at once"
    assert diary.ticks() == [
        "cancel #3[0] in c3",
        "tell 1: fc-1[2] TERMINATED",
        "cancel #2[0] in c2",
        "tell 1: fc-1[1] TERMINATED",
    ]
    assert diary.ticks() == ["cancel #1[0] in c1", "tell 1: fc-1[0] TERMINATED"]
    assert diary.engine.next_deadline() > 0.0
    assert "fc-1" not in diary.engine.state.calls


def test_what_waits_ends_at_once(diary) -> None:
    spread_out(diary)
    diary.puts("fc-1", 5, 3)
    assert diary.cancels("fc-1")[0] == "tell 1: fc-1[5:8] TERMINATED"


def test_until_its_turn_comes_an_input_may_still_succeed(diary) -> None:
    spread_out(diary)
    diary.cancels("fc-1")
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]"]
    rest = [*diary.ticks(), *diary.ticks()]
    assert "tell 1: fc-1[0] TERMINATED" not in rest
    assert "fc-1" not in diary.engine.state.calls


def test_what_loses_its_container_before_its_turn_does_not_run_again(diary) -> None:
    spread_out(diary)
    diary.cancels("fc-1")
    assert "tell 1: fc-1[0] TERMINATED" in diary.exits("c1")
    for _ in range(3):
        assert not [line for line in diary.ticks() if line.startswith("deliver")]
    assert "fc-1" not in diary.engine.state.calls


def test_a_cancellation_that_came_later_is_next(diary) -> None:
    spread_out(diary)
    diary.completes("c1", 1, 0)
    diary.calls("fc-2")
    diary.cancels("fc-1")
    assert diary.cancels("fc-2") == [
        "cancel #3[0] in c3",
        "tell 1: fc-1[2] TERMINATED",
        "cancel #2[0] in c2",
        "tell 1: fc-1[1] TERMINATED",
    ]
    assert diary.ticks() == ["cancel #6[0] in c1", "tell 1: fc-2[0] TERMINATED"]


def test_an_app_of_a_client_that_leaves_is_over_when_all_of_it_is(diary) -> None:
    spread_out(diary)
    diary.vanishes()
    while diary.engine.next_deadline() <= diary.now:
        diary.ticks()
    for number in range(1, 6):
        assert diary.engine.state.apps, "its containers are not gone yet"
        diary.exits(f"c{number}", "exited with status 0")
    assert not diary.engine.state.apps
    assert not diary.engine.state.calls


@pytest.mark.parametrize("gone", [1, 5])
def test_containers_that_die_meanwhile_leave_nothing_behind(diary, gone: int) -> None:
    spread_out(diary)
    diary.vanishes()
    for number in range(1, gone + 1):
        diary.exits(f"c{number}")
    while diary.engine.next_deadline() <= diary.now:
        diary.ticks()
    for number in range(gone + 1, 6):
        diary.exits(f"c{number}")
    assert not diary.engine.state.apps
    assert not diary.engine.state.cancellations
