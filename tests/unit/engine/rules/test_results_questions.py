"""A diary of questions about spawned calls, wherever they are, and of calls that are sent again."""

from __future__ import annotations

import pytest

from swell.model import CallKind, OutputStatus
from swell.wire import messages as m
from swell.wire import queries as q

FAILURE = OutputStatus.FAILURE


def spawns_long(diary, call_id: str, count: int, *, size: int = 4, **how) -> None:
    """Spawn a call of many inputs, `size` in each message."""
    diary.spawns(call_id, size, sealed=count <= size, **how)
    for first in range(size, count, size):
        diary.puts(call_id, first, size, sealed=first + size >= count, **how)


def stored(new_diary, **settings):
    """A diary of three calls, the last of which, fc-2, is in the store alone."""
    diary = new_diary(backlog_calls_max=2, **settings)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(3):
        diary.spawns(f"fc-{number}", 2)
    diary.ready("c1")
    return diary


# ---------------------------------------------------------------- questions


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (m.DescribeCall(5, "fc-2"), m.CallDescription(5, "fc-2", 2, 0, "f")),
        (q.InspectCall(5, "fc-2"), q.CallReport(5, "fc-2", "shop", "f", "spawn", 1.0, 2, 2, 0, 0)),
    ],
)
def test_what_is_in_the_store_can_be_asked_about(new_diary, question: m.Message, answer: m.Message) -> None:
    diary = stored(new_diary)
    assert diary.says(question) == ["load fc-2"]
    diary.reads()
    assert [effect.message for effect in diary.last if hasattr(effect, "client")] == [answer]


def test_what_is_in_the_store_can_be_watched(new_diary) -> None:
    diary = stored(new_diary)
    assert diary.watches("fc-2", 0, 2) == ["load fc-2"]
    assert diary.reads()[0] == "send what is recorded of fc-2[0:2] to 2"
    told: list[str] = []
    for number in range(1, 7):
        told += diary.completes("c1", number, 0, busy_s=1.0)
    assert [line for line in told if line.startswith("tell 2")] == ["tell 2: fc-2[0]", "tell 2: fc-2[1]"]


def test_who_stops_watching_before_the_store_has_answered_is_told_nothing(new_diary) -> None:
    diary = stored(new_diary)
    diary.watches("fc-2", 0, 2, request=5, client=2)
    diary.watches("fc-2", 0, 2, request=6, client=2)
    diary.says(m.Unwatch(5, "fc-2"), client=2)
    diary.says(m.Unwatch(6, "fc-2"), client=3)
    diary.reads()
    watchers = diary.engine.state.calls["fc-2"].watchers
    assert [(watcher.client, watcher.request) for watcher in watchers] == [(2, 6)]


def test_a_client_that_is_gone_before_the_store_has_answered_follows_nothing(new_diary) -> None:
    diary = stored(new_diary)
    diary.watches("fc-2", 0, 2, client=2)
    diary.says(m.CancelCall("fc-2", False), client=2)
    diary.vanishes(2)
    assert diary.reads() == ["record fc-2[0:2] alike TERMINATED", "record fc-2 as ended"]


def test_a_call_that_is_sent_again_is_not_begun_for_a_client_that_is_gone(diary) -> None:
    diary.deploys()
    again = m.OpenCall("fc-1", diary.function(), "", CallKind.SPAWN, [1], False, [], resent=True)
    assert diary.says(again, b"a", client=3) == ["load fc-1"]
    diary.vanishes(3)
    assert diary.reads() == [], "nobody would say that no more inputs come"
    assert diary.says(again, b"a", client=4) == ["load fc-1"]
    assert "accept fc-1 up to 1" in diary.reads()


def test_a_client_that_has_ceased_to_follow_a_call_keeps_nothing_of_it(diary) -> None:
    diary.opens()
    diary.spawns("fc-1")
    for request in (5, 6):
        diary.watches("fc-1", request=request)
    diary.says(m.Unwatch(5, "fc-1"), client=2)
    assert 2 in diary.engine.state.clients.calls_of
    diary.says(m.Unwatch(6, "fc-1"), client=2)
    assert 2 not in diary.engine.state.clients.calls_of


