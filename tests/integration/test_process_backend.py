"""How the process backend keeps its templates: one for each interpreter, few at once, and none for ever."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import uvloop

from swell.backends.gpu import NoGpus
from swell.backends.process import ProcessBackend, backend, snapshots
from swell.model import Environment, FunctionSpec, MemoryExcess, Source
from swell.ports import LaunchOrder


class Ends:
    """Hears how containers end, and which template they came from."""

    def __init__(self) -> None:
        self.parents: dict[str, int] = {}
        self.exited: dict[str, str] = {}
        self.heard = asyncio.Event()

    def container_started(self, container_id: str, pid: int) -> None:
        pass

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        self.exited[container_id] = reason
        self.heard.set()

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        self.parents[container_id] = int(text)

    async def parent_of(self, container_id: str) -> int:
        """Wait for its end, and return the pid of its template."""
        await self.end_of(container_id)
        return self.parents[container_id]

    async def end_of(self, container_id: str) -> None:
        while container_id not in self.exited:
            self.heard.clear()
            await self.heard.wait()


@contextlib.asynccontextmanager
async def started(
    directory: Path, ends: Ends, *, program: str = backend.RUNNER, server: str = "unix:/nowhere"
) -> AsyncIterator[ProcessBackend]:
    """A backend; a test that fails leaves none of its processes to those that follow."""
    made = ProcessBackend(NoGpus(), directory / "run", 1000, program=program)
    await made.start(ends, server)
    try:
        yield made
    finally:
        await made.stop()


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "telling.py").write_text("import os\ndef run(*_): print(os.getppid())\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.fixture
async def ends() -> Ends:
    return Ends()


@pytest.fixture
async def process_backend(ends: Ends, tmp_path: Path) -> AsyncIterator[ProcessBackend]:
    async with started(tmp_path, ends, program="telling:run") as made:
        yield made


def order(name: str, snapshot_of: str = "", **variables: str) -> LaunchOrder:
    environment = Environment(sys.executable, os.getcwd(), (), {**os.environ, **variables})
    source = Source("module_of_user", "f", snapshot_of or None)
    spec = FunctionSpec("f", source, snapshot=bool(snapshot_of))
    return LaunchOrder(
        container_id=name,
        app_id="ap",
        function_id=f"fu-{snapshot_of}",
        spec=spec,
        environment=environment,
        node="local",
        gpus=(),
        token="token",
    )


async def ended(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    readable = asyncio.Event()
    asyncio.get_running_loop().add_reader(fd, readable.set)
    await readable.wait()
    asyncio.get_running_loop().remove_reader(fd)
    os.close(fd)


async def test_equal_interpreters_share_a_template(process_backend: ProcessBackend, ends: Ends) -> None:
    for name, variables in (("ta-1", {}), ("ta-2", {"COLOR": "red"}), ("ta-3", {"PYTHONHASHSEED": "1"})):
        process_backend.launch(order(name, **variables))
    first, second, other = [await ends.parent_of(name) for name in ("ta-1", "ta-2", "ta-3")]
    assert first == second != other


async def test_the_template_unused_longest_goes_when_there_are_too_many(
    process_backend: ProcessBackend, ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "TEMPLATES_MAX", 2)
    process_backend.launch(order("ta-own"))
    own = await ends.parent_of("ta-own")
    process_backend.launch(order("ta-1", PYTHONHASHSEED="1"))
    first = await ends.parent_of("ta-1")
    process_backend.launch(order("ta-2", PYTHONHASHSEED="2"))
    await ends.parent_of("ta-2")
    await ended(first)
    process_backend.launch(order("ta-again"))
    assert await ends.parent_of("ta-again") == own, "the server's own is kept: it cleans up when the server is killed"


async def test_a_snapshot_that_is_not_used_goes(
    process_backend: ProcessBackend, ends: Ends, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(snapshots, "IDLE_S", 0.2)
    file = tmp_path / "module_of_user.py"
    file.write_text("def f(): pass\n")
    process_backend.launch(order("ta-1", snapshot_of=str(file)))
    first = await ends.parent_of("ta-1")
    await ended(first)
    process_backend.launch(order("ta-2", snapshot_of=str(file)))
    assert await ends.parent_of("ta-2") != first


async def test_there_are_few_snapshots_at_once(
    process_backend: ProcessBackend, ends: Ends, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(snapshots, "SNAPSHOTS_MAX", 1)
    files = [tmp_path / "one.py", tmp_path / "two.py"]
    for file in files:
        file.write_text("def f(): pass\n")
    process_backend.launch(order("ta-1", snapshot_of=str(files[0])))
    first = await ends.parent_of("ta-1")
    process_backend.launch(order("ta-2", snapshot_of=str(files[1])))
    await ends.parent_of("ta-2")
    await ended(first)


async def test_a_template_that_cannot_start_says_why(tmp_path: Path, ends: Ends) -> None:
    async with started(tmp_path, ends, program="no_such_module:run") as made:
        made.launch(order("ta-1"))
        await ends.end_of("ta-1")
    assert "its template ended: exited with code 1" in ends.exited["ta-1"]
    assert "ModuleNotFoundError: No module named 'no_such_module'" in ends.exited["ta-1"]


def test_it_works_on_uvloop(tmp_path: Path) -> None:
    async def scenario() -> None:
        ends = Ends()
        async with started(tmp_path, ends, program="telling:run") as made:
            for number in range(20):
                made.launch(order(f"ta-{number}"))
            parents = {await ends.parent_of(f"ta-{number}") for number in range(20)}
            assert len(parents) == 1
        assert set(ends.exited.values()) == {"exited with code 0"}

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


async def test_the_template_of_real_containers_is_safe_to_fork(tmp_path: Path) -> None:
    ends = Ends()
    ends.container_wrote = lambda container_id, stream, text: None
    async with started(tmp_path, ends, server=f"unix:{tmp_path}/no-server") as made:
        made.launch(order("ta-1"))
        await ends.end_of("ta-1")
        [template] = [child for child in psutil.Process().children() if "swell.runner.template" in child.cmdline()]
        assert template.num_threads() == 1
        links = [os.readlink(entry.path) for entry in os.scandir(f"/proc/{template.pid}/fd")]
        assert not [link for link in links if "eventpoll" in link]
