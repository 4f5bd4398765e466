"""What every store must do. A new store joins `STORES` and passes."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swell.model import (
    AppKind,
    AutoscalerSettings,
    Deployment,
    Environment,
    FunctionSpec,
    OutputStatus,
    Provenance,
    RetryPolicy,
    Source,
)
from swell.ports import ReadFailed, Store, StoreBroken
from swell.records import (
    AppRecord,
    AttemptRecord,
    BundleRecord,
    CallEnded,
    CallGrown,
    CallRecord,
    CallsCancelled,
    ContainerRecord,
    FunctionGone,
    FunctionRecord,
    LoadedCall,
    LoadedSpans,
    OutputsRecord,
    Record,
    Restored,
    SpanRecord,
    SpansDone,
    StoredCall,
    StoredOutput,
    Trace,
    Waiting,
    Window,
)
from swell.store.memory.store import MemoryStore
from swell.store.sqlite.inline import InlineRule
from swell.store.sqlite.store import SqliteStore

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED
WIDE = Window(1_000_000, 1 << 30)


class Opened:
    """A store, and how to ask it."""

    def __init__(self, make: Callable[[], Store], *, lasting: bool) -> None:
        self._make = make
        self._lasting = lasting
        self.store = make()
        self.store.restore()

    async def ask(self, method: str, *arguments: Any) -> Any:
        """Call a method that takes `then`, and return what it gets."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        getattr(self.store, method)(*arguments, lambda *found: answer.set_result(*(found or [None])))
        assert not answer.done(), "answered from inside the call"
        return await asyncio.wait_for(answer, 30)

    def append(self, *records: Record) -> None:
        for record in records:
            self.store.append(record)

    async def committed(self, *records: Record) -> None:
        self.append(*records)
        await self.ask("commit")

    def reopen(self) -> Restored:
        """Have a new server begin where the former one ended. Memory ends with its process: there it is the same."""
        if self._lasting:
            self.store.close()
            self.store = self._make()
        return self.store.restore()


def broken(error: StoreBroken) -> None:
    raise AssertionError("the store broke") from error


def open_memory(_: Path) -> Opened:
    loop = asyncio.get_running_loop()
    return Opened(lambda: MemoryStore(loop.call_soon), lasting=False)


def open_sqlite(directory: Path) -> Opened:
    loop = asyncio.get_running_loop()
    path = str(directory / "swell.db")
    make = partial(SqliteStore, path, soon=loop.call_soon_threadsafe, on_broken=broken, synchronous="normal")
    return Opened(make, lasting=True)


class AlwaysInline(InlineRule):
    """Has all light commits made on the event loop."""

    def allows(self, now: float, *, alone: bool) -> bool:
        return True


def open_sqlite_inline(directory: Path) -> Opened:
    loop = asyncio.get_running_loop()
    path = str(directory / "swell.db")

    def make() -> SqliteStore:
        store = SqliteStore(
            path,
            soon=loop.call_soon_threadsafe,
            soon_here=loop.call_soon,
            on_broken=broken,
            synchronous="normal",
        )
        store._writer._rule = AlwaysInline()
        return store

    return Opened(make, lasting=True)


STORES: dict[str, Callable[[Path], Opened]] = {
    "memory": open_memory,
    "sqlite": open_sqlite,
    "sqlite-inline": open_sqlite_inline,
}


@pytest.fixture(params=STORES)
async def opened(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Opened]:
    opened = STORES[request.param](tmp_path)
    yield opened
    opened.store.close()
    opened.store.close()


# ---------------------------------------------------------------- records, as short as can be


def call(name: str, sequence: int, *, function: str = "fu-1", accepted: int = 0, sealed: bool = True) -> CallRecord:
    return CallRecord(
        call_id=name,
        sequence=sequence,
        function_id=function,
        function_name="f",
        method="run",
        parent="in-parent:0",
        opened_at=50.0,
        accepted=accepted,
        sealed=sealed,
    )


def span(name: str, first: int, *payloads: bytes, blobs: tuple[int, ...] = ()) -> SpanRecord:
    return SpanRecord(name, first, _ends(payloads), b"".join(payloads), list(blobs))


def outputs(
    name: str,
    first: int,
    *payloads: bytes,
    failures: tuple[tuple[int, int], ...] = (),
    blobs: tuple[int, ...] = (),
    trace: Trace | None = None,
) -> OutputsRecord:
    joined = b"".join(payloads)
    return OutputsRecord(
        call_id=name,
        first=first,
        count=len(payloads),
        ends=_ends(payloads),
        payload=joined,
        failures=list(failures),
        blobs=list(blobs),
        trace=trace,
    )


def alike(
    name: str, first: int, count: int, payload: bytes, status: OutputStatus = SUCCESS, trace: Trace | None = None
) -> OutputsRecord:
    failures = [] if status is SUCCESS else [(0, int(status))]
    return OutputsRecord(
        call_id=name, first=first, count=count, ends=[], payload=payload, failures=failures, blobs=[], trace=trace
    )


def _ends(payloads: tuple[bytes, ...]) -> list[int]:
    return [sum(map(len, payloads[: i + 1])) for i in range(len(payloads))]


def app(name: str, created_at: float, **more: Any) -> AppRecord:
    return AppRecord(app_id=f"ap-{name}", name=name, kind=AppKind.DEPLOYED, created_at=created_at, **more)


def deployment(app_id: str, version: int, bundle: str = "") -> Deployment:
    return Deployment(
        app_id=app_id,
        version=version,
        functions=(
            FunctionSpec(
                "f",
                Source("mod", "f", "/x/mod.py", b"\x80"),
                autoscaler=AutoscalerSettings(max_containers=3),
                retry=RetryPolicy(2),
                variables={"A": "b"},
            ),
        ),
        environment=Environment("/usr/bin/python3", "/x", ("/x", "/y"), {"PATH": "/bin"}, bundle=bundle),
        deployed_at=1234.5,
        tag="tag",
        provenance=Provenance("me", "0.1", "abcdef0*"),
    )


