"""What a daemon has accepted, it still has after it was killed: results, settings, schedules, promises."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from patience import patience

CODE = """
import os, time
import swell

app = swell.App("kept")

@app.function()
def double(x):
    with open(NOTES, "a") as notes:
        notes.write(f"double-{x if type(x) is int else len(x)}\\n")
    return 2 * x

@app.function()
def fail(x):
    raise KeyError(x)
"""

TICKING = """
import time
import swell

app = swell.App("ticking")

@app.function(schedule=swell.Period(seconds=1))
def tick():
    with open(NOTES, "a") as notes:
        notes.write(f"tick-{time.time()}\\n")
"""

DOUBLE = "double = swell.Function.from_name('kept', 'double')\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server with CODE deployed."""
    place = Daemon(tmp_path_factory.mktemp("daemon"))
    try:
        place.told("start")
        place.deploy(CODE)
        yield place
    finally:
        place.end()


@pytest.mark.nodes
def test_results_outlive_the_server_and_who_spawned_them(daemon: Daemon) -> None:
    ids = daemon.python(
        DOUBLE
        + "fail = swell.Function.from_name('kept', 'fail')\n"
        + "calls = [double.spawn(1_021), double.spawn(b'x' * 1_000_000)]\n"
        + "calls += [double.spawn_map(range(500)), fail.spawn('bad')]\n"
        + "swell.FunctionCall.gather(*calls[:3]); list(calls[2].iter())\n"
        + "print(*[call.object_id for call in calls])"
    ).split()
    daemon.restart_killed()
    read = f"""
small, large, many, failed = [swell.FunctionCall.from_id(each) for each in {ids!r}]
assert large.get() == large.get(timeout=0) == b"x" * 2_000_000
assert list(many.iter()) == [2 * x for x in range(500)]
assert many.get(timeout=0, index=499) == 998
try:
    failed.get()
except KeyError as error:
    print(small.get(), error)
"""
    assert daemon.python(read) == "2042 'bad'"
    assert daemon.python(read) == "2042 'bad'", "and again"
    assert daemon.noted().count("double-1021") == 1


def test_a_spawn_that_is_sent_again_is_one_call(daemon: Daemon) -> None:
    send = (
        DOUBLE
        + """
from swell.sdk.calls import invoke
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import daemon_client

async def again():
    link = daemon_client().blocking_link()
    target = await double._target(link)
    for resent in ({first}, True):
        await invoke.spawn(link, target, (1_077,), {{}}, "fc-" + "7" * 22, resent=resent)

run_blocking(again())
print(swell.FunctionCall.from_id("fc-" + "7" * 22).get())
"""
    )
    assert daemon.python(send.format(first=False)) == "2154"
    daemon.restart_killed()
    assert daemon.python(send.format(first=True)) == "2154"
    assert daemon.noted().count("double-1077") == 1


def test_who_asks_while_the_server_is_away_hears_from_the_next(daemon: Daemon) -> None:
    program = (
        DOUBLE
        + """
call = double.spawn_map([2_000, 2_001])
assert [*call.iter()] == [4_000, 4_002]
known = swell.FunctionCall.from_id(call.object_id)
print("spawned", flush=True)
input()
print("asking", flush=True)
print(known.num_inputs(), known.get(index=1), double.spawn(1_011).get())
"""
    )
    with daemon.begin(program) as asking:
        assert asking.stdin is not None
        assert asking.stdout is not None
        assert asking.stdout.readline() == "spawned\n"
        daemon.kill()
        asking.stdin.write("\n")
        asking.stdin.flush()
        assert asking.stdout.readline() == "asking\n"
        daemon.told("start")
        out, errors = asking.communicate(timeout=patience(50.0))
    assert out == "2 4002 2022\n", errors


def test_threads_that_spawn_while_the_server_is_killed_lose_no_call(daemon: Daemon) -> None:
    """They share a connection, which breaks under all of them."""
    program = (
        DOUBLE
        + """
import threading, time
told, calls = threading.Event(), {}

def go_on(number):
    while not told.is_set():
        calls[number] = double.spawn(number)
        number += 8
        time.sleep(0.02)  # so that they are not too many

threads = [threading.Thread(target=go_on, args=(3_000 + thread,)) for thread in range(8)]
for thread in threads:
    thread.start()
while len(calls) < 50:
    time.sleep(0.01)
print("spawning", flush=True)
input()
before = len(calls)
while len(calls) < before + 50:
    time.sleep(0.01)
told.set()
for thread in threads:
    thread.join()
assert len({call.object_id for call in calls.values()}) == len(calls)
print(all(call.get() == 2 * number for number, call in calls.items()))
"""
    )
    with daemon.begin(program) as spawning:
        assert spawning.stdin is not None
        assert spawning.stdout is not None
        assert spawning.stdout.readline() == "spawning\n"
        daemon.restart_killed()
        out, errors = spawning.communicate("\n", timeout=patience(50.0))
    assert out == "True\n", errors


