"""A diary of calls: opened, fed, refused, followed."""

from __future__ import annotations

from swell.model import CallKind
from swell.wire import messages as m


def test_a_call_in_parts(diary) -> None:
    diary.opens(max_containers=1)
    diary.calls("fc-1", 2, sealed=False)
    diary.puts("fc-1", 2, 1)
    diary.ready("c1")
    for number in (1, 2, 3):
        diary.completes("c1", number, 0, busy_s=1.0)
    assert diary.engine.state.calls == {}


def test_an_empty_call_is_over_at_once(diary) -> None:
    diary.opens()
    assert diary.calls("fc-1", 0) == []
    assert diary.engine.state.calls == {}


def test_past_a_limit_the_rest_is_refused_with_its_name_and_number(new_diary) -> None:
    diary = new_diary(pending_sync_max=3, retry_after_s=0.2)
    diary.opens()
    refused = diary.calls("fc-1", 5)[0]
    assert refused.startswith("refuse fc-1 from 3 on for 0.2 s")
    assert "pending_sync_max" in refused
    assert "3" in refused


def test_what_was_sent_before_a_refusal_was_heard_is_dropped_without_a_word(new_diary) -> None:
    diary = new_diary(pending_sync_max=3)
    diary.opens(max_containers=1)
    diary.calls("fc-1", 5, sealed=False)
    assert diary.puts("fc-1", 5, 2) == []
    diary.ready("c1")
    assert diary.puts("fc-1", 3, 1) == []
    assert diary.engine.state.calls["fc-1"].accepted == 4


def test_a_payload_that_was_refused_in_part_is_cut_there(new_diary) -> None:
    """The next span of the same delivery must not be found behind bytes that nobody wants."""
    diary = new_diary(pending_sync_max=2)
    diary.opens(max_containers=1)
    diary.calls("fc-1", 5)
    (segment,) = {span.segment for span in next(iter(diary.engine.state.pools.values())).backlog.spans()}
    assert (segment.items.ends, segment.items.payload) == ([1, 2], b"ab")


def test_nothing_accepted_leaves_nothing_behind(new_diary) -> None:
    diary = new_diary(pending_sync_max=1)
    diary.opens()
    diary.calls("fc-1")
    assert diary.calls("fc-2")[0].startswith("refuse fc-2 from 0 on")
    assert "fc-2" not in diary.engine.state.calls


def test_limits_of_waiting_callers_and_of_spawned_calls_are_separate(new_diary) -> None:
    diary = new_diary(pending_sync_max=1, pending_async_max=1)
    diary.opens()
    diary.calls("fc-1")
    assert "accept fc-2 up to 1" in diary.calls("fc-2", kind=CallKind.SPAWN)
    assert diary.calls("fc-3", 2, kind=CallKind.SPAWN)[0].startswith("refuse fc-3 from 0 on")


def test_a_resend_changes_nothing(diary) -> None:
    diary.opens()
    diary.calls("fc-1", 3)
    assert diary.calls("fc-1", 3) == ["accept fc-1 up to 3"]
    assert diary.engine.state.calls["fc-1"].accepted == 3


def test_a_function_that_does_not_exist(diary) -> None:
    diary.opens()
    call = m.OpenCall("fc-1", "fu-nowhere", "", CallKind.REMOTE, [1], True)
    (told,) = diary.says(call, b"a")
    assert told.startswith(
        "refuse fc-1 from 0 on for good: function fu-nowhere does not exist; is its app running? A v"
    )


def test_inputs_of_a_call_that_is_not_open(diary) -> None:
    diary.opens()
    assert diary.puts("fc-9", 4, 1) == [
        "refuse fc-9 from 4 on for good: call fc-9 is not open; its app may have stopped"
    ]


def test_inputs_that_cannot_be_told_apart(diary) -> None:
    diary.opens()
    function = diary.function()
    short = m.OpenCall("fc-1", function, "", CallKind.MAP, [3, 9], True)
    mixed = m.OpenCall("fc-2", function, "", CallKind.MAP, [3, 1, 4], True)
    assert diary.says(short, b"abcd") == [
        "refuse fc-1 from 0 on for good: 2 inputs end at byte 9 of a payload of 4 bytes"
    ]
    assert diary.says(mixed, b"abcd") == ["refuse fc-2 from 0 on for good: the ends of 3 inputs are not in order"]


def test_inputs_in_blobs_that_are_not_among_those_sent(diary) -> None:
    diary.opens()
    function = diary.function()
    for kind in (CallKind.MAP, CallKind.SPAWN):
        message = m.OpenCall("fc-1", function, "", kind, [1, 2], sealed=False, blobs=[0, 2])
        refused = "refuse fc-1 from 0 on for good: input 2 is said to name a blob, and is none of 2 from 0 on"
        assert diary.says(message, b"ab") == [refused]
    diary.spawns("fc-2", sealed=False)
    (refused,) = diary.says(m.PutInputs("fc-2", 1, [1], sealed=True, blobs=[0]), b"b")
    assert refused.endswith("input 0 is said to name a blob, and is none of 1 from 1 on")


def test_a_watch_of_a_call_that_is_unknown_is_the_stores_business(diary) -> None:
    diary.opens()
    assert diary.says(m.Watch(1, "fc-old", 0, 5)) == ["load fc-old"]


def test_a_poll_gets_what_is_recorded_and_then_how_far_the_call_is(diary) -> None:
    diary.opens()
    diary.spawns("fc-1", 2)
    diary.says(m.Watch(4, "fc-1", 0, 2, is_poll=True), client=2)
    assert diary.reads() == ["2 gets nothing of fc-1, then 0 of 2"]
    assert not diary.engine.state.calls["fc-1"].watchers


def test_results_of_a_call_that_somebody_waits_for_are_not_for_others(diary) -> None:
    diary.opens()
    diary.calls("fc-1")
    (answer,) = diary.says(m.Watch(4, "fc-1", 0, 1), client=2)
    assert answer.startswith("fail 4: call fc-1 is not a spawned call")


def test_a_client_that_talks_like_a_container(diary) -> None:
    diary.opens()
    assert diary.says(m.Ready(1, 0.0)) == ["fail 0: a client must not send Ready"]


def test_two_functions_of_one_name(diary) -> None:
    assert diary.opens("f", "f") == ["fail 1: f: two functions of one app have this name; rename one of them"]
    assert diary.engine.state.apps == {}
