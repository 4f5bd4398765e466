"""Who follows which app, and is told what has changed; nobody looks at the others."""

from __future__ import annotations

from typing import Any, cast

from swell.server.connection import Connection
from swell.server.subscribers import Subscribers
from swell.wire.messages import FunctionProgress, Message, Progress


class Follower:
    """A connection that keeps what it is sent."""

    is_lagging = False

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent: list[Message] = []

    def send(self, message: Message, payload: bytes = b"") -> None:
        self.sent.append(message)

    def send_latest(self, key: Any, message: Message) -> None:
        self.sent.append(message)


class Shown:
    """Subscribers of some apps, and which of those were looked at."""

    def __init__(self) -> None:
        self.looked_at: list[str] = []
        self.done: dict[str, int] = {}
        self.changed: list[str] = []
        self.subscribers = Subscribers(self.describe, self.take_changed)

    def describe(self, app_id: str) -> list[FunctionProgress]:
        self.looked_at.append(app_id)
        done = self.done.get(app_id, 0)
        return [FunctionProgress("f", 0, 0, 0, 0, 0, done, done, "")]

    def take_changed(self) -> list[str]:
        changed, self.changed = self.changed, []
        return changed

    def progresses(self, *apps: str) -> None:
        for app in apps:
            self.done[app] = self.done.get(app, 0) + 1
        self.changed += apps

    def follow(self, app_id: str, follower: Follower) -> None:
        self.subscribers.follow(app_id, cast(Connection, follower))

    def leave(self, follower: Follower) -> None:
        self.subscribers.leave(cast(Connection, follower))


def test_only_what_has_changed_and_is_followed_is_looked_at() -> None:
    shown, one, two = Shown(), Follower(1), Follower(2)
    shown.follow("ap-1", one)
    shown.follow("ap-2", two)
    shown.progresses("ap-1", "ap-3")
    shown.subscribers.send_progress()
    assert shown.looked_at == ["ap-1"]
    assert [type(message) for message in one.sent] == [Progress]
    assert not two.sent


def test_what_is_as_it_was_is_not_sent_again() -> None:
    shown, one = Shown(), Follower(1)
    shown.follow("ap-1", one)
    shown.progresses("ap-1")
    shown.subscribers.send_progress()
    shown.changed = ["ap-1"]
    shown.subscribers.send_progress()
    assert len(one.sent) == 1


def test_who_leaves_or_sees_an_app_end_is_told_nothing_more() -> None:
    shown, one, two = Shown(), Follower(1), Follower(2)
    for app in ("ap-1", "ap-2"):
        shown.follow(app, one)
    shown.follow("ap-1", two)
    shown.subscribers.ended("ap-2")
    shown.leave(two)
    shown.progresses("ap-1", "ap-2")
    shown.subscribers.send_progress()
    assert shown.looked_at == ["ap-1"]
    shown.leave(one)
    shown.leave(one)
    shown.progresses("ap-1")
    shown.subscribers.send_progress()
    assert shown.looked_at == ["ap-1"]
    assert (len(one.sent), two.sent) == (1, [])
