"""A diary of requests over HTTP: their slots, and what becomes of them."""

from __future__ import annotations

import pytest

from swell.model import ClassSpec, Concurrency, MethodSpec, OutputStatus, RetryPolicy, WebSpec
from swell.wire import messages as m

WEB = WebSpec("asgi")
TERMINATED = OutputStatus.TERMINATED


def serving(diary, **options) -> None:
    """A web function with one container."""
    options = {"max_containers": 1, "web": WEB} | options
    diary.opens(**options)
    diary.asks_for("fc-1")
    diary.ready("c1")


# ---------------------------------------------------------------- slots


def test_a_request_starts_a_container_and_is_leased_it(diary) -> None:
    diary.opens(web=WEB)
    assert diary.asks_for("fc-1") == ["start c1"]
    assert diary.ready("c1") == ["lease c1 to fc-1"]


def test_a_slot_is_taken_until_its_release(diary) -> None:
    serving(diary)
    assert diary.asks_for("fc-2") == []
    assert diary.releases("fc-1") == ["lease c1 to fc-2"]
    assert diary.releases("fc-2") == []


def test_requests_do_not_queue_in_containers_however_short_they_are(diary) -> None:
    serving(diary)
    diary.at(1.0).releases("fc-1", busy_s=0.00001)
    assert diary.asks_for("fc-2") == ["lease c1 to fc-2"]
    assert diary.asks_for("fc-3") == []


def test_as_many_are_leased_as_there_are_slots(diary) -> None:
    serving(diary, concurrency=Concurrency(2, 2))
    assert diary.asks_for("fc-2") == ["lease c1 to fc-2"]
    assert diary.asks_for("fc-3") == []
    assert diary.releases("fc-2") == ["lease c1 to fc-3"]


def test_methods_share_the_slots_of_their_class(diary) -> None:
    cls = ClassSpec((MethodSpec("run"), MethodSpec("site", web=WEB)))
    diary.opens(cls=cls, max_containers=1)
    diary.asks_for("fc-1", method="site")
    diary.ready("c1")
    assert diary.calls("fc-2", method="run") == []
    assert diary.releases("fc-1") == ["deliver #2 to c1: fc-2[0]"]
    assert diary.asks_for("fc-3", method="site") == []
    assert diary.completes("c1", 2, 0) == ["tell 1: fc-2[0]", "lease c1 to fc-3"]


def test_what_a_request_takes_is_learned(diary) -> None:
    serving(diary)
    diary.at(1.0).releases("fc-1", busy_s=0.25)
    assert diary.pool().estimates.service_s == pytest.approx(0.25)


@pytest.mark.parametrize("busy_s", [-1.0, 0.0, 1e9, float("nan"), float("inf")])
def test_no_edge_is_believed_that_a_request_took_longer_than_there_was_time(diary, busy_s: float) -> None:
    serving(diary)
    diary.at(1.0).releases("fc-1", busy_s=busy_s)
    assert diary.pool().estimates.service_s is None


# ---------------------------------------------------------------- who may say what


def test_only_who_has_a_lease_can_end_it(diary) -> None:
    serving(diary)
    diary.asks_for("fc-2")
    assert diary.releases("fc-1", client=8) == []
    assert diary.releases("fc-2") == []
    assert diary.releases("fc-9") == []
    assert diary.releases("fc-1") == ["lease c1 to fc-2"]
    assert diary.releases("fc-1") == []


def test_a_container_that_answers_a_request_itself_is_out_of_order(diary) -> None:
    serving(diary)
    assert diary.completes("c1", 1, 0)[0] == "kill c1: it answers an input that it was not delivered"


def test_a_container_cannot_give_a_request_back(diary) -> None:
    serving(diary)
    assert diary.gives_back("c1", 1, 0) == []
    assert diary.releases("fc-1") == []


@pytest.mark.parametrize("ends", [(), (1,), (0, 0)])
def test_a_request_is_one_input_without_bytes(diary, ends: tuple[int, ...]) -> None:
    diary.opens(web=WEB)
    message = m.OpenCall("fc-1", diary.function(), "", m.CallKind.WEB, list(ends), True)
    decided = diary.says(message, b"x" * (ends[-1] if ends else 0))
    assert decided == [
        f"refuse fc-1 from 0 on for good: a request is one input without bytes, and fc-1 has {len(ends)}"
    ]


def test_what_answers_http_cannot_be_called(diary) -> None:
    diary.opens(web=WEB)
    (refusal,) = diary.calls("fc-1")
    assert "ap.f answers HTTP (it is a webhook) and cannot be called: get_web_url() tells where" in refusal


def test_what_can_be_called_does_not_answer_http(diary) -> None:
    diary.opens()
    (refusal,) = diary.asks_for("fc-1")
    assert "ap.f does not answer HTTP" in refusal


