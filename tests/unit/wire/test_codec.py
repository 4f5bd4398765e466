"""Frames: what is sent arrives, however the bytes are cut; what is not a frame is an error, and never anything else."""

from __future__ import annotations

import struct
from itertools import combinations
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swell.model import AutoscalerChange, CallKind, Environment, FunctionSpec, OutputStatus, Source
from swell.wire import apps, codec
from swell.wire import messages as m
from swell.wire.leases import CallAnswer, CallDirectly, LeaseHello

FRAME_MAX = 1 << 20

CALL = m.OpenCall(call_id="fc-1", function_id="fu-1", method="", kind=CallKind.MAP, ends=[3, 5], sealed=True, blobs=[1])
CLIENT_SAYS = [
    (m.Hello("client", m.PROTOCOL, "a label"), b""),
    (CALL, b"abcde"),
    (m.PutInputs("fc-1", 2, [], sealed=True), b""),
    (m.UpdateAutoscaler(7, "fu-1", AutoscalerChange(min_containers=None, max_containers=3)), b""),
    (
        m.OpenApp(
            request=1,
            app_id="ap-1",
            name="app",
            environment=Environment("/py", "/", ("/lib",), {"A": "1"}),
            functions=[FunctionSpec("f", Source("m", "f"))],
        ),
        b"",
    ),
    (m.Completed([(1, 0, 2), (3, 4, 1)], [1, 2, 3], [(1, 2)], [0], 0.25), b"xyz"),
    (m.Leaving(), b""),
]
STREAM = b"".join(codec.encode(message, payload) for message, payload in CLIENT_SAYS)


def read(data: bytes, *cuts: int, frame_max: int = FRAME_MAX) -> list[tuple[m.Message, bytes]]:
    """Feed a server's decoder with data cut at these places."""
    decoder = codec.for_server(frame_max)
    frames: list[tuple[m.Message, bytes]] = []
    for start, end in zip((0, *cuts), (*cuts, len(data)), strict=True):
        frames += decoder.feed(data[start:end])
    return frames


# ---------------------------------------------------------------- what is sent arrives


def test_all_in_one_piece() -> None:
    assert read(STREAM) == CLIENT_SAYS


def test_split_at_every_boundary() -> None:
    for cut in range(len(STREAM) + 1):
        assert read(STREAM, cut) == CLIENT_SAYS


def test_split_at_every_two_boundaries_of_two_frames() -> None:
    data = codec.encode(CALL, b"abcde") + codec.encode(m.Leaving())
    for cuts in combinations(range(len(data) + 1), 2):
        assert read(data, *cuts) == [(CALL, b"abcde"), (m.Leaving(), b"")]


def test_byte_by_byte() -> None:
    assert read(STREAM, *range(1, len(STREAM))) == CLIENT_SAYS


def test_every_frame_comes_out_as_soon_as_its_last_byte_is_in() -> None:
    decoder, frame = codec.for_server(FRAME_MAX), codec.encode(CALL, b"abcde")
    assert decoder.feed(frame[:-1]) == []
    assert decoder.feed(frame[-1:]) == [(CALL, b"abcde")]


@given(st.binary(max_size=2_000), st.lists(st.integers(0, 3_000)))
def test_any_payload_at_any_cuts(payload: bytes, places: list[int]) -> None:
    data = codec.encode(CALL, payload) * 3
    cuts = sorted(place for place in places if place <= len(data))
    assert read(data, *cuts) == [(CALL, payload)] * 3


def test_a_payload_may_be_a_view_and_what_arrives_is_a_copy() -> None:
    source = bytearray(b"0123456789")
    ((_, payload),) = read(codec.encode(m.Leaving(), memoryview(source)[2:5]))
    source[:] = bytes(10)
    assert payload == b"234"


