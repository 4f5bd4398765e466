"""Programs on other machines than the daemon: all that works beside it works there, and nothing of it stays there."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon
from elsewhere import Elsewhere, listening
from patience import patience

from swell.link.certificate import TlsAddress

MODULE = """
def shift(x):
    return x + 1
"""

APP = """
import os
import swell
from helper import shift

app = swell.App("far")

@app.function()
def add(x):
    return shift(x)

@app.function()
def size(x):
    return len(x)

@app.function()
def make(n):
    return b"m" * n

@app.function()
def fail(n):
    raise KeyError("k" * n)

@app.function()
def count(n):
    for number in range(n):
        yield bytes([number]) * 300_000

@app.function()
def surroundings():
    return os.getcwd(), os.environ["HOME"], os.environ.get("OF_THE_USER"), os.path.dirname(__file__)

@app.function()
def wait():
    print("waiting", flush=True)
    import time
    time.sleep(600)

@app.cls()
class Scale:
    by: int = swell.parameter(default=1)

    @swell.method()
    def of(self, x):
        return self.by * x
"""

LARGE = 2_000_000


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with listening(tmp_path_factory.mktemp("server") / "place") as daemon:
        yield daemon


@pytest.fixture
def there(daemon: Daemon, tmp_path: Path) -> Elsewhere:
    place = Elsewhere(daemon, tmp_path)
    (place.work / "helper.py").write_text(MODULE)
    (place.work / "far.py").write_text(APP)
    return place


def blobs_of(daemon: Daemon) -> list[str]:
    """Return the large values that the server has."""
    run_dir = Path(json.loads((daemon.data_dir / "server.json").read_text())["run_dir"])
    return [path.name for path in (run_dir / "blobs").iterdir() if path.name != "kept"]


def test_an_app_runs_with_the_clients_code_and_values_of_any_size(daemon: Daemon, there: Elsewhere) -> None:
    program = f"""
