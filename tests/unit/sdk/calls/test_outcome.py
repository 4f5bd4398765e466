"""Results in blobs: one is deleted once it was read, and not if it could not be."""

from __future__ import annotations

from typing import Any

import pytest

from swell.errors import RemoteError
from swell.items import pack
from swell.model import OutputStatus
from swell.sdk.calls.outcome import InputFailure, outcomes
from swell.sdk.connection.loop_link import LoopLink
from swell.wire import blobs
from swell.wire.messages import Outputs
from swell.wire.payload import encode_exception
from swell.wire.shelf import Shelf, ShelfError

NAME = b"fc-1.0.out"


class OneBlob(Shelf):
    """A shelf with one blob, to which the way may be broken."""

    def __init__(self, whole: bytes) -> None:
        super().__init__("")
        self.whole = bytearray(whole)
        self.is_cut = False
        self.dropped: list[str] = []

    def read(self, name: str) -> memoryview:
        if self.is_cut:
            raise ShelfError("the connection ended")
        return memoryview(self.whole)

    def drop(self, name: str) -> None:
        self.dropped.append(name)


@pytest.fixture
def shelf(tmp_path: Any) -> OneBlob:
    blobs.pack(b"x" * 1_000, 0, Shelf(str(tmp_path)), NAME.decode())
    return OneBlob((tmp_path / NAME.decode()).read_bytes())


async def result(shelf: Shelf, *, keep: bool = False) -> Any:
    items = pack([NAME], blobs=[0])
    message = Outputs.of("fc-1", [(0, 1)], items)
    return (await outcomes(message, items.payload, LoopLink(1 << 20, shelf), keep_blobs=keep))[0]


async def test_a_result_that_was_read_is_deleted_unless_it_is_kept(shelf: OneBlob) -> None:
    assert await result(shelf, keep=True) == b"x" * 1_000
    assert shelf.dropped == []
    assert await result(shelf) == b"x" * 1_000
    assert shelf.dropped == [NAME.decode()]


async def test_a_result_that_did_not_arrive_is_not_deleted(shelf: OneBlob) -> None:
    shelf.is_cut = True
    found = await result(shelf)
    assert isinstance(found, InputFailure)
    assert "the connection ended" in str(found.exception)
    assert shelf.dropped == []
    shelf.is_cut = False
    assert await result(shelf) == b"x" * 1_000


async def test_a_result_that_no_caller_can_read_is_deleted(shelf: OneBlob) -> None:
    at = bytes(shelf.whole).index(b"\x80\x05")  # where its pickle begins
    shelf.whole[at : at + 2] = b"??"
    found = await result(shelf)
    assert isinstance(found, InputFailure)
    assert "cannot be read by the caller" in str(found.exception)
    assert shelf.dropped == [NAME.decode()]


async def test_a_start_that_would_have_ended_the_program_is_an_error_that_says_so() -> None:
    encoded = encode_exception(SystemExit(2), where="ta-1", hide=())
    items = pack([encoded])
    started = Outputs("fc-1", [(0, 1)], items.ends, [(0, OutputStatus.INIT_FAILURE)])
    ran = Outputs("fc-1", [(0, 1)], items.ends, [(0, OutputStatus.FAILURE)])
    link = LoopLink(1 << 20, Shelf(""))
    [told] = await outcomes(started, items.payload, link, keep_blobs=False)
    [raised] = await outcomes(ran, items.payload, link, keep_blobs=False)
    assert isinstance(told.exception, RemoteError)
    assert "no container could be started: loading the code there raised SystemExit: 2" in str(told.exception)
    assert isinstance(told.exception.__cause__, SystemExit)
    assert isinstance(raised.exception, SystemExit)
