"""What containers wrote, read while it is written: nothing is lost, nothing comes twice, only what is wanted comes."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from patience import USUAL_S as PATIENCE_S

from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import ProcessBackend
from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import ClientMessage, Event
from swell.model import Environment, FunctionSpec, Source
from swell.private_files import open_file
from swell.server.bundles import Bundles
from swell.server.connection import Connection
from swell.server.connection_limits import ConnectionLimits
from swell.server.container_logs import OPEN_MAX, ContainerLogs, LogChunk, LogFilter, LogFollower
from swell.server.containers import Containers
from swell.server.defects import Defects
from swell.server.log_queries import UNREAD_MAX
from swell.server.paths import ServerPaths
from swell.server.queries import Queries
from swell.store.memory.store import MemoryStore
from swell.wire.messages import Done, Failed, Message, OpenApp
from swell.wire.queries import LogEntry, ReadLogs

KEEP_S = 86_400.0


def line(number: int, **fields: Any) -> LogChunk:
    known: dict[str, Any] = {"app": "ap-1", "function": "f", "container": "ta-1", "stream": "stdout", "calls": ()}
    known |= fields
    return LogChunk(
        at=float(number),
        app_id=known["app"],
        function=known["function"],
        container_id=known["container"],
        stream=known["stream"],
        text=f"line {number}\n",
        call_ids=known["calls"],
    )


def book(directory: Path | None, bytes_max: int = 1 << 20) -> ContainerLogs:
    return ContainerLogs(directory, bytes_max, KEEP_S)


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[ContainerLogs]:
    found = book(tmp_path)
    yield found
    found.close()


async def numbers(logs: ContainerLogs, log_filter: LogFilter | None = None) -> list[int]:
    return [int(entry.at) async for piece in logs.read(log_filter or LogFilter("ap-1")) for entry in piece]


async def test_a_reader_that_leaves_while_the_files_are_opened_leaves_none_open(
    logs: ContainerLogs, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logs.write(line(0))
    began, may_open = threading.Event(), threading.Event()

    def open_late(path: Path, flags: int) -> int:
        began.set()
        assert may_open.wait(PATIENCE_S)
        return open_file(path, flags)

    monkeypatch.setattr("swell.server.container_logs.open_file", open_late)
    reading = asyncio.ensure_future(anext(logs.read(LogFilter("ap-1"))))
    assert await asyncio.to_thread(began.wait, PATIENCE_S)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    before = open_at(tmp_path)
    may_open.set()
    await asyncio.get_running_loop().shutdown_default_executor()
    left = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*left)  # what waited for the thread
    await asyncio.sleep(0)
    assert open_at(tmp_path) == before


def open_at(directory: Path) -> list[str]:
    """Return the files of a directory that this process has open."""
    found = [os.path.realpath(each) for each in Path("/proc/self/fd").iterdir()]
    return sorted(each for each in found if each.startswith(str(directory)))


# ---------------------------------------------------------------- what is wanted


@pytest.mark.parametrize(
    ("log_filter", "found"),
    [
        ({}, [1, 2, 3, 4]),
        ({"container_id": "ta-2"}, [2]),
        ({"function": "f"}, [1, 2, 4]),
        ({"function": "Model"}, [3]),
        ({"call_id": "fc-7"}, [2, 4]),
        ({"stream": "stderr"}, [3]),
        ({"search": "line 4"}, [4]),
        ({"since": 2.0}, [2, 3, 4]),
        ({"until": 2.0}, [1, 2]),
        ({"since": 2.0, "until": 3.0, "function": "f"}, [2]),
        ({"tail": 2}, [3, 4]),
        ({"tail": 2, "function": "f"}, [2, 4]),
        ({"stream": "system"}, []),
    ],
)
async def test_only_what_is_wanted_is_read(logs: ContainerLogs, log_filter: dict[str, Any], found: list[int]) -> None:
    logs.write(line(1))
    logs.write(line(2, container="ta-2", calls=("fc-6", "fc-7")))
    logs.write(line(3, function="Model.*", stream="stderr"))
    logs.write(line(4, calls=("fc-7",)))
    logs.write(line(5, app="ap-2"))
    assert await numbers(logs, LogFilter("ap-1", **log_filter)) == found


async def test_a_server_that_keeps_nothing_shows_what_is_written(tmp_path: Path) -> None:
    logs, seen = book(None), list[int]()
    logs.follow(1, LogFollower(LogFilter("ap-1"), lambda entry: seen.append(int(entry.at)), lambda: None))
    logs.write(line(1))
    assert (seen, await numbers(logs)) == ([1], [])


async def test_more_apps_write_than_files_may_be_open(logs: ContainerLogs) -> None:
    apps = [f"ap-{number}" for number in range(OPEN_MAX + 10)]
    for number in (1, 2):
        for app in apps:
            logs.write(line(number, app=app))
    for app in apps:
        assert await numbers(logs, LogFilter(app)) == [1, 2]


# ---------------------------------------------------------------- accidents


def cut_off(path: Path) -> None:
    """Leave of a file what a server that is killed in the middle of a line leaves of it."""
    path.write_bytes(path.read_bytes()[:-9])


async def test_a_line_that_was_cut_off_costs_no_other(tmp_path: Path) -> None:
    """The server was killed in the middle of a line; the next one goes on in the same file."""
    first = book(tmp_path)
    for number in (1, 2, 3):
        first.write(line(number))
    first.close()
    cut_off(tmp_path / "ap-1.jsonl")
    second = book(tmp_path)
    assert await numbers(second) == [1, 2]
    for number in (4, 5):
        second.write(line(number))
    assert await numbers(second) == [1, 2, 4, 5]
    second.close()


def test_a_file_that_was_whole_is_gone_on_with_as_it_is(tmp_path: Path) -> None:
    for number in (1, 2):
        logs = book(tmp_path)
        logs.write(line(number))
        logs.close()
    (path,) = tmp_path.iterdir()
    assert path.read_bytes().count(b"\n") == 2


def test_a_place_that_cannot_be_written_to_is_told_once_and_keeps_nobody_from_watching(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "gone"
    directory.mkdir()
    logs, seen = book(directory), list[int]()
    logs.follow(1, LogFollower(LogFilter("ap-1"), lambda entry: seen.append(int(entry.at)), lambda: None))
    shutil.rmtree(directory)
    with caplog.at_level(logging.WARNING, logger="swell.server"):
        for number in (1, 2, 3):
            logs.write(line(number))
    assert seen == [1, 2, 3]
    assert [record.message.partition(" in ")[0] for record in caplog.records] == [
        "what containers write cannot be kept"
    ]


async def test_reading_while_files_are_turned_misses_nothing_in_between(tmp_path: Path) -> None:
    """Whatever is read is without a gap, and ends with what had been written when it began."""
    logs, written, stop = book(tmp_path, 4_096), [0], threading.Event()

    def write() -> None:
        while not stop.is_set():
            logs.write(line(written[0] + 1))
            written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(150):
            before = written[0]
            found = await numbers(logs)
            assert found == list(range(found[0], found[-1] + 1)) if found else not before
            assert not found or found[-1] >= before
    finally:
        stop.set()
        writer.join()
        logs.close()


# ---------------------------------------------------------------- following


class Reader(Connection):
    """A connection whose peer notes what it hears."""

    def __init__(self, number: int) -> None:
        super().__init__(Deaf(), number, 1 << 20, ConnectionLimits())
        self.heard: list[str] = []
        self.waiting = 0  #: bytes that its peer has not read
        self._something = asyncio.Event()

    @property
    def unsent(self) -> int:
        return self.waiting

    async def hears(self, count: int) -> list[str]:
        """Wait until so much was heard, and return it."""
        while len(self.heard) < count:
            self._something.clear()
            await self._something.wait()
        return self.heard

    def send(self, message: Message, payload: bytes | memoryview = b"") -> None:
        self._something.set()
        match message:
            case LogEntry():
                assert bytes(payload).decode() == f"line {message.at:g}\n"
                self.heard.append(f"{message.at:g}")
            case Done():
                self.heard.append("done")
            case Failed():
                self.heard.append(message.text)
            case _:
                raise AssertionError(message)


class Deaf:
    """Nobody: what connections report to."""

    def connected(self, connection: Connection, hello: object) -> None:
        return None

    def received(self, connection: Connection, message: Message, payload: bytes) -> None:
        return None

    def lags(self, connection: Connection, is_lagging: bool) -> None:
        return None

    def disconnected(self, connection: Connection) -> None:
        return None


class Server:
    """What answers questions about logs, with one app that runs."""

    def __init__(self, directory: Path) -> None:
        settings, paths = Settings(), ServerPaths("unix:/nowhere", directory)
        self.store = MemoryStore(asyncio.get_running_loop().call_soon)
        self.engine = Engine(settings)
        self.say(
            OpenApp(
                request=1,
                app_id="ap-1",
                name="app",
                environment=Environment("/py", "/", ()),
                functions=[FunctionSpec("f", Source("m", "f"))],
            )
        )
        self.container_logs = book(directory)
        backend = ProcessBackend(NvmlProvider(), directory, 1_000)
        bundles = Bundles(None, directory, self.store, are_local=True, deleted=self.nothing)
        containers = Containers(backend, settings, paths, bundles, self.nothing)
        self.queries = Queries(
            engine=self.engine,
            store=self.store,
            backend=backend,
            containers=containers,
            logs=self.container_logs,
            paths=paths,
            defects=Defects(),
            now=lambda: 0.0,
        )

    def nothing(self, event: Event) -> None:
        raise AssertionError(event)

    def say(self, message: Message) -> None:
        self.engine.handle(ClientMessage(1, message), 0.0)

    def writes(self, *written: int) -> None:
        for number in written:
            self.container_logs.write(line(number))

    def reads(self, **log_filter: Any) -> Reader:
        reader = Reader(7)
        self.queries.handlers()[ReadLogs](reader, ReadLogs(3, "ap-1", **log_filter))
        return reader


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    found = Server(tmp_path)
    yield found
    found.container_logs.close()


async def test_what_was_written_is_sent_and_then_that_it_was_all(server: Server) -> None:
    server.writes(1, 2, 3)
    assert await server.reads().hears(4) == ["1", "2", "3", "done"]
    assert await server.reads(tail=1).hears(2) == ["3", "done"]


async def test_what_is_written_while_the_rest_is_read_comes_once_and_in_order(server: Server) -> None:
    server.writes(1, 2)
    reader = server.reads(follow=True)
    await asyncio.sleep(0)  # it has begun to follow, and reads in a thread
    server.writes(3, 4)
    await reader.hears(4)
    server.writes(5)
    assert await reader.hears(5) == ["1", "2", "3", "4", "5"]


async def test_so_it_does_if_only_the_latest_are_wanted(server: Server) -> None:
    server.writes(1, 2)
    reader = server.reads(follow=True, tail=1)
    await asyncio.sleep(0)
    server.writes(3, 4, 5)
    await reader.hears(1)
    server.writes(6)
    while reader.heard[-1] != "6":
        await reader.hears(len(reader.heard) + 1)
    heard = [int(number) for number in reader.heard]
    assert heard == list(range(heard[0], 7)), "without a gap, nothing twice, and nothing out of order"


async def test_following_ends_with_the_app(server: Server) -> None:
    server.writes(1)
    reader = server.reads(follow=True)
    await reader.hears(1)
    server.writes(2)
    await reader.hears(2)
    server.container_logs.ended("ap-1")
    assert reader.heard == ["1", "2", "done"]


async def test_who_leaves_while_the_rest_is_read_hears_nothing_more(server: Server) -> None:
    reader = server.reads(follow=True)
    await asyncio.sleep(0)
    server.queries.leave(reader)
    await numbers(server.container_logs)
    server.writes(1)
    assert not server.container_logs.has_follower(reader.number)


async def test_who_follows_and_does_not_read_is_let_go(server: Server) -> None:
    server.writes(1)
    reader = server.reads(follow=True)
    await reader.hears(1)
    reader.waiting = UNREAD_MAX + 1
    server.writes(2, 3)
    assert await reader.hears(2) == ["1", "the log is written faster than it is read: 16 MiB wait to be read"]


async def test_a_log_that_cannot_be_read_is_no_silence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(log_filter: LogFilter) -> AsyncIterator[list[LogChunk]]:
        raise OSError(5, "Input/output error")
        yield []

    monkeypatch.setattr(server.container_logs, "read", broken)
    assert await server.reads().hears(1) == ["the log cannot be read: [Errno 5] Input/output error"]


async def test_nonsense_is_refused(server: Server) -> None:
    assert await server.reads(tail=0).hears(1) == ["tail = 0 must be at least 1"]
