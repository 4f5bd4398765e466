"""How a container gives back inputs and leaves: reclaim, drain, interruption, the end of its server."""

from __future__ import annotations

import signal

import psutil
import pytest
from patience import patience
from runner_program import SIGNALS, STUBBORN, SUCCESS, TERMINATED, Start, await_file, concurrent, function

from swell.model import (
    ClassSpec,
    Concurrency,
    FunctionSpec,
    MethodSpec,
    Source,
)
from swell.wire.messages import Cancel, Drain, Leaving, Reclaim


def test_reclaim_reports_what_is_done_and_gives_back_the_rest(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((0,), ("hang",), (2,), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(delivery))
    peer.read_until(lambda: bool(peer.returned))
    assert peer.returned == [(delivery, 2)]
    assert peer.results == {(delivery, 0): (SUCCESS, 0)}
    peer.order(Reclaim(delivery))  # nothing more to give
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 2)[1][0] is TERMINATED
    assert peer.run((9,)) == [(SUCCESS, 9)]
    assert peer.returned == [(delivery, 2)]


def test_reclaim_of_a_delivery_that_is_still_in_the_socket(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    first = peer.deliver(("hang",))
    second = peer.deliver((1,), (2,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(second))
    peer.read_until(lambda: bool(peer.returned))
    assert peer.returned == [(second, 0)]
    peer.order(Cancel(first, [0]))
    peer.results_of(first, 1)
    assert peer.run((9,)) == [(SUCCESS, 9)]
    assert (second, 0) not in peer.results


def test_everything_is_run_once_or_given_back_however_often_it_is_reclaimed(start: Start) -> None:
    peer = start(function(), "def f(i): return i")
    peer.ready()
    for _ in range(100):
        delivery = peer.deliver(*[(i,) for i in range(300)])
        peer.order(Reclaim(delivery))
        barrier = peer.deliver((0,))

        def cut(delivery: int = delivery) -> int:
            return next((position for number, position in peer.returned if number == delivery), 300)

        peer.read_until(lambda: {(delivery, i) for i in range(cut())} <= set(peer.results))  # noqa: B023
        peer.results_of(barrier, 1)
        assert len([1 for number, _ in peer.results if number == delivery]) == cut()


@pytest.mark.parametrize("spec", [function(), function(is_async=True), concurrent()], ids=["serial", "async", "many"])
def test_drain_when_idle(start: Start, spec: FunctionSpec) -> None:
    peer = start(spec, f"{'async ' if spec.is_async else ''}def f(i): return i")
    peer.ready()
    assert peer.end()[0] == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_drain_finishes_what_runs_and_gives_back_the_rest(start: Start, is_async: bool) -> None:
    wait = "while not os.path.exists('go'): await asyncio.sleep(0.001)" if is_async else "await_file('go')"
    code = (
        SIGNALS
        + f"""
import asyncio
{"async " if is_async else ""}def f(i):
    reached("running")
    {wait}
    return i
"""
    )
    peer = start(function(is_async=is_async), code)
    peer.ready()
    first = peer.deliver((0,), (1,), (2,))
    second = peer.deliver((3,))
    await_file(peer.mark("running"))
    peer.order(Drain(10.0))
    peer.read_until(lambda: (first, 1) in peer.returned)
    peer.mark("go").touch()
    assert peer.wait()[0] == 0
    assert peer.results == {(first, 0): (SUCCESS, 0)}
    assert sorted(peer.returned) == [(first, 1), (second, 0)]


def test_drain_waits_for_threads(start: Start) -> None:
    code = SIGNALS + "def f(i):\n    reached(f'r{i}')\n    await_file('go')\n    return i"
    peer = start(concurrent(max_inputs=2), code)
    peer.ready()
    delivery = peer.deliver((0,), (1,), (2,), mode="parallel")
    await_file(peer.mark("r0"))
    await_file(peer.mark("r1"))
    peer.order(Drain(10.0))
    peer.read_until(lambda: bool(peer.returned))
    peer.mark("go").touch()
    assert peer.wait()[0] == 0
    assert peer.results == {(delivery, 0): (SUCCESS, 0), (delivery, 1): (SUCCESS, 1)}
    assert peer.returned == [(delivery, 2)]


HOOKED = (
    SIGNALS
    + """
import asyncio
class C:
    def late(self): reached("left")
    late.__swell_marks__ = {"exit": {}}
    def m(self, i):
        if i == "user": raise KeyboardInterrupt
        if i == "hang":
            reached("hanging")
            while True: time.sleep(0.01)
        return i
    async def a(self, i):
        if i == "user": raise KeyboardInterrupt
        if i == "hang":
            reached("hanging")
            await asyncio.sleep(60)
        return i
"""
)


def hooked(method: str, max_inputs: int = 1) -> FunctionSpec:
    methods = (MethodSpec(method, is_async=method == "a"),)
    return FunctionSpec(
        "C.*", Source("program", "C"), cls=ClassSpec(methods), concurrency=Concurrency(max_inputs, max_inputs)
    )


CASES = pytest.mark.parametrize(
    ("method", "max_inputs"), [("m", 1), ("m", 3), ("a", 1), ("a", 3)], ids=["serial", "threads", "async", "tasks"]
)


@CASES
def test_interrupt_in_an_input_leaves_without_its_output(start: Start, method: str, max_inputs: int) -> None:
    peer = start(hooked(method, max_inputs), HOOKED)
    peer.ready()
    mode = "serial" if max_inputs == 1 else "parallel"
    delivery = peer.deliver((0,), ("hang",), (2,), method=method, mode=mode)
    await_file(peer.mark("hanging"))
    peer.interrupt()
    code, _, err = peer.wait()
    assert code == 0, err
    assert (delivery, 1) not in peer.results
    assert peer.results[delivery, 0] == (SUCCESS, 0)
    assert peer.mark("left").exists()
    if mode == "serial":
        assert peer.returned == [(delivery, 2)]


@CASES
def test_interrupt_when_idle_runs_exit_hooks(start: Start, method: str, max_inputs: int) -> None:
    peer = start(hooked(method, max_inputs), HOOKED)
    peer.ready()
    peer.run((1,), method=method)
    peer.interrupt()
    assert peer.wait()[0] == 0
    assert peer.mark("left").exists()


@CASES
def test_keyboard_interrupt_of_user_code_makes_the_container_leave(start: Start, method: str, max_inputs: int) -> None:
    peer = start(hooked(method, max_inputs), HOOKED)
    peer.ready()
    peer.deliver(("user",), method=method)
    assert peer.wait()[0] == 0
    assert peer.results == {}
    assert peer.mark("left").exists()


def test_interrupt_during_the_start_leaves_at_once(start: Start) -> None:
    code = """
import atexit, threading
atexit.register(print, "left")
threading.Thread(target=threading.Event().wait).start()
reached('loading')
while True: time.sleep(60)
"""
    peer = start(function(), SIGNALS + code)
    await_file(peer.mark("loading"))
    peer.interrupt()
    assert peer.wait()[:2] == (0, "left\n")


def test_stop_fetching_tells_the_server(start: Start) -> None:
    code = "from swell.wire.context import stop_fetching\ndef f():\n    stop_fetching()\n    return 1"
    peer = start(function(), code)
    peer.ready()
    assert peer.run(()) == [(SUCCESS, 1)]
    assert any(isinstance(message, Leaving) for message in peer.messages)
    assert peer.end()[0] == 0


@pytest.mark.parametrize("end", ["data", "control"])
def test_container_dies_with_its_server(start: Start, end: str) -> None:
    code = "import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\ndef f():\n    while True: pass"
    peer = start(function(), code)
    peer.ready()
    peer.deliver(())
    children = psutil.Process(peer.process.pid).children()
    assert [child.name() for child in children] == ["sleep"]
    (peer.control if end == "control" else peer.data).socket.close()
    if end == "data":
        peer.control.socket.close()  # user code spins on the main thread, so only the control channel is heard
    assert peer.process.wait(patience()) == -signal.SIGKILL
    psutil.wait_procs(children, 20)
    assert not any(child.is_running() and child.status() != psutil.STATUS_ZOMBIE for child in children)


def test_idle_container_dies_when_its_data_channel_ends(start: Start) -> None:
    peer = start(function(), "def f(): pass")
    peer.ready()
    peer.data.socket.close()
    assert peer.process.wait(patience()) == -signal.SIGKILL
