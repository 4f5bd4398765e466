"""What waits, and in which order it leaves."""

from __future__ import annotations

from swell.config import Settings
from swell.engine.state.app import App
from swell.engine.state.backlog import RELEASES_MAX, Backlog
from swell.engine.state.call import Call
from swell.engine.state.pool import Pool
from swell.engine.state.span import Part, Segment, Span
from swell.items import PackedItems
from swell.model import AppKind, CallKind, Deployment, Environment, FunctionSpec, Source

VERSION = Deployment("ap", 0, (), Environment("/py", "/", ()))
APP = App("ap", AppKind.EPHEMERAL, 1, VERSION, 0.0)
POOL = Pool("fu", APP, FunctionSpec("f", Source("m", "f")), Settings(), VERSION)


def call(name: str, method: str = "") -> Call:
    return Call(name, CallKind.MAP, POOL, method, 1, parent="", opened_at=0.0)


def span(of: Call, first: int, last: int, *, at: float = 0.0, alone: bool = False) -> Span:
    ends = list(range(first + 1, last + 1))
    return Span(of, Segment(first, PackedItems(ends, bytes(len(ends)))), first, last, queued_at=at, alone=alone)


def taken(parts: list[Part]) -> list[tuple[str, int, int]]:
    return [(part.call.id, part.first, part.count) for part in parts]


def test_one_call_leaves_in_order() -> None:
    backlog, a = Backlog(), call("a")
    backlog.add(span(a, 0, 3))
    backlog.add(span(a, 3, 5))
    assert taken(backlog.take(2)) == [("a", 0, 2)]
    assert taken(backlog.take(9)) == [("a", 2, 1), ("a", 3, 2)]
    assert not backlog.count


def test_calls_take_turns() -> None:
    backlog, a, b = Backlog(), call("a"), call("b")
    backlog.add(span(a, 0, 1_000))
    backlog.add(span(b, 0, 1))
    assert taken(backlog.take(1)) == [("a", 0, 1)]
    assert taken(backlog.take(1)) == [("b", 0, 1)]
    assert taken(backlog.take(1)) == [("a", 1, 1)]


def test_a_span_is_shared_between_those_that_wait() -> None:
    backlog, calls = Backlog(), [call("a"), call("b"), call("c")]
    for one in calls:
        backlog.add(span(one, 0, 100))
    assert taken(backlog.take(9)) == [("a", 0, 3), ("b", 0, 3), ("c", 0, 3)]


def test_what_one_leaves_of_its_share_goes_to_the_others() -> None:
    backlog, a, b = Backlog(), call("a"), call("b")
    backlog.add(span(a, 0, 1))
    backlog.add(span(b, 0, 100))
    assert sum(part.count for part in backlog.take(10)) == 10


def test_what_comes_back_goes_where_it_was() -> None:
    backlog, a = Backlog(), call("a")
    backlog.add(span(a, 0, 30))
    backlog.take(30)
    for first, last in ((20, 25), (5, 7), (12, 14)):
        backlog.put_back(span(a, first, last, at=1.0))
    assert taken(backlog.take(9)) == [("a", 5, 2), ("a", 12, 2), ("a", 20, 5)]


def test_whoever_stands_in_front_has_waited_longest() -> None:
    backlog, a = Backlog(), call("a")
    backlog.add(span(a, 5, 9, at=1.0))
    backlog.put_back(span(a, 0, 1, at=7.0))
    assert backlog.oldest_at == 1.0


def test_a_delayed_input_comes_when_its_time_has_come() -> None:
    backlog, a = Backlog(), call("a")
    backlog.add(span(a, 1, 2))
    backlog.delay(span(a, 0, 1), 5.0)
    assert (backlog.count, backlog.delayed_count, len(backlog)) == (1, 1, 2)
    backlog.release(4.9)
    assert backlog.count == 1
    backlog.release(5.0)
    assert taken(backlog.take(2)) == [("a", 0, 1), ("a", 1, 1)]
    assert backlog.delayed_until is None


