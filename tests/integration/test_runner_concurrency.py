"""Inputs side by side in a container: tasks of one loop, and threads."""

from __future__ import annotations

from runner_program import FAILURE, SUCCESS, Start, concurrent, function

from swell.errors import InvalidError
from swell.model import (
    ClassSpec,
    Concurrency,
    FunctionSpec,
    MethodSpec,
    Source,
)
from swell.wire.messages import Completed

# ------------------------------------------------------------ async


def test_async_inputs_and_hooks_share_one_loop_on_the_main_thread(start: Start) -> None:
    code = """
import asyncio, threading
ticks = 0
async def tick():
    global ticks
    while True:
        ticks += 1
        await asyncio.sleep(0.001)
class C:
    async def start(self):
        self.loop = asyncio.get_running_loop()
        self.ticker = asyncio.create_task(tick())
    start.__swell_marks__ = {"enter": {"snap": False}}
    async def m(self):
        return self.loop is asyncio.get_running_loop(), threading.current_thread() is threading.main_thread()
    async def count(self):
        return ticks
"""
    methods = (MethodSpec("m", is_async=True), MethodSpec("count", is_async=True))
    spec = FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec(methods))
    peer = start(spec, code)
    peer.ready()
    assert peer.run((), method="m") == [(SUCCESS, (True, True))]
    [(_, before)] = peer.run((), method="count")
    after = before
    while after < before + 3:  # what hooks started goes on between inputs
        [(_, after)] = peer.run((), method="count")
    assert peer.end()[0] == 0


def test_async_serial_span_runs_one_after_another(start: Start) -> None:
    code = """
import asyncio
running = 0
async def f(i):
    global running
    running += 1
    await asyncio.sleep(0.001)
    seen = running
    running -= 1
    return seen
"""
    peer = start(function(is_async=True), code)
    peer.ready()
    numbers = [peer.deliver(*[(i,) for i in range(10)]) for _ in range(2)]
    assert [peer.results_of(number, 10) for number in numbers] == [[(SUCCESS, 1)] * 10] * 2


def test_async_context_is_per_input(start: Start) -> None:
    code = """
import asyncio
from swell.wire.context import current_input_id
async def f():
    before = current_input_id()
    await asyncio.sleep(0.01)
    return before, current_input_id()
"""
    peer = start(concurrent(is_async=True), code)
    peer.ready()
    expected = [(SUCCESS, (f"in-1:{i}", f"in-1:{i}")) for i in range(8)]
    assert peer.run(*[()] * 8, mode="parallel") == expected


def test_async_function_without_a_coroutine(start: Start) -> None:
    peer = start(function(is_async=True), "def f(): return 3")
    peer.ready()
    [(_, error)] = peer.run(())
    assert isinstance(error, InvalidError)
    assert "declared async" in str(error)


def test_async_failures_harm_only_their_input(start: Start) -> None:
    code = """
import asyncio, sys
async def f(i):
    await asyncio.sleep(0)
    if i == 1: raise ValueError(i)
    if i == 2: sys.exit(2)
    if i == 3: raise asyncio.CancelledError
    if i == 4: asyncio.current_task().cancel(); await asyncio.sleep(1)
    return i
"""
    peer = start(function(is_async=True), code)
    peer.ready()
    results = peer.run(*[(i,) for i in range(6)])
    kinds = [type(value).__name__ for status, value in results if status is FAILURE]
    assert kinds == ["ValueError", "SystemExit", "CancelledError", "CancelledError"]
    assert [value for status, value in results if status is SUCCESS] == [0, 5]
    assert peer.end()[0] == 0


