"""Two ends of a link, with bytes cut anywhere between them: every channel's bytes arrive whole, in order, in bounds."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given, settings
from hypothesis import strategies as st

from swell.link.frames import PIECE, WINDOW, End, Frames, Kind

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "send", "word", "finish", "consume", "carry"]),
        st.sampled_from([End.SERVER, End.AGENT]),
        st.integers(0, 3),
        st.sampled_from([1, 1_000, PIECE, PIECE + 1, WINDOW + 1]),
    ),
    max_size=40,
)


class World:
    """Both ends, what is on the way between them, and what was sent and has come."""

    def __init__(self, cut: int) -> None:
        self.ends = {end: Frames(end) for end in End}
        self.cut = cut
        self.sent: dict[tuple[End, int], bytearray] = defaultdict(bytearray)
        self.come: dict[tuple[End, int], bytearray] = defaultdict(bytearray)
        self.finished: dict[End, set[int]] = {end: set() for end in End}
        self.ended: dict[End, set[int]] = {end: set() for end in End}
        self.words: dict[End, list[bytes]] = {end: [] for end in End}
        self.told: dict[End, list[bytes]] = {end: [] for end in End}
        self.owed: dict[tuple[End, int], int] = defaultdict(int)
        self.channels: list[int] = []

    def carry(self, end: End) -> None:
        """Bring what an end has to say to the other one."""
        other = End(1 - end)
        stream = b"".join(self.ends[end].take(1 << 30))
        for at in range(0, len(stream), self.cut):
            for kind, channel, data in self.ends[other].feed(stream[at : at + self.cut]):
                if kind is Kind.WORD:
                    self.words[end].append(data)
                elif kind is Kind.DATA:
                    self.come[end, channel] += data
                    self.owed[other, channel] += len(data)
                    assert self.owed[other, channel] <= WINDOW, "more is on its way than the window holds"
                elif kind is Kind.FINISH:
                    self.ended[end].add(channel)

    def consume(self, end: End, channel: int) -> None:
        """Take care of all that has come of a channel."""
        self.ends[end].consumed(channel, self.owed.pop((end, channel), 0))


@settings(deadline=None, max_examples=40)
@given(STEPS, st.sampled_from([5_000, 1 << 20]))
def test_bytes_arrive_whole_and_in_order_within_their_window(steps: list[tuple[str, End, int, int]], cut: int) -> None:
    world = World(cut)
    for number, (step, end, which, size) in enumerate(steps):
        frames = world.ends[end]
        channel = world.channels[which % len(world.channels)] if world.channels else 0
        if step == "open":
            world.channels.append(frames.open())
            world.carry(end)
        elif step == "word":
            body = bytes([number]) * min(size, 1_000)
            frames.word(body)
            world.told[end].append(body)
        elif step == "carry":
            world.carry(end)
        elif channel and step == "send" and channel not in world.finished[end]:
            body = bytes([number % 256]) * size
            frames.send(channel, body)
            world.sent[end, channel] += body
        elif channel and step == "finish":
            frames.finish(channel)
            world.finished[end].add(channel)
        elif channel and step == "consume":
            world.consume(end, channel)
    while any(frames.has_more for frames in world.ends.values()) or any(world.owed.values()):
        for end in End:
            world.carry(end)
            for channel in world.channels:
                world.consume(End(1 - end), channel)
    assert world.come == {key: body for key, body in world.sent.items() if body}
    assert world.words == world.told
    for end in End:
        assert world.ended[end] == world.finished[end]
    over = world.finished[End.SERVER] & world.finished[End.AGENT]
    assert all(not world.ends[end].is_open(channel) for end in End for channel in over)


def test_a_frame_may_come_byte_by_byte() -> None:
    server, agent = Frames(End.SERVER), Frames(End.AGENT)
    channel = server.open()
    server.word(b"word")
    server.send(channel, b"data")
    server.finish(channel)
    stream = b"".join(server.take(1 << 30))
    pieces = [piece for at in range(len(stream)) for piece in agent.feed(stream[at : at + 1])]
    assert [(kind, data) for kind, _, data in pieces] == [
        (Kind.OPEN, b""),
        (Kind.WORD, b"word"),
        (Kind.DATA, b"data"),
        (Kind.FINISH, b""),
    ]


def test_a_large_message_does_not_hold_up_a_small_one() -> None:
    frames = Frames(End.SERVER)
    large, small = frames.open(), frames.open()
    frames.take(1 << 30)
    frames.send(large, bytes(WINDOW))
    frames.send(small, b"cancel")
    first = b"".join(frames.take(2 * PIECE))
    assert b"cancel" in first and len(first) < 3 * PIECE