def function(function_id: str, app_id: str, version: int, **more: Any) -> FunctionRecord:
    return FunctionRecord(
        function_id=function_id, app_id=app_id, version=version, spec=FunctionSpec("f", Source("mod", "f")), **more
    )


def container(name: str, app_id: str, ended_at: float) -> ContainerRecord:
    return ContainerRecord(
        container_id=name,
        app_id=app_id,
        function_id="fu-1",
        function_name="f",
        requested_at=10.0,
        ended_at=ended_at,
        reason="was idle",
        ready_at=11.0,
        served=7,
    )


async def payloads(opened: Opened, name: str, first: int = 0, last: int = 1_000) -> dict[int, bytes]:
    return {one.index: one.payload for one in await opened.ask("read_outputs", name, first, last)}


def indexes(loaded: LoadedSpans) -> list[int]:
    """The inputs of the spans that have no result."""
    done = {i for first, count in loaded.done for i in range(first, first + count)}
    return [i for one in loaded.spans for i in range(one.first, one.first + len(one.ends)) if i not in done]


# ---------------------------------------------------------------- order


async def test_what_is_asked_is_answered_in_that_order_and_never_from_inside(opened: Opened) -> None:
    store, answered = opened.store, list[str]()
    last = asyncio.Event()
    store.append(call("fc-1", 1))
    store.commit(lambda: answered.append("first"))
    store.read_call("fc-1", lambda found: answered.append("read" if found else "nothing"))
    store.commit(lambda: answered.append("nothing new"))
    store.append(call("fc-2", 2))
    store.read_call("fc-2", lambda found: answered.append("read" if found else "nothing"))
    store.commit(last.set)
    assert answered == []
    await asyncio.wait_for(last.wait(), 30)
    assert answered == ["first", "read", "nothing new", "read"]


async def test_a_commit_without_records_is_answered(opened: Opened) -> None:
    await opened.committed()


async def test_an_answer_that_fails_does_not_keep_the_others_waiting(opened: Opened) -> None:
    seen = list[dict[str, Any]]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context))
    opened.store.commit(lambda: 1 / 0)  # type: ignore[arg-type]
    await opened.committed()
    assert [type(context["exception"]) for context in seen] == [ZeroDivisionError]


async def test_reads_see_what_was_recorded_before_without_a_commit_and_nothing_later(opened: Opened) -> None:
    loop = asyncio.get_running_loop()
    before, after = loop.create_future(), loop.create_future()
    opened.append(call("fc-1", 1, accepted=2))
    opened.store.read_outputs("fc-1", 0, 2, before.set_result)
    opened.append(outputs("fc-1", 0, b"a"))
    opened.store.read_outputs("fc-1", 0, 2, after.set_result)
    assert await asyncio.wait_for(before, 30) == []
    assert await asyncio.wait_for(after, 30) == [StoredOutput(0, SUCCESS, b"a")]


# ---------------------------------------------------------------- results


async def test_results_are_read_back_in_index_order(opened: Opened) -> None:
    await opened.committed(
        call("fc-1", 1, accepted=9),
        outputs("fc-1", 5, b"five", b"", failures=((0, FAILURE),)),
        outputs("fc-1", 1, b"one"),
        outputs("fc-1", 2, b"fc-1.2.out", blobs=(0,)),
    )
    assert await opened.ask("read_outputs", "fc-1", 0, 1_000) == [
        StoredOutput(1, SUCCESS, b"one"),
        StoredOutput(2, SUCCESS, b"fc-1.2.out", has_blob=True),
        StoredOutput(5, FAILURE, b"five"),
        StoredOutput(6, SUCCESS, b""),
    ]


async def test_the_range_is_half_open_and_may_cut_runs(opened: Opened) -> None:
    await opened.committed(
        call("fc-1", 1, accepted=40),
        outputs("fc-1", 0, *(b"%d" % i for i in range(10)), failures=((4, FAILURE),)),
        outputs("fc-1", 10, *(b"%d" % i for i in range(10, 20))),
        alike("fc-1", 20, 20, b"same", TERMINATED),
    )
    assert await payloads(opened, "fc-1", 3, 6) == {3: b"3", 4: b"4", 5: b"5"}
    assert await payloads(opened, "fc-1", 9, 11) == {9: b"9", 10: b"10"}
    assert await payloads(opened, "fc-1", 6, 6) == {}
    assert await payloads(opened, "fc-1", 40, 50) == {}
    assert await opened.ask("read_outputs", "fc-1", 4, 5) == [StoredOutput(4, FAILURE, b"4")]
    assert await opened.ask("read_outputs", "fc-1", 19, 22) == [
        StoredOutput(19, SUCCESS, b"19"),
        StoredOutput(20, TERMINATED, b"same"),
        StoredOutput(21, TERMINATED, b"same"),
    ]


async def test_the_first_result_of_an_input_stays(opened: Opened) -> None:
    await opened.committed(call("fc-1", 1, accepted=9), outputs("fc-1", 3, b"3", b"4"))
    await opened.committed(outputs("fc-1", 3, b"later"), outputs("fc-1", 6, b"6"), outputs("fc-1", 6, b"later"))
    await opened.committed(alike("fc-1", 0, 9, b"rest", FAILURE))
    await opened.committed(outputs("fc-1", 8, b"much later"))
    found = {one.index: (one.payload, one.status) for one in await opened.ask("read_outputs", "fc-1", 0, 99)}
    rest = (b"rest", FAILURE)
    assert found == {
        **dict.fromkeys((0, 1, 2, 5, 7, 8), rest),
        3: (b"3", SUCCESS),
        4: (b"4", SUCCESS),
        6: (b"6", SUCCESS),
    }