def test_sync_method_beside_async_ones_finds_no_running_loop(start: Start) -> None:
    code = """
import asyncio, threading
class C:
    def sync(self):
        try: asyncio.get_running_loop()
        except RuntimeError: return threading.current_thread() is threading.main_thread()
    async def later(self): return "async"
"""
    spec = FunctionSpec(
        "C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("sync"), MethodSpec("later", is_async=True)))
    )
    peer = start(spec, code)
    peer.ready()
    numbers = [peer.deliver((), method=method) for method in ("sync", "later", "sync", "later")]
    assert [peer.results_of(number, 1)[0][1] for number in numbers] == [True, "async", True, "async"]
    assert peer.end()[0] == 0


# ------------------------------------------------------------ concurrency


def test_threads_run_at_once_and_are_reused(start: Start) -> None:
    code = """
import threading
barrier = threading.Barrier(6)
def f():
    barrier.wait()
    return threading.get_ident()
"""
    peer = start(concurrent(max_inputs=6), code)
    peer.ready()
    first = {value for _, value in peer.run(*[()] * 6, mode="parallel")}
    second = {value for _, value in peer.run(*[()] * 6, mode="parallel")}
    assert len(first) == 6
    assert first == second


def test_threads_never_exceed_max_inputs(start: Start) -> None:
    code = """
import threading, time
lock, running, most = threading.Lock(), 0, 0
def f():
    global running, most
    with lock:
        running += 1
        most = max(most, running)
    time.sleep(0.002)
    with lock: running -= 1
    return most
"""
    peer = start(concurrent(max_inputs=3), code)
    peer.ready()
    values = [value for _, value in peer.run(*[()] * 20, mode="parallel")]
    assert max(values) <= 3


def test_threads_have_their_own_context(start: Start) -> None:
    code = """
import threading
from swell.wire.context import current_input_id
barrier = threading.Barrier(4)
def f():
    before = current_input_id()
    barrier.wait()
    return before, current_input_id()
"""
    peer = start(concurrent(max_inputs=4), code)
    peer.ready()
    assert peer.run(*[()] * 4, mode="parallel") == [(SUCCESS, (f"in-1:{i}", f"in-1:{i}")) for i in range(4)]


def test_serial_deliveries_share_the_threads_of_a_concurrent_container(start: Start) -> None:
    code = "import threading\nbarrier = threading.Barrier(2)\ndef f(i):\n    barrier.wait()\n    return i"
    peer = start(concurrent(max_inputs=2), code)
    peer.ready()
    numbers = [peer.deliver(*[(i,) for i in range(5)]) for _ in range(2)]
    assert [peer.results_of(number, 5) for number in numbers] == [[(SUCCESS, i) for i in range(5)]] * 2


def test_tasks_run_at_once_and_report_together(start: Start) -> None:
    code = """
import asyncio
arrived = 0
everybody = asyncio.Event()
async def f(i):
    global arrived
    arrived += 1
    if arrived == 50: everybody.set()
    await everybody.wait()
    return i
"""
    peer = start(concurrent(max_inputs=50, is_async=True), code)
    peer.ready()
    assert peer.run(*[(i,) for i in range(50)], mode="parallel") == [(SUCCESS, i) for i in range(50)]
    assert len([message for message in peer.messages if isinstance(message, Completed)]) <= 3


def test_sync_methods_of_a_concurrent_async_class_run_on_threads(start: Start) -> None:
    code = """
import asyncio, threading
here = threading.Event()
class C:
    def sync(self):
        here.set()
        return threading.current_thread() is threading.main_thread()
    async def later(self):
        while not here.is_set(): await asyncio.sleep(0.001)
        return "async"
"""
    spec = FunctionSpec(
        "C.*",
        Source("program", "C"),
        concurrency=Concurrency(2, 2),
        cls=ClassSpec((MethodSpec("sync"), MethodSpec("later", is_async=True))),
    )
    peer = start(spec, code)
    peer.ready()
    later, sync = peer.deliver((), method="later", mode="parallel"), peer.deliver((), method="sync", mode="parallel")
    assert peer.results_of(later, 1) == [(SUCCESS, "async")]
    assert peer.results_of(sync, 1) == [(SUCCESS, False)]
    assert peer.end()[0] == 0
