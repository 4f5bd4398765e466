"""What a peer that lies can do to one end of a link: nothing but end it, and it makes this end hold little."""

from __future__ import annotations

import struct

import pytest

from swell.link.frames import CHANNELS_MAX, PIECE, WINDOW, WORD_MAX, End, Frames, Kind, LinkError

HEADER = struct.Struct("<IIB")


def frame(kind: int, channel: int, body: bytes = b"", size: int | None = None) -> bytes:
    return HEADER.pack(len(body) if size is None else size, channel, kind) + body


@pytest.fixture
def server() -> Frames:
    """The server's end, with channel 2 open, which the agent has opened."""
    frames = Frames(End.SERVER)
    frames.feed(frame(Kind.OPEN, 2))
    return frames


@pytest.mark.parametrize(
    "lie",
    [
        frame(6, 2),
        frame(255, 2),
        frame(Kind.WORD, 2),
        frame(Kind.DATA, 0, b"x"),
        frame(Kind.OPEN, 0),
        frame(Kind.FINISH, 0),
        frame(Kind.RESET, 0),
        frame(Kind.CREDIT, 0, size=1),
        frame(Kind.WORD, 0, size=WORD_MAX + 1),
        frame(Kind.DATA, 2, size=PIECE + 1),
        frame(Kind.DATA, 2, size=0xFFFF_FFFF),
        frame(Kind.OPEN, 4, size=1),
        frame(Kind.FINISH, 2, size=1),
        frame(Kind.RESET, 2, size=1),
        frame(Kind.DATA, 2),
        frame(Kind.OPEN, 2),
        frame(Kind.OPEN, 3),
        frame(Kind.CREDIT, 2, size=1),
        frame(Kind.CREDIT, 2, size=0xFFFF_FFFF),
        frame(Kind.FINISH, 2) + frame(Kind.DATA, 2, b"x"),
        frame(Kind.FINISH, 2) + frame(Kind.FINISH, 2),
        frame(Kind.DATA, 2, bytes(PIECE)) * (WINDOW // PIECE) + frame(Kind.DATA, 2, b"x"),
    ],
)
def test_what_no_correct_peer_sends_ends_the_link(server: Frames, lie: bytes) -> None:
    with pytest.raises(LinkError):
        server.feed(lie)


@pytest.mark.parametrize("kind", [Kind.DATA, Kind.FINISH, Kind.RESET, Kind.CREDIT])
def test_frames_of_a_channel_that_is_over_were_on_their_way(server: Frames, kind: Kind) -> None:
    server.reset(2)
    assert server.feed(frame(kind, 2, b"x" if kind is Kind.DATA else b"")) == []


def test_a_channel_is_not_opened_again(server: Frames) -> None:
    server.reset(2)
    with pytest.raises(LinkError):
        server.feed(frame(Kind.OPEN, 2))


def test_a_header_of_too_much_is_refused_before_its_body_is_waited_for(server: Frames) -> None:
    with pytest.raises(LinkError):
        server.feed(HEADER.pack(WORD_MAX + 1, 0, Kind.WORD))


def test_a_peer_may_open_so_many_channels_and_no_more() -> None:
    frames = Frames(End.SERVER)
    for number in range(1, CHANNELS_MAX + 1):
        assert not frames.is_full
        frames.feed(frame(Kind.OPEN, 2 * number))
    assert frames.is_full
    with pytest.raises(LinkError):
        frames.feed(frame(Kind.OPEN, 2 * CHANNELS_MAX + 2))


def test_credit_is_given_for_many_bytes_at_once(server: Frames) -> None:
    # Else a peer could make this end hold a frame of credit for each byte that it sends, and never read them.
    for _ in range(WINDOW // 4 - 1):
        server.feed(frame(Kind.DATA, 2, b"x"))
        server.consumed(2, 1)
    assert not server.has_more
    server.feed(frame(Kind.DATA, 2, b"x"))
    server.consumed(2, 1)
    assert server.take(1 << 20) == [frame(Kind.CREDIT, 2, size=WINDOW // 4)]


def test_what_waits_to_be_read_is_counted() -> None:
    frames = Frames(End.SERVER)
    for _ in range(64):
        assert not frames.is_unread
        frames.word(bytes(WORD_MAX))
    assert frames.is_unread
    frames.take(1)
    assert not frames.is_unread


def test_a_word_that_is_too_long_is_refused_by_whoever_sends_it() -> None:
    with pytest.raises(ValueError, match="1,048,576"):
        Frames(End.SERVER).word(bytes(WORD_MAX + 1))


def test_it_is_known_of_which_channels_something_was_taken() -> None:
    frames = Frames(End.SERVER)
    first, second, third = (frames.open() for _ in range(3))
    frames.send(first, bytes(WINDOW + 1))
    frames.finish(third)
    frames.take(1 << 30)
    assert set(frames.served()) == {first, third}
    frames.send(second, b"x")
    frames.take(1 << 30)
    assert set(frames.served()) == {second}


def test_every_channel_gets_its_piece_before_one_gets_two() -> None:
    frames = Frames(End.SERVER)
    channels = [frames.open() for _ in range(50)]
    frames.take(1 << 30)
    for channel in channels:
        frames.send(channel, bytes(2 * PIECE))
    order: list[int] = []
    while frames.has_more:
        taken = b"".join(frames.take(1))
        size, channel, kind = HEADER.unpack_from(taken)
        assert (size, kind) == (PIECE, Kind.DATA)
        order.append(channel)
    assert order == channels * 2


def test_words_go_before_data_that_waited_longer() -> None:
    frames = Frames(End.SERVER)
    channel = frames.open()
    frames.send(channel, bytes(WINDOW))
    frames.take(PIECE)
    frames.word(b"kill")
    assert b"".join(frames.take(1)).startswith(frame(Kind.WORD, 0, b"kill"))
