from __future__ import annotations

import struct

import pytest

from swell.backends.ray.messages import (
    FRAME_MAX,
    SIZE_BYTES,
    Begin,
    BrokerError,
    Connected,
    Gone,
    Nodes,
    RayNode,
    Release,
    Scaling,
    Start,
    Started,
    decode_to_broker,
    decode_to_server,
    encode,
    size_of,
)
from swell.slices import Slice


@pytest.mark.parametrize(
    "message",
    [
        Begin("auto", "ns", "ray-1-", "", True),
        Start("a", b"\x00order", Slice(1.0)),
        Start("a", b"", None),
        Release("a"),
    ],
)
def test_what_the_broker_is_told_arrives(message: Begin | Start | Release) -> None:
    frame = encode(message)
    assert size_of(frame[:SIZE_BYTES]) == len(frame) - SIZE_BYTES
    assert decode_to_broker(frame[SIZE_BYTES:]) == message


NODE = RayNode(
    node="n",
    host="h",
    cpu=1,
    cpu_free=1,
    memory_bytes=1,
    memory_free_bytes=1,
    gpus=0,
    gpus_free=0,
    draining_until=0.0,
)


@pytest.mark.parametrize(
    "message",
    [
        Connected("h", "2", ("a",), False),
        Started("a", "n"),
        Gone("a", "why"),
        Nodes((NODE,)),
        Nodes((), Scaling(is_there=True, starting={"large": 2}, infeasible=(Slice(64.0),), failure="quota")),
    ],
)
def test_what_the_server_is_told_arrives(message: Connected | Started | Gone | Nodes) -> None:
    assert decode_to_server(encode(message)[SIZE_BYTES:]) == message


def test_a_frame_beyond_the_bound_is_refused_before_it_is_read() -> None:
    with pytest.raises(BrokerError, match=f"{FRAME_MAX:,}"):
        size_of(struct.pack("<I", FRAME_MAX + 1))


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(BrokerError):
        decode_to_broker(b"\xc1")
    with pytest.raises(BrokerError):
        decode_to_server(encode(Release("a"))[SIZE_BYTES:])
