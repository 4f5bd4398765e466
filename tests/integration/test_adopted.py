"""Watching processes that are no children: which one is meant, how it ended if that can be known, what is left."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator

import psutil
import pytest

import swell.linux as linux
from swell.backends.process.adopted import AdoptedContainers

MARK = f"SWELL_TEST_MARK={os.urandom(8).hex()}"


class Ends:
    """Hears of ends, and lets a test wait for them."""

    def __init__(self) -> None:
        self.living: set[int] = set()
        self.templates: set[int] = set()
        self.asked = 0  #: how often somebody wanted to know the templates
        self.told: asyncio.Queue[tuple[str, int | None]] = asyncio.Queue()

    def ask_templates(self) -> set[int]:
        self.asked += 1
        return self.templates

    def handle_reply(self, name: str, status: int | None) -> None:
        self.told.put_nowait((name, status))


@pytest.fixture
async def ends() -> Ends:
    return Ends()


@pytest.fixture
async def adopted(ends: Ends) -> AsyncIterator[AdoptedContainers]:
    made = AdoptedContainers(MARK, lambda: ends.living, ends.ask_templates, ends.handle_reply)
    yield made
    await made.close(10.0)


def start(command: str) -> subprocess.Popen[bytes]:
    name, _, value = MARK.partition("=")
    return subprocess.Popen(
        ["sh", "-c", command], env={**os.environ, name: value}, stdout=subprocess.PIPE, start_new_session=True
    )


def begun(pid: int) -> int:
    found = linux.begun_at(pid)
    assert found is not None
    return found


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process in a session of its own that is no child of this one."""
    with start("setsid sleep 1000 >/dev/null & echo $!") as process:
        assert process.stdout is not None
        pid = int(process.stdout.read())
    assert process.returncode == 0
    yield pid
    if psutil.pid_exists(pid):
        psutil.Process(pid).kill()


async def test_a_process_of_the_same_number_that_began_at_another_time_is_another(
    adopted: AdoptedContainers, stranger: int
) -> None:
    assert not adopted.adopt("ta-1", stranger, begun(stranger) - 1)
    adopted.signal(stranger, signal.SIGKILL)
    assert psutil.Process(stranger).status() != psutil.STATUS_ZOMBIE


async def test_one_that_has_ended_is_not_adopted(adopted: AdoptedContainers) -> None:
    with start("exit 0") as process:
        born = begun(process.pid)
    assert not adopted.adopt("ta-1", process.pid, born)


async def test_how_a_stranger_ended_is_known_only_if_it_was_killed_from_here(
    adopted: AdoptedContainers, ends: Ends, stranger: int
) -> None:
    ends.living.add(stranger)
    assert adopted.adopt("ta-1", stranger, begun(stranger))
    adopted.signal(stranger, signal.SIGKILL)
    assert await ends.told.get() == ("ta-1", -signal.SIGKILL)


async def test_how_a_stranger_ended_by_itself_is_not_known(
    adopted: AdoptedContainers, ends: Ends, stranger: int
) -> None:
    ends.living.add(stranger)
    assert adopted.adopt("ta-1", stranger, begun(stranger))
    os.kill(stranger, signal.SIGTERM)
    assert await ends.told.get() == ("ta-1", None)


@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM)])
async def test_a_child_tells_as_it_would_where_this_process_is_that_of_pid_1(
    adopted: AdoptedContainers, ends: Ends, command: str, status: int
) -> None:
    with start(f"read line; {command}") as process:
        ends.living.add(process.pid)
        assert adopted.adopt("ta-1", process.pid, begun(process.pid))
        assert await ends.told.get() == ("ta-1", status)


async def ended(pid: int) -> None:
    """Wait for the end of any process; one that nobody reaps has ended, too."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, readable.set)
    await readable.wait()
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)


@pytest.fixture
def unmarked() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


async def test_a_sweep_spares_what_is_wanted_with_all_below_it_and_what_has_no_mark(
    adopted: AdoptedContainers, ends: Ends, stranger: int, unmarked: subprocess.Popen[bytes]
) -> None:
    with start("sleep 1000 & echo $!; wait") as wanted:
        assert wanted.stdout is not None
        below = int(wanted.stdout.readline())
        ends.living.add(wanted.pid)
        adopted.sweep()
        await ended(stranger)
        assert unmarked.poll() is None
        assert wanted.poll() is None
        assert psutil.Process(below).status() != psutil.STATUS_ZOMBIE
        ends.living.clear()
        adopted.sweep()
        await ended(below)
        assert unmarked.poll() is None


async def test_descent_is_told_at_any_depth() -> None:
    with start("sh -c 'sleep 1000 & echo $!; wait'; :") as process:
        assert process.stdout is not None
        deep = int(process.stdout.readline())
        assert linux.parent_of(deep) != process.pid
        assert linux.descends_from(deep, {process.pid})
        assert linux.descends_from(deep, {os.getpid()})
        assert not linux.descends_from(process.pid, {deep})
        os.killpg(process.pid, signal.SIGKILL)
    assert not linux.descends_from(deep, {process.pid})


@pytest.fixture
def corpse() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has ended, and that nobody has waited for yet."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process
    process.wait()


async def test_nothing_is_a_stray_while_the_end_of_a_template_is_not_known(
    adopted: AdoptedContainers, ends: Ends, stranger: int, corpse: subprocess.Popen[bytes]
) -> None:
    """A container whose template has just died is no stray: its start is still to be read."""
    ends.templates = {corpse.pid}
    adopted.sweep()
    await until(lambda: ends.asked >= 3)
    assert linux.is_running(stranger)
    ends.templates = set()
    await until(lambda: not linux.is_running(stranger))


async def until(true: Callable[[], bool]) -> None:
    is_true = true()
    while not is_true:
        await asyncio.sleep(0.005)
        is_true = true()