async def test_results_of_calls_do_not_mix(opened: Opened) -> None:
    await opened.committed(call("fc-1", 1), call("fc-2", 2), outputs("fc-1", 0, b"1"), outputs("fc-2", 0, b"2"))
    assert await payloads(opened, "fc-1") == {0: b"1"}
    assert await payloads(opened, "fc-2") == {0: b"2"}
    assert await payloads(opened, "fc-none") == {}


async def test_what_is_said_of_a_call_that_is_not_known_or_has_ended_changes_nothing(opened: Opened) -> None:
    await opened.committed(outputs("fc-1", 0, b"1"), span("fc-1", 0, b"x"), CallGrown("fc-1", 1, sealed=True))
    assert await opened.ask("read_call", "fc-1") is None
    await opened.committed(call("fc-1", 1, accepted=2), outputs("fc-1", 0, b"1", b"2"), CallEnded("fc-1", 2, 60.0))
    kept = await opened.ask("read_call", "fc-1")
    await opened.committed(
        call("fc-1", 7, accepted=7),
        outputs("fc-1", 2, b"3"),
        span("fc-1", 2, b"x"),
        CallGrown("fc-1", 3, sealed=False),
        AttemptRecord("fc-1", 2, 1, 0, 0.0),
        CallEnded("fc-1", 3, 61.0),
    )
    assert await opened.ask("read_call", "fc-1") == kept
    assert await payloads(opened, "fc-1") == {0: b"1", 1: b"2"}
    assert await opened.ask("load_spans", "fc-1", 0, WIDE) == LoadedSpans("fc-1", [], [(0, 2)], 2)


async def test_results_have_the_trace_that_they_came_with(opened: Opened) -> None:
    first, second = Trace(1.0, 2.0, 3.0, "ta-1"), Trace(1.5, None, 4.25)
    await opened.committed(
        call("fc-1", 1, accepted=9),
        outputs("fc-1", 0, b"0", b"1", trace=first),
        outputs("fc-1", 2, b"2", trace=second),
        outputs("fc-1", 3, b"3"),
    )
    await opened.committed(alike("fc-1", 1, 5, b"", TERMINATED, second))
    found = [await opened.ask("read_trace", "fc-1", index) for index in range(7)]
    assert found == [first, first, second, None, second, second, None]
    assert await opened.ask("read_trace", "fc-none", 0) is None


# ---------------------------------------------------------------- calls


async def test_a_call_is_told_as_its_records_tell_it(opened: Opened) -> None:
    await opened.committed(call("fc-1", 7, accepted=1, sealed=False))
    begun = StoredCall(
        call_id="fc-1",
        sequence=7,
        function_id="fu-1",
        function_name="f",
        method="run",
        parent="in-parent:0",
        opened_at=50.0,
        accepted=1,
        sealed=False,
    )
    assert await opened.ask("read_call", "fc-1") == begun
    await opened.committed(CallGrown("fc-1", 3, sealed=False), CallGrown("fc-1", 5, sealed=True))
    await opened.committed(outputs("fc-1", 1, b"1", b"2"))
    grown = StoredCall(
        call_id="fc-1",
        sequence=7,
        function_id="fu-1",
        function_name="f",
        method="run",
        parent="in-parent:0",
        opened_at=50.0,
        accepted=5,
        sealed=True,
        done=2,
    )
    assert await opened.ask("read_call", "fc-1") == grown
    await opened.committed(alike("fc-1", 0, 5, b""), CallEnded("fc-1", 5, 99.5))
    ended = StoredCall(
        call_id="fc-1",
        sequence=7,
        function_id="fu-1",
        function_name="f",
        method="run",
        parent="in-parent:0",
        opened_at=50.0,
        accepted=5,
        sealed=True,
        ended_at=99.5,
    )
    assert await opened.ask("read_call", "fc-1") == ended
    assert await opened.ask("load_call", "fc-1", WIDE) == ended
    assert await opened.ask("read_call", "fc-none") is None
    assert await opened.ask("load_call", "fc-none", WIDE) is None


async def test_a_call_that_ends_has_no_more_inputs_than_it_says(opened: Opened) -> None:
    """It may end before it was sealed: cancelled, or left by the client that fed it."""
    await opened.committed(
        call("fc-1", 1, accepted=4, sealed=False), alike("fc-1", 0, 4, b""), CallEnded("fc-1", 4, 9.0)
    )
    found = await opened.ask("read_call", "fc-1")
    assert (found.accepted, found.sealed) == (4, True)


async def test_cancelled_calls_end_where_they_are(opened: Opened) -> None:
    await opened.committed(
        call("fc-1", 1, accepted=4, sealed=False),
        span("fc-1", 0, b"a", b"b", b"c", b"d"),
        outputs("fc-1", 1, b"1"),
        call("fc-2", 2, function="fu-2", accepted=1),
        call("fc-3", 3, accepted=1),
        alike("fc-3", 0, 1, b"3"),
        CallEnded("fc-3", 1, 60.0),
    )
    await opened.committed(CallsCancelled(("fu-1",), "stopped", 70.0), outputs("fc-1", 2, b"too late"))
    ended = await opened.ask("read_call", "fc-1")
    assert (ended.ended_at, ended.accepted, ended.sealed) == (70.0, 4, True)
    gone = [StoredOutput(i, TERMINATED, b"stopped") for i in range(4)]
    assert await opened.ask("read_outputs", "fc-1", 0, 9) == [gone[0], StoredOutput(1, SUCCESS, b"1"), *gone[2:]]
    assert await opened.ask("read_outputs", "fc-1", 2, 3) == [gone[2]]
    assert await opened.ask("read_trace", "fc-1", 0) is None
    assert await opened.ask("load_spans", "fc-1", 0, WIDE) == LoadedSpans("fc-1", [], [(0, 4)], 4)
    assert (await opened.ask("read_call", "fc-2")).ended_at is None
    assert (await opened.ask("read_call", "fc-3")).ended_at == 60.0


