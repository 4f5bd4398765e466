"""A pipe through a link: bytes and ends of either side reach the other; a peer that sends too much ends it alone."""

from __future__ import annotations

from typing import cast

from swell.link.connection import Link
from swell.link.pipe import UNSENT_MAX, PipeChannel


class FakeLink:
    """Notes what is sent in channels, and that nobody takes any of it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.finished: list[int] = []
        self.reset_: list[int] = []
        self.consumed_bytes = 0

    def open(self, channel: object) -> int:
        return 1

    def send(self, number: int, data: bytes) -> int:
        self.sent.append(data)
        return sum(map(len, self.sent))

    def consumed(self, number: int, count: int) -> None:
        self.consumed_bytes += count

    def finish(self, number: int) -> None:
        self.finished.append(number)

    def reset(self, number: int) -> None:
        self.reset_.append(number)


class Other:
    """The pipe that a channel is joined to."""

    def __init__(self) -> None:
        self.taken = b""
        self.closed: list[str] = []

    def send(self, data: bytes) -> None:
        self.taken += data

    def close(self, why: str = "") -> None:
        self.closed.append(why)


def joined() -> tuple[FakeLink, PipeChannel, Other]:
    link, other = FakeLink(), Other()
    channel = PipeChannel(cast("Link", link), "node attic")
    channel.join(other)
    return link, channel, other


def test_bytes_pass_in_both_directions() -> None:
    link, channel, other = joined()
    channel.send(b"there")
    channel.received(b"back")
    assert (link.sent, other.taken, link.consumed_bytes) == ([b"there"], b"back", 4)


def test_the_end_of_either_side_ends_both() -> None:
    link, channel, other = joined()
    channel.close()
    channel.send(b"too late")
    channel.received(b"too late")
    assert (link.finished, link.sent, other.taken, other.closed) == ([1], [], b"", [])
    assert link.consumed_bytes == 8, "or the peer would wait for ever"
    link, channel, other = joined()
    channel.finished()
    channel.finished()
    assert (link.finished, other.closed) == ([1], [""])


def test_a_link_that_is_lost_is_named() -> None:
    _, channel, other = joined()
    channel.lost("no sign of life for 5 s")
    channel.lost("again")
    assert other.closed == ["the link to node attic is lost: no sign of life for 5 s"]


def test_a_peer_that_sends_more_than_can_be_on_its_way_ends_the_channel_alone() -> None:
    link, channel, other = joined()
    channel.send(bytes(UNSENT_MAX))
    assert not other.closed
    channel.send(b"-")
    assert link.reset_ == [1]
    assert other.closed == [f"more than {UNSENT_MAX} bytes wait to be sent to node attic"]
