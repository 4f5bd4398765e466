"""A real container on real sockets: what it runs, what it reports, and what it survives."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest
from patience import patience

from swell.errors import DeserializationError, ExecutionError, InvalidError, SerializationError
from swell.model import (
    Batching,
    ClassSpec,
    Concurrency,
    DeliveryMode,
    FunctionSpec,
    MethodSpec,
    OutputStatus,
    ParameterSpec,
    Source,
)
from swell.wire import blobs, payload
from swell.wire.blob_names import input_name
from swell.wire.messages import Cancel, Completed, Drain, ItemsTaken, Leaving, Reclaim, Returned, StartFailed

Start = Callable[..., Any]

SUCCESS, FAILURE, TERMINATED = OutputStatus.SUCCESS, OutputStatus.FAILURE, OutputStatus.TERMINATED

#: Code for tests to wait in: `reached(name)` makes a file, `await_file(name)` waits for one.
SIGNALS = """
import os, time
def reached(name):
    open(name, "w").close()
def await_file(name):
    while not os.path.exists(name):
        time.sleep(0.001)
"""


def function(name: str = "f", **options: Any) -> FunctionSpec:
    return FunctionSpec(name, Source("program", name), **options)


def concurrent(name: str = "f", max_inputs: int = 8, **options: Any) -> FunctionSpec:
    return function(name, concurrency=Concurrency(max_inputs, max_inputs), **options)


def await_file(path: Path) -> None:
    deadline = time.monotonic() + patience()
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} was never made"
        time.sleep(0.001)


# ---------------------------------------------------------------- plain inputs


def test_results_come_in_order_with_their_values(start: Start) -> None:
    peer = start(function(), "def f(x, y=0): return x + y")
    assert peer.ready().startup_s > 0
    calls = [payload.encode_arguments((i,), {"y": 1}) for i in range(100)]
    assert peer.run(*calls) == [(SUCCESS, i + 1) for i in range(100)]
    assert peer.end()[0] == 0


def test_offsets_are_relative_to_base(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    assert peer.run((1,), (2,), base=1000) == [(SUCCESS, 1), (SUCCESS, 2)]


def test_sync_function_has_the_main_thread_and_no_loop(start: Start) -> None:
    code = """
import asyncio, sys, threading
def f():
    return threading.current_thread() is threading.main_thread(), asyncio._get_running_loop(), "uvloop" in sys.modules
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run(()) == [(SUCCESS, (True, None, False))]


def test_results_of_a_slow_span_do_not_wait_for_its_end(start: Start) -> None:
    code = SIGNALS + "def f(i):\n    if i == 2: await_file('go')\n    time.sleep(0.005)\n    return i"
    peer = start(function(), code)
    peer.ready()
    delivery = peer.deliver((0,), (1,), (2,))
    peer.read_until(lambda: (delivery, 0) in peer.results)
    assert (delivery, 2) not in peer.results
    peer.mark("go").touch()
    assert peer.results_of(delivery, 3)[2] == (SUCCESS, 2)


