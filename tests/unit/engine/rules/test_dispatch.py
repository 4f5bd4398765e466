"""A diary of inputs on their way to containers, and of those that are taken back."""

from __future__ import annotations

from swell.model import Batching, Concurrency, OutputStatus
from swell.wire import messages as m


def warm(diary, *, containers: int = 1, service_s: float = 0.0001, **options) -> None:
    """A function of so many ready containers, whose inputs are known to take so long. The last delivery is #1."""
    diary.opens(min_containers=containers, max_containers=containers, **options)
    for number in range(1, containers + 1):
        diary.ready(f"c{number}")
    diary.calls("fc-0")
    diary.completes(f"c{containers}", 1, 0, busy_s=service_s)


def test_inputs_of_unknown_length_go_one_by_one(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1", 3)
    assert diary.ready("c1") == ["deliver #1 to c1: fc-1[0]"]
    assert diary.completes("c1", 1, 0, busy_s=1.0) == ["tell 1: fc-1[0]", "deliver #2 to c1: fc-1[1]"]


def test_quick_inputs_go_in_spans_and_the_next_span_before_the_last_is_done(diary) -> None:
    warm(diary)
    assert diary.calls("fc-1", 200) == ["deliver #2 to c1: fc-1[0:50]"], "5 ms of work are 50 inputs"
    assert diary.completes("c1", 2, 0, 20, busy_s=0.0001) == ["tell 1: fc-1[0:20]"], "it holds more than half"
    more = diary.completes("c1", 2, 20, 10, busy_s=0.0001)
    assert more == ["tell 1: fc-1[20:30]", "deliver #3 to c1: fc-1[50:80]"]


def test_the_most_recently_used_container_is_used_again(diary) -> None:
    warm(diary, containers=3, service_s=1.0)
    assert diary.calls("fc-1") == ["deliver #2 to c3: fc-1[0]"]
    assert diary.calls("fc-2") == ["deliver #3 to c2: fc-2[0]"]


def test_calls_take_turns_whatever_waits_before_them(diary) -> None:
    warm(diary, service_s=1.0)
    diary.calls("fc-1", 25)
    diary.calls("fc-2")
    assert diary.completes("c1", 2, 0, busy_s=1.0)[1:] == ["deliver #3 to c1: fc-1[1]"], "it was there first"
    assert diary.completes("c1", 3, 0, busy_s=1.0)[1:] == ["deliver #4 to c1: fc-2[0]"]
    assert diary.completes("c1", 4, 0, busy_s=1.0)[1:] == ["deliver #5 to c1: fc-1[2]"]


def test_an_idle_container_gets_what_a_busy_one_has_not_begun(diary) -> None:
    warm(diary, containers=2)
    diary.calls("fc-1", 80)
    while held := diary.deliveries("c2"):
        number = min(held)
        done = diary.completes("c2", number, 0, held[number], busy_s=0.0001)
    reclaimed = [f"reclaim #{number} from c1" for number in diary.deliveries("c1")]
    assert done[1:] == reclaimed, "nothing waits, one is idle: the other gives back"
    first = next(iter(diary.deliveries("c1")))
    assert diary.gives_back("c1", first, 1)[0].startswith("deliver #"), "and the idle one gets it"
    assert diary.deliveries("c2")


def test_what_takes_longer_than_it_should_gives_back_what_waits_behind_it(diary) -> None:
    warm(diary)
    diary.at(1.0).calls("fc-1", 20)
    assert diary.at(1.010).meanwhile == []
    assert diary.at(1.020).meanwhile == ["reclaim #2 from c1", "reclaim #3 from c1"]
    assert diary.gives_back("c1", 2, 1) == [], "it has shown no progress: nothing is queued behind it again"
    assert diary.gives_back("c1", 3, 0) == []
    assert diary.at(5.0).meanwhile == []
    following = diary.completes("c1", 2, 0, busy_s=4.0)
    assert following[0] == "tell 1: fc-1[0]"
    assert following[1].startswith("deliver #4 to c1: fc-1[1")


def test_what_returns_all_is_given_one_input_until_it_has_finished_something(diary) -> None:
    """Large inputs take longer to arrive than to run: with many at once, they would be on their way for ever."""
    warm(diary)
    diary.at(1.0).calls("fc-1", 20)
    assert diary.at(1.020).meanwhile == ["reclaim #2 from c1", "reclaim #3 from c1"]
    assert diary.gives_back("c1", 2, 0) == []
    assert diary.gives_back("c1", 3, 0) == ["deliver #4 to c1: fc-1[0]"]
    assert diary.at(5.0).meanwhile == []
    following = diary.completes("c1", 4, 0, busy_s=0.0001)
    assert following[0] == "tell 1: fc-1[0]"
    assert following[1] == "deliver #5 to c1: fc-1[1:10], fc-1[10]", "it is as quick as it was"


def test_a_reclaim_that_found_nothing_does_not_end_run_ahead_for_ever(diary) -> None:
    """Everything was done when the word arrived: the container has nothing to give back and does not answer."""
    warm(diary)
    diary.at(1.0).calls("fc-1", 20)
    assert diary.at(1.1).meanwhile == ["reclaim #2 from c1", "reclaim #3 from c1"]
    assert diary.completes("c1", 2, 0, 10, busy_s=0.0001) == ["tell 1: fc-1[0:10]"]
    assert diary.completes("c1", 3, 0, 10, busy_s=0.0001) == ["tell 1: fc-1[10:20]"]
    assert diary.at(2.0).calls("fc-2", 20) == ["deliver #4 to c1: fc-2[0:10]", "deliver #5 to c1: fc-2[10:20]"]
    assert diary.at(2.1).meanwhile == ["reclaim #4 from c1", "reclaim #5 from c1"], "and it is asked again when late"


def test_run_ahead_goes_to_nobody_who_is_asked_to_give_back(diary) -> None:
    warm(diary)
    diary.at(1.0).calls("fc-1", 20)
    diary.at(1.1)
    assert diary.calls("fc-2", 20) == []


def test_parallel_inputs_go_up_to_the_target(diary) -> None:
    diary.opens(concurrency=Concurrency(4, 2), max_containers=2)
    diary.calls("fc-1", 3)
    assert diary.ready("c1") == ["deliver #1 to c1: fc-1[0:2] (parallel)"]
    assert diary.ready("c2") == ["deliver #2 to c2: fc-1[2] (parallel)"]


def test_a_full_batch_leaves_at_once_and_the_rest_when_its_time_has_come(diary) -> None:
    diary.opens(batching=Batching(2, 1_000), min_containers=1, max_containers=1)
    diary.ready("c1")
    assert diary.at(5.0).calls("fc-1", 3) == ["deliver #1 to c1: fc-1[0:2] (batch)"]
    diary.at(5.1).completes("c1", 1, 0, 2)
    assert diary.at(5.99).meanwhile == []
    assert diary.at(6.01).meanwhile == ["deliver #2 to c1: fc-1[2] (batch)"]


def test_a_batch_mixes_calls_and_clients(diary) -> None:
    diary.opens(batching=Batching(3, 60_000), min_containers=1, detach=True)
    diary.ready("c1")
    assert diary.calls("fc-1") == []
    assert diary.calls("fc-2", client=2) == []
    assert diary.calls("fc-3") == ["deliver #1 to c1: fc-1[0], fc-2[0], fc-3[0] (batch)"]
    assert diary.completes("c1", 1, 0, 3) == ["tell 1: fc-1[0]", "tell 2: fc-2[0]", "tell 1: fc-3[0]"]


def test_a_single_use_container_gets_one_input(diary) -> None:
    diary.opens(single_use=True)
    assert diary.calls("fc-1", 2) == ["start c1", "start c2"]
    diary.ready("c1")
    assert diary.completes("c1", 1, 0) == ["tell 1: fc-1[0]", "drain c1"]


def test_a_generators_values_go_to_its_caller_and_are_not_repeated(diary) -> None:
    diary.opens(is_generator=True)
    diary.calls("fc-1")
    diary.ready("c1")
    assert diary.answers("c1", m.Yielded(1, 0, [1, 2]), b"ab") == ["items of fc-1[0]: ab"]
    assert diary.says(m.TakeItems("fc-1", 0, 2)) == ["2 items of #1[0] taken, to c1"]
    diary.exits("c1")
    diary.ready("c2")
    assert diary.answers("c2", m.Yielded(2, 0, [1]), b"a") == ["1 items of #2[0] taken, to c2"]
    assert diary.answers("c2", m.Yielded(2, 0, [1, 2]), b"bc") == ["items of fc-1[0]: c"]
    assert diary.says(m.TakeItems("fc-1", 0, 3)) == ["3 items of #2[0] taken, to c2"]
    done = diary.completes("c2", 2, 0, status=OutputStatus.GENERATOR_DONE)
    assert done == ["tell 1: fc-1[0] GENERATOR_DONE"]
