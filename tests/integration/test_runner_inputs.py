"""What a real container runs, and what it reports."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from patience import patience
from runner_program import SIGNALS, STUBBORN, SUCCESS, Start, await_file, function

from swell.model import (
    DeliveryMode,
)
from swell.wire import payload
from swell.wire.messages import Completed, Reclaim, Returned

# ------------------------------------------------------------ plain inputs


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
    peer.data.send(
        Deliver(delivery=7, mode=DeliveryMode.SERIAL, method="", parts=[("fc-a", 4, 1), ("fc-b", 8, 2)], ends=ends),
        data * 3,
    )
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


# ------------------------------------------------------------ odds and ends


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


def test_returned_never_precedes_the_results_before_it(start: Start) -> None:
    peer = start(function(), STUBBORN)
    peer.ready()
    delivery = peer.deliver((0,), (1,), ("hang",), (3,))
    await_file(peer.mark("hanging"))
    peer.order(Reclaim(delivery))
    peer.read_until(lambda: bool(peer.returned))
    kinds = [type(message) for message in peer.messages if isinstance(message, Completed | Returned)]
    assert kinds[-1] is Returned
    assert {(delivery, 0), (delivery, 1)} == set(peer.results)
