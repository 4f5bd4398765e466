"""The process of an agent: `python -m swell.agent.main`, with its order on the standard input.

It connects to its server, compares the server's certificate with the fingerprint that it was given, and ends when the
link does, or when whoever has started it is gone. This module must not know containers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

import msgspec

import swell.linux as linux
from swell.agent.agent import EXIT_LOST, EXIT_REFUSED, Agent
from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import RUNNER, ProcessBackend
from swell.collector import calm
from swell.daemon import run
from swell.errors import Error
from swell.link.certificate import TlsAddress
from swell.link.dialing import PinnedLink, dial
from swell.link.frames import End
from swell.link.order import ORDER_MAX, AgentOrder, decode
from swell.listening import accept_at
from swell.logs import begin_logging
from swell.model import Gpu
from swell.private_files import bind_socket, make_directory
from swell.signals import reset_signals
from swell.wire.blob_names import KEPT
from swell.wire.shelf import LINE_MAX
from swell.wire.template import RUN_DIR

__all__ = ["main"]

log = logging.getLogger("swell.agent")

STARTER_ENDS_S: Final = 1.0  #: how long a process that was killed may be there after its sockets have ended

_End = Callable[[int, str], NoReturn]  #: ends the process, with a status and the reason


class _GivenGpus:
    """The GPUs that the order names. Implements `swell.ports.GpuProvider`."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = gpus

    def gpus(self) -> Sequence[Gpu]:
        """Return them."""
        return self._gpus


class _Ending:
    """The end of the process: containers first, then what lay in memory for them."""

    def __init__(self, order: AgentOrder, backend: ProcessBackend, starter: int) -> None:
        self._order, self._backend, self._starter = order, backend, starter

    def __call__(self, status: int, why: str) -> NoReturn:
        """End at once. The kernel kills the containers; templates kill what those have left, or else this does."""
        self._backend.fence()
        self._kill_strays()
        if status != os.EX_OK:
            log.error("%s", why)
        shutil.rmtree(self._order.directory, ignore_errors=True)  # a template may be removing it as well
        if self._order.starters_directory and self._is_starter_gone():
            shutil.rmtree(self._order.starters_directory, ignore_errors=True)
        os._exit(status)

    def _kill_strays(self) -> None:
        """Kill all that descends from the templates but these: they may have died as well."""
        mark, me = f"{RUN_DIR}={self._order.directory}".encode(), os.getpid()
        for pid in linux.processes():
            begun = linux.begun_at(pid)
            if begun is not None and mark in linux.environment_of(pid) and linux.parent_of(pid) != me:
                linux.kill_exactly(pid, begun)

    def _is_starter_gone(self) -> bool:
        """Tell whether what has started this process is dead; its sockets end a little before itself."""
        until = time.monotonic() + STARTER_ENDS_S
        while os.getppid() == self._starter and time.monotonic() < until:
            time.sleep(0.001)
        return os.getppid() != self._starter


async def _serve(order: AgentOrder, starter: int) -> None:
    loop = asyncio.get_running_loop()
    directory = Path(order.directory)
    for each in (directory, directory / "blobs", directory / "blobs" / KEPT, directory / "web", directory / "bundles"):
        make_directory(each)
    gpus = NvmlProvider() if order.gpus is None else _GivenGpus(order.gpus)
    backend = ProcessBackend(gpus, directory, order.log_line_max, order.program or RUNNER, is_for_portable=True)
    end = _Ending(order, backend, starter)
    agent = Agent(order, backend, end)
    loop.add_reader(sys.stdin.fileno(), _watch_input, end)
    await _connect(order, agent, end)
    server = await accept_at(bind_socket(agent.socket_path), agent.connection)
    shelves = await accept_at(
        bind_socket(agent.shelf_path),
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(LINE_MAX), agent.serve_shelf),
    )
    agent.greet()
    calm()
    async with shelves:
        await server.serve_forever()  # until `end`


async def _connect(order: AgentOrder, agent: Agent, end: _End) -> None:
    address = TlsAddress.parse(order.server)
    refuse = partial(end, EXIT_REFUSED)
    link = PinnedLink(End.AGENT, agent, order.timeout_s, address=address, refuse=refuse)
    try:
        await dial(link)
    except OSError as error:
        end(EXIT_LOST, str(error))


def _watch_input(end: _End) -> None:
    """End when whoever has started this agent is gone."""
    if not os.read(sys.stdin.fileno(), 1):
        end(EXIT_LOST, "what has started it is gone")


def _read_line() -> bytes:
    """Return the first line of the standard input; nothing after it is taken from there."""
    line = b""
    while not line.endswith(b"\n") and len(line) < ORDER_MAX:
        read = os.read(sys.stdin.fileno(), 1)
        if not read:
            break
        line += read
    return line


def main() -> None:
    """Read the order, then work until the end of the link."""
    starter = os.getppid()
    reset_signals()
    begin_logging("swell agent: %(message)s", "WARNING", as_json=False)
    try:
        run(_serve(decode(_read_line()), starter))
    except (Error, OSError, msgspec.DecodeError) as error:
        log.error("%s", error)
        os._exit(EXIT_REFUSED)


if __name__ == "__main__":
    main()
