"""A server for test_template.py: starts containers that start processes of their own, says their pids, and waits.

Run as: python killed_server.py DIRECTORY COUNT
"""

import asyncio
import itertools
import os
import sys
from pathlib import Path

from swell.backends.gpu import NoGpus
from swell.backends.process import ProcessBackend
from swell.model import Environment, FunctionSpec, MemoryExcess, Source
from swell.ports import LaunchOrder


def run(address: str, container_id: str, token: str, program: object) -> None:
    """Be a container with a child in its group, one in a session of its own, and a daemon."""
    import signal
    import subprocess

    pids = [subprocess.Popen(["sleep", "1000"], start_new_session=new).pid for new in (False, True)]
    shell = "setsid sleep 1000 >/dev/null & echo $!"
    daemon = subprocess.run(["sh", "-c", shell], stdout=subprocess.PIPE, text=True, check=True).stdout
    print(os.getpid(), *pids, daemon.strip())
    while True:
        signal.pause()


class Printer:
    """Prints every event as one line."""

    def container_started(self, container_id: str, pid: int) -> None:
        print("started", container_id, pid, flush=True)

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        print("exited", container_id, reason, flush=True)

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        print("wrote", container_id, text.strip(), flush=True)


async def main(directory: Path, count: int) -> None:
    backend = ProcessBackend(NoGpus(), directory, 1000, program="killed_server:run")
    await backend.start(Printer(), "unix:/nowhere")
    environment = Environment(sys.executable, os.getcwd(), (), dict(os.environ))
    spec = FunctionSpec("f", Source("m", "f"))
    ended = asyncio.Event()
    numbers = itertools.count()

    def launch() -> None:
        order = LaunchOrder(
            container_id=f"ta-{next(numbers)}",
            app_id="ap",
            function_id="fu",
            spec=spec,
            environment=environment,
            node="local",
            gpus=(),
            token="token",
        )
        backend.launch(order)

    def read_order() -> None:
        """Launch one more container for what comes in on stdin; end with it."""
        if os.read(0, 100):
            launch()
        else:
            ended.set()

    for _ in range(count):
        launch()
    loop = asyncio.get_running_loop()
    loop.add_reader(0, read_order)
    await ended.wait()
    loop.remove_reader(0)
    await backend.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
