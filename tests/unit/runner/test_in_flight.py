"""Every input is run once, answered once or returned, whatever commands the server sends, and whenever."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.model import DeliveryMode, OutputStatus
from swell.runner.in_flight import Delivery, InFlight, WorkItem
from swell.wire.messages import Deliver, Returned

TERMINATED = int(OutputStatus.TERMINATED)
Mode = Literal["serial", "parallel", "batch"]


class Runner:
    """A slot that only remembers that it was cancelled."""

    def __init__(self) -> None:
        self.cancelled = 0

    def cancel(self) -> None:
        self.cancelled += 1


def deliver(count: int, mode: Mode = "serial", number: int = 1) -> Deliver:
    return Deliver(
        delivery=number,
        mode=DeliveryMode(mode),
        method="",
        parts=[("fc-1", 0, count)],
        ends=[i + 1 for i in range(count)],
    )


def accept(in_flight: InFlight, message: Deliver) -> list[WorkItem]:
    work_items = in_flight.accept(message, b"x" * len(message.ends))
    assert isinstance(work_items, list)
    return work_items


def answered(in_flight: InFlight) -> list[tuple[int, int]]:
    """(delivery, position) of what waits in the outbox, all of it TERMINATED."""
    taken = in_flight.take()
    if taken is None:
        return []
    message, _ = taken
    assert [status for _, status in message.failures] == [TERMINATED] * len(message.ends)
    return [(number, position) for number, first, count in message.parts for position in range(first, first + count)]


def test_items_of_several_parts() -> None:
    message = Deliver(
        delivery=1,
        mode=DeliveryMode.SERIAL,
        method="m",
        parts=[("fc-a", 5, 2), ("fc-b", 0, 1)],
        ends=[102, 105, 105],
        blobs=[1],
        base=100,
    )
    delivery = Delivery(message, b"aabbb")
    assert [delivery.input(i) for i in range(3)] == [("fc-a", 5), ("fc-a", 6), ("fc-b", 0)]
    assert [delivery.arguments(i) for i in range(3)] == [(b"aa", False), (b"bbb", True), (b"", False)]
    with pytest.raises(IndexError):
        delivery.input(3)


def test_work_items_by_mode() -> None:
    assert [(t.next, t.end, t.is_batch) for t in accept(InFlight(), deliver(3, "serial"))] == [(0, 3, False)]
    assert [(t.next, t.end, t.is_batch) for t in accept(InFlight(), deliver(3, "batch"))] == [(0, 3, True)]
    assert [(t.next, t.end) for t in accept(InFlight(), deliver(3, "parallel"))] == [(0, 1), (1, 2), (2, 3)]


def test_nothing_is_in_flight_when_all_work_items_are_done() -> None:
    in_flight = InFlight()
    work_items = accept(in_flight, deliver(2, "parallel"))
    assert not in_flight.is_empty
    in_flight.finish(work_items[0])
    assert not in_flight.is_empty
    in_flight.finish(work_items[1])
    assert in_flight.is_empty


def test_claiming_goes_through_a_work_item_once() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(3))
    assert [in_flight.claim(work, runner) for _ in range(4)] == [0, 1, 2, None]
    assert work.runner is None


def test_cancel_of_the_running_item_interrupts_it_once() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(3))
    in_flight.claim(work, runner)
    in_flight.claim(work, runner)
    in_flight.cancel(1, [0])  # finished
    assert runner.cancelled == 0
    in_flight.cancel(1, [1])
    assert runner.cancelled == 1
    assert answered(in_flight) == []


def test_cancel_of_inputs_not_started_answers_them_once_and_skips_them() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(4))
    in_flight.cancel(1, [0, 2, 2, 99, -1])
    in_flight.cancel(1, [2])
    assert answered(in_flight) == [(1, 0), (1, 2)]
    assert [in_flight.claim(work, runner) for _ in range(3)] == [1, 3, None]


@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_cancel_that_overtakes_its_delivery(mode: Mode) -> None:
    in_flight, runner = InFlight(), Runner()
    in_flight.cancel(1, [1])
    in_flight.cancel(1, [1])
    assert answered(in_flight) == [(1, 1)]
    work_items = accept(in_flight, deliver(3, mode))
    claimed = [
        position for work in work_items for _ in range(3) if (position := in_flight.claim(work, runner)) is not None
    ]
    assert claimed == [0, 2]


def test_cancel_of_one_of_a_batch_answers_all() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(3, "batch"))
    in_flight.cancel(1, [1])
    assert answered(in_flight) == [(1, 0), (1, 1), (1, 2)]
    assert in_flight.claim_all(work, runner) == []


def test_cancel_of_one_of_a_batch_that_overtakes_it() -> None:
    in_flight, runner = InFlight(), Runner()
    in_flight.cancel(1, [1])
    (work,) = accept(in_flight, deliver(3, "batch"))
    assert sorted(answered(in_flight)) == [(1, 0), (1, 1), (1, 2)]
    assert in_flight.claim_all(work, runner) == []


def test_cancel_in_a_running_batch_interrupts_it() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(3, "batch"))
    assert in_flight.claim_all(work, runner) == [0, 1, 2]
    in_flight.cancel(1, [0])
    assert runner.cancelled == 1


def test_reclaim_drops_inputs_that_have_not_started() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(5))
    in_flight.claim(work, runner)
    assert in_flight.reclaim(1) == Returned(1, 1)
    assert in_flight.reclaim(1) is None
    assert in_flight.claim(work, runner) is None


def test_reclaim_of_a_parallel_delivery_gives_back_the_work_items_not_started() -> None:
    in_flight, runner = InFlight(), Runner()
    work_items = accept(in_flight, deliver(4, "parallel"))
    in_flight.claim(work_items[0], runner)
    in_flight.claim(work_items[1], runner)
    assert in_flight.reclaim(1) == Returned(1, 2)
    assert [in_flight.claim(work, runner) for work in work_items] == [None] * 4


def test_reclaim_that_overtakes_its_delivery() -> None:
    in_flight = InFlight()
    assert in_flight.reclaim(1) == Returned(1, 0)
    assert in_flight.reclaim(1) is None
    in_flight.cancel(1, [0])
    assert accept(in_flight, deliver(3)) == []
    assert in_flight.is_empty
    assert in_flight.take() is None


def test_commands_for_finished_deliveries_change_nothing() -> None:
    in_flight, runner = InFlight(), Runner()
    (work,) = accept(in_flight, deliver(1))
    in_flight.claim(work, runner)
    in_flight.finish(work)
    in_flight.cancel(1, [0])
    assert in_flight.reclaim(1) is None
    assert in_flight.take() is None
    assert in_flight.is_empty


def test_drain_returns_inputs_now_and_from_now_on() -> None:
    in_flight, runner = InFlight(), Runner()
    (first,) = accept(in_flight, deliver(3, number=1))
    accept(in_flight, deliver(2, number=2))
    in_flight.claim(first, runner)
    assert in_flight.drain() == [Returned(1, 1), Returned(2, 0)]
    assert in_flight.accept(deliver(2, number=3), b"xx") == Returned(3, 0)
    assert in_flight.drain() == []


def test_drain_after_an_early_reclaim_gives_back_once() -> None:
    in_flight = InFlight()
    assert in_flight.reclaim(1) == Returned(1, 0)
    in_flight.drain()
    assert accept(in_flight, deliver(2)) == []


@given(
    mode=st.sampled_from(["serial", "batch"]),
    count=st.integers(1, 6),
    steps=st.lists(
        st.one_of(
            st.tuples(st.just("cancel"), st.integers(0, 6)),
            st.tuples(st.just("reclaim"), st.just(0)),
            st.tuples(st.just("arrive"), st.just(0)),
            st.tuples(st.just("run"), st.just(0)),
        ),
        max_size=12,
    ),
)
def test_every_item_ends_in_one_way(mode: Mode, count: int, steps: list[tuple[str, int]]) -> None:
    """Run, answered and given back exclude each other, except that what is given back may have been answered before."""
    in_flight, runner = InFlight(), Runner()
    work_items: list[WorkItem] | None = None
    fate: Counter[int] = Counter()
    cut = count
    for what, position in [*steps, ("arrive", 0), *[("run", 0)] * count]:
        if what == "cancel" and position < count:
            in_flight.cancel(1, [position])
        elif what == "reclaim":
            returned = in_flight.reclaim(1)
            if returned is not None:
                assert cut == count
                cut = returned.position
        elif what == "arrive" and work_items is None:
            work_items = accept(in_flight, deliver(count, mode))
        elif what == "run" and work_items:
            if mode == "batch":
                fate.update(in_flight.claim_all(work_items[0], runner))
            elif (claimed := in_flight.claim(work_items[0], runner)) is not None:
                fate.update([claimed])
    fate.update(position for _, position in answered(in_flight))
    assert set(fate.values()) <= {1}
    assert set(range(cut)) <= set(fate)
