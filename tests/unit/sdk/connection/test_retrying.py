"""Doing something again when the server went away in the middle of it: with the same id, and not for ever."""

from __future__ import annotations

import pytest

from swell.errors import ConnectionError, NotFoundError
from swell.sdk.connection import retrying
from swell.sdk.connection.link import Link
from swell.sdk.connection.retrying import PAUSES_S, Retrying, RetryState
from swell.sdk.function import Function
from swell.wire.apps import FindFunction
from swell.wire.messages import Failed, OpenCall, Refused


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pauses as there are, but none that lasts."""
    monkeypatch.setattr(retrying, "PAUSES_S", (0.0,) * len(PAUSES_S))


def test_the_id_of_a_call_is_the_same_in_every_attempt(line) -> None:
    retry = RetryState(line)
    first = retry.mint_call_id()
    assert first.startswith("fc-")
    assert retry.mint_call_id() == first
    assert RetryState(line).mint_call_id() != first


def test_pauses_become_longer_and_end_after_some_seconds(line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "PAUSES_S", PAUSES_S)
    retry, pauses = RetryState(line), list[float]()
    while (pause_s := retry.pause_s()) is not None:
        pauses.append(pause_s)
    assert pauses == sorted(pauses)
    assert pauses[0] < 0.1
    assert 8 < sum(pauses) < 12
    assert retry.attempts == len(pauses)


def test_a_private_server_does_not_come_back(private_line) -> None:
    retry = RetryState(private_line)
    assert retry.pause_s() is None
    assert retry.attempts == 0


# ---------------------------------------------------------------- spawning


def test_a_spawn_whose_answer_was_lost_is_sent_again_under_its_id(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    line.wire.breaks = 2
    call = function.spawn(7)
    sent = line.wire.heard(OpenCall)
    assert {opened.call_id for opened in sent} == {call.object_id}
    assert [opened.resent for opened in sent] == [False, True, True]


async def test_so_it_is_on_an_event_loop(line, spec) -> None:
    function = await Function.from_name("shop", "f", client=line.has(spec)).hydrate.aio()
    line.wire.breaks = 2
    call = await function.spawn.aio(7)
    sent = line.wire.heard(OpenCall)
    assert {opened.call_id for opened in sent} == {call.object_id}
    assert [opened.resent for opened in sent] == [False, True, True]


def test_a_server_that_is_not_there_yet_is_waited_for(line, spec) -> None:
    line.has(spec).refuses = 3
    Function.from_name("shop", "f", client=line).spawn(7)
    assert len(line.wire.heard(OpenCall)) == 1


def test_a_server_that_says_it_is_stopping_is_as_good_as_gone(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    answer, stopping = line.wire.answers[OpenCall], iter([True, True, False])

    def refuse(opened: OpenCall) -> object:
        if next(stopping):
            return Refused(opened.call_id, 0, "connection", "the server is stopping")
        return answer(opened)

    line.wire.answers[OpenCall] = refuse
    function.spawn(7)
    assert len(line.wire.heard(OpenCall)) == 3


def test_a_server_that_does_not_come_back_is_told_so(line, spec) -> None:
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    line.wire.breaks = 100
    with pytest.raises(ConnectionError, match="the server is gone"):
        function.spawn(7)
    assert len(line.wire.heard(OpenCall)) == 1 + len(PAUSES_S)


def test_with_a_private_server_the_first_failure_is_the_last(private_line, spec) -> None:
    function = Function.from_name("shop", "f", client=private_line.has(spec)).hydrate()
    private_line.wire.breaks = 1
    with pytest.raises(ConnectionError):
        function.spawn(7)
    assert len(private_line.wire.heard(OpenCall)) == 1


def test_what_the_server_refuses_is_not_tried_again(line, spec) -> None:
    line.has(spec).wire.answers[FindFunction] = lambda asked: Failed(asked.request, "not_found", "no such thing")
    with pytest.raises(NotFoundError, match="no such thing"):
        Function.from_name("shop", "f", client=line).spawn(7)
    assert len(line.wire.heard(FindFunction)) == 1


def test_a_remote_call_is_made_once_however_it_ends(line, spec) -> None:
    """Nobody knows how far it came, and its caller can decide."""
    function = Function.from_name("shop", "f", client=line.has(spec)).hydrate()
    line.wire.breaks = 1
    with pytest.raises(ConnectionError):
        function.remote(7)
    assert len(line.wire.heard(OpenCall)) == 1


# ---------------------------------------------------------------- any implementation


def test_an_attempt_begins_when_the_first_did(line) -> None:
    """A timeout is one for all attempts together."""
    began: list[float] = []

    async def implementation(link: Link, retry: RetryState, value: int) -> int:
        began.append(retry.began)
        if len(began) < 3:
            raise ConnectionError("gone")
        return value

    assert Retrying(implementation, lambda: line, "it")(4) == 4
    assert len(set(began)) == 1