def test_what_was_fed_may_be_reused() -> None:
    """A socket reads into the same buffer again and again."""
    decoder, frames = codec.for_server(FRAME_MAX), []
    buffer = bytearray(16)
    for start in range(0, len(STREAM), 16):
        piece = STREAM[start : start + 16]
        buffer[: len(piece)] = piece
        frames += decoder.feed(memoryview(buffer)[: len(piece)])
    assert frames == CLIENT_SAYS


def test_payloads_up_to_the_limit() -> None:
    assert read(codec.encode(m.Leaving(), bytes(100)), frame_max=100) == [(m.Leaving(), bytes(100))]


# ---------------------------------------------------------------- what is not a frame


def test_nothing_and_half_a_frame_are_no_frame() -> None:
    frame = codec.encode(CALL, b"abcde")
    for end in range(len(frame)):
        assert read(frame[:end]) == []


@pytest.mark.parametrize(
    ("header_size", "payload_size", "text"),
    [
        (codec.HEADER_MAX + 1, 0, f"header of {codec.HEADER_MAX + 1} bytes is over the limit of {codec.HEADER_MAX}"),
        (2**32 - 1, 0, "header of 4294967295 bytes"),
        (4, FRAME_MAX + 1, rf"payload of {FRAME_MAX + 1} bytes is over the limit of {FRAME_MAX} \(frame_max\)"),
        (4, 2**32 - 1, "payload of 4294967295 bytes"),
    ],
)
def test_a_size_over_its_bound_is_refused_before_the_bytes_come(header_size: int, payload_size: int, text: str) -> None:
    with pytest.raises(codec.FrameError, match=text):
        read(struct.pack("<II", header_size, payload_size))


def test_frames_before_a_bad_one_are_not_given_out_with_it() -> None:
    """The connection is closed: what came with garbage is not trusted."""
    with pytest.raises(codec.FrameError):
        read(codec.encode(m.Leaving()) + struct.pack("<II", 2**32 - 1, 0))


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"\xc1",  # never used in msgpack
        b"\x91",  # an array that is cut off
        msgspec.msgpack.encode([]),
        msgspec.msgpack.encode([9_999]),
        msgspec.msgpack.encode(["text"]),
        msgspec.msgpack.encode([12, "fc-1"]),  # too few fields
        msgspec.msgpack.encode([12, "fc-1", "fu-1", "", 77, [], True]),  # no such kind of call
        msgspec.msgpack.encode([12, "fc-1", "fu-1", "", 1, ["x"], True]),
        msgspec.msgpack.encode({"a": 1}),
        b"\x91" * 100_000,  # deep nesting
        msgspec.msgpack.encode([14, "fc-1"])[:-1] + b"\xff",  # not UTF-8
        codec.encode(m.Leaving())[8:] + b"more",
    ],
)
def test_a_header_that_is_no_message_is_named_so(header: bytes) -> None:
    with pytest.raises(codec.FrameError, match="not a message of this protocol"):
        read(struct.pack("<II", len(header), 0) + header)


def test_a_message_for_somebody_else_is_no_message() -> None:
    with pytest.raises(codec.FrameError):
        codec.for_client(FRAME_MAX).feed(codec.encode(CALL))
    with pytest.raises(codec.FrameError):
        codec.for_container(FRAME_MAX).feed(codec.encode(CALL))


def chew(data: bytes, sizes: list[int]) -> None:
    """Feed data in pieces until it ends or is refused; anything but a FrameError fails the test."""
    decoder, start = codec.for_server(FRAME_MAX), 0
    try:
        for size in [*sizes, len(data)]:
            decoder.feed(data[start : start + size])
            start += size
    except codec.FrameError:
        pass


@given(st.binary(max_size=4_000), st.lists(st.integers(1, 200), max_size=20))
def test_arbitrary_bytes(data: bytes, sizes: list[int]) -> None:
    chew(data, sizes)


@given(st.binary(max_size=300), st.integers(0, 100), st.lists(st.integers(1, 50), max_size=5))
def test_arbitrary_headers_of_the_right_size(header: bytes, payload_size: int, sizes: list[int]) -> None:
    chew(struct.pack("<II", len(header), payload_size) + header + bytes(payload_size), sizes)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)
