"""The process of an agent: `python -m swell.agent.main`, with its order on the standard input.

It connects to its server, compares the server's certificate with the fingerprint that it was given, and ends when the
link does, or when whoever has started it is gone. This module must not know containers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, cast

import msgspec

from swell.agent.agent import EXIT_LOST, EXIT_REFUSED, Agent
from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import RUNNER, ProcessBackend
from swell.daemon import run
from swell.errors import Error
from swell.link.certificate import TlsAddress, client_context, fingerprint_of
from swell.link.connection import Link
from swell.link.frames import End
from swell.link.order import ORDER_MAX, AgentOrder, decode
from swell.logs import begin_logging
from swell.model import Gpu
from swell.private_files import bind_socket, make_directory
from swell.signals import reset_signals

__all__ = ["main"]

log = logging.getLogger("swell.agent")

CONNECT_S: Final = 10.0  #: how long connecting and the handshake may take, each
BACKLOG: Final = 4_096


class _GivenGpus:
    """The GPUs that the order names. Implements `swell.ports.GpuProvider`."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = gpus

    def gpus(self) -> Sequence[Gpu]:
        """Return them."""
        return self._gpus


async def _serve(order: AgentOrder) -> None:
    loop = asyncio.get_running_loop()
    directory = Path(order.directory)
    for each in (directory, directory / "blobs", directory / "web"):
        make_directory(each)
    gpus = NvmlProvider() if order.gpus is None else _GivenGpus(order.gpus)
    backend = ProcessBackend(gpus, directory, order.log_line_max, order.program or RUNNER)
    agent = Agent(order, backend, _end)
    loop.add_reader(sys.stdin.fileno(), _watch_input)
    await _connect(order, agent)
    listener = bind_socket(agent.socket_path)
    listener.listen(BACKLOG)
    server = await loop.create_unix_server(agent.connection, sock=listener, backlog=BACKLOG)
    agent.greet()
    await server.serve_forever()  # until `_end`


async def _connect(order: AgentOrder, agent: Agent) -> None:
    address = TlsAddress.parse(order.server)
    connecting = asyncio.get_running_loop().create_connection(
        lambda: Link(End.AGENT, agent, order.timeout_s),
        address.host,
        address.port,
        ssl=client_context(),
        server_hostname="swell",
        ssl_handshake_timeout=CONNECT_S,
    )
    try:
        transport, _ = await asyncio.wait_for(connecting, 2 * CONNECT_S)
    except (OSError, TimeoutError) as error:
        _end(EXIT_LOST, f"no server answers at {address.host} port {address.port}: {error or 'it takes too long'}")
    certificate = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    if fingerprint_of(cast("bytes | None", certificate)) != address.fingerprint:
        _end(EXIT_REFUSED, f"another server answers at {address.host} port {address.port}: its fingerprint differs")


def _watch_input() -> None:
    """End when whoever has started this agent is gone."""
    if not os.read(sys.stdin.fileno(), 1):
        _end(EXIT_LOST, "what has started it is gone")


def _end(status: int, why: str) -> NoReturn:
    """End at once. The kernel closes all lifelines; templates kill and remove what is left."""
    if status != os.EX_OK:
        log.error("%s", why)
    os._exit(status)


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
    reset_signals()
    begin_logging("swell agent: %(message)s", "WARNING", as_json=False)
    try:
        order = decode(_read_line())
        run(_serve(order))
    except (Error, msgspec.DecodeError) as error:
        _end(EXIT_REFUSED, str(error))


if __name__ == "__main__":
    main()
