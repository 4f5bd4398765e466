"""The ledger: every item is run once, answered once, or given back, whatever the server says and when it says it."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.model import OutputStatus
from swell.runner.in_flight import Delivery, Ledger, Turn
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
    return Deliver(number, mode, "", [("fc-1", 0, count)], [i + 1 for i in range(count)])


def accept(ledger: Ledger, message: Deliver) -> list[Turn]:
    turns = ledger.accept(message, b"x" * len(message.ends))
    assert isinstance(turns, list)
    return turns


def answered(ledger: Ledger) -> list[tuple[int, int]]:
    """(delivery, position) of what waits in the outbox, all of it TERMINATED."""
    taken = ledger.take()
    if taken is None:
        return []
    message, _ = taken
    assert [status for _, status in message.failures] == [TERMINATED] * len(message.ends)
    return [(number, position) for number, first, count in message.parts for position in range(first, first + count)]


def test_items_of_several_parts() -> None:
    message = Deliver(1, "serial", "m", [("fc-a", 5, 2), ("fc-b", 0, 1)], [102, 105, 105], [1], base=100)
    delivery = Delivery(message, b"aabbb")
    assert [delivery.input(i) for i in range(3)] == [("fc-a", 5), ("fc-a", 6), ("fc-b", 0)]
    assert [delivery.arguments(i) for i in range(3)] == [(b"aa", False), (b"bbb", True), (b"", False)]
    with pytest.raises(IndexError):
        delivery.input(3)


def test_turns_by_mode() -> None:
    assert [(t.next, t.end, t.is_batch) for t in accept(Ledger(), deliver(3, "serial"))] == [(0, 3, False)]
    assert [(t.next, t.end, t.is_batch) for t in accept(Ledger(), deliver(3, "batch"))] == [(0, 3, True)]
    assert [(t.next, t.end) for t in accept(Ledger(), deliver(3, "parallel"))] == [(0, 1), (1, 2), (2, 3)]


def test_ledger_is_empty_when_all_turns_are_done() -> None:
    ledger = Ledger()
    turns = accept(ledger, deliver(2, "parallel"))
    assert not ledger.is_empty
    ledger.finish(turns[0])
    assert not ledger.is_empty
    ledger.finish(turns[1])
    assert ledger.is_empty


def test_claiming_goes_through_a_turn_once() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(3))
    assert [ledger.claim(turn, runner) for _ in range(4)] == [0, 1, 2, None]
    assert turn.runner is None


def test_cancel_of_the_running_item_interrupts_it_once() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(3))
    ledger.claim(turn, runner)
    ledger.claim(turn, runner)
    ledger.cancel(1, [0])  # finished
    assert runner.cancelled == 0
    ledger.cancel(1, [1])
    assert runner.cancelled == 1
    assert answered(ledger) == []


def test_cancel_of_unbegun_items_answers_them_once_and_skips_them() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(4))
    ledger.cancel(1, [0, 2, 2, 99, -1])
    ledger.cancel(1, [2])
    assert answered(ledger) == [(1, 0), (1, 2)]
    assert [ledger.claim(turn, runner) for _ in range(3)] == [1, 3, None]


@pytest.mark.parametrize("mode", ["serial", "parallel"])
def test_cancel_that_overtakes_its_delivery(mode: Mode) -> None:
    ledger, runner = Ledger(), Runner()
    ledger.cancel(1, [1])
    ledger.cancel(1, [1])
    assert answered(ledger) == [(1, 1)]
    turns = accept(ledger, deliver(3, mode))
    claimed = [position for turn in turns for _ in range(3) if (position := ledger.claim(turn, runner)) is not None]
    assert claimed == [0, 2]


def test_cancel_of_one_of_a_batch_answers_all() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(3, "batch"))
    ledger.cancel(1, [1])
    assert answered(ledger) == [(1, 0), (1, 1), (1, 2)]
    assert ledger.claim_all(turn, runner) == []


def test_cancel_of_one_of_a_batch_that_overtakes_it() -> None:
    ledger, runner = Ledger(), Runner()
    ledger.cancel(1, [1])
    (turn,) = accept(ledger, deliver(3, "batch"))
    assert sorted(answered(ledger)) == [(1, 0), (1, 1), (1, 2)]
    assert ledger.claim_all(turn, runner) == []


def test_cancel_in_a_running_batch_interrupts_it() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(3, "batch"))
    assert ledger.claim_all(turn, runner) == [0, 1, 2]
    ledger.cancel(1, [0])
    assert runner.cancelled == 1


def test_reclaim_cuts_off_what_is_not_begun() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(5))
    ledger.claim(turn, runner)
    assert ledger.reclaim(1) == Returned(1, 1)
    assert ledger.reclaim(1) is None
    assert ledger.claim(turn, runner) is None


def test_reclaim_of_a_parallel_delivery_gives_back_the_turns_not_begun() -> None:
    ledger, runner = Ledger(), Runner()
    turns = accept(ledger, deliver(4, "parallel"))
    ledger.claim(turns[0], runner)
    ledger.claim(turns[1], runner)
    assert ledger.reclaim(1) == Returned(1, 2)
    assert [ledger.claim(turn, runner) for turn in turns] == [None] * 4


def test_reclaim_that_overtakes_its_delivery() -> None:
    ledger = Ledger()
    assert ledger.reclaim(1) == Returned(1, 0)
    assert ledger.reclaim(1) is None
    ledger.cancel(1, [0])
    assert accept(ledger, deliver(3)) == []
    assert ledger.is_empty
    assert ledger.take() is None


def test_word_about_what_is_finished_changes_nothing() -> None:
    ledger, runner = Ledger(), Runner()
    (turn,) = accept(ledger, deliver(1))
    ledger.claim(turn, runner)
    ledger.finish(turn)
    ledger.cancel(1, [0])
    assert ledger.reclaim(1) is None
    assert ledger.take() is None
    assert ledger.is_empty


def test_drain_gives_back_now_and_from_now_on() -> None:
    ledger, runner = Ledger(), Runner()
    (first,) = accept(ledger, deliver(3, number=1))
    accept(ledger, deliver(2, number=2))
    ledger.claim(first, runner)
    assert ledger.drain() == [Returned(1, 1), Returned(2, 0)]
    assert ledger.accept(deliver(2, number=3), b"xx") == Returned(3, 0)
    assert ledger.drain() == []


def test_drain_after_an_early_reclaim_gives_back_once() -> None:
    ledger = Ledger()
    assert ledger.reclaim(1) == Returned(1, 0)
    ledger.drain()
    assert accept(ledger, deliver(2)) == []


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
    ledger, runner = Ledger(), Runner()
    turns: list[Turn] | None = None
    fate: Counter[int] = Counter()
    cut = count
    for what, position in [*steps, ("arrive", 0), *[("run", 0)] * count]:
        if what == "cancel" and position < count:
            ledger.cancel(1, [position])
        elif what == "reclaim":
            returned = ledger.reclaim(1)
            if returned is not None:
                assert cut == count
                cut = returned.position
        elif what == "arrive" and turns is None:
            turns = accept(ledger, deliver(count, mode))
        elif what == "run" and turns:
            if mode == "batch":
                fate.update(ledger.claim_all(turns[0], runner))
            elif (claimed := ledger.claim(turns[0], runner)) is not None:
                fate.update([claimed])
    fate.update(position for _, position in answered(ledger))
    assert set(fate.values()) <= {1}
    assert set(range(cut)) <= set(fate)