def test_questions_about_one_call_are_one_look(new_diary) -> None:
    diary = stored(new_diary)
    assert diary.says(m.DescribeCall(5, "fc-2"), client=2) == ["load fc-2"]
    assert diary.says(m.DescribeCall(5, "fc-2"), client=3) == []
    assert diary.reads() == ["tell 2: CallDescription", "tell 3: CallDescription"]


def test_a_question_after_one_that_was_taken_back_is_the_same_look(new_diary) -> None:
    diary = stored(new_diary)
    assert diary.watches("fc-2", 0, 2, request=5, client=2) == ["load fc-2"]
    diary.says(m.Unwatch(5, "fc-2"), client=2)
    assert diary.says(m.DescribeCall(6, "fc-2"), client=3) == []
    assert diary.reads() == ["tell 3: CallDescription"]


def test_what_is_in_the_store_can_be_cancelled(new_diary) -> None:
    diary = stored(new_diary)
    assert diary.cancels("fc-2") == ["load fc-2"]
    assert diary.reads() == ["record fc-2[0:2] alike TERMINATED", "record fc-2 as ended"]
    assert diary.pool().window.stored_calls == 0
    diary.watches("fc-2", 0, 2)
    assert diary.reads()[1:] == ["2 gets 0 TERMINATED, 1 TERMINATED of fc-2"]


def test_looking_at_many_calls_does_not_bring_their_inputs_into_memory(new_diary) -> None:
    diary = new_diary(backlog_calls_max=2, backlog_inputs_max=1_000)
    diary.at(1.0).deploys(max_containers=1)
    for number in range(20):
        spawns_long(diary, f"fc-{number}", 40)
    diary.restarts()
    diary.reads()
    for number in range(20):
        diary.watches(f"fc-{number}", 0, 1)
    assert diary.unread
    (load,) = {type(effect).__name__ for effect in diary.last}
    assert load == "LoadCall"
    assert diary.last[0].window.inputs_max == 1


def test_what_has_ended_is_answered_from_what_is_kept(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 2)
    diary.ready("c1")
    diary.at(2.0).completes("c1", 1, 0, status=FAILURE, busy_s=1.0)
    diary.at(3.0).completes("c1", 2, 0)
    diary.restarts()
    diary.watches("fc-1", 0, 2)
    assert diary.reads() == [
        "send what is recorded of fc-1[0:2] to 2",
        "2 gets 0 FAILURE, 1 SUCCESS of fc-1",
    ]
    diary.says(m.DescribeCall(5, "fc-1"))
    diary.reads()
    assert diary.last[-1].message == m.CallDescription(5, "fc-1", 2, 2, "f")
    diary.says(q.InspectCall(5, "fc-1"))
    diary.reads()
    assert diary.last[-1].message == q.CallReport(5, "fc-1", "", "f", "spawn", 1.0, 2, 0, 0, 2, 3.0)
    diary.cancels("fc-1")
    assert diary.reads() == []


@pytest.mark.parametrize(("first", "last", "stray"), [(0, 3, 2), (-1, 1, -1), (5, 6, 5)])
def test_inputs_that_an_ended_call_never_had_are_told_so(diary, first: int, last: int, stray: int) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 2)
    diary.cancels("fc-1")
    diary.watches("fc-1", first, last)
    assert diary.reads() == [f"fail 5: call fc-1 has ended with 2 inputs, numbered from 0: there is no {stray}"]