def test_requests_that_wait_are_limited_as_other_inputs(new_diary) -> None:
    diary = new_diary(pending_sync_max=1)
    diary.opens(web=WEB, max_containers=1)
    diary.asks_for("fc-1")
    (refusal,) = diary.asks_for("fc-2")
    assert refusal.startswith("refuse fc-2 from 0 on for 0.5 s")


# ---------------------------------------------------------------- what becomes of them


def test_a_request_that_waits_can_be_taken_back(diary) -> None:
    serving(diary)
    diary.asks_for("fc-2")
    assert diary.says(m.CancelCall("fc-2"), client=7) == ["tell 7: fc-2[0] TERMINATED"]
    assert diary.releases("fc-1") == []


def test_a_request_that_takes_too_long_ends_and_its_slot_is_free_when_the_edge_says_so(diary) -> None:
    serving(diary, timeout_s=10.0)
    diary.asks_for("fc-2")
    assert diary.at(10.1).meanwhile == ["tell 7: fc-1[0] TIMEOUT"]
    assert diary.releases("fc-1", TERMINATED) == ["lease c1 to fc-2"]


def test_a_container_goes_that_does_not_let_go_of_a_request(diary) -> None:
    serving(diary, timeout_s=10.0, concurrency=Concurrency(2, 2))
    diary.at(9.0).asks_for("fc-2")
    assert diary.at(10.1).meanwhile == ["tell 7: fc-1[0] TIMEOUT"]
    assert diary.at(15.2).meanwhile == []
    assert diary.asks_for("fc-3") == ["start c2"]  # not in c1, which goes as soon as the other request is over
    assert diary.releases("fc-2") == []
    assert "interrupt c1" in diary.at(20.3).meanwhile


def test_a_request_is_not_run_twice(diary) -> None:
    serving(diary, retry=RetryPolicy(3))
    assert diary.exits("c1") == ["tell 7: fc-1[0] INTERNAL_FAILURE"]


def test_requests_whose_container_used_too_much_memory_end_with_that(diary) -> None:
    serving(diary, concurrency=Concurrency(2, 2))
    diary.asks_for("fc-2")
    assert diary.outgrows("c1") == ["tell 7: fc-2[0] OUT_OF_MEMORY", "tell 7: fc-1[0] OUT_OF_MEMORY"]


def test_a_request_that_timed_out_is_not_tried_again(diary) -> None:
    serving(diary, timeout_s=10.0, retry=RetryPolicy(3, 1.0, 0.0))
    assert diary.at(10.1).meanwhile == ["tell 7: fc-1[0] TIMEOUT"]
    assert diary.releases("fc-1", TERMINATED) == []
    assert diary.at(12.0).meanwhile == []


def test_what_an_edge_had_leased_is_free_when_it_is_gone(diary) -> None:
    serving(diary)
    diary.asks_for("fc-2", client=8)
    assert diary.vanishes(7) == ["tell 7: fc-1[0] TERMINATED", "lease c1 to fc-2"]


def test_a_late_release_of_what_was_cancelled_frees_the_slot_once(diary) -> None:
    serving(diary)
    diary.asks_for("fc-2")
    assert diary.says(m.CancelCall("fc-1"), client=7) == ["tell 7: fc-1[0] TERMINATED"]
    assert diary.releases("fc-1", TERMINATED) == ["lease c1 to fc-2"]
    assert diary.releases("fc-1", TERMINATED) == []


# ---------------------------------------------------------------- containers that leave


def test_a_container_is_told_to_leave_when_its_last_request_is_over(diary) -> None:
    serving(diary, concurrency=Concurrency(2, 2))
    diary.asks_for("fc-2")
    assert diary.answers("c1", m.Leaving()) == []
    assert diary.releases("fc-1") == []
    assert diary.releases("fc-2") == ["drain c1"]


def test_an_app_that_ends_cuts_its_requests_first(diary) -> None:
    serving(diary)
    assert diary.closes() == ["tell 7: fc-1[0] TERMINATED"]
    assert diary.releases("fc-1", TERMINATED) == ["drain c1"]
    assert diary.exits("c1", "exited with status 0") == ["tell 1: Done", "ap ended"]


def test_the_container_of_a_former_version_finishes_its_requests(diary) -> None:
    diary.deploys(web=WEB)
    diary.asks_for("fc-1")
    diary.ready("c1")
    diary.deploys(web=WEB, code="two")
    assert diary.aloud(diary.ready("c2")) == []
    assert diary.asks_for("fc-2") == ["lease c2 to fc-2"]
    assert diary.aloud(diary.releases("fc-1")) == ["drain c1"]


def test_a_container_for_one_use_leaves_after_its_request(diary) -> None:
    serving(diary, single_use=True)
    assert diary.releases("fc-1") == ["drain c1"]
