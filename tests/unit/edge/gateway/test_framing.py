"""Bodies end where their heads say, however the bytes come; and what is odd about them is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swell.edge.gateway.framing import BodyWriter, ChunkedBody, ClosedBody, LengthBody, chunk
from swell.edge.gateway.http_error import BadMessage, TooLong
from swell.edge.gateway.receive_buffer import ReceiveBuffer

EXTENSIONS_MAX = TRAILER_MAX = 16 << 10


def cut(data: bytes, at: list[int]) -> list[bytes]:
    ends = [0, *sorted({each % (len(data) + 1) for each in at} - {0, len(data)}), len(data)]
    return [data[begin:end] for begin, end in pairwise(ends)]


def read(body: ChunkedBody | LengthBody | ClosedBody, pieces: list[bytes]) -> tuple[bytes, bytes]:
    """What is read of a body that comes in pieces, and what is left behind it."""
    buffer, got = ReceiveBuffer(), b""
    for piece in pieces:
        buffer.feed(piece)
        got += body.read(buffer)
    return got, buffer.take(len(buffer))


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


# ---------------------------------------------------------------- reading


@given(
    st.lists(
        st.tuples(st.binary(min_size=1, max_size=60), st.sampled_from([b"", b";a", b';a="b c"', b";a;b=c"])), max_size=6
    ),
    st.sampled_from([b"", b"T: 1\r\n", b"T:\r\nU: 2\r\n"]),
    st.lists(st.integers(0, 2_000), max_size=20),
)
def test_chunks_are_read_the_same_however_they_are_cut(
    chunks: list[tuple[bytes, bytes]], trailer: bytes, at: list[int]
) -> None:
    data = b"".join(b"%x%b\r\n%b\r\n" % (len(part), extension, part) for part, extension in chunks)
    body = ChunkedBody()
    whole = data + b"0\r\n" + trailer + b"\r\n"
    assert read(body, cut(whole + b"next", at)) == (b"".join(part for part, _ in chunks), b"next")
    assert body.is_complete
    assert not read(ChunkedBody(), [whole[:-1]])[1].startswith(b"next")


@pytest.mark.parametrize(
    "data",
    [
        b"x\r\n",
        b"\r\n",
        b" 5\r\n",
        b"5 \r\n",
        b"5 ;a\r\n",
        b"+5\r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"5_0\r\n",
        b"\xb25\r\n",
        b"00000000000000005\r\n",
        b"fffffffffffffffff\r\n",
        b"5\nhello\r\n",
        b"5;a\nb\r\nhello\r\n",
        b"5;a\x00\r\nhello\r\n",
        b"5\r\nhello!\r\n",
        b"5\r\nhello\n\r\n",
        b"5\r\nhello\r\r\n",
        b"5\r\nhel\r\n0\r\n\r\n",
        b"0\r\nno field\r\n\r\n",
        b"0\r\n: x\r\n\r\n",
        b"0\r\nT : x\r\n\r\n",
        b"0\r\n folded\r\n\r\n",
        b"0\r\nT: a\nU: b\r\n\r\n",
        b"0\r\nT: a\x00\r\n\r\n",
        b"0\r\nContent-Length: 5\r\n\r\n",
        b"0\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
)
def test_what_is_odd_about_chunks_is_refused_however_it_is_cut(data: bytes) -> None:
    for pieces in ([data], byte_by_byte(data), byte_by_byte(b"1\r\nx\r\n" + data)):
        with pytest.raises(BadMessage):
            read(ChunkedBody(), pieces)


def test_extensions_have_a_bound_together() -> None:
    part = b"1;" + b"e" * 1_000 + b"\r\nx\r\n"
    count = EXTENSIONS_MAX // 1_001
    assert read(ChunkedBody(), [part] * count)[0] == b"x" * count
    with pytest.raises(TooLong, match="16,384 bytes"):
        read(ChunkedBody(), [part] * (count + 1))


@pytest.mark.parametrize("begin", [b"1;", b"1", b"0\r\n", b"0\r\nT: ", b"0\r\nT: a\r\n"])
def test_a_line_that_does_not_end_has_a_bound(begin: bytes) -> None:
    """As has what is kept of it meanwhile."""
    body, buffer = ChunkedBody(), ReceiveBuffer()
    buffer.feed(begin)
    body.read(buffer)
    with pytest.raises(BadMessage):
        for _ in range(TRAILER_MAX // 100 + 2):
            buffer.feed(b"1" * 100)
            body.read(buffer)
    assert len(buffer) <= TRAILER_MAX + 200


def test_a_trailer_has_a_bound() -> None:
    field = b"T: " + b"t" * 1_000 + b"\r\n"
    fits = TRAILER_MAX // len(field)
    body = ChunkedBody()
    read(body, [b"0\r\n", *[field] * fits, b"\r\n"])
    assert body.is_complete
    with pytest.raises(TooLong, match="16,384 bytes"):
        read(ChunkedBody(), [b"0\r\n", *[field] * (fits + 1)])
    with pytest.raises(TooLong):
        read(ChunkedBody(), [b"0\r\n" + b"a:\r\n" * 10_000])


def test_many_small_chunks_come_as_one_part() -> None:
    """So that one read of the network costs one write, and no more memory than it had bytes."""
    buffer, body = ReceiveBuffer(), ChunkedBody()
    buffer.feed(b"1\r\nx\r\n" * 10_000)
    assert body.read(buffer) == b"x" * 10_000
    assert body.read(buffer) == b""


def test_a_length_is_read_to_the_byte() -> None:
    for pieces in ([b"hello!"], byte_by_byte(b"hello!")):
        body = LengthBody(5)
        assert read(body, pieces) == (b"hello", b"!")
        assert body.is_complete
    assert not LengthBody(5).is_complete
    assert LengthBody(0).is_complete


def test_what_ends_with_its_connection_takes_all() -> None:
    body = ClosedBody()
    assert read(body, [b"hel", b"lo"]) == (b"hello", b"")
    assert not body.is_complete


# ---------------------------------------------------------------- what has come


def test_a_buffer_finds_its_mark_however_the_bytes_come() -> None:
    for pieces in ([b"ab\r\n\r\ncd"], byte_by_byte(b"ab\r\n\r\ncd"), [b"ab\r", b"\n\r\nc", b"d"]):
        buffer, found = ReceiveBuffer(), []
        for piece in pieces:
            buffer.feed(piece)
            found.append(buffer.through(b"\r\n\r\n", 100))
        assert [each for each in found if each is not None] == [b"ab\r\n\r\n"]
        assert buffer.take(100) == b"cd"
        assert len(buffer) == 0


@pytest.mark.parametrize("size", [5, 6])
def test_a_bound_is_the_same_however_the_bytes_come(size: int) -> None:
    for pieces in ([b"abc\r\n\r\n"], byte_by_byte(b"abc\r\n\r\n")):
        buffer = ReceiveBuffer()
        with pytest.raises(TooLong):
            for piece in pieces:
                buffer.feed(piece)
                buffer.through(b"\r\n\r\n", size)
    buffer.feed(b"")
    assert ReceiveBuffer().through(b"\r\n", 1) is None


@given(st.lists(st.one_of(st.binary(max_size=20), st.integers(0, 30)), max_size=30))
def test_a_buffer_is_a_queue(steps: list[bytes | int]) -> None:
    buffer, model = ReceiveBuffer(), b""
    for step in steps:
        if isinstance(step, bytes):
            buffer.feed(step)
            model += step
        else:
            assert buffer.take(step) == model[:step]
            model = model[step:]
        assert len(buffer) == len(model)
        assert buffer.startswith(model[:3])


# ---------------------------------------------------------------- writing


def test_a_body_is_written_as_it_was_announced() -> None:
    assert chunk(b"x" * 17) == b"11\r\n" + b"x" * 17 + b"\r\n"
    length = BodyWriter(5, is_chunked=False)
    assert (length.part(b"hel"), length.is_whole, length.part(b"lo"), length.is_whole) == (b"hel", False, b"lo", True)
    assert length.end() == b""
    chunks = BodyWriter(None, is_chunked=True)
    assert chunks.part(b"") == b"", "an empty chunk would be the last"
    assert (chunks.part(b"hello"), chunks.is_whole) == (b"5\r\nhello\r\n", False)
    assert (chunks.end(), chunks.is_whole) == (b"0\r\n\r\n", True)
    assert BodyWriter(None, is_chunked=False).is_whole


def test_a_body_that_is_not_as_announced_cannot_be_written() -> None:
    with pytest.raises(BadMessage, match="6 bytes are more than the head announces: 5 are left"):
        BodyWriter(5, is_chunked=False).part(b"hello!")
    with pytest.raises(BadMessage, match="5 bytes shorter"):
        BodyWriter(5, is_chunked=False).end()
    with pytest.raises(BadMessage):
        BodyWriter(None, is_chunked=False).part(b"x")
