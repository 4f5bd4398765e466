"""Tokens that log in once, and the sessions they begin."""

from __future__ import annotations

from swell.edge.admin.sessions import LOGIN_S, SESSION_S, SESSIONS_MAX, TOKENS_MAX, Sessions


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_token_logs_in_once() -> None:
    sessions = Sessions(Clock())
    token = sessions.mint()
    cookie = sessions.login(token)
    assert cookie is not None
    assert sessions.knows(cookie)
    assert sessions.login(token) is None
    assert sessions.knows(cookie), "a second try takes nothing from who is logged in"


def test_neither_token_nor_made_up_text_is_a_session() -> None:
    sessions = Sessions(Clock())
    token = sessions.mint()
    for text in (token, "", "x" * 43, "\udc80"):
        assert not sessions.knows(text)
    for text in ("", "x" * 43, "\udc80"):
        assert sessions.login(text) is None
    assert len({sessions.mint() for _ in range(50)}) == 50


def test_a_token_is_of_no_use_after_ten_minutes() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    early, late = sessions.mint(), sessions.mint()
    clock.now += LOGIN_S - 1
    assert sessions.login(early) is not None
    clock.now += 1
    assert sessions.login(late) is None


def test_a_session_ends_with_its_time_or_with_logging_out() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    one, other = (sessions.login(sessions.mint()) for _ in range(2))
    assert one and other
    sessions.logout(one)
    assert not sessions.knows(one)
    clock.now += SESSION_S - 1
    assert sessions.knows(other)
    clock.now += 1
    assert not sessions.knows(other)


def test_who_mints_without_end_uses_no_more_memory_and_locks_nobody_out() -> None:
    sessions = Sessions(Clock())
    first = sessions.mint()
    tokens = [sessions.mint() for _ in range(TOKENS_MAX)]
    assert sessions.login(first) is None
    assert sessions.login(tokens[0]) is not None
    cookies = [sessions.login(sessions.mint()) for _ in range(SESSIONS_MAX)]
    assert all(cookie and sessions.knows(cookie) for cookie in cookies)
