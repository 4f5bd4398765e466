"""A diary of an app that another replaces: it ends when nothing of it goes on, and not a moment before."""

from __future__ import annotations

from swell.model import CallKind, ScheduleSpec, WebSpec
from swell.wire import messages as m
from swell.wire import web as w

WEB = WebSpec("asgi", label="site")
HOURLY = ScheduleSpec("period", hours=1)


def replaced(diary) -> None:
    """The app `old` answers a request when `new` takes its label."""
    diary.says(w.EdgeUp(url="http://127.0.0.1:8700"), client=7)
    diary.opens("former", app="old", web=WEB, max_containers=1)
    diary.asks_for("fc-1", function="former")
    diary.ready("c1")
    diary.at(1.0).opens("present", app="new", client=2, web=WEB)


def lives(diary, app: str) -> bool:
    return app in diary.engine.state.apps


def test_an_app_without_calls_ends_at_once(diary) -> None:
    diary.opens(web=WEB)
    assert diary.closes(when_idle=True) == ["tell 1: Done", "ap ended"]


def test_it_ends_with_its_last_request_which_nothing_interrupts(diary) -> None:
    replaced(diary)
    assert diary.closes("old", when_idle=True) == []
    assert diary.at(50.0).releases("fc-1") == ["drain c1"]
    assert diary.exits("c1", "exited with status 0") == ["tell 1: Done", "old ended"]


def test_a_request_that_was_routed_to_it_before_is_answered_by_it(diary) -> None:
    replaced(diary)
    diary.closes("old", when_idle=True)
    assert diary.asks_for("fc-2", function="former") == []
    assert diary.releases("fc-1") == ["lease c1 to fc-2"]
    assert lives(diary, "old")
    diary.releases("fc-2")
    diary.exits("c1", "exited with status 0")
    assert not lives(diary, "old")


def test_one_that_comes_when_it_has_ended_is_told_after_the_routes_that_it_does_not_exist(diary) -> None:
    replaced(diary)
    diary.closes("old", when_idle=True)
    former = diary.function("former")
    diary.releases("fc-1")
    assert diary.says(request_for(former), client=7)[-1].startswith("refuse fc-3 from 0 on for good: function fu-")
    diary.exits("c1", "exited with status 0")
    assert diary.says(request_for(former), client=7)[-1].startswith("refuse fc-3 from 0 on for good: function fu-")


def test_it_has_no_routes_though_the_app_that_replaced_it_ends_first(diary) -> None:
    replaced(diary)
    diary.closes("old", when_idle=True)
    assert "tell 7 the routes: none" in diary.closes("new", client=2)


def test_its_schedules_stop(diary) -> None:
    diary.opens("runs", "f", schedule=HOURLY, max_containers=1, timeout_s=86_400)
    diary.calls("fc-1")
    diary.ready("c1")
    diary.at(10.0).closes(when_idle=True)
    assert diary.at(10_000.0).meanwhile == []
    assert lives(diary, "ap")


def test_who_loses_patience_stops_it_at_once(diary) -> None:
    replaced(diary)
    diary.closes("old", when_idle=True)
    assert diary.closes("old") == ["tell 7: fc-1[0] TERMINATED"]


def test_it_ends_with_its_client(diary) -> None:
    replaced(diary)
    diary.closes("old", when_idle=True)
    diary.vanishes(1)
    assert diary.engine.state.apps["old"].closing


def test_what_outlives_a_server_is_not_retired(diary) -> None:
    diary.opens(detach=True)
    assert diary.closes(when_idle=True)[0].startswith("fail 9: app ap may outlive this server")
    assert lives(diary, "ap")


def request_for(function_id: str) -> m.OpenCall:
    return m.OpenCall("fc-3", function_id, "", CallKind.WEB, [0], True)
