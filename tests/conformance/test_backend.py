"""What every backend must do, whatever it starts containers on. A new backend joins `BACKENDS` and passes.

A container here runs the code that its order carries as the token.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from command_user import CommandUser
from delegation import delegated_group, inside
from msgspec.structs import replace

from swell.backends.agents import AgentBackend
from swell.backends.agents.bulk import BulkServer
from swell.backends.agents.local import LocalAgents
from swell.backends.process import ProcessBackend
from swell.errors import NotFoundError
from swell.model import Environment, FunctionSpec, Gpu, MemoryExcess, Resources, Source
from swell.ports import Backend, LaunchOrder
from swell.wire.exec import WINDOW, Input, Read, Resize, Signal
from swell.wire.messages import PROTOCOL

PROGRAM = Path(__file__).with_name("program.py")
GPUS = (Gpu("GPU-aaaa", "H100", 80 << 30), Gpu("GPU-bbbb", "H100", 80 << 30))


class FakeGpuProvider:
    """Finds the GPUs that a test says there are."""

    def __init__(self, gpus: Sequence[Gpu] = ()) -> None:
        self._gpus = gpus

    def gpus(self) -> Sequence[Gpu]:
        return self._gpus


class Listener:
    """Writes down everything it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.started: dict[str, int] = {}
        self.exited: dict[str, tuple[str, bool]] = {}
        self.excesses: dict[str, MemoryExcess] = {}
        self.written: dict[tuple[str, str], list[str]] = defaultdict(list)
        self._heard = asyncio.Event()

    def container_started(self, container_id: str, pid: int) -> None:
        assert container_id not in self.started
        self.started[container_id] = pid
        self._heard.set()

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        assert container_id not in self.exited
        self.exited[container_id] = (reason, started)
        if excess is not None:
            self.excesses[container_id] = excess
        self._heard.set()

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        assert container_id not in self.exited, "output after the end"
        self.written[container_id, stream].append(text)
        self._heard.set()

    def nodes_changed(self) -> None:
        self._heard.set()

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._heard.clear()
            await self._heard.wait()

    async def exit_of(self, container_id: str) -> tuple[str, bool]:
        await self.until(lambda: container_id in self.exited)
        return self.exited[container_id]

    async def line_of(self, container_id: str) -> str:
        """Wait until the container has written something to stdout, and return all of that."""
        await self.until(lambda: bool(self.written[container_id, "stdout"]))
        return self.text(container_id)

    def text(self, container_id: str, stream: str = "stdout") -> str:
        return "".join(self.written[container_id, stream])


def make_process_backend(directory: Path, gpus: Sequence[Gpu], line_max: int) -> Backend:
    return ProcessBackend(FakeGpuProvider(gpus), directory, line_max, program="program:run")


class OneNode(AgentBackend):
    """A backend of one node, with which it starts; orders go there, whatever node they name."""

    async def start(self, listener: Any, server_address: str) -> None:
        await super().start(listener, server_address)
        await self.wait_for(1)

    def launch(self, order: LaunchOrder) -> None:
        super().launch(replace(order, node=self.observe(is_ready)[0].node.name))


def make_agent_backend(directory: Path, gpus: Sequence[Gpu], line_max: int) -> Backend:
    agents = LocalAgents(1, directory, log_line_max=line_max, timeout_s=5.0, program="program:run", gpus=gpus)
    bulk = BulkServer(str(directory), str(directory), 1 << 20)
    return OneNode(agents, asyncio.Protocol, bulk=bulk, protocol=PROTOCOL, timeout_s=5.0, blob_bytes_max=1 << 20)


BACKENDS: dict[str, Callable[[Path, Sequence[Gpu], int], Backend]] = {
    "process": make_process_backend,
    "agent": make_agent_backend,
}

IN_GROUPS = "process in control groups"  #: where they are delegated
every_way_to_hold_limits = pytest.mark.parametrize("make", [*BACKENDS, IN_GROUPS], indirect=True)


@pytest.fixture(params=BACKENDS)
def make(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Backend]]:
    monkeypatch.setenv("PYTHONPATH", str(PROGRAM.parent))
    kind = "process" if request.param == IN_GROUPS else request.param

    def build(gpus: Sequence[Gpu] = (), line_max: int = 1000) -> Backend:
        return BACKENDS[kind](tmp_path / "run", gpus, line_max)

    if request.param == IN_GROUPS:
        with delegated_group() as group, inside(group):
            yield build
    else:
        yield build


@pytest.fixture
async def listener() -> Listener:
    return Listener()


@pytest.fixture
async def backend(make: Callable[..., Backend], listener: Listener) -> AsyncIterator[Backend]:
    backend = make()
    await backend.start(listener, "unix:/nowhere")
    yield backend
    await backend.stop()


def order(
    name: str,
    code: str,
    *,
    gpus: tuple[str, ...] = (),
    memory_limit: int | None = None,
    snapshot_of: Path | None = None,
) -> LaunchOrder:
    return LaunchOrder(
        container_id=name,
        app_id="ap-1",
        function_id="fu-1",
        spec=FunctionSpec(
            "f",
            Source("module_of_user", "f", None if snapshot_of is None else str(snapshot_of)),
            resources=Resources(memory_limit_bytes=memory_limit),
            snapshot=snapshot_of is not None,
        ),
        environment=environment(),
        node="local",
        gpus=gpus,
        token=code,
    )