def test_of_a_call_that_goes_on_what_there_is_so_far_is_read(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1", 2, sealed=False)
    assert diary.watches("fc-1", -5, 1 << 40) == ["send what is recorded of fc-1[0:2] to 2"]


def test_what_has_expired_is_told_so(diary) -> None:
    diary.at(1.0).deploys(max_containers=1)
    diary.spawns("fc-1")
    diary.ready("c1")
    diary.completes("c1", 1, 0)
    diary.expires(before=100.0)
    diary.watches("fc-1")
    assert diary.reads()[1:] == ["2 gets nothing of fc-1, and hears that it expired"]


@pytest.mark.parametrize(
    "question",
    [m.Watch(5, "fc-no", 0, 1), m.DescribeCall(5, "fc-no"), q.InspectCall(5, "fc-no"), q.AskStory(5, "in-no:3")],
)
def test_what_nobody_knows_is_told_so(diary, question: m.Message) -> None:
    assert diary.says(question) == ["load fc-no"]
    assert diary.reads() == ["fail 5: no call fc-no is known here"]


def test_cancelling_what_nobody_knows_is_harmless(diary) -> None:
    assert diary.cancels("fc-no") == ["load fc-no"]
    assert diary.reads() == []


def test_a_question_that_meets_the_end_of_its_app_waits_for_how_that_ended(new_diary) -> None:
    diary = stored(new_diary)
    diary.watches("fc-2", 0, 2)
    diary.stops()
    assert diary.reads() == [
        "load fc-2",
        "send what is recorded of fc-2[0:2] to 2",
        "2 gets 0 TERMINATED, 1 TERMINATED of fc-2",
    ]


@pytest.mark.parametrize("question", [m.Watch(5, "fc-2", 0, 1), m.DescribeCall(5, "fc-2"), q.InspectCall(5, "fc-2")])
def test_a_question_that_meets_the_end_of_the_server_is_one_for_the_next(new_diary, question: m.Message) -> None:
    diary = stored(new_diary)
    diary.shuts_down()
    assert diary.says(question) == ["load fc-2"]
    assert diary.reads() == ["fail 5: the server is stopping"]


# ---------------------------------------------------------------- sent again


def resent(call_id: str, function: str, count: int = 1) -> m.OpenCall:
    ends = list(range(1, count + 1))
    return m.OpenCall(call_id, function, "", CallKind.SPAWN, ends, sealed=True, resent=True)


def test_a_call_that_arrived_is_not_begun_again_wherever_it_is(new_diary) -> None:
    diary = stored(new_diary)
    function = diary.function()
    assert diary.says(resent("fc-1", function), b"a") == ["accept fc-1 up to 2"]
    assert diary.says(resent("fc-2", function), b"a") == ["load fc-2"]
    assert diary.reads() == ["accept fc-2 up to 2"]
    for number in range(1, 3):
        diary.completes("c1", number, 0, busy_s=1.0)
    diary.restarts()
    assert diary.says(resent("fc-0", function), b"a") == ["load fc-0"]
    assert "accept fc-0 up to 2" in diary.reads()


def test_a_call_that_never_arrived_is_begun(diary) -> None:
    diary.at(1.0).deploys()
    diary.says(resent("fc-1", diary.function()), b"a")
    assert diary.reads() == [
        "record call fc-1 with 1 inputs",
        "record inputs fc-1[0]",
        "accept fc-1 up to 1",
        "start c1",
    ]


def test_a_call_that_arrived_is_accepted_though_no_new_one_would_be(new_diary) -> None:
    diary = stored(new_diary)
    function = diary.function()
    diary.deploys("g", code="two")
    diary.says(resent("fc-2", function), b"a")
    assert "accept fc-2 up to 2" in diary.reads()
    diary.says(resent("fc-none", function), b"a")
    (refused,) = diary.reads()
    assert "is not in the live version" in refused
    diary.shuts_down()
    diary.says(resent("fc-2", function), b"a")
    assert diary.reads() in ([], ["accept fc-2 up to 2"])


def test_a_call_that_arrived_is_accepted_by_a_server_that_stops(new_diary) -> None:
    diary = stored(new_diary)
    function = diary.function()
    diary.shuts_down()
    diary.says(resent("fc-2", function), b"a")
    assert diary.reads() == ["accept fc-2 up to 2"]
    diary.says(resent("fc-none", function), b"a")
    assert diary.reads() == ["refuse fc-none from 0 on for good: the server is stopping"]
