"""What every store must do. A new store joins `STORES` and passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from swell.model import OutputStatus
from swell.ports import Store, StoredCall, StoredOutput
from swell.store.memory import MemoryStore

STORES: dict[str, Callable[[], Store]] = {"memory": MemoryStore}


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    store = STORES[request.param]()
    yield store
    store.close()
    store.close()


def output(index: int, payload: bytes = b"", status: OutputStatus = OutputStatus.SUCCESS) -> StoredOutput:
    return StoredOutput(index, status, payload)


async def committed(store: Store) -> None:
    done = asyncio.Event()
    store.commit(done.set)
    await done.wait()


async def test_outputs_are_read_back_in_index_order(store: Store) -> None:
    store.record_outputs("fc-1", [output(5, b"five"), output(1, b"one", OutputStatus.FAILURE)])
    store.record_outputs("fc-1", [StoredOutput(3, OutputStatus.SUCCESS, b"name", has_blob=True)])
    await committed(store)
    assert store.read_outputs("fc-1", 0, 1000) == [
        output(1, b"one", OutputStatus.FAILURE),
        StoredOutput(3, OutputStatus.SUCCESS, b"name", has_blob=True),
        output(5, b"five"),
    ]


async def test_the_range_is_half_open(store: Store) -> None:
    store.record_outputs("fc-1", [output(index) for index in range(10)])
    await committed(store)
    assert [found.index for found in store.read_outputs("fc-1", 3, 6)] == [3, 4, 5]
    assert store.read_outputs("fc-1", 6, 6) == []
    assert store.read_outputs("fc-1", 10, 20) == []


async def test_the_first_record_of_an_input_wins(store: Store) -> None:
    store.record_outputs("fc-1", [output(0, b"first")])
    await committed(store)
    store.record_outputs("fc-1", [output(0, b"second"), output(1, b"a"), output(1, b"b")])
    await committed(store)
    assert [found.payload for found in store.read_outputs("fc-1", 0, 2)] == [b"first", b"a"]


async def test_calls_do_not_mix(store: Store) -> None:
    store.record_outputs("fc-1", [output(0, b"1")])
    store.record_outputs("fc-2", [output(0, b"2")])
    await committed(store)
    assert [found.payload for found in store.read_outputs("fc-1", 0, 9)] == [b"1"]
    assert store.read_outputs("fc-none", 0, 9) == []


async def test_finished_calls_are_remembered(store: Store) -> None:
    call = StoredCall("f", 3, 100.0)
    store.record_call("fc-1", call)
    await committed(store)
    assert store.read_call("fc-1") == call
    assert store.read_call("fc-none") is None


async def test_only_outputs_of_calls_that_finished_before_expire(store: Store) -> None:
    for name, finished_at in (("fc-old", 100.0), ("fc-new", 200.0)):
        store.record_outputs(name, [output(0)])
        store.record_call(name, StoredCall("f", 1, finished_at))
    store.record_outputs("fc-running", [output(0)])
    await committed(store)
    store.expire(before=200.0)
    await committed(store)
    assert store.read_outputs("fc-old", 0, 1) == []
    assert store.read_outputs("fc-new", 0, 1) == [output(0)]
    assert store.read_outputs("fc-running", 0, 1) == [output(0)]


async def test_commits_are_answered_in_order_and_never_from_inside(store: Store) -> None:
    answered: list[int] = []
    last = asyncio.Event()
    for number in range(3):
        store.record_outputs("fc-1", [output(number)])
        store.commit(lambda number=number: answered.append(number))
        assert number not in answered, "called from inside commit()"
    store.commit(last.set)
    await last.wait()
    assert answered == [0, 1, 2]


async def test_a_commit_without_records_is_answered(store: Store) -> None:
    await committed(store)