def environment(python: str = sys.executable) -> Environment:
    return Environment(python, os.getcwd(), (), dict(os.environ))


async def gone(pid: int) -> None:
    """Wait until a process is gone or only its corpse is left."""
    while psutil.pid_exists(pid):
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        await asyncio.sleep(0.005)


WAIT = "import signal\nwhile True: signal.pause()\n"


# ---------------------------------------------------------------- starting and ending


async def test_stop_is_safe_before_start_and_twice(make: Callable[..., Backend], listener: Listener) -> None:
    backend = make()
    await backend.stop()
    await backend.start(listener, "unix:/nowhere")
    await backend.stop()
    await backend.stop()


async def test_a_container_learns_its_name_and_where_the_server_is(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", "import os; print(address, container_id, os.getpid())"))
    assert await listener.exit_of("ta-1") == ("exited with code 0", True)
    address, name, pid = listener.text("ta-1").split()
    assert (name, int(pid)) == ("ta-1", listener.started["ta-1"])
    assert address == "unix:/nowhere" or (address.startswith("unix:") and address.endswith("agent.sock"))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("code = 3", "exited with code 3"),
        ("raise SystemExit(4)", "exited with code 4"),
        ("raise SystemExit('no')", "exited with code 1"),
        ("1 / 0", "exited with code 1"),
        ("import os; os._exit(5)", "exited with code 5"),
        ("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", "killed by signal 40"),
    ],
)
async def test_the_reason_says_how_a_container_ended(
    backend: Backend, listener: Listener, code: str, reason: str
) -> None:
    backend.launch(order("ta-1", code))
    assert await listener.exit_of("ta-1") == (reason, True)


