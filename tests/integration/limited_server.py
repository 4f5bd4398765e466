"""A server for test_memory_groups.py: starts the containers that it is told to, each with a memory limit.

Run as: python limited_server.py DIRECTORY. A line of stdin is [container id, code, limit in bytes] in JSON; what
happens is written as lines of JSON. It ends in order when stdin ends.
"""

import asyncio
import json
import logging
import os
import sys
from pathlib import Path

from swell.backends.gpu import NoGpus
from swell.backends.process import ProcessBackend
from swell.model import Environment, FunctionSpec, MemoryExcess, Resources, Source
from swell.ports import LaunchOrder


def run(address: str, container_id: str, token: str, program: object) -> None:
    """Be a container whose token is its code."""
    exec(token, {})


def tell(*what: object) -> None:
    """Write one event."""
    print(json.dumps(what), flush=True)


class Printer:
    """Tells every event."""

    def container_started(self, container_id: str, pid: int) -> None:
        tell("started", container_id, pid)

    def container_exited(
        self, container_id: str, reason: str, started: bool, excess: MemoryExcess | None = None
    ) -> None:
        figures = None if excess is None else (excess.used_bytes, excess.limit_bytes)
        tell("exited", container_id, reason, figures)

    def container_wrote(self, container_id: str, stream: str, text: str) -> None:
        tell("wrote", container_id, text)


async def main(directory: Path) -> None:
    logging.basicConfig(level=logging.INFO)
    backend = ProcessBackend(NoGpus(), directory, 1000, program="limited_server:run")
    await backend.start(Printer(), "unix:/nowhere")
    environment = Environment(sys.executable, os.getcwd(), (), dict(os.environ))
    ended = asyncio.Event()

    def launch(name: str, code: str, limit: int | None) -> None:
        spec = FunctionSpec("f", Source("m", "f"), resources=Resources(memory_limit_bytes=limit))
        backend.launch(
            LaunchOrder(
                container_id=name,
                app_id="ap",
                function_id="fu",
                spec=spec,
                environment=environment,
                node="local",
                gpus=(),
                token=code,
            )
        )

    def read_orders() -> None:
        lines = os.read(0, 65_536).splitlines()  # each is written at once, and shorter than what a pipe takes whole
        for line in lines:
            launch(*json.loads(line))
        if not lines:
            ended.set()

    loop = asyncio.get_running_loop()
    loop.add_reader(0, read_orders)
    tell("up")
    await ended.wait()
    loop.remove_reader(0)
    await backend.stop()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