async def test_calls_of_functions_that_are_gone_can_be_cancelled(opened: Opened) -> None:
    await opened.committed(
        function("fu-1", "ap-1", 1),
        function("fu-2", "ap-1", 1),
        call("fc-1", 1, function="fu-1"),
        call("fc-2", 2, function="fu-2"),
        call("fc-3", 3, function="fu-3"),
        FunctionGone("fu-2"),
        CallsCancelled(None, "no such function", 70.0),
        call("fc-4", 4, function="fu-3"),
    )
    ended = [(await opened.ask("read_call", f"fc-{i}")).ended_at for i in (1, 2, 3, 4)]
    assert ended == [None, 70.0, 70.0, None]


# ---------------------------------------------------------------- going on with calls


async def test_spans_are_there_until_they_are_done(opened: Opened) -> None:
    spans = [span("fc-1", 0, b"a", b"b"), span("fc-1", 2, b"c"), span("fc-1", 3, b"d", b"e", blobs=(4,))]
    await opened.committed(call("fc-1", 1, accepted=5), *spans)
    assert await opened.ask("load_spans", "fc-1", 0, WIDE) == LoadedSpans("fc-1", spans, [], 5)
    await opened.committed(outputs("fc-1", 2, b"2"), SpansDone("fc-1", [2]))
    assert await opened.ask("load_spans", "fc-1", 0, WIDE) == LoadedSpans("fc-1", [spans[0], spans[2]], [(2, 1)], 5)
    await opened.committed(alike("fc-1", 0, 5, b""), SpansDone("fc-1", [0]), CallEnded("fc-1", 5, 60.0))
    assert await opened.ask("load_spans", "fc-1", 0, WIDE) == LoadedSpans("fc-1", [], [(0, 5)], 5)
    assert await opened.ask("load_spans", "fc-none", 3, WIDE) == LoadedSpans("fc-none", [], [], 3)


async def test_a_window_ends_after_so_many_inputs(opened: Opened) -> None:
    spans = [span("fc-1", first, b"x", b"y") for first in range(0, 10, 2)]
    await opened.committed(call("fc-1", 1, accepted=10), *spans)
    for inputs_max, count in ((1, 1), (2, 1), (3, 2), (4, 2), (0, 1)):
        loaded = await opened.ask("load_spans", "fc-1", 0, Window(inputs_max, 1_000))
        assert loaded == LoadedSpans("fc-1", spans[:count], [], 2 * count)
    loaded = await opened.ask("load_spans", "fc-1", 8, Window(1, 1_000))
    assert loaded == LoadedSpans("fc-1", spans[4:], [], 10)


async def test_a_window_ends_after_so_many_bytes(opened: Opened) -> None:
    spans = [span("fc-1", first, bytes(100)) for first in range(5)]
    await opened.committed(call("fc-1", 1, accepted=5), *spans)
    for bytes_max, count in ((1, 1), (100, 1), (101, 2), (499, 5), (0, 1)):
        loaded = await opened.ask("load_spans", "fc-1", 0, Window(1_000, bytes_max))
        assert loaded == LoadedSpans("fc-1", spans[:count], [], count)


async def test_windows_pass_over_what_is_done(opened: Opened) -> None:
    """Results may come in any order, and cross the bounds of spans."""
    spans = [span("fc-1", first, b"x", b"y") for first in range(0, 12, 2)]
    await opened.committed(
        call("fc-1", 1, accepted=12),
        *spans,
        outputs("fc-1", 0, b"0", b"1", b"2"),
        outputs("fc-1", 5, b"5", b"6", b"7"),
        outputs("fc-1", 10, b"10"),
    )
    loaded = await opened.ask("load_spans", "fc-1", 0, Window(3, 1_000))
    assert loaded == LoadedSpans("fc-1", spans[1:3], [(0, 3), (5, 1)], 6)
    assert indexes(loaded) == [3, 4]
    loaded = await opened.ask("load_spans", "fc-1", 6, Window(3, 1_000))
    assert loaded == LoadedSpans("fc-1", spans[4:], [(6, 2), (10, 1)], 12)
    assert indexes(loaded) == [8, 9, 11]
    await opened.committed(SpansDone("fc-1", [0, 6]))
    loaded = await opened.ask("load_spans", "fc-1", 0, WIDE)
    assert loaded == LoadedSpans("fc-1", [spans[1], spans[2], *spans[4:]], [(0, 3), (5, 3), (10, 1)], 12)


async def test_a_half_finished_call_goes_on_where_it_was(opened: Opened) -> None:
    spans = [span("fc-1", first, b"a", b"b", b"c") for first in (0, 3, 6)]
    await opened.committed(call("fc-1", 1, accepted=9), *spans, outputs("fc-1", 0, b"0", b"1", b"2", b"3"))
    await opened.committed(SpansDone("fc-1", [0]), outputs("fc-1", 5, b"5"))
    opened.reopen()
    loaded = await opened.ask("load_call", "fc-1", Window(4, 1_000))
    assert isinstance(loaded, LoadedCall)
    assert (loaded.call.accepted, loaded.call.done, loaded.call.ended_at) == (9, 5, None)
    assert loaded.spans == LoadedSpans("fc-1", spans[1:], [(0, 4), (5, 1)], 9)
    assert indexes(loaded.spans) == [4, 6, 7, 8]