TAGS = [10, 12, 13, 14, 15, 19, 80, 82, 83, 84]


@given(st.sampled_from(TAGS), st.lists(VALUES, max_size=9))
def test_known_tags_with_arbitrary_fields(tag: int, fields: list[object]) -> None:
    header = msgspec.msgpack.encode([tag, *fields])
    chew(struct.pack("<II", len(header), 0) + header, [])


@settings(max_examples=3 * settings.default.max_examples)
@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_one_wrong_byte_anywhere(place: int, change: int) -> None:
    data = bytearray(STREAM)
    data[place] ^= change
    chew(bytes(data), [])


# ---------------------------------------------------------------- the protocol as a whole


def all_messages() -> list[type[m.Message]]:
    return m.Message.__subclasses__()


def test_every_message_has_a_receiver_and_a_tag_of_its_own() -> None:
    received = {*get_args(m.ToServer), *get_args(m.ToClient), *get_args(m.ToContainer)}
    received |= {*get_args(m.ToCallee), m.ToCaller}
    assert received == set(all_messages())
    tags = [kind.__struct_config__.tag for kind in all_messages()]
    assert len(set(tags)) == len(tags)


def test_a_frame_costs_eight_bytes_beside_header_and_payload() -> None:
    header = msgspec.msgpack.encode(m.Leaving())
    assert len(codec.encode(m.Leaving(), b"abc")) == 8 + len(header) + 3


# ---------------------------------------------------------------- what strangers send


def read_peer(*messages: m.Message) -> list[object]:
    decoder = codec.PeerDecoder(FRAME_MAX)
    decoder.trust()
    return [message for one in messages for message, _ in decoder.feed(codec.encode(one, b"xyz"))]


@pytest.mark.parametrize(
    ("message", "field", "request_number", "call_id"),
    [
        (m.GetStats(7, "f" * 257), "function_id", 7, ""),
        (m.GetStats(2**63, "fu-1"), "request", 0, ""),
        (m.Watch(7, "fc-1", 0, 2**63), "last", 7, "fc-1"),
        (m.Watch(7, "fc-1", -1, 3), "first", 7, "fc-1"),
        (
            m.OpenCall(call_id="fc-1", function_id="fu-1", method="", kind=CallKind.MAP, ends=[2**63], sealed=True),
            "ends",
            0,
            "fc-1",
        ),
        (
            m.OpenCall(
                call_id="fc-1", function_id="fu-1", method="", kind=CallKind.MAP, ends=[1], sealed=True, blobs=[-1]
            ),
            "blobs",
            0,
            "fc-1",
        ),
        (m.Completed([(1, 0, 1)], [1], [], [], float("nan")), "busy_s", 0, ""),
        (m.Completed([(1, 0, 1)], [1], [(0, 300)]), "failures", 0, ""),
        (m.Ready(1, float("inf")), "startup_s", 0, ""),
        (m.TakeItems("fc-1", 0, -1), "count", 0, "fc-1"),
        (apps.FindFunction(7, "app", "f", 2**64 - 1), "version", 7, ""),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, m.Message) else str(value),
)
def test_a_value_out_of_bounds_is_a_misfit_that_names_its_field(
    message: m.Message, field: str, request_number: int, call_id: str
) -> None:
    following = m.GetStats(8, "fu-1")
    misfit, after = read_peer(message, following)
    assert isinstance(misfit, codec.Misfit)
    assert misfit.kind is type(message)
    assert f"{type(message).__name__}: " in misfit.why
    assert f"`{field}" in misfit.why
    assert (misfit.request, misfit.call_id) == (request_number, call_id)
    assert after == following, "the frames behind it can be read"