def test_a_fast_span_is_reported_in_few_messages_with_its_time(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    peer.run(*[(i,) for i in range(1000)])
    reports = [message for message in peer.messages if isinstance(message, Completed)]
    assert len(reports) < 50
    assert 0 < sum(report.busy_s for report in reports) < 10


def test_several_deliveries_in_the_socket_are_run_in_order(start: Start) -> None:
    peer = start(function(), "seen = []\ndef f(x):\n    seen.append(x)\n    return list(seen)")
    peer.ready()
    numbers = [peer.deliver((i,)) for i in range(5)]
    assert [peer.results_of(number, 1)[0][1] for number in numbers] == [list(range(i + 1)) for i in range(5)]


def test_parts_of_one_delivery_name_their_inputs(start: Start) -> None:
    code = """
from swell.wire.context import current_function_call_id, current_input_id, is_local
def f(): return current_input_id(), current_function_call_id(), is_local()
"""
    peer = start(function(), code)
    peer.ready()
    from swell.wire.messages import Deliver

    data = payload.encode_arguments((), {})
    ends = [len(data) * (i + 1) for i in range(3)]
    peer.data.send(Deliver(7, DeliveryMode.SERIAL, "", [("fc-a", 4, 1), ("fc-b", 8, 2)], ends), data * 3)
    values = [value for _, value in peer.results_of(7, 3)]
    assert values == [("in-a:4", "fc-a", False), ("in-b:8", "fc-b", False), ("in-b:9", "fc-b", False)]


def test_environment_of_the_client(start: Start) -> None:
    code = """
import os, sys
def f():
    names = ["FROM_CLIENT", "FROM_SPEC", "SWELL_TASK_ID", "SWELL_IS_REMOTE", "SWELL_TOKEN", "SWELL_SERVER"]
    return [os.environ.get(name) for name in names], os.getcwd(), sys.path[0]
"""
    peer = start(function(variables={"FROM_SPEC": "1", "SWELL_TASK_ID": "no"}), code)
    peer.ready()
    [(_, (values, cwd, path))] = peer.run(())
    here = str(peer.directory)
    assert values == ["yes", "1", "ta-1", "1", "secret", f"unix:{here}/server"]
    assert (cwd, path) == (here, here)


def test_single_call_is_answered_without_waking_another_thread(start: Start) -> None:
    code = """
import threading, os
def f():
    return [t.name for t in threading.enumerate()]
"""
    peer = start(function(), code)
    peer.ready()
    [(_, names)] = peer.run(())
    assert sorted(names) == ["MainThread", "swell-control"]


# ---------------------------------------------------------------- failures


def test_exception_keeps_type_args_and_frames(start: Start) -> None:
    peer = start(function(), "def f(x):\n    return g(x)\ndef g(x):\n    raise KeyError(x, 'two')")
    peer.ready()
    [(status, error)] = peer.run(("one",))
    assert (status, type(error), error.args) == (FAILURE, KeyError, ("one", "two"))
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    assert [(f.name, f.lineno) for f in frames] == [("f", 2), ("g", 4)]
    assert frames[0].filename == f"<ta-1>:{peer.directory}/program.py"
    assert frames[1].line == "raise KeyError(x, 'two')"
    assert "KeyError: ('one', 'two')" in peer.end()[2]


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        ("raise SystemExit(3)", SystemExit, "3"),
        ("import sys; sys.exit('bye')", SystemExit, "bye"),
        ("raise GeneratorExit", GeneratorExit, ""),
        ("def r(): r()\n    r()", RecursionError, "recursion"),
        ("raise Liar()", BaseException, ""),
        ("raise Mute()", BaseException, ""),
        ("raise TwoArguments(1, 2)", BaseException, "1 and 2"),
        ("raise Holder()", SerializationError, "Holder"),
        ("return threading.Lock()", SerializationError, "lock"),
        ("return (i for i in x)", InvalidError, "is_generator=True"),
        ("return co()", InvalidError, "is_generator=True"),
        ("x = []\n    for _ in range(100000): x = [x]\n    return x", SerializationError, "recursion"),
        ("return NastyReduce()", SerializationError, "nasty"),
    ],
)
def test_whatever_goes_wrong_harms_only_its_input(
    start: Start, body: str, kind: type[BaseException], text: str
) -> None:
    code = f"""
import threading
class Liar(Exception):
    def __reduce__(self): return str, ("not an exception",)
class Mute(Exception):
    def __str__(self): raise RuntimeError("no")
    __repr__ = __str__
class TwoArguments(Exception):
    def __init__(self, a, b): super().__init__(f"{{a}} and {{b}}")
class Holder(Exception):
    def __init__(self): self.lock = threading.Lock()
class NastyReduce:
    def __reduce__(self): raise ValueError("nasty")
async def co(): pass
def f(x):
    if x == "fine": return x
    {body}
"""
    peer = start(function(), code)
    peer.ready()
    sys.path.insert(0, str(peer.directory))
    try:
        before, broken, after = peer.run(("fine",), ("x",), ("fine",))
    finally:
        sys.path.remove(str(peer.directory))
        sys.modules.pop("program", None)
    assert before == after == (SUCCESS, "fine")
    assert broken[0] is FAILURE
    assert isinstance(broken[1], kind)
    if text:
        assert text in str(broken[1])
    assert peer.end()[0] == 0


def test_exception_of_a_class_the_caller_has_not_tells_the_remote_traceback(start: Start) -> None:
    peer = start(function(), "class Own(Exception): pass\ndef f(): raise Own('mine')")
    peer.ready()
    [(_, error)] = peer.run(())
    assert isinstance(error, ExecutionError)
    assert "Own: mine" in str(error)
    assert "program.py" in str(error)