async def test_attempts_are_kept_of_inputs_that_have_not_ended(opened: Opened) -> None:
    await opened.committed(
        call("fc-1", 1, accepted=4),
        span("fc-1", 0, b"a", b"b"),
        span("fc-1", 2, b"c", b"d"),
        AttemptRecord("fc-1", 0, 1, 0, 60.5),
        AttemptRecord("fc-1", 2, 0, 1, 0.0),
        AttemptRecord("fc-1", 3, 1, 0, 61.0),
    )
    await opened.committed(AttemptRecord("fc-1", 3, 2, 1, 62.0), outputs("fc-1", 2, b"2"))
    opened.reopen()
    loaded = await opened.ask("load_call", "fc-1", WIDE)
    assert loaded.attempts == [AttemptRecord("fc-1", 0, 1, 0, 60.5), AttemptRecord("fc-1", 3, 2, 1, 62.0)]
    (loaded,) = await opened.ask("load_calls", "fu-1", 0, 9, WIDE)
    assert loaded.attempts == [AttemptRecord("fc-1", 0, 1, 0, 60.5), AttemptRecord("fc-1", 3, 2, 1, 62.0)]
    await opened.committed(outputs("fc-1", 0, b"0", b"1"), SpansDone("fc-1", [0]), outputs("fc-1", 3, b"3"))
    assert (await opened.ask("load_call", "fc-1", WIDE)).attempts == []


async def test_calls_of_a_function_are_loaded_by_sequence(opened: Opened) -> None:
    for number in (1, 2, 3, 5, 8, 9):
        name = f"fc-{number}"
        await opened.committed(call(name, number, accepted=2), span(name, 0, b"a", b"b"))
    await opened.committed(
        call("fc-4", 4, function="fu-2", accepted=1),
        call("fc-7", 7, sealed=False),
        alike("fc-2", 0, 2, b""),
        CallEnded("fc-2", 2, 60.0),
        outputs("fc-5", 0, b"0"),
    )

    async def names(*arguments: Any) -> list[str]:
        return [loaded.call.call_id for loaded in await opened.ask("load_calls", "fu-1", *arguments)]

    assert await names(0, 99, WIDE) == ["fc-1", "fc-3", "fc-5", "fc-7", "fc-8", "fc-9"]
    assert await names(3, 2, WIDE) == ["fc-5", "fc-7"]
    assert await names(9, 99, WIDE) == []
    assert await names(0, 99, Window(3, 1_000)) == ["fc-1", "fc-3"]
    assert await names(0, 99, Window(4, 1_000)) == ["fc-1", "fc-3"]
    assert await names(0, 99, Window(5, 1_000)) == ["fc-1", "fc-3", "fc-5"]
    assert await names(0, 99, Window(1_000, 1)) == ["fc-1"]
    assert await opened.ask("load_calls", "fu-none", 0, 99, WIDE) == []
    loaded = await opened.ask("load_calls", "fu-1", 3, 3, WIDE)
    assert loaded[0].call.done == 1
    assert loaded[0].spans == LoadedSpans("fc-5", [span("fc-5", 0, b"a", b"b")], [(0, 1)], 2)
    assert loaded[1].spans == LoadedSpans("fc-7", [], [], 0)
    assert loaded[2].spans == LoadedSpans("fc-8", [span("fc-8", 0, b"a", b"b")], [], 2)


async def test_the_last_call_that_fits_a_window_is_loaded_in_part(opened: Opened) -> None:
    for number in (1, 2, 3):
        name = f"fc-{number}"
        spans = [span(name, first, b"a", b"b") for first in range(0, 6, 2)]
        await opened.committed(call(name, number, accepted=6), *spans)
    loaded = await opened.ask("load_calls", "fu-1", 0, 99, Window(8, 1_000))
    assert [(one.call.call_id, one.spans.upto) for one in loaded] == [("fc-1", 6), ("fc-2", 2)]
    await opened.committed(outputs("fc-1", 2, b"2", b"3"), outputs("fc-2", 0, b"0"))
    loaded = await opened.ask("load_calls", "fu-1", 0, 99, Window(5, 1_000))
    assert [(one.call.call_id, one.spans.upto) for one in loaded] == [("fc-1", 6), ("fc-2", 2)]


# ---------------------------------------------------------------- what is old


async def test_results_expire_and_calls_are_forgotten_later(opened: Opened) -> None:
    for number, ended_at in ((1, 100.0), (2, 200.0), (3, 300.0)):
        name = f"fc-{number}"
        await opened.committed(
            call(name, number, accepted=2),
            outputs(name, 0, b"plain", f"{name}.1.out".encode(), blobs=(1,), trace=Trace(1.0)),
            CallEnded(name, 2, ended_at),
        )
    await opened.committed(call("fc-4", 4, accepted=2), outputs("fc-4", 0, b"fc-4.0.out", blobs=(0,)))
    assert sorted(await opened.ask("expire", 300.0, 200.0, 1_000)) == ["fc-1.1.out", "fc-2.1.out"]
    assert await opened.ask("read_call", "fc-1") is None
    kept = await opened.ask("read_call", "fc-2")
    assert (kept.expired, kept.accepted, kept.ended_at) == (True, 2, 200.0)
    assert await payloads(opened, "fc-2") == {}
    assert await opened.ask("read_trace", "fc-2", 0) is None
    assert await payloads(opened, "fc-3") == {0: b"plain", 1: b"fc-3.1.out"}
    assert await payloads(opened, "fc-4") == {0: b"fc-4.0.out"}
    assert await opened.ask("expire", 300.0, 200.0, 1_000) == []
    assert await opened.ask("expire", 301.0, 301.0, 1_000) == ["fc-3.1.out"]
    assert [await opened.ask("read_call", f"fc-{n}") for n in (2, 3)] == [None, None]
    assert await payloads(opened, "fc-4") == {0: b"fc-4.0.out"}