def test_settings_changed_at_run_time_last_until_the_next_deploy(daemon: Daemon) -> None:
    ask = DOUBLE + "print(double.autoscaler.settings().max_containers)"
    daemon.python(DOUBLE + "double.update_autoscaler(max_containers=3)")
    daemon.restart_killed()
    assert daemon.python(ask) == "3"
    daemon.deploy(CODE + "\n# another version\n")
    assert daemon.python(ask) == "None"
    daemon.restart_killed()
    assert daemon.python(ask) == "None"


def test_a_second_server_on_the_directory_is_refused(daemon: Daemon) -> None:
    refused = daemon.swell("start", "--foreground")
    assert refused.returncode == 1
    assert f"a server (pid {daemon.pid}) has the data directory {daemon.data_dir} already" in refused.stderr
    assert daemon.python(DOUBLE + "print(double.remote(4))") == "8"


def test_a_schedule_runs_and_what_was_missed_is_told_and_not_made_up_for(daemon: Daemon) -> None:
    def ticks() -> list[float]:
        return [float(word.removeprefix("tick-")) for word in daemon.noted() if word.startswith("tick-")]

    daemon.deploy(TICKING)
    daemon.eventually(lambda: len(ticks()) >= 2)
    daemon.kill()
    died = max(ticks())
    daemon.eventually(lambda: time.time() > died + 3)
    began = time.time()
    daemon.told("start")
    daemon.eventually(lambda: max(ticks()) > died)
    assert "missed while the server was down, and skipped" in daemon.log
    daemon.told("app", "stop", "ticking", "--yes")
    since = [moment for moment in ticks() if moment > died]
    assert len(since) <= 1 + time.time() - began, "one a second, and none for the time before"


def test_results_expire_and_go(tmp_path: Path) -> None:
    place = Daemon(tmp_path, result_retention_s=1)
    try:
        place.told("start")
        place.deploy(CODE)
        call = place.python(DOUBLE + "call = double.spawn(b'x' * 1_000_000); print(call.object_id)")
        ask = f"""
try:
    print(len(swell.FunctionCall.from_id({call!r}).get(timeout=0)))
except swell.exception.OutputExpiredError as error:
    print(error)
except TimeoutError:
    print("not yet")
"""
        place.eventually(lambda: f"results of call {call} are no longer kept" in place.python(ask))
        place.eventually(lambda: not [path for path in place.data_dir.rglob(f"{call}*") if path.is_file()])
        assert place.python(DOUBLE + "print(double.remote(4))") == "8"
    finally:
        place.end()


def test_a_full_disk_ends_the_server_with_a_clear_word_and_costs_nothing(tmp_path: Path) -> None:
    place = Daemon(tmp_path)
    try:
        place.told("start")
        place.deploy(CODE)
        place.told("stop")
        started = place.swell("start", through=("prlimit", f"--fsize={1_500 * 4_096}"))
        assert started.returncode == 0, started.stderr
        told = place.python(
            DOUBLE
            + """
import json
ids = []
try:
    for number in range(10_000):
        ids.append(double.spawn(bytes([number % 256]) * 20_000).object_id)
except (swell.exception.ServiceError, swell.exception.ConnectionError) as error:
    print(json.dumps([ids, str(error)]))
"""
        )
        ids, error = json.loads(told)
        assert len(ids) > 10
        assert "cannot read or write" in place.log
        assert "File too large" in place.log
        assert error
        while place.swell("status").returncode == 0:
            time.sleep(0.05)  # it says its last words before it ends
        place.told("start")
        read = f"print([len(swell.FunctionCall.from_id(each).get()) for each in {ids!r}] == [40_000] * {len(ids)})"
        assert place.python(read) == "True"
    finally:
        place.end()


def test_a_directory_on_a_disk_that_is_read_only_is_named(tmp_path: Path) -> None:
    place = Daemon(tmp_path)
    place.data_dir.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=1m,mode=700", "tmpfs", str(place.data_dir)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this user may not mount anything")
    try:
        refused = place.swell("start")
        assert refused.returncode == 1
        assert f"cannot write to the data directory {place.data_dir}: Read-only file system" in refused.stderr
    finally:
        subprocess.run(["umount", str(place.data_dir)], check=True)