def test_arguments_that_cannot_be_read_fail_alone(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    gone = b"\x80\x05cno_such_module\nThing\n."
    results = peer.run((1,), b"garbage", gone, payload.dumps("no arguments"), (2,))
    assert [status for status, _ in results] == [SUCCESS, FAILURE, FAILURE, FAILURE, SUCCESS]
    assert all(isinstance(error, DeserializationError) for _, error in results[1:4])
    assert "no_such_module" in str(results[2][1])


def test_wrong_arguments_are_the_callers_type_error(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    [(status, error)] = peer.run((1, 2))
    assert status is FAILURE
    assert isinstance(error, TypeError)


def test_unknown_method_is_refused(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    [(_, error)] = peer.run((1,), method="nope")
    assert isinstance(error, InvalidError)
    assert "'nope'" in str(error)


def test_what_user_code_prints_and_breaks_does_not_reach_the_protocol(start: Start) -> None:
    code = """
import os, sys, threading
def f(i):
    if i == 0: os.write(1, os.urandom(5000)); os.write(2, b"\\xff\\n")
    if i == 1: sys.stdout.close(); sys.stderr = None
    if i == 2:
        thread = threading.Thread(target=sys.exit); thread.start(); thread.join()
    if i == 3: raise ValueError("unseen")
    return i
"""
    peer = start(function(), code)
    peer.ready()
    results = peer.run(*[(i,) for i in range(5)])
    assert [value for status, value in results if status is SUCCESS] == [0, 1, 2, 4]


def test_a_forked_child_that_returns_does_not_answer(start: Start) -> None:
    code = """
import os, sys
def f(i):
    child = os.fork()
    if child == 0:
        if i == 0: return "child"
        if i == 1: sys.exit(3)
        if i == 2: raise ValueError
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run((0,), (1,), (2,)) == [(SUCCESS, 0), (SUCCESS, 3), (SUCCESS, 1)]
    assert peer.end()[0] == 0


def test_death_in_user_code_is_seen_as_the_end_of_the_connection(start: Start) -> None:
    peer = start(function(), "import os\ndef f(): os._exit(7)")
    peer.ready()
    peer.deliver(())
    assert peer.wait()[0] == 7
    assert peer.results == {}


def test_closing_all_descriptors_ends_the_container_rather_than_hanging_it(start: Start) -> None:
    peer = start(function(), "import os\ndef f(): os.closerange(3, 1000)")
    peer.ready()
    peer.deliver(())
    assert peer.wait()[0] != 0


# ---------------------------------------------------------------- large values


def test_large_values_travel_as_files(start: Start) -> None:
    peer = start(function(), "def f(x): return x[::-1]")
    peer.ready()
    small, large = b"ab" * 100, b"ab" * 30_000
    data, is_blob = blobs.pack_arguments((large,), {}, 4096, str(peer.blob_dir), input_name("fc-1", 1))
    assert is_blob
    results = peer.run((small,), data, (small,), blob_positions=[1])
    assert results == [(SUCCESS, small[::-1]), (SUCCESS, large[::-1]), (SUCCESS, small[::-1])]
    assert sorted(path.name for path in peer.blob_dir.iterdir()) == ["fc-1.1.in", "fc-1.1.out"]


def test_fifty_megabytes_return(start: Start) -> None:
    peer = start(function(), "def f(n): return bytes(n)")
    peer.ready()
    [(status, value)] = peer.run((50_000_000,))
    assert (status, len(value)) == (SUCCESS, 50_000_000)


def test_many_results_just_below_the_inline_limit_fit_into_frames(start: Start) -> None:
    peer = start(function(), "def f(i): return bytes(4000)")
    peer.ready()
    results = peer.run(*[(i,) for i in range(2000)])
    assert len(results) == 2000
    assert all(message.ends[-1] < 2 << 20 for message in peer.messages if isinstance(message, Completed))


def test_a_blob_that_is_not_there_or_not_a_name_fails_its_input(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    results = peer.run(b"missing.in", b"../../etc/passwd", (1,), blob_positions=[0, 1])
    assert [status for status, _ in results] == [FAILURE, FAILURE, SUCCESS]
    assert "missing.in" in str(results[0][1])
    assert "is not the name of a blob" in str(results[1][1])


def test_result_over_the_largest_size_is_refused(start: Start) -> None:
    peer = start(function(), "def f(n): return bytes(n)", payload_max=100_000)
    peer.ready()
    (_, error), fine = peer.run((200_000,), (50_000,))
    assert "payload_max" in str(error)
    assert fine == (SUCCESS, bytes(50_000))


# ---------------------------------------------------------------- loading


def test_script_is_loaded_as_main_without_its_guard(start: Start, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        """
import sys
class Point: pass
def f():
    main = sys.modules["__main__"]
    return __name__, __spec__, main.__dict__ is globals(), main.Point is Point
if __name__ == "__main__":
    raise SystemExit("the guard ran")
"""
    )
    peer = start(FunctionSpec("f", Source("__main__", "f", str(tmp_path / "script.py"))))
    peer.ready()
    assert peer.run(()) == [(SUCCESS, ("__swell_main__", None, True, True))]


def test_module_is_found_by_its_file(start: Start, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    file = tmp_path / "elsewhere" / "hidden_module.py"
    file.write_text("def f(): return 3\n")
    peer = start(FunctionSpec("f", Source("hidden_module", "f", str(file))))
    peer.ready()
    assert peer.run(()) == [(SUCCESS, 3)]


def test_pickled_function_with_its_closure(start: Start) -> None:
    import cloudpickle

    factor = 7
    peer = start(FunctionSpec("f", Source("m", "f", pickled=cloudpickle.dumps(lambda x: x * factor))))
    peer.ready()
    assert peer.run((6,)) == [(SUCCESS, 42)]


def test_decorated_function_is_unwrapped(start: Start) -> None:
    code = """
class Wrapper:
    def __init__(self, raw): self.__swell_raw__ = raw
@Wrapper
def f(): return "raw"
"""
    peer = start(function(), code)
    peer.ready()
    assert peer.run(()) == [(SUCCESS, "raw")]


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("raise ValueError('at import')", ValueError, "at import"),
        ("def g(): pass", InvalidError, "has no 'f'"),
        ("f = 3", InvalidError, "is a int, not a function"),
        ("import no_such_module", ModuleNotFoundError, "no_such_module"),
        ("raise SystemExit(0)", SystemExit, "0"),
        ("def f(:", SyntaxError, "invalid syntax"),
    ],
)
def test_failed_start_is_reported_and_the_container_leaves(
    start: Start, code: str, kind: type[BaseException], text: str
) -> None:
    peer = start(function(), code)
    message, data = peer.data.read()
    assert isinstance(message, StartFailed)
    error = payload.decode_exception(data)
    assert isinstance(error, kind)
    assert text in str(error)
    assert kind.__name__ in message.text
    code, _, err = peer.wait()
    assert code == 1
    assert kind.__name__ in err


# ---------------------------------------------------------------- generators


def test_generator_yields_then_tells_the_count(start: Start) -> None:
    peer = start(function(is_generator=True), "def f(n):\n    for i in range(n): yield i * i")
    peer.ready()
    assert peer.run((300,), (0,)) == [(OutputStatus.GENERATOR_DONE, 300), (OutputStatus.GENERATOR_DONE, 0)]
    assert peer.yielded == {(1, 0): [i * i for i in range(300)]}


def test_generator_object_of_a_plain_function(start: Start) -> None:
    peer = start(function(is_generator=True), "def f(n): return (i for i in range(n))")
    peer.ready()
    assert peer.run((3,)) == [(OutputStatus.GENERATOR_DONE, 3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_values_arrive_while_the_generator_is_stuck(start: Start, is_async: bool) -> None:
    wait = "await asyncio.sleep(0.001)" if is_async else "time.sleep(0.001)"
    code = f"""
import asyncio, os, time
{"async " if is_async else ""}def f():
    yield "at once"
    yield "soon after"
    while not os.path.exists("go"): {wait}
    yield "last"
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver(())
    peer.read_until(lambda: peer.yielded.get((delivery, 0)) == ["at once", "soon after"])
    peer.mark("go").touch()
    assert peer.results_of(delivery, 1) == [(OutputStatus.GENERATOR_DONE, 3)]


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_waits_for_its_consumer(start: Start, is_async: bool) -> None:
    code = f"""
progress = 0
{"async " if is_async else ""}def f():
    for i in range(3000):
        open("progress", "w").write(str(i))
        yield i
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver(())
    values = peer.yielded.setdefault((delivery, 0), [])
    peer.read_until(lambda: len(values) == 1024)
    assert peer.mark("progress").read_text() == "1023"
    peer.order(ItemsTaken(delivery, 0, 500))
    peer.read_until(lambda: len(values) == 1524)
    peer.order(ItemsTaken(delivery, 0, 3000))
    assert peer.results_of(delivery, 1) == [(OutputStatus.GENERATOR_DONE, 3000)]
    assert values == list(range(3000))


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_fails_after_its_values(start: Start, is_async: bool) -> None:
    peer = start(
        function(is_generator=True, is_async=is_async),
        f"{'async ' if is_async else ''}def f():\n    yield 1\n    yield 2\n    raise ValueError('three')",
    )
    peer.ready()
    [(status, error)] = peer.run(())
    assert (status, str(error)) == (FAILURE, "three")
    assert peer.yielded == {(1, 0): [1, 2]}
    assert peer.run(())[0][0] is FAILURE


@pytest.mark.parametrize("is_async", [False, True])
def test_generator_that_waits_for_its_consumer_can_be_cancelled(start: Start, is_async: bool) -> None:
    code = f"""
{"async " if is_async else ""}def f(n):
    try:
        for i in range(n): yield i
    finally:
        open("cleaned", "w").close()
"""
    peer = start(function(is_generator=True, is_async=is_async), code)
    peer.ready()
    delivery = peer.deliver((5000,))
    values = peer.yielded.setdefault((delivery, 0), [])
    peer.read_until(lambda: len(values) == 1024)
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1)[0][0] is TERMINATED
    await_file(peer.mark("cleaned"))
    assert peer.run((2,)) == [(OutputStatus.GENERATOR_DONE, 2)]


@pytest.mark.parametrize(("value", "is_async"), [("[1, 2]", False), ("None", False), ("[1, 2]", True)])
def test_generator_flag_without_a_generator(start: Start, value: str, is_async: bool) -> None:
    peer = start(
        function(is_generator=True, is_async=is_async), f"{'async ' if is_async else ''}def f(): return {value}"
    )
    peer.ready()
    [(status, error)] = peer.run(())
    assert status is FAILURE
    assert isinstance(error, InvalidError)
    assert "is_generator=True" in str(error)


def test_yielded_value_that_cannot_be_pickled_fails_the_generator(start: Start) -> None:
    peer = start(function(is_generator=True), "import threading\ndef f():\n    yield 1\n    yield threading.Lock()")
    peer.ready()
    [(_, error)] = peer.run(())
    assert isinstance(error, SerializationError)
    assert peer.yielded == {(1, 0): [1]}


# ---------------------------------------------------------------- async


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


# ---------------------------------------------------------------- concurrency


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


# ---------------------------------------------------------------- cancellation

STUBBORN = (
    SIGNALS
    + """
def f(i):
    if i == "hang":
        reached("hanging")
        while True: time.sleep(60)
    return i
"""
)


def test_running_sync_input_is_interrupted_and_the_container_goes_on(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((1,), ("hang",), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 3) == [(SUCCESS, 1), (TERMINATED, b""), (SUCCESS, 3)]
    assert peer.run((4,)) == [(SUCCESS, 4)]
    assert peer.end()[0] == 0


def test_cancellation_passes_except_exception_and_runs_finally(start: Start) -> None:
    code = (
        SIGNALS
        + """
import swell.errors
def f():
    try:
        try:
            reached("hanging")
            while True: time.sleep(60)
        except Exception:
            reached("wrong")
    except swell.errors.InputCancellation:
        reached("cancelled")
        raise
    finally:
        reached("cleaned")
"""
    )
    peer = start(function(), code)
    peer.ready()
    delivery = peer.deliver(())
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1) == [(TERMINATED, b"")]
    names = {path.name for path in peer.directory.iterdir()}
    assert {"cancelled", "cleaned"} <= names
    assert "wrong" not in names


def test_cancelled_input_that_finishes_anyway_is_terminated(start: Start) -> None:
    code = (
        SIGNALS
        + """
def f():
    try:
        reached("hanging")
        while True: time.sleep(60)
    except BaseException:
        return "I finish anyway"
"""
    )
    peer = start(function(), code)
    peer.ready()
    delivery = peer.deliver(())
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 1) == [(TERMINATED, b"")]


def test_unstarted_items_are_answered_at_once_and_never_run(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver(("hang",), (1,), (2,))
    behind = peer.deliver((3,), (4,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [2]))
    peer.order(Cancel(behind, [0]))  # still unread in the container's socket
    peer.read_until(lambda: {(delivery, 2), (behind, 0)} <= set(peer.results))
    assert (delivery, 0) not in peer.results
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 3) == [(TERMINATED, b""), (SUCCESS, 1), (TERMINATED, b"")]
    assert peer.results_of(behind, 2) == [(TERMINATED, b""), (SUCCESS, 4)]


def test_word_about_what_is_finished_is_ignored(start: Start) -> None:
    peer = start(function(), "def f(x): return x")
    peer.ready()
    delivery = peer.deliver((1,))
    peer.results_of(delivery, 1)
    peer.order(Cancel(delivery, [0]))
    peer.order(Reclaim(delivery))
    assert peer.run((2,)) == [(SUCCESS, 2)]
    assert peer.end()[0] == 0
    assert peer.gave_back == []


@pytest.mark.parametrize("max_inputs", [1, 4])
def test_running_async_input_is_cancelled_alone(start: Start, max_inputs: int) -> None:
    code = """
import asyncio
async def f(i):
    if i == "hang":
        open("hanging", "w").close()
        await asyncio.sleep(60)
    return i
"""
    peer = start(concurrent(max_inputs=max_inputs, is_async=True), code)
    peer.ready()
    mode = "serial" if max_inputs == 1 else "parallel"
    delivery = peer.deliver((1,), ("hang",), (3,), mode=mode)
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 3) == [(SUCCESS, 1), (TERMINATED, b""), (SUCCESS, 3)]
    assert peer.run((4,), mode=mode) == [(SUCCESS, 4)]
    assert peer.end()[0] == 0


def test_async_input_that_swallows_its_cancellation_does_not_hang_the_container(start: Start) -> None:
    code = """
import asyncio
async def f(i):
    if i == "hang":
        open("hanging", "w").close()
        try: await asyncio.sleep(60)
        except asyncio.CancelledError: pass
        await asyncio.sleep(0.01)
    return i
"""
    peer = start(function(is_async=True), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (2,))
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    assert peer.results_of(delivery, 2) == [(TERMINATED, b""), (SUCCESS, 2)]


def test_running_thread_is_cancelled_by_exception_and_siblings_are_not(start: Start) -> None:
    code = (
        SIGNALS
        + """
def f(i):
    if i == "hang":
        reached("hanging")
        while True: time.sleep(0.001)
    await_file("go")
    return i
"""
    )
    peer = start(concurrent(max_inputs=2), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (2,), mode="parallel")
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [0]))
    peer.read_until(lambda: (delivery, 0) in peer.results)
    assert peer.results[delivery, 0] == (TERMINATED, b"")
    peer.mark("go").touch()
    assert peer.results_of(delivery, 2)[1] == (SUCCESS, 2)
    assert peer.run((3,), (4,), mode="parallel") == [(SUCCESS, 3), (SUCCESS, 4)]


@pytest.mark.parametrize(
    ("is_async", "max_inputs", "mode"),
    [(False, 1, "serial"), (False, 4, "parallel"), (False, 4, "serial"), (True, 1, "serial"), (True, 4, "parallel")],
)
def test_cancelling_many_times_under_load_loses_and_mixes_nothing(
    start: Start, is_async: bool, max_inputs: int, mode: str
) -> None:
    pause = "await asyncio.sleep(0)" if is_async else "pass"
    code = f"import asyncio\n{'async ' if is_async else ''}def f(i):\n    for _ in range(100): {pause}\n    return i"
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async), code)
    peer.ready()
    for _ in range(20):
        delivery = peer.deliver(*[(i,) for i in range(200)], mode=mode)
        for position in range(0, 200, 10):
            peer.order(Cancel(delivery, [position]))
        for i, (status, value) in enumerate(peer.results_of(delivery, 200)):
            assert (status, value) == (SUCCESS, i) or (status is TERMINATED and i % 10 == 0)
    assert peer.end()[0] == 0


# ---------------------------------------------------------------- reclaim, drain, interruption


def test_reclaim_reports_what_is_done_and_gives_back_the_rest(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((0,), ("hang",), (2,), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(delivery))
    peer.read_until(lambda: bool(peer.gave_back))
    assert peer.gave_back == [(delivery, 2)]
    assert peer.results == {(delivery, 0): (SUCCESS, 0)}
    peer.order(Reclaim(delivery))  # nothing more to give
    peer.order(Cancel(delivery, [1]))
    assert peer.results_of(delivery, 2)[1][0] is TERMINATED
    assert peer.run((9,)) == [(SUCCESS, 9)]
    assert peer.gave_back == [(delivery, 2)]


def test_reclaim_of_a_delivery_that_is_still_in_the_socket(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    first = peer.deliver(("hang",))
    second = peer.deliver((1,), (2,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(second))
    peer.read_until(lambda: bool(peer.gave_back))
    assert peer.gave_back == [(second, 0)]
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
            return next((position for number, position in peer.gave_back if number == delivery), 300)

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
    peer.read_until(lambda: (first, 1) in peer.gave_back)
    peer.mark("go").touch()
    assert peer.wait()[0] == 0
    assert peer.results == {(first, 0): (SUCCESS, 0)}
    assert sorted(peer.gave_back) == [(first, 1), (second, 0)]


def test_drain_waits_for_threads(start: Start) -> None:
    code = SIGNALS + "def f(i):\n    reached(f'r{i}')\n    await_file('go')\n    return i"
    peer = start(concurrent(max_inputs=2), code)
    peer.ready()
    delivery = peer.deliver((0,), (1,), (2,), mode="parallel")
    await_file(peer.mark("r0"))
    await_file(peer.mark("r1"))
    peer.order(Drain(10.0))
    peer.read_until(lambda: bool(peer.gave_back))
    peer.mark("go").touch()
    assert peer.wait()[0] == 0
    assert peer.results == {(delivery, 0): (SUCCESS, 0), (delivery, 1): (SUCCESS, 1)}
    assert peer.gave_back == [(delivery, 2)]


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
        assert peer.gave_back == [(delivery, 2)]


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
    peer = start(function(), SIGNALS + "reached('loading')\nwhile True: time.sleep(60)")
    await_file(peer.mark("loading"))
    peer.interrupt()
    assert peer.wait()[0] == 0


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


# ---------------------------------------------------------------- classes


def test_lifecycle_order_and_parameters(start: Start) -> None:
    code = """
log = []
def hook(kind, **values):
    def mark(f):
        f.__swell_marks__ = {kind: values}
        return f
    return mark
class Base:
    @hook("enter", snap=False)
    def base_enter(self): log.append("base")
    @hook("enter", snap=False)
    def overridden(self): log.append("never")
    @hook("exit")
    def base_exit(self): print("exit base")
class C(Base):
    def __init__(self): raise AssertionError("constructors do not run")
    @hook("enter", snap=False)
    async def second(self): log.append("second")
    @hook("enter", snap=True)
    def snap(self): log.append("snap")
    @hook("enter", snap=False)
    def overridden(self): log.append("override")
    @hook("exit")
    def old_exit(self, exc_type, exc, tb): print("exit", exc_type, exc, tb)
    @hook("exit")
    async def async_exit(self): print("exit async")
    @hook("method")
    def m(self): return log, self.name, self.size, type(self).__name__
"""
    parameters = (ParameterSpec("name", "str"), ParameterSpec("size", "int", 3, True))
    spec = FunctionSpec(
        "C.*",
        Source("program", "C"),
        cls=ClassSpec((MethodSpec("m"),), parameters),
        parameters=msgspec.msgpack.encode({"name": "n"}),
    )
    peer = start(spec, code)
    peer.ready()
    log = ["snap", "base", "override", "second"]
    assert peer.run((), method="m") == [(SUCCESS, (log, "n", 3, "C"))]
    code, out, _ = peer.end()
    assert code == 0
    assert out.splitlines() == ["exit base", "exit None None None", "exit async"]


def test_failing_enter_hook_is_a_failed_start_without_exit_hooks(start: Start) -> None:
    code = """
class C:
    def enter(self): raise OSError("no model")
    enter.__swell_marks__ = {"enter": {"snap": False}}
    def leave(self): print("left")
    leave.__swell_marks__ = {"exit": {}}
    def m(self): pass
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    assert isinstance(peer.read_one(), StartFailed)
    code, out, err = peer.wait()
    assert (code, out) == (1, "")
    assert "no model" in err


def test_failing_exit_hook_is_logged_and_the_others_run(start: Start) -> None:
    code = """
class C:
    def a(self): raise OSError("broken")
    def b(self): print("b ran")
    a.__swell_marks__ = b.__swell_marks__ = {"exit": {}}
    def m(self): return 1
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    assert peer.run((), method="m") == [(SUCCESS, 1)]
    code, out, err = peer.end()
    assert (code, out) == (1, "b ran\n")
    assert "broken" in err


def test_exit_hooks_have_limited_time(start: Start) -> None:
    code = """
import time
class C:
    def late(self):
        while True: time.sleep(60)
    late.__swell_marks__ = {"exit": {}}
    def m(self): pass
"""
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    code, _, err = peer.end(grace_s=0.2)
    assert code == -signal.SIGKILL
    assert "longer than 0.2 s" in err


def test_state_of_the_instance_persists(start: Start) -> None:
    code = "class C:\n    count = 0\n    def m(self):\n        self.count += 1\n        return self.count"
    peer = start(FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("m"),))), code)
    peer.ready()
    assert [value for _, value in peer.run((), (), (), method="m")] == [1, 2, 3]


# ---------------------------------------------------------------- batches

BATCHED: dict[str, Any] = {"batching": Batching(8, 10)}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("max_inputs", [1, 2])
def test_batch_gives_lists_and_spreads_results(start: Start, is_async: bool, max_inputs: int) -> None:
    code = f"{'async ' if is_async else ''}def f(x, y): return [(a, b, len(x)) for a, b in zip(x, y)]"
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async, **BATCHED), code)
    peer.ready()
    calls = [payload.encode_arguments((i,), {"y": -i}) for i in range(5)]
    assert peer.run(*calls, mode="batch") == [(SUCCESS, (i, -i, 5)) for i in range(5)]
    assert peer.run((1, 2), mode="batch") == [(SUCCESS, (1, 2, 1))]
    assert peer.end()[0] == 0


@pytest.mark.parametrize("is_async", [False, True])
def test_malformed_calls_fail_alone(start: Start, is_async: bool) -> None:
    peer = start(
        function(is_async=is_async, **BATCHED), f"{'async ' if is_async else ''}def f(x, y): return [len(x)] * len(x)"
    )
    peer.ready()
    encode = payload.encode_arguments
    calls = [(1, 2), (1, 2, 3), encode((1,), {"z": 1}), encode((1, 2), {"y": 3}), (1,), b"garbage", (5, 6)]
    results = peer.run(*calls, mode="batch")
    assert results[0] == results[6] == (SUCCESS, 2)
    assert all(status is FAILURE for status, _ in results[1:6])
    texts = [str(error) for _, error in results[1:6]]
    assert "takes 2 positional arguments, but one invocation in the batch has 3" in texts[0]
    assert "unexpected keyword argument 'z'" in texts[1]
    assert "multiple values for argument 'y'" in texts[2]
    assert "misses the argument 'y'" in texts[3]
    assert isinstance(results[5][1], DeserializationError)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("return (1, 2)", "must be a list"),
        ("return [1]", "equal length"),
        ("raise ValueError('all of you')", "all of you"),
    ],
)
def test_whole_batch_fails_with_its_body(start: Start, body: str, text: str) -> None:
    peer = start(function(**BATCHED), f"def f(x):\n    {body}")
    peer.ready()
    results = peer.run((1,), (2,), mode="batch")
    assert all(status is FAILURE and text in str(error) for status, error in results)
    assert results[0][1] is not results[1][1]


def test_result_of_a_batch_that_cannot_be_pickled_fails_alone(start: Start) -> None:
    code = "import threading\ndef f(x): return [threading.Lock() if i == 1 else i for i in x]"
    peer = start(function(**BATCHED), code)
    peer.ready()
    results = peer.run((0,), (1,), (2,), mode="batch")
    assert [status for status, _ in results] == [SUCCESS, FAILURE, SUCCESS]


@pytest.mark.parametrize(("is_async", "max_inputs"), [(False, 1), (False, 2), (True, 1)])
def test_cancelling_one_of_a_batch_cancels_all(start: Start, is_async: bool, max_inputs: int) -> None:
    wait = "await asyncio.sleep(0.001)" if is_async else "time.sleep(0.001)"
    code = (
        SIGNALS
        + f"""
import asyncio
{"async " if is_async else ""}def f(x):
    while 'hang' in x:
        reached("hanging")
        {wait}
    return x
"""
    )
    peer = start(concurrent(max_inputs=max_inputs, is_async=is_async, **BATCHED), code)
    peer.ready()
    delivery = peer.deliver(("hang",), (1,), (2,), mode="batch")
    await_file(peer.mark("hanging"))
    peer.order(Cancel(delivery, [2, 1]))
    assert peer.results_of(delivery, 3) == [(TERMINATED, b"")] * 3
    assert peer.run((3,), mode="batch") == [(SUCCESS, 3)]
    assert peer.end()[0] == 0


def test_batch_context_is_that_of_its_first_input(start: Start) -> None:
    code = "from swell.wire.context import current_input_id\ndef f(x): return [current_input_id()] * len(x)"
    peer = start(function(**BATCHED), code)
    peer.ready()
    assert peer.run((0,), (1,), mode="batch") == [(SUCCESS, "in-1:0")] * 2


# ---------------------------------------------------------------- odds and ends


def test_unreachable_server_ends_the_container(tmp_path: Path) -> None:
    import subprocess

    done = subprocess.run(
        [sys.executable, "-m", "swell.runner.main", f"unix:{tmp_path}/nobody", "ta-1"],
        capture_output=True,
        env=dict(os.environ),
        timeout=patience(),
    )
    assert done.returncode != 0
    assert b"nobody" in done.stderr or b"No such file" in done.stderr


def test_nonsense_from_the_server_ends_the_container(start: Start) -> None:
    peer = start(function(), "def f(): pass")
    peer.ready()
    peer.control.socket.sendall(b"\xff" * 100)
    assert peer.process.wait(patience()) == -signal.SIGKILL


def test_gave_back_never_precedes_the_results_before_it(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((0,), (1,), ("hang",), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(delivery))
    peer.read_until(lambda: bool(peer.gave_back))
    kinds = [type(message) for message in peer.messages if isinstance(message, Completed | Returned)]
    assert kinds[-1] is Returned
    assert {(delivery, 0), (delivery, 1)} == set(peer.results)