async def test_what_a_cancelled_call_was_given_expires_too(opened: Opened) -> None:
    await opened.committed(call("fc-1", 1, accepted=2), CallsCancelled(("fu-1",), "stopped", 70.0))
    assert await payloads(opened, "fc-1") == {0: b"stopped", 1: b"stopped"}
    await opened.ask("expire", 71.0, 0.0, 1_000)
    assert await payloads(opened, "fc-1") == {}


async def test_blobs_of_inputs_that_were_never_needed_are_not_forgotten(opened: Opened) -> None:
    await opened.committed(
        call("fc-1", 1, accepted=3),
        span("fc-1", 0, b"x", b"fc-1.1.in", blobs=(1,)),
        span("fc-1", 2, b"fc-1.2.in", blobs=(2,)),
        call("fc-2", 2, function="fu-2", accepted=1),
        span("fc-2", 0, b"fc-2.0.in", blobs=(0,)),
        call("fc-3", 3, accepted=1),
        span("fc-3", 0, b"fc-3.0.in", blobs=(0,)),
        alike("fc-3", 0, 1, b""),
        SpansDone("fc-3", [0]),
    )
    await opened.committed(CallsCancelled(("fu-1",), "stopped", 70.0))
    assert sorted(await opened.ask("expire", 0.0, 0.0, 1_000)) == ["fc-1.1.in", "fc-1.2.in"]
    assert await opened.ask("expire", 0.0, 0.0, 1_000) == []
    await opened.committed(alike("fc-2", 0, 1, b""), CallEnded("fc-2", 1, 80.0))
    assert await opened.ask("expire", 0.0, 0.0, 1_000) == ["fc-2.0.in"]


async def test_numbers_of_forgotten_calls_are_not_given_again(opened: Opened) -> None:
    await opened.committed(call("fc-1", 41), CallEnded("fc-1", 0, 60.0), call("fc-2", 17))
    await opened.ask("expire", 61.0, 61.0, 1_000)
    assert opened.reopen().sequence == 41


async def test_what_ended_long_ago_is_forgotten_with_the_calls(opened: Opened) -> None:
    await opened.committed(
        BundleRecord("of-old", b"1"),
        BundleRecord("of-both", b"2"),
        app("old", 1.0, version=1, stopped_at=50.0),
        app("busy", 2.0, version=1, stopped_at=50.0),
        app("new", 3.0, version=1, stopped_at=70.0),
        deployment("ap-old", 1, "of-old"),
        deployment("ap-old", 2, "of-both"),
        deployment("ap-new", 1, "of-both"),
        function("fu-1", "ap-busy", 1),
        container("ta-1", "ap-old", 50.0),
        container("ta-2", "ap-new", 70.0),
    )
    await opened.ask("expire", 60.0, 60.0, 1_000)
    assert [one.name for one in await opened.ask("read_apps")] == ["new", "busy"]
    assert await opened.ask("read_deployments", "ap-old") == []
    assert await opened.ask("read_bundle", "of-old") is None
    assert await opened.ask("read_bundle", "of-both") == b"2"
    assert [one.container_id for one in await opened.ask("read_containers", "", 9)] == ["ta-2"]


async def test_only_so_many_containers_are_remembered_those_recorded_last(opened: Opened) -> None:
    ended = [30.0, 40.0, 60.0, 50.0, 70.0, 80.0]
    await opened.committed(*(container(f"ta-{number}", "ap-1", at) for number, at in enumerate(ended)))
    await opened.ask("expire", 0.0, 0.0, 6)
    assert len(await opened.ask("read_containers", "", 9)) == 6
    await opened.ask("expire", 0.0, 0.0, 3)
    assert [one.container_id for one in await opened.ask("read_containers", "", 9)] == ["ta-5", "ta-4", "ta-3"]
    await opened.ask("expire", 0.0, 65.0, 3)
    assert [one.container_id for one in await opened.ask("read_containers", "", 9)] == ["ta-5", "ta-4"]
    await opened.ask("expire", 0.0, 0.0, 0)
    assert await opened.ask("read_containers", "", 9) == []


# ---------------------------------------------------------------- apps


async def test_apps_are_read_with_the_latest_first(opened: Opened) -> None:
    first, second, third = app("a", 10.0), app("b", 30.0), app("c", 20.0, tags={"team": "x"})
    await opened.committed(first, second, third)
    assert await opened.ask("read_apps") == [second, third, first]
    stopped = app("b", 30.0, version=4, stopped_at=99.0)
    await opened.committed(stopped)
    assert await opened.ask("read_apps") == [stopped, third, first]


async def test_versions_are_read_as_they_were_deployed(opened: Opened) -> None:
    versions = [deployment("ap-1", version, "digest") for version in (1, 2, 10)]
    await opened.committed(*versions, deployment("ap-2", 1))
    assert await opened.ask("read_deployments", "ap-1") == versions[::-1]
    assert await opened.ask("read_deployment", "ap-1", 2) == versions[1]
    assert await opened.ask("read_deployment", "ap-1", 3) is None
    assert await opened.ask("read_deployments", "ap-none") == []


async def test_source_files_are_read_by_their_digest(opened: Opened) -> None:
    data = bytes(range(256)) * 1_000
    await opened.committed(BundleRecord("digest", data), BundleRecord("digest", data))
    assert await opened.ask("read_bundle", "digest") == data
    assert await opened.ask("read_bundle", "other") is None