def test_one_that_must_be_alone_comes_alone() -> None:
    backlog, a, b = Backlog(), call("a"), call("b")
    backlog.add(span(a, 0, 1, alone=True))
    backlog.add(span(b, 0, 5))
    assert backlog.next_is_alone
    assert taken(backlog.take(10)) == [("a", 0, 1)]
    assert taken(backlog.take(10)) == [("b", 0, 5)]


def test_one_that_must_be_alone_does_not_join_others() -> None:
    backlog, a, b = Backlog(), call("a"), call("b")
    backlog.add(span(b, 0, 5))
    backlog.add(span(a, 0, 1, alone=True))
    assert taken(backlog.take(10)) == [("b", 0, 5)]
    assert taken(backlog.take(10)) == [("a", 0, 1)]


def test_what_is_taken_together_goes_to_one_method() -> None:
    backlog, a, b, c = Backlog(), call("a", "x"), call("b", "y"), call("c", "x")
    for one in (a, b, c):
        backlog.add(span(one, 0, 2))
    assert taken(backlog.take(6)) == [("a", 0, 2), ("c", 0, 2)]
    assert taken(backlog.take(6)) == [("b", 0, 2)]


def test_a_call_can_be_taken_out_with_all_it_has() -> None:
    backlog, a, b = Backlog(), call("a"), call("b")
    backlog.add(span(a, 0, 4))
    backlog.add(span(b, 0, 1))
    backlog.delay(span(a, 7, 8), 9.0)
    assert [(s.first, s.last) for s in backlog.remove(a)] == [(0, 4), (7, 8)]
    assert backlog.remove(a) == []
    assert [one.id for one in backlog.calls()] == ["b"]
    assert taken(backlog.take(9)) == [("b", 0, 1)]
    assert len(backlog) == 0


def test_calls_that_are_held_wait_and_the_others_keep_their_turns() -> None:
    backlog, calls = Backlog(), [call(name) for name in "abcd"]
    a, b, c, d = calls
    for one in (a, b, c):
        backlog.add(span(one, 0, 2))
    backlog.hold([a, c, d])
    backlog.hold([a])
    backlog.add(span(d, 0, 1))
    assert (backlog.count, backlog.held_count) == (2, 5)
    assert taken(backlog.take(9)) == [("b", 0, 2)]
    assert not backlog.take(9)
    for one in (c, a, d):
        backlog.let_go(one)
    assert (backlog.count, backlog.held_count) == (5, 0)
    assert taken(backlog.take(3)) == [("c", 0, 1), ("a", 0, 1), ("d", 0, 1)]


def test_what_comes_of_a_held_call_is_held_also_after_what_waited_was_removed() -> None:
    backlog, a = Backlog(), call("a")
    backlog.add(span(a, 0, 3))
    backlog.hold([a])
    assert [(one.first, one.last) for one in backlog.remove(a)] == [(0, 3)]
    assert (backlog.count, len(backlog)) == (0, 0)
    backlog.add(span(a, 3, 5))
    assert (backlog.count, len(backlog)) == (0, 2)
    assert backlog.take(9) == []
    backlog.let_go(a)
    assert taken(backlog.take(9)) == [("a", 3, 2)]


def test_of_very_many_that_are_due_some_come_at_once() -> None:
    backlog, a = Backlog(), call("a")
    for index in range(RELEASES_MAX + 1):
        backlog.delay(span(a, index, index + 1), 5.0)
    backlog.release(5.0)
    assert (backlog.count, backlog.delayed_count, backlog.delayed_until) == (RELEASES_MAX, 1, 5.0)
    backlog.release(5.0)
    assert (backlog.count, backlog.delayed_count, backlog.delayed_until) == (RELEASES_MAX + 1, 0, None)