async def test_an_uncaught_exception_is_shown(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", "1 / 0"))
    await listener.exit_of("ta-1")
    assert listener.text("ta-1", "stderr").endswith("ZeroDivisionError: division by zero\n")


async def test_exit_functions_run_and_what_they_write_is_heard(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", "import atexit; atexit.register(print, 'bye')"))
    await listener.exit_of("ta-1")
    assert listener.text("ta-1") == "bye\n"


async def test_a_missing_interpreter_is_reported_as_never_started(backend: Backend, listener: Listener) -> None:
    wanted = order("ta-1", "")
    backend.launch(
        LaunchOrder(
            container_id="ta-1",
            app_id="ap",
            function_id="fu",
            spec=wanted.spec,
            environment=environment("/nowhere/python"),
            node="local",
            gpus=(),
            token="token",
        )
    )
    assert not listener.exited, "reported from inside launch"
    reason, started = await listener.exit_of("ta-1")
    assert "/nowhere/python" in reason
    assert not started


async def test_a_hundred_containers_at_once(backend: Backend, listener: Listener) -> None:
    for number in range(100):
        backend.launch(order(f"ta-{number}", f"print({number})"))
    await listener.until(lambda: len(listener.exited) == 100)
    assert set(listener.exited.values()) == {("exited with code 0", True)}
    assert [listener.text(f"ta-{number}") for number in range(100)] == [f"{number}\n" for number in range(100)]


async def test_stop_kills_and_reports_what_still_runs(make: Callable[..., Backend], listener: Listener) -> None:
    backend = make()
    await backend.start(listener, "unix:/nowhere")
    for number in range(3):
        backend.launch(order(f"ta-{number}", WAIT))
    await listener.until(lambda: len(listener.started) == 3)
    await backend.stop()
    assert set(listener.exited.values()) == {("killed by SIGKILL", True)}


async def test_stop_right_after_launch_leaves_no_order_unanswered(
    make: Callable[..., Backend], listener: Listener
) -> None:
    backend = make()
    await backend.start(listener, "unix:/nowhere")
    backend.launch(order("ta-1", WAIT))
    await backend.stop()
    assert "ta-1" in listener.exited


# ---------------------------------------------------------------- signals


async def test_kill_ends_a_container(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", WAIT))
    await listener.until(lambda: "ta-1" in listener.started)
    backend.kill("ta-1")
    assert await listener.exit_of("ta-1") == ("killed by SIGKILL", True)


async def test_kill_right_after_launch_is_not_lost(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", WAIT))
    backend.kill("ta-1")
    await listener.exit_of("ta-1")


async def test_interrupt_raises_in_the_container_only(backend: Backend, listener: Listener) -> None:
    # Whoever runs this in the background of a shell has SIGINT ignored, and what it starts inherits that; and a signal
    # that comes just before signal.pause() would not end it.
    code = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    print('up', flush=True)
    while True: time.sleep(0.01)
except KeyboardInterrupt: code = 7
"""
    backend.launch(order("ta-1", code))
    backend.launch(order("ta-2", WAIT))
    await listener.line_of("ta-1")
    backend.interrupt("ta-1")
    assert await listener.exit_of("ta-1") == ("exited with code 7", True)
    assert "ta-2" not in listener.exited


async def test_unknown_containers_are_ignored(backend: Backend, listener: Listener) -> None:
    backend.kill("ta-none")
    backend.interrupt("ta-none")
    backend.launch(order("ta-1", "code = 0"))
    await listener.exit_of("ta-1")
    backend.kill("ta-1")
    backend.launch(order("ta-2", "code = 0"))
    assert await listener.exit_of("ta-2") == ("exited with code 0", True)


@pytest.mark.parametrize("new_session", [False, True])
@pytest.mark.parametrize("ends", ["killed", "by itself"])
async def test_what_a_container_started_dies_with_it(
    backend: Backend, listener: Listener, new_session: bool, ends: str
) -> None:
    code = f"""
import subprocess
child = subprocess.Popen(["sleep", "1000"], start_new_session={new_session})
print(child.pid)
"""
    backend.launch(order("ta-1", code + (WAIT if ends == "killed" else "")))
    grandchild = int(await listener.line_of("ta-1"))
    backend.kill("ta-1")
    await listener.exit_of("ta-1")
    await gone(grandchild)


async def test_a_daemon_of_a_living_container_lives(backend: Backend, listener: Listener) -> None:
    code = """
import os, subprocess
pid = os.fork()
if pid == 0:
    os.setsid()
    print(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
    os._exit(0)
os.waitpid(pid, 0)
"""
    backend.launch(order("ta-1", code + WAIT))
    daemon = int(await listener.line_of("ta-1"))
    backend.launch(order("ta-2", "code = 0"))
    await listener.exit_of("ta-2")  # the death of another makes the template look for orphans
    assert psutil.pid_exists(daemon)
    backend.kill("ta-1")
    await gone(daemon)


# ---------------------------------------------------------------- what one may do to the others

PARENT = """
import os, signal, time
def is_template(pid):
    try: return open(f"/proc/{pid}/comm").read() == "swell-template\\n"
    except (FileNotFoundError, ProcessLookupError): return False
parent = os.getppid()
"""
#: Harms nothing but templates: what comes above them are processes of whoever runs these tests.
KILL_PARENT = """
assert is_template(parent)
{harm}
while os.getppid() == parent: time.sleep(0.001)
"""
KILL_ALL_PARENTS = """
while is_template(parent := os.getppid()):
    try: os.kill(parent, 9)
    except ProcessLookupError: pass
    time.sleep(0.001)
"""
TELL = "print(os.getppid(), flush=True)\n"
HARM = {
    "its parent": "os.kill(parent, 9)",
    "its parent's group": "os.killpg(os.getpgid(parent), 9)",
}
NOT_KNOWN = "ended; how is not known, as its template had died before"


@pytest.mark.parametrize("of_snapshot", [False, True], ids=["plain", "snapshot"])
@pytest.mark.parametrize("whom", HARM)
async def test_containers_outlive_their_template(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], whom: str, of_snapshot: bool
) -> None:
    file = code_of_user("") if of_snapshot else None
    backend.launch(order("ta-1", PARENT + TELL + WAIT, snapshot_of=file))
    template = int(await listener.line_of("ta-1"))
    kill = PARENT + TELL + KILL_PARENT.format(harm=HARM[whom]) + TELL
    backend.launch(order("ta-2", kill + WAIT, snapshot_of=file))
    await listener.until(lambda: listener.text("ta-2").count("\n") == 2)
    first, second = map(int, listener.text("ta-2").split())
    assert first == template
    assert second != os.getpid(), "the server must not be what it kills next"
    backend.launch(order("ta-3", PARENT + TELL, snapshot_of=file))
    assert await listener.exit_of("ta-3") == ("exited with code 0", True)
    assert int(listener.text("ta-3")) not in (first, second)
    assert listener.exited.keys() == {"ta-3"}, "containers that are there go on"
    backend.kill("ta-1")
    assert await listener.exit_of("ta-1") == ("killed by SIGKILL", True)
    os.kill(listener.started["ta-2"], signal.SIGKILL)
    told = "killed by SIGKILL" if of_snapshot else NOT_KNOWN  # the base template is its parent then
    assert await listener.exit_of("ta-2") == (told, True)


@pytest.mark.parametrize("of_snapshot", [False, True], ids=["plain", "snapshot"])
async def test_containers_that_kill_each_template_above_them_harm_no_other(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], of_snapshot: bool
) -> None:
    file = code_of_user("") if of_snapshot else None
    others: list[str] = []

    def launch_other() -> None:
        others.append(f"ta-{len(others)}")
        backend.launch(order(others[-1], f"print('up', flush=True)\n{WAIT}", snapshot_of=file))

    launch_other()
    await listener.line_of("ta-0")
    killers = [f"ta-k{number}" for number in range(10)]
    for pair in zip(killers[::2], killers[1::2], strict=True):
        for name in pair:
            backend.launch(order(name, PARENT + KILL_ALL_PARENTS + TELL, snapshot_of=file))
            launch_other()
        for name in pair:
            await listener.exit_of(name)
    for name in others:
        await listener.line_of(name)
    assert not {name: listener.exited[name] for name in listener.exited.keys() & set(others)}
    assert os.getpid() not in {int(listener.text(name)) for name in killers}


@pytest.mark.parametrize("dies", ["killed", "by itself"])
async def test_what_a_container_started_dies_with_it_also_after_the_template(
    backend: Backend, listener: Listener, dies: str
) -> None:
    """That which has wiped its environment is found below the container, or where it was seen there before."""
    wipe = "env={}" if dies == "killed" else "env=None"
    start = f"""
import subprocess
print(*(subprocess.Popen(["sleep", "1000"], start_new_session=new, {wipe}).pid for new in (False, True)), flush=True)
"""
    kill = PARENT + KILL_PARENT.format(harm=HARM["its parent"])
    backend.launch(order("ta-1", kill + start + (WAIT if dies == "killed" else "")))
    pids = [int(pid) for pid in (await listener.line_of("ta-1")).split()]
    backend.launch(order("ta-2", "code = 0"))
    await listener.exit_of("ta-2")  # from another template, so that the end of the first is known
    backend.kill("ta-1")
    await listener.exit_of("ta-1")
    for pid in pids:
        await gone(pid)


async def test_a_daemon_of_a_living_container_lives_when_others_whose_template_has_died_end(
    backend: Backend, listener: Listener
) -> None:
    daemon = """
import subprocess
started = subprocess.run(["sh", "-c", "setsid sleep 1000 >/dev/null & echo $!"], stdout=subprocess.PIPE, text=True)
print(started.stdout, flush=True)
"""
    for name in ("ta-1", "ta-2"):
        backend.launch(order(name, daemon + WAIT))
        await listener.line_of(name)
    backend.launch(order("ta-3", PARENT + KILL_PARENT.format(harm=HARM["its parent"]) + TELL + WAIT))
    await listener.line_of("ta-3")
    backend.launch(order("ta-4", daemon + WAIT))
    await listener.line_of("ta-4")
    daemons = {name: int(listener.text(name)) for name in ("ta-1", "ta-2", "ta-4")}
    backend.kill("ta-1")
    await listener.exit_of("ta-1")
    await gone(daemons["ta-1"])
    assert psutil.pid_exists(daemons["ta-2"])
    assert psutil.pid_exists(daemons["ta-4"])


@pytest.mark.parametrize("of_snapshot", [False, True], ids=["plain", "snapshot"])
async def test_an_order_to_kill_is_not_lost_with_the_template_that_was_to_carry_it_out(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], of_snapshot: bool
) -> None:
    file = code_of_user("") if of_snapshot else None
    backend.launch(order("ta-1", PARENT + TELL + WAIT, snapshot_of=file))
    template = int(await listener.line_of("ta-1"))
    os.kill(template, signal.SIGSTOP)  # so that it reads nothing more
    backend.kill("ta-1")
    backend.launch(order("ta-2", WAIT, snapshot_of=file))
    backend.kill("ta-2")
    backend.launch(order("ta-3", "code = 3", snapshot_of=file))
    await asyncio.sleep(0)  # all of that is sent
    await asyncio.sleep(0)
    os.kill(template, signal.SIGKILL)
    assert await listener.exit_of("ta-1") == ("killed by SIGKILL", True)
    assert await listener.exit_of("ta-2") == ("killed before it was forked", False)
    assert await listener.exit_of("ta-3") == ("exited with code 3", True), "another template has forked it"


async def test_a_container_whose_template_has_died_is_interrupted_as_others_are(
    backend: Backend, listener: Listener
) -> None:
    code = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    os.kill(parent, 9)
    print('up', flush=True)
    while True: time.sleep(0.01)
except KeyboardInterrupt: print('interrupted', flush=True)
"""
    backend.launch(order("ta-1", PARENT + code))
    await listener.line_of("ta-1")
    backend.launch(order("ta-2", "code = 0"))
    await listener.exit_of("ta-2")  # from another template, so that the end of the first is known
    backend.interrupt("ta-1")
    assert await listener.exit_of("ta-1") == (NOT_KNOWN, True)
    assert listener.text("ta-1") == "up\ninterrupted\n"


async def test_a_container_cannot_take_the_user_s_processes_for_its_parent_s_group(
    backend: Backend, listener: Listener
) -> None:
    """The group of pid 1, which adopts orphans, is number 1: to the kernel that means every process of this user."""
    backend.launch(order("ta-1", "import os\nos.killpg(1, 0)"))  # 0 is no signal
    assert await listener.exit_of("ta-1") == ("exited with code 1", True)
    assert "PermissionError: [Errno 1] process group 1 stands for every process" in listener.text("ta-1", "stderr")
    backend.launch(order("ta-2", "import os\nos.killpg(os.getpgid(0), 9)"))
    assert await listener.exit_of("ta-2") == ("killed by SIGKILL", True)


async def test_a_container_that_kills_its_group_harms_no_other(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", "print('up')\n" + WAIT))
    await listener.line_of("ta-1")
    backend.launch(order("ta-2", "import os; os.kill(0, 9)"))
    assert await listener.exit_of("ta-2") == ("killed by SIGKILL", True)
    backend.launch(order("ta-3", "code = 0"))
    await listener.exit_of("ta-3")
    assert "ta-1" not in listener.exited


@pytest.mark.parametrize("of_snapshot", [False, True], ids=["plain", "snapshot"])
async def test_a_container_holds_files_of_nobody_else(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], of_snapshot: bool
) -> None:
    """What it inherits are its own three streams and its lifeline, which it shares with its server alone."""
    code = """
import os
for fd in sorted(map(int, os.listdir("/proc/self/fd"))):
    try: print(fd, os.readlink(f"/proc/self/fd/{fd}"), flush=True)
    except FileNotFoundError: pass  # through which the directory was read
"""
    file = code_of_user("") if of_snapshot else None
    for number in range(3):
        backend.launch(order(f"ta-{number}", code + WAIT, snapshot_of=file))
    held: list[set[str]] = []
    for number in range(3):
        name = f"ta-{number}"
        await listener.until(lambda name=name: listener.text(name).count("\n") >= 4)
        lines = [line.split() for line in listener.text(name).splitlines()]
        kinds = [path.partition(":")[0] for _, path in lines]
        assert kinds == ["/dev/null", "pipe", "pipe", "socket"]
        held.append({path for _, path in lines[1:]})
    assert not held[0] & held[1]
    assert not (held[0] | held[1]) & held[2]


# ---------------------------------------------------------------- output


async def test_output_comes_in_whole_lines_and_is_complete_before_the_end(backend: Backend, listener: Listener) -> None:
    code = "import sys\nfor n in range(2000): print('line', n)\nsys.stdout.write('last')\nsys.stderr.write('é\\n')"
    backend.launch(order("ta-1", code))
    await listener.exit_of("ta-1")
    assert listener.text("ta-1") == "".join(f"line {n}\n" for n in range(2000)) + "last"
    assert all(text.endswith("\n") for text in listener.written["ta-1", "stdout"][:-1])
    assert listener.text("ta-1", "stderr") == "é\n"


async def test_output_of_a_killed_container_is_complete(backend: Backend, listener: Listener) -> None:
    code = "import os\nos.write(1, b'x' * 20000 + b'\\n' + b'end')\nos.kill(os.getpid(), 9)"
    backend.launch(order("ta-1", code))
    await listener.exit_of("ta-1")
    assert listener.text("ta-1").replace("\n", "") == "x" * 20000 + "end"


async def test_long_lines_are_split(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", "print('x' * 2500)"))
    await listener.exit_of("ta-1")
    assert [len(line) for line in listener.text("ta-1").splitlines()] == [1000, 1000, 500]


async def test_a_flood_does_not_starve_the_others(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-flood", "while True: print('x' * 500)"))
    await listener.line_of("ta-flood")
    for number in range(5):
        backend.launch(order(f"ta-{number}", "print('here')"))
        assert await listener.exit_of(f"ta-{number}") == ("exited with code 0", True)
    backend.kill("ta-flood")
    await listener.exit_of("ta-flood")


# ---------------------------------------------------------------- resources


@every_way_to_hold_limits
async def test_memory_over_the_limit_is_a_memory_error(backend: Backend, listener: Listener) -> None:
    code = "try: bytearray(400 << 20)\nexcept MemoryError: print('bounded')"
    backend.launch(order("ta-1", code, memory_limit=300 << 20))
    backend.launch(order("ta-2", "print(len(bytearray(400 << 20)) >> 20)"))
    await listener.exit_of("ta-1")
    await listener.exit_of("ta-2")
    assert (listener.text("ta-1"), listener.text("ta-2")) == ("bounded\n", "400\n")


MAP_SHARED = "shared = mmap.mmap(-1, 160 << 20)\nfor _ in range(160): shared.write(b'x' * (1 << 20))\n"
GREEDY = {
    "a shared mapping": f"import mmap\n{MAP_SHARED}",
    "children": """
import os
for _ in range(3):
    if os.fork() == 0:
        held = b"x" * (50 << 20)
        break
""",
    "daemons in sessions of their own": """
import os
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        held = b"x" * (50 << 20)
        break
""",
    "a file in memory": "import os\nfd = os.memfd_create('x')\nos.posix_fallocate(fd, 0, 160 << 20)\n",
    "a program": f"""
import subprocess, sys
code = "import mmap, signal\\n" + {MAP_SHARED!r} + "signal.pause()"
child = subprocess.Popen([sys.executable, "-c", code])
""",
}


@every_way_to_hold_limits
@pytest.mark.parametrize("code", GREEDY.values(), ids=GREEDY.keys())
async def test_all_that_a_container_uses_together_is_bounded_and_the_figures_are_told(
    backend: Backend, listener: Listener, code: str
) -> None:
    backend.launch(order("ta-1", code + WAIT, memory_limit=96 << 20))
    reason, started = await listener.exit_of("ta-1")
    excess = listener.excesses["ta-1"]
    assert (reason, started) == (f"killed: it {excess}", True)
    assert excess.limit_bytes == 96 << 20
    assert 95 << 20 < excess.used_bytes < 260 << 20


@every_way_to_hold_limits
async def test_what_containers_share_is_not_billed_to_each_of_them(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    """A container inherits more than it may use, and forks, and so does its neighbour: each page is there once."""
    file = code_of_user("held = b'x' * (150 << 20)\ndef f(): return 'inherited'\n")
    fork = "import os\nif os.fork(): print(len(program.entries[''].call()), flush=True)\n"
    backend.launch(order("ta-1", fork + WAIT, memory_limit=96 << 20, snapshot_of=file))
    backend.launch(order("ta-2", fork + WAIT, memory_limit=96 << 20, snapshot_of=file))
    backend.launch(order("ta-3", GREEDY["a shared mapping"] + WAIT, memory_limit=96 << 20))
    await listener.line_of("ta-1")
    await listener.line_of("ta-2")
    await listener.exit_of("ta-3")  # by then, all of them have been looked at
    assert listener.exited.keys() == {"ta-3"}


@every_way_to_hold_limits
async def test_a_container_without_a_limit_may_use_what_there_is(backend: Backend, listener: Listener) -> None:
    backend.launch(order("ta-1", GREEDY["a shared mapping"] + "print('there', flush=True)\n" + WAIT))
    backend.launch(order("ta-2", GREEDY["a shared mapping"] + WAIT, memory_limit=96 << 20))
    await listener.line_of("ta-1")
    await listener.exit_of("ta-2")
    assert listener.exited.keys() == {"ta-2"}


@every_way_to_hold_limits
async def test_a_container_that_its_template_has_left_is_bounded_all_the_same(
    backend: Backend, listener: Listener
) -> None:
    kill = PARENT + KILL_PARENT.format(harm=HARM["its parent"])
    backend.launch(order("ta-1", kill + GREEDY["children"] + WAIT, memory_limit=96 << 20))
    await listener.exit_of("ta-1")
    assert "ta-1" in listener.excesses


async def test_a_container_sees_its_gpus_only(make: Callable[..., Backend], listener: Listener) -> None:
    backend = make(gpus=GPUS)
    await backend.start(listener, "unix:/nowhere")
    show = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'])"
    backend.launch(order("ta-0", show))
    backend.launch(order("ta-1", show, gpus=("GPU-bbbb",)))
    backend.launch(order("ta-2", show, gpus=("GPU-bbbb", "GPU-aaaa")))
    await listener.until(lambda: len(listener.exited) == 3)
    [observed] = backend.observe(is_ready)
    await backend.stop()
    assert [listener.text(f"ta-{n}") for n in range(3)] == ["\n", "GPU-bbbb\n", "GPU-bbbb,GPU-aaaa\n"]
    assert observed.node.gpus == GPUS


async def test_the_node_is_this_machine_and_its_load_is_measured(backend: Backend, listener: Listener) -> None:
    [before] = backend.observe(is_ready)
    assert before.node.cpu <= len(os.sched_getaffinity(0))
    assert before.node.memory_bytes <= psutil.virtual_memory().total
    assert before.busy_cores == 0
    backend.launch(order("ta-1", "print('up')\nwhile True: pass"))
    await listener.line_of("ta-1")
    backend.observe(is_ready)
    busy = 0.0
    while not busy:  # the kernel counts processor time in ticks of 10 ms
        await asyncio.sleep(0.1)
        busy = backend.observe(is_ready)[0].busy_cores
    assert 0 < busy < 2


def is_ready(container_id: str) -> bool:
    """Tell that all containers have checked in."""
    return True


# ---------------------------------------------------------------- snapshots

#: Prints whether the user's code was there before the container was.
SHOW = "print(program.entries[''].call() if program else 'plain')"
BODY = "def f(): return 'inherited'\n"


@pytest.fixture
def code_of_user(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        file = tmp_path / "module_of_user.py"
        file.write_text(text + BODY)
        return file

    return write


async def shown(backend: Backend, listener: Listener, file: Path, *names: str) -> list[str]:
    for name in names:
        backend.launch(order(name, SHOW, snapshot_of=file))
    for name in names:
        assert await listener.exit_of(name) == ("exited with code 0", True)
    return [listener.text(name) for name in names]


async def test_containers_inherit_code_that_was_loaded_once(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], tmp_path: Path
) -> None:
    file = code_of_user(f"open({str(tmp_path / 'loads')!r}, 'a').write('once')\nprint('loading')\n")
    first, second = await shown(backend, listener, file, "ta-1", "ta-2")
    assert (first, second) == ("loading\ninherited\n", "inherited\n")
    assert await shown(backend, listener, file, "ta-3") == ["inherited\n"]
    assert (tmp_path / "loads").read_text() == "once"


async def test_what_the_code_holds_is_not_copied(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    file = code_of_user("data = bytearray(200 << 20)\nrest = [object() for _ in range(100_000)]\n")
    measure = """
import gc
gc.collect()
lines = [line.split() for line in open("/proc/self/smaps_rollup")]
print(sum(int(line[1]) for line in lines if line[0].startswith("Private_")))
"""
    backend.launch(order("ta-1", measure, snapshot_of=file))
    await listener.exit_of("ta-1")
    assert int(listener.text("ta-1")) < 10_000


async def test_threads_that_stop_before_a_fork_are_no_obstacle(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    pytest.importorskip("numpy")
    file = code_of_user("import numpy\n(numpy.ones((300, 300)) @ numpy.ones((300, 300))).sum()\n")
    assert await shown(backend, listener, file, "ta-1") == ["inherited\n"]
    assert not listener.written["ta-1", "system"]


@pytest.mark.parametrize(
    ("code", "found"),
    [
        (
            "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True, name='pump').start()\n",
            "after loading the code there is a running thread (pump)",
        ),
        ("import asyncio\nloop = asyncio.new_event_loop()\n", "after loading the code there is an open event loop"),
        ("import subprocess\nchild = subprocess.Popen(['sleep', '1000'])\n", "there is a child process"),
        ("raise ValueError('not now')\n", "loading the code raised ValueError: not now"),
        ("import os\nos._exit(3)\n", "loading its code ended: exited with code 3"),
        ("import os\nos.kill(os.getpid(), 11)\n", "loading its code ended: killed by SIGSEGV"),
    ],
)
async def test_what_cannot_be_inherited_is_named_once_and_containers_start_plainly(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], code: str, found: str
) -> None:
    file = code_of_user(code)
    assert await shown(backend, listener, file, "ta-1", "ta-2") == ["plain\n", "plain\n"]
    assert await shown(backend, listener, file, "ta-3") == ["plain\n"]
    warnings = [listener.text(name, "system") for name in ("ta-1", "ta-2", "ta-3")]
    assert found in warnings[0]
    assert warnings[0].endswith("\n")
    assert warnings[1:] == ["", ""]


async def test_other_code_is_another_snapshot(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path], tmp_path: Path
) -> None:
    assert await shown(backend, listener, code_of_user(""), "ta-1") == ["inherited\n"]
    other = tmp_path / "other.py"
    other.write_text("def f(): return 'other'\n")
    assert await shown(backend, listener, other, "ta-2") == ["other\n"]


async def test_a_container_killed_while_its_code_loads_never_starts(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    file = code_of_user("import time\nprint('began')\ntime.sleep(1000)\n")
    backend.launch(order("ta-1", SHOW, snapshot_of=file))
    await listener.line_of("ta-1")
    backend.kill("ta-1")
    assert await listener.exit_of("ta-1") == ("killed before it was forked", False)
    code_of_user("")
    assert await shown(backend, listener, file, "ta-2") == ["inherited\n"]


async def test_stop_while_code_loads_answers_every_order(
    make: Callable[..., Backend], listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    backend = make()
    await backend.start(listener, "unix:/nowhere")
    backend.launch(order("ta-1", SHOW, snapshot_of=code_of_user("import time\ntime.sleep(1000)\n")))
    backend.launch(order("ta-2", WAIT))
    await listener.until(lambda: "ta-2" in listener.started)
    await backend.stop()
    assert set(listener.exited) == {"ta-1", "ta-2"}


async def test_containers_of_a_snapshot_die_as_others_do(
    backend: Backend, listener: Listener, code_of_user: Callable[[str], Path]
) -> None:
    file = code_of_user("")
    code = "import subprocess\nprint(subprocess.Popen(['sleep', '1000'], start_new_session=True).pid)\n"
    backend.launch(order("ta-1", code + WAIT, snapshot_of=file))
    backend.launch(order("ta-2", code + WAIT, snapshot_of=file))
    grandchildren = [int(await listener.line_of(name)) for name in ("ta-1", "ta-2")]
    backend.kill("ta-1")
    assert await listener.exit_of("ta-1") == ("killed by SIGKILL", True)
    await gone(grandchildren[0])
    snapshot = psutil.Process(listener.started["ta-2"]).parents()[0]
    snapshot.kill()
    assert await shown(backend, listener, file, "ta-3") == ["inherited\n"], "another takes its place"
    assert psutil.pid_exists(grandchildren[1]), "and the container that it had lives on"
    backend.kill("ta-2")
    assert await listener.exit_of("ta-2") == ("killed by SIGKILL", True)
    await gone(listener.started["ta-2"])
    await gone(grandchildren[1])


# ---------------------------------------------------------------- commands beside containers


@pytest.fixture
async def beside(backend: Backend, listener: Listener) -> Callable[..., CommandUser]:
    """Run a command beside a container: `beside("sh", "-c", "…")`."""
    backend.launch(order("ta-1", WAIT))
    await listener.until(lambda: "ta-1" in listener.started)
    return lambda *command, **options: CommandUser().run(backend, "ta-1", *command, **options)


async def test_a_command_has_the_surroundings_of_its_container(beside: Callable[..., CommandUser]) -> None:
    said = "echo $SWELL_TASK_ID $SWELL_IS_REMOTE $TERM; command -v python; pwd; cat; echo careful >&2; exit 7"
    command = beside("sh", "-c", said, variables={"TERM": "vt220"})
    command.tell(Input(), b"one\n")
    command.tell(Input(is_last=True), b"two\n")
    assert await command.end() == 7
    where = Path(sys.executable).with_name("python")
    assert command.text().splitlines() == ["ta-1 1 vt220", str(where), os.getcwd(), "one", "two"]
    assert (command.text(2), command.took) == ("careful\n", 8)


async def test_deployed_code_is_found_before_what_lies_in_the_directory(backend: Backend, listener: Listener) -> None:
    wanted = order("ta-1", WAIT)
    backend.launch(replace(wanted, environment=replace(wanted.environment, bundle_dir="/deployed")))
    await listener.until(lambda: "ta-1" in listener.started)
    command = CommandUser().run(backend, "ta-1", "sh", "-c", "echo $PYTHONPATH $PYTHONSAFEPATH")
    assert await command.end() == 0
    assert command.text() == f"/deployed:{PROGRAM.parent} 1\n"


async def test_a_command_that_cannot_be_run_ends_as_in_a_shell(
    beside: Callable[..., CommandUser], tmp_path: Path
) -> None:
    missing, forbidden, killed = beside("no-such-command"), beside(str(tmp_path)), beside("sh", "-c", "kill -9 $$")
    assert [await command.end() for command in (missing, forbidden, killed)] == [127, 126, -9]
    assert missing.text(2) == "no-such-command: there is no such command where the container runs\n"
    assert forbidden.text(2) == f"{tmp_path}: Permission denied\n"


async def test_a_command_has_a_terminal_of_its_own(beside: Callable[..., CommandUser]) -> None:
    command = beside("sh", terminal=(30, 101))
    command.type("test -t 0 && stty size\n")
    await command.wrote("30 101")
    command.tell(Resize(40, 77))
    command.type("stty size\n")
    await command.wrote("40 77")
    # No shell: one that is interrupted between two commands runs the second.
    command.type(f'{sys.executable} -c \'import time; print("now it", "sleeps", flush=True); time.sleep(1000)\'\n')
    await command.wrote("now it sleeps")
    command.type("\x03")  # Ctrl-C
    command.type("echo ended by $?\n")
    await command.wrote("ended by 130")
    command.tell(Input(is_last=True))
    assert await command.end() == 0


async def test_a_command_whose_output_is_not_read_stops_and_nothing_else_does(
    beside: Callable[..., CommandUser], backend: Backend
) -> None:
    flood = CommandUser(reads=False).run(backend, "ta-1", "yes")
    await flood.until(lambda: flood.size == WINDOW)
    other = beside("seq", "100000")
    assert await other.end() == 0
    assert (len(other.text().split()), flood.size) == (100_000, WINDOW)
    flood.tell(Read(10_000))
    await flood.until(lambda: flood.size == WINDOW + 10_000)
    flood.pipe.close()


async def test_a_command_that_does_not_read_stops_its_user(beside: Callable[..., CommandUser]) -> None:
    command = beside("sh", "-c", "read line; echo $line; sleep 1000")
    command.tell(Input(), b"go\n" + b"-" * (WINDOW - 3))
    await command.wrote("go")
    command.tell(Input(), b"-" * command.took)
    command.tell(Input(), b"-" * WINDOW)
    await command.until(lambda: bool(command.refused) or command.status is not None)
    assert "bytes of input wait" in command.refused


async def test_signals_reach_all_of_a_command(beside: Callable[..., CommandUser]) -> None:
    command = beside("sh", "-c", "trap 'echo caught' USR1; sh -c 'echo up; sleep 1000'; echo and went on; exit 3")
    await command.wrote("up")
    command.tell(Signal(signal.SIGUSR1))
    assert await command.end() == 3
    assert command.text() == "up\ncaught\nand went on\n"


async def test_a_command_ends_with_its_user_and_so_does_what_it_has_started(
    beside: Callable[..., CommandUser],
) -> None:
    command = beside("sh", "-c", "echo $$; setsid sleep 1000 & echo $!; wait", terminal=(24, 80))
    await command.until(lambda: command.text().count("\n") == 2)
    pids = [int(line) for line in command.text().split()]
    command.pipe.close()
    for pid in pids:
        await gone(pid)


async def test_what_a_command_leaves_behind_is_killed(beside: Callable[..., CommandUser]) -> None:
    command = beside("sh", "-c", "setsid sleep 1000 & echo $!")
    assert await command.end() == 0
    await gone(int(command.text()))


async def test_a_command_goes_on_when_its_container_ends(
    beside: Callable[..., CommandUser], backend: Backend, listener: Listener
) -> None:
    command = beside("cat")
    command.type("before\n")
    await command.wrote("before")
    backend.kill("ta-1")
    await listener.exit_of("ta-1")
    command.tell(Input(is_last=True), b"after\n")
    assert await command.end() == 0
    assert command.text() == "before\nafter\n"
    with pytest.raises(NotFoundError, match="does not run here"):
        backend.exec("ta-1", command)


async def test_a_command_ends_with_the_backend(make: Callable[..., Backend], listener: Listener) -> None:
    backend = make()
    await backend.start(listener, "unix:/nowhere")
    backend.launch(order("ta-1", WAIT))
    await listener.until(lambda: "ta-1" in listener.started)
    command = CommandUser().run(backend, "ta-1", "sh", "-c", "echo $$; sleep 1000")
    pid = int(await command.wrote("\n"))
    await backend.stop()
    await gone(pid)
    assert command.status == -signal.SIGKILL or command.broken or command.refused