async def test_former_containers_are_read_with_the_latest_first(opened: Opened) -> None:
    ended = [container(f"ta-{n}", f"ap-{n % 2}", float(at)) for n, at in enumerate((30, 10, 20, 20))]
    await opened.committed(*ended)
    assert await opened.ask("read_containers", "", 9) == [ended[0], ended[3], ended[2], ended[1]]
    assert await opened.ask("read_containers", "", 2) == [ended[0], ended[3]]
    assert await opened.ask("read_containers", "ap-0", 9) == [ended[0], ended[2]]
    assert await opened.ask("read_containers", "ap-none", 9) == []
    assert await opened.ask("read_container", "ta-1") == ended[1]
    assert await opened.ask("read_container", "ta-none") is None


# ---------------------------------------------------------------- the next server


async def test_an_empty_store_has_nothing_to_restore(opened: Opened) -> None:
    assert opened.reopen() == Restored()


async def test_a_server_finds_what_it_needs_to_go_on(opened: Opened) -> None:
    live, stopped = app("live", 1.0, version=3), app("gone", 2.0, version=1, stopped_at=60.0)
    versions = {version: deployment("ap-live", version) for version in (1, 2, 3)}
    pinned = function("fu-1", "ap-live", 2, is_pinned=True, changes=b"\x01", next_run=99.0)
    changed = function("fu-2", "ap-live", 3, override=AutoscalerSettings(max_containers=9), is_public=True)
    finishing = function("fu-4", "ap-gone", 1, is_retired=True)
    await opened.committed(live, stopped, *versions.values(), deployment("ap-gone", 1), pinned)
    await opened.committed(function("fu-2", "ap-live", 2), function("fu-3", "ap-live", 1), finishing)
    await opened.committed(changed, FunctionGone("fu-3"))
    await opened.committed(
        call("fc-1", 1, accepted=10),
        outputs("fc-1", 2, b"2", b"3", b"4"),
        call("fc-2", 2, accepted=1, sealed=False),
        call("fc-3", 3, function="fu-2", accepted=0, sealed=False),
        call("fc-5", 5, function="fu-2", accepted=1),
        CallEnded("fc-5", 1, 60.0),
        call("fc-4", 4, function="fu-other", accepted=2),
    )
    restored = opened.reopen()
    assert restored.apps == (live,)
    assert restored.deployments == (deployment("ap-gone", 1), versions[2], versions[3])
    assert restored.functions == (pinned, changed, finishing)
    assert restored.waiting == {"fu-1": Waiting(2, 8), "fu-2": Waiting(1, 0), "fu-other": Waiting(1, 2)}
    assert restored.sequence == 5


async def test_what_was_recorded_before_the_end_is_there_after_it(opened: Opened) -> None:
    opened.append(call("fc-1", 1, accepted=1), outputs("fc-1", 0, b"0"))
    opened.reopen()
    assert await payloads(opened, "fc-1") == {0: b"0"}


# ---------------------------------------------------------------- any story

FUNCTIONS = ("fu-1", "fu-2", "fu-3")
WHAT = {  # what may happen, and how often
    "open": 2,
    "grow": 5,
    "results": 12,
    "alike": 3,
    "done": 6,
    "attempt": 6,
    "end": 1,
    "cancel": 1,
    "gone": 1,
    "expire": 1,
    "commit": 6,
    "compare": 1,
}
Step = tuple[str, int, int, int]