@pytest.mark.parametrize("nested", [{"deep": None}, {"n": 2**63}, {"n": float("nan")}], ids=["deep", "large", "nan"])
def test_a_recorded_option_that_cannot_be_kept_is_a_misfit(nested: dict[str, object]) -> None:
    if "deep" in nested:
        for _ in range(200):
            nested = {"deep": nested}
    spec = msgspec.to_builtins(FunctionSpec("f", Source("m", "f")), builtin_types=(bytes,)) | {"recorded": nested}
    environment = {"python": "/py", "cwd": "/", "sys_path": []}
    raw = msgspec.msgpack.encode([10, 7, "ap-1", "app", environment, [spec]])
    decoder = codec.PeerDecoder(FRAME_MAX)
    decoder.trust()
    [(misfit, _)] = decoder.feed(struct.pack("<II", len(raw), 0) + raw)
    assert isinstance(misfit, codec.Misfit)
    assert misfit.request == 7
    assert "cannot be recorded" in misfit.why


@pytest.mark.parametrize(
    "header",
    [b"\xc0", b"\x91\x63", b"\x90", b"\x91\xa1x", b"\xc1", b"\x91" * 5_000, msgspec.msgpack.encode([[12], 1])],
    ids=["nil", "unknown", "empty", "tag is text", "not msgpack", "deep", "tag is a list"],
)
def test_what_is_no_known_message_is_an_error(header: bytes) -> None:
    decoder = codec.PeerDecoder(FRAME_MAX)
    decoder.trust()
    with pytest.raises(codec.FrameError):
        decoder.feed(struct.pack("<II", len(header), 0) + header)


def test_a_stranger_may_send_a_hello_and_no_more() -> None:
    hello = m.Hello("client", m.PROTOCOL, "n" * 1_000, "t" * 1_000)
    decoder = codec.PeerDecoder(FRAME_MAX)
    assert decoder.feed(codec.encode(hello)) == [(hello, b"")]
    for prefix in (struct.pack("<II", codec.HELLO_MAX + 1, 0), struct.pack("<II", 10, 1)):
        with pytest.raises(codec.FrameError, match="over the limit"):
            codec.PeerDecoder(FRAME_MAX).feed(prefix)
    decoder.trust()
    assert decoder.feed(codec.encode(CALL, b"abcde")) == [(CALL, b"abcde")]


def test_what_comes_at_once_behind_a_hello_waits_until_its_sender_is_trusted() -> None:
    hello = m.Hello("client", m.PROTOCOL, "eager")
    decoder = codec.PeerDecoder(FRAME_MAX)
    behind = codec.encode(CALL, b"abcde") + codec.encode(CALL, b"fghij")
    assert decoder.feed(codec.encode(hello) + behind) == [(hello, b"")]
    decoder.trust()
    assert decoder.feed(b"") == [(CALL, b"abcde"), (CALL, b"fghij")]


# ---------------------------------------------------------------- what callers send to a container


def test_a_stranger_may_send_a_container_no_payload() -> None:
    decoder = codec.for_callee()
    [(hello, _)] = decoder.feed(codec.encode(LeaseHello(m.PROTOCOL, "cl-1", "token")))
    assert hello == LeaseHello(m.PROTOCOL, "cl-1", "token")
    with pytest.raises(codec.FrameError, match="over the limit of 0"):
        decoder.feed(codec.encode(CallDirectly("fc-1"), b"x"))


def test_a_trusted_caller_may_send_calls_and_gets_answers() -> None:
    callee, caller = codec.for_callee(), codec.for_caller(FRAME_MAX)
    callee.frame_max = FRAME_MAX
    assert callee.feed(codec.encode(CallDirectly("fc-1"), b"in")) == [(CallDirectly("fc-1"), b"in")]
    answer = CallAnswer("fc-1", int(OutputStatus.SUCCESS))
    assert caller.feed(codec.encode(answer, b"out")) == [(answer, b"out")]


def test_a_caller_may_not_send_a_container_orders() -> None:
    with pytest.raises(codec.FrameError, match="not a message of this protocol"):
        codec.for_callee().feed(codec.encode(m.Drain(1.0)))
