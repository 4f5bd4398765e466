"""The contestants: ways to run a function in two processes, behind one interface.

Each class opens as a context manager, runs one input with `call` and many with `map`, results in order. Contestants
import what they need when they are opened, so that one which is not installed can be left out. Nothing here measures.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

PROCESSES = 2
ROOT = Path(__file__).resolve().parent.parent


class Pool:
    """Runs `functions` (from benchmarks.work) in PROCESSES processes."""

    label: ClassVar[str]
    needs: ClassVar[str] = ""  #: module without which there is no such contestant
    inputs_max: ClassVar[int] = 20_000  #: how many small inputs it gets through in a few seconds

    def __init__(self, *functions: Callable[..., Any]) -> None:
        self.functions = functions
        self.stack = ExitStack()

    @classmethod
    def installed(cls) -> bool:
        """Whether this contestant can take part."""
        return not cls.needs or importlib.util.find_spec(cls.needs) is not None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *raised: object) -> None:
        self.stack.close()

    def open(self) -> None:
        """Start the processes."""
        raise NotImplementedError

    def call(self, function: Callable[..., Any], x: object) -> Any:
        """Run one input and wait for its result."""
        raise NotImplementedError

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        """Run many inputs and wait for all results."""
        raise NotImplementedError


class Swell(Pool):
    """swell with its own server, each function held at PROCESSES containers."""

    label = "swell"
    inputs_max = 500_000

    def open(self) -> None:
        import swell

        app = swell.App("bench")
        options = {"min_containers": PROCESSES, "max_containers": PROCESSES}
        self.handles = {function.__name__: app.function(**options)(function) for function in self.functions}
        self.stack.enter_context(app.run())

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.handles[function.__name__].remote(x)

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return list(self.handles[function.__name__].map(xs))


class ProcessPool(Pool):
    """The standard library's ProcessPoolExecutor, one input at a time."""

    label = "ProcessPoolExecutor"
    chunk = 1

    def open(self) -> None:
        from concurrent.futures import ProcessPoolExecutor

        self.executor = self.stack.enter_context(ProcessPoolExecutor(PROCESSES))

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.executor.submit(function, x).result()

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return list(self.executor.map(function, xs, chunksize=self.chunk))


class ChunkedProcessPool(ProcessPool):
    """The same with inputs grouped by hand: a chunk fails, is lost and is waited for as a whole."""

    label = "ProcessPoolExecutor, chunks of 100"
    inputs_max = 500_000
    chunk = 100


class Loky(Pool):
    """loky's reusable executor: a process pool that survives crashes."""

    label = "loky"
    needs = "loky"

    def open(self) -> None:
        from loky import get_reusable_executor

        self.executor = get_reusable_executor(PROCESSES)
        self.stack.callback(self.executor.shutdown, wait=True)

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.executor.submit(function, x).result()

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return list(self.executor.map(function, xs))


class RayActors(Pool):
    """Ray with one actor per process, calls dealt out in turn."""

    label = "Ray actors"
    needs = "ray"
    inputs_max = 10_000

    def open(self) -> None:
        import ray

        ray.init(num_cpus=PROCESSES, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        self.stack.callback(ray.shutdown)

        class Runner:
            def run(self, function: Callable[..., Any], x: object) -> Any:
                return function(x)

        self.get = ray.get
        self.actors = [ray.remote(num_cpus=0)(Runner).remote() for _ in range(PROCESSES)]

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.get(self.actors[0].run.remote(function, x))

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return self.get([self.actors[i % PROCESSES].run.remote(function, x) for i, x in enumerate(xs)])


class Dask(Pool):
    """Dask's distributed scheduler with single-threaded workers."""

    label = "Dask"
    needs = "distributed"
    inputs_max = 3_000

    def open(self) -> None:
        from distributed import Client

        local = {"n_workers": PROCESSES, "threads_per_worker": 1, "dashboard_address": None}
        self.client = self.stack.enter_context(Client(**local))

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self.client.submit(function, x, pure=False).result()

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        return self.client.gather(self.client.map(function, list(xs), pure=False))


class Huey(Pool):
    """huey on SQLite: a durable queue, so it pays for writing every input down."""

    label = "huey on SQLite"
    needs = "huey"
    inputs_max = 2_000

    def open(self) -> None:
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        names = ", ".join(function.__name__ for function in self.functions)
        tasks = "".join(f"{function.__name__} = queue.task()({function.__name__})\n" for function in self.functions)
        (folder / "huey_app.py").write_text(
            f"from huey import SqliteHuey\nfrom benchmarks.work import {names}\n"
            f"queue = SqliteHuey(filename={str(folder / 'queue.db')!r})\n{tasks}"
        )
        consumer = [Path(sys.executable).with_name("huey_consumer"), "huey_app.queue", "-w", str(PROCESSES)]
        options = ["-k", "process", "-q", "-d", "0.005", "-m", "0.01"]
        environment = os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
        process = subprocess.Popen([*consumer, *options], env=environment, stderr=subprocess.DEVNULL)
        self.stack.callback(process.wait)
        self.stack.callback(process.terminate)
        sys.path.insert(0, str(folder))
        self.tasks = importlib.import_module("huey_app")

    def call(self, function: Callable[..., Any], x: object) -> Any:
        return self._result(getattr(self.tasks, function.__name__)(x))

    def map(self, function: Callable[..., Any], xs: Iterable[object]) -> list[Any]:
        task = getattr(self.tasks, function.__name__)
        return [self._result(waiting) for waiting in [task(x) for x in xs]]

    def _result(self, waiting: Any) -> Any:
        return waiting.get(blocking=True, timeout=60, backoff=1, max_delay=0.002)


ALL: tuple[type[Pool], ...] = (Swell, ProcessPool, ChunkedProcessPool, Loky, RayActors, Dask, Huey)