class Story:
    """Makes legal records of whatever steps are drawn, as an engine would write them."""

    def __init__(self) -> None:
        self.now = 100.0
        self.accepted: dict[str, int] = {}  # of all calls
        self.functions: dict[str, str] = {}
        self.spans: dict[str, dict[int, int]] = {}  # of calls that go on: first and count of their spans
        self.results: dict[str, set[int]] = {}

    def tell(self, step: Step) -> list[Record]:
        """The records of one step."""
        what, a, b, c = step
        self.now += 1
        if what == "open":
            return self._open(FUNCTIONS[a % 3], b % 7)
        if what == "cancel":
            return [self._cancel((FUNCTIONS[a % 3],) if a % 4 else None)]
        if what == "gone":
            record = function(FUNCTIONS[a % 3], "ap-1", b)
            return [record if c % 2 else FunctionGone(record.function_id)]
        if not self.spans:
            return []
        name = sorted(self.spans)[a % len(self.spans)]
        return {
            "grow": self._grow,
            "results": self._results,
            "alike": self._alike,
            "done": self._done,
            "attempt": self._attempt,
            "end": self._end,
        }[what](name, b, c)

    def _open(self, function_id: str, inputs: int) -> list[Record]:
        name = f"fc-{len(self.accepted)}"
        self.accepted[name], self.functions[name] = 0, function_id
        self.spans[name], self.results[name] = {}, set()
        begun = call(name, len(self.accepted), function=function_id, accepted=inputs, sealed=False)
        return [begun, *self._take(name, inputs)]

    def _take(self, name: str, inputs: int) -> list[Record]:
        if not inputs:
            return []
        first = self.accepted[name]
        self.spans[name][first] = inputs
        self.accepted[name] += inputs
        texts = [b"%d" % (first + i) for i in range(inputs)]
        return [span(name, first, *texts, blobs=(first,) if first % 5 == 3 else ())]

    def _grow(self, name: str, inputs: int, sealed: int) -> list[Record]:
        taken = self._take(name, inputs % 5)
        return [*taken, CallGrown(name, self.accepted[name], sealed=bool(sealed % 2))]

    def _run(self, name: str, b: int, c: int) -> tuple[int, int]:
        accepted, left = self.accepted[name], self._left(name)
        # Mostly those in front, but any may come, and come twice.
        first = left[b // 3 % min(len(left), 3)] if left and b % 3 else b % (accepted + 1)
        count = min(1 + c % 4, accepted - first)
        self.results[name].update(range(first, first + count))
        return first, count

    def _results(self, name: str, b: int, c: int) -> list[Record]:
        first, count = self._run(name, b, c)
        texts = [b"%d at %d" % (first + i, self.now) for i in range(count)]
        failures = ((0, FAILURE),) if c % 3 == 0 else ()
        trace = Trace(self.now, self.now, self.now + 1, "ta-1") if c % 2 else None
        return [outputs(name, first, *texts, failures=failures, blobs=(0,) if c % 5 == 4 else (), trace=trace)] * bool(
            count
        )

    def _alike(self, name: str, b: int, c: int) -> list[Record]:
        first, count = self._run(name, b, 4 * c)
        return [alike(name, first, count, b"same", TERMINATED if c % 2 else SUCCESS)] * bool(count)

    def _done(self, name: str, b: int, c: int) -> list[Record]:
        spans, results = self.spans[name], self.results[name]
        done = [first for first, count in spans.items() if results.issuperset(range(first, first + count))]
        done = done[b % 3 : b % 3 + 1 + c % 2]
        for first in done:
            del spans[first]
        return [SpansDone(name, done)] * bool(done)

    def _attempt(self, name: str, b: int, c: int) -> list[Record]:
        left = self._left(name)
        return [AttemptRecord(name, left[b % min(len(left), 3)], c, b % 3, self.now)] if left else []

    def _left(self, name: str) -> list[int]:
        return [i for i in range(self.accepted[name]) if i not in self.results[name]]

    def _end(self, name: str, b: int, c: int) -> list[Record]:
        accepted = self.accepted[name]
        rest = [alike(name, 0, accepted, b"rest", TERMINATED)] if len(self.results[name]) < accepted else []
        del self.spans[name]
        return [*rest, CallEnded(name, accepted, self.now)]

    def _cancel(self, function_ids: tuple[str, ...] | None) -> CallsCancelled:
        # Which functions are recorded is not kept here; nothing is said any more of calls that may have ended.
        for name in [name for name in self.spans if function_ids is None or self.functions[name] in function_ids]:
            del self.spans[name]
        return CallsCancelled(function_ids, f"cancelled at {self.now}", self.now)

    def questions(self) -> list[tuple[Any, ...]]:
        """All that can be asked."""
        asked: list[tuple[Any, ...]] = [("read_apps",), ("read_containers", "", 9)]
        for name, accepted in self.accepted.items():
            asked += [("read_call", name), ("read_outputs", name, 0, 99), ("read_outputs", name, 2, 5)]
            asked += [("read_trace", name, index) for index in range(0, accepted + 1, 2)]
            asked += [("load_call", name, window) for window in (WIDE, Window(3, 99), Window(99, 3))]
            asked += [("load_spans", name, first, Window(4, 99)) for first in self.spans.get(name, {})]
        for function_id in FUNCTIONS:
            asked += [
                ("load_calls", function_id, a, n, w) for a, n, w in ((0, 99, WIDE), (1, 2, WIDE), (0, 9, Window(5, 99)))
            ]
        return asked


async def compare(steps: list[Step], directory: Path, *, inline: bool) -> None:
    both = [open_memory(directory), open_sqlite_inline(directory) if inline else open_sqlite(directory)]
    story = Story()
    for step in [*steps, ("compare", 0, 0, 0), ("compare", 1, 0, 0)]:
        what, a, b, _ = step
        if what == "commit":
            await both[1].ask("commit")
        elif what == "expire":
            times = sorted((story.now - a % 99, story.now - b % 99))
            dropped = [sorted(await opened.ask("expire", *times[::-1], 1_000)) for opened in both]
            assert dropped[0] == dropped[1]
        elif what == "compare":
            restored = [opened.reopen() if a % 2 else opened.store.restore() for opened in both]
            assert restored[0] == restored[1]
            for question in story.questions():
                answers = [await opened.ask(*question) for opened in both]
                assert answers[0] == answers[1], question
        else:
            records = story.tell(step)
            for opened in both:
                opened.append(*records)
    for opened in both:
        opened.store.close()


numbers = st.integers(0, 9_999)
kinds = st.sampled_from([what for what, often in WHAT.items() for _ in range(often)])


@pytest.mark.timeout(400)  # enough to shrink an example, should there be one
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(st.tuples(kinds, numbers, numbers, numbers), min_size=80, max_size=160), inline=st.booleans())
def test_whatever_is_recorded_both_stores_tell_the_same(steps: list[Step], inline: bool) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(compare(steps, Path(directory), inline=inline))


# ---------------------------------------------------------------- reads that fail


LARGE = 2**63  #: more than SQLite stores


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("read_call", (["no id"],)),
        ("read_outputs", (["no id"], 0, 1)),
        ("read_trace", (["no id"], 0)),
        ("load_call", (["no id"], WIDE)),
        ("read_bundle", (["no digest"],)),
        ("read_container", (["no id"],)),
        ("read_outputs", ("fc-1", 0, LARGE)),
        ("read_trace", ("fc-1", LARGE)),
        ("read_deployment", ("ap-1", LARGE)),
        ("read_containers", ("", LARGE)),
    ],
    ids=repr,
)
async def test_a_read_that_fails_is_told_to_the_one_who_asked_and_to_nobody_else(
    opened: Opened, method: str, arguments: tuple[Any, ...]
) -> None:
    opened.append(call("fc-1", 1), span("fc-1", 0, b"a"))
    told: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    getattr(opened.store, method)(*arguments, told.set_result, failed=told.set_result)
    assert not told.done(), "answered from inside the call"
    found = await asyncio.wait_for(told, 30)
    if arguments[0] not in ("fc-1", "ap-1", ""):  # a store may well know that there is nothing of so large a number
        assert isinstance(found, ReadFailed)
    await opened.committed(outputs("fc-1", 0, b"A"))
    assert [output.payload for output in await opened.ask("read_outputs", "fc-1", 0, 1)] == [b"A"]