import asyncio, threading
from far import *
with app.run():
    assert add.remote(1) == 2
    assert list(add.map(range(100))) == list(range(1, 101))
    assert size.remote(bytes({LARGE})) == {LARGE}
    assert make.remote({LARGE}) == b"m" * {LARGE}
    assert list(size.map([bytes({LARGE})] * 3)) == [{LARGE}] * 3
    assert [len(part) for part in count.remote_gen(4)] == [300_000] * 4
    assert Scale(by=3).of.remote(4) == 12
    try:
        fail.remote({LARGE})
    except KeyError as error:
        assert error.args == ("k" * {LARGE},)
    call = make.spawn({LARGE})
    assert len(call.get()) == len(call.get()) == {LARGE}
    assert swell.FunctionCall.gather(add.spawn(1), add.spawn(2)) == [2, 3]

    found = []
    threads = [threading.Thread(target=lambda: found.append(size.remote(bytes({LARGE})))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert found == [{LARGE}] * 4

    async def gather():
        assert await asyncio.gather(*(size.remote.aio(bytes({LARGE})) for _ in range(4))) == [{LARGE}] * 4
        assert [len(x) async for x in make.map.aio([{LARGE}] * 3)] == [{LARGE}] * 3
        cancelled = asyncio.ensure_future(size.remote.aio(bytes(20 * {LARGE})))
        assert await add.remote.aio(1) == 2
        cancelled.cancel()
    asyncio.run(gather())

    cwd, home, variable, directory = surroundings.remote()
    assert cwd == directory and home != os.environ["HOME"] and variable == "mine", (cwd, home, variable, directory)
print("done")
"""
    assert there.python(program, OF_THE_USER="mine") == "done"
    assert sorted(path.name for path in there.work.iterdir() if path.suffix == ".py") == ["far.py", "helper.py"]
    assert not list((there.folder / "temporary").iterdir())
    daemon.eventually(lambda: not blobs_of(daemon))


def test_an_app_is_deployed_used_looked_at_and_stopped(there: Elsewhere) -> None:
    program = f"""
import swell
from swell.cli.main import main

def command(*words):
    try:
        main(list(words))
    except SystemExit as end:
        assert not end.code, words

command("deploy", "far.py")
assert swell.Function.from_name("far", "add").remote(1) == 2
call = swell.Function.from_name("far", "make").spawn({LARGE})
assert len(call.get()) == {LARGE}
assert swell.Cls.from_name("far", "Scale")(by=2).of.remote(4) == 8
command("why", call.object_id)
command("app", "list")
command("container", "list")
command("app", "logs", "far")
command("status", "--json")
command("app", "stop", "far", "--yes")
"""
    told = there.python(program)
    assert "far v1 is live" in told
    assert "deployed" in told
    assert told.count("ready") >= 3
    assert f'"remote_address": "{there.address}"' in told
    assert told.endswith("is stopped")


def test_programs_go_on_when_the_server_is_killed_and_started_again(daemon: Daemon, there: Elsewhere) -> None:
    program = """
from far import *
app.deploy(name="again")
add = swell.Function.from_name("again", "add")
print(add.remote(1), flush=True)
input()
print(add.remote(2), add.spawn(3).get())
"""
    with subprocess.Popen(
        there.command(program),
        cwd=there.work,
        env=there.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "2\n"
        daemon.restart_killed()
        assert client.communicate("\n", patience(50.0))[0] == "3 4\n"


def test_what_lies_at_the_server_alone_is_refused_by_name(there: Elsewhere) -> None:
    for command in (["dashboard"], ["token", "list"]):
        done = there.swell(*command)
        assert done.returncode == 1
        assert "on the server's machine, which is another (SWELL_SERVER=tls://" in done.stderr


def test_a_client_that_is_interrupted_leaves_nothing_running(daemon: Daemon, there: Elsewhere) -> None:
    program = "from swell.cli.main import main\nmain(['run', 'far.py::wait'])"
    with subprocess.Popen(
        there.command(program), cwd=there.work, env=there.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as client:
        assert client.stdout is not None
        daemon.eventually(lambda: b"waiting" in client.stdout.readline())  # pyright: ignore[reportOptionalMemberAccess]
        client.send_signal(signal.SIGINT)
        assert client.wait(patience(30.0)) in (0, 130)
    daemon.eventually(lambda: "ephemeral" not in daemon.told("app", "list"))


def test_a_client_that_is_killed_leaves_nothing_running(daemon: Daemon, there: Elsewhere) -> None:
    program = (
        "from far import *\nwith app.run():\n    wait.spawn()\n    print('running', flush=True)\n    wait.remote()"
    )
    with subprocess.Popen(
        there.command(program), cwd=there.work, env=there.environment, stdout=subprocess.PIPE
    ) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"running\n"
        client.kill()
    daemon.eventually(lambda: "ephemeral" not in daemon.told("app", "list"))


# ---------------------------------------------------------------- who is let in


def test_a_wrong_token_and_a_wrong_fingerprint_are_refused_and_told(daemon: Daemon, there: Elsewhere) -> None:
    done = there.swell("app", "list", SWELL_TOKEN="wrong")
    assert done.returncode == 1
    assert "the token is not that of the server: set SWELL_TOKEN" in done.stderr
    address = TlsAddress.parse(there.address)
    wrong = TlsAddress(address.host, address.port, "0" * 64)
    done = there.swell("app", "list", SWELL_SERVER=str(wrong))
    assert done.returncode == 1
    assert f"its fingerprint is {address.fingerprint}, and {'0' * 64} was expected" in done.stderr
    program = "import asyncio, swell\nasyncio.run(swell.Function.from_name('a', 'b').remote.aio(1))"
    done = there.run(program, SWELL_SERVER=str(wrong))
    assert "AuthError" in done.stderr
    assert f"{'0' * 64} was expected" in done.stderr
    assert "the token is not that of the server" in daemon.log


def test_the_socket_of_this_machine_speaks_no_tls_and_asks_for_no_token(daemon: Daemon) -> None:
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(str(daemon.data_dir / "server.sock"))
        plain.sendall(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00" + bytes(100))
        plain.settimeout(patience(30.0))
        assert plain.recv(100) == b""
    assert daemon.told("app", "list")
