"""A wire between an agent and its server that can be cut, delay, halve, throttle, or carry in one direction only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from swell.link.certificate import TlsAddress

__all__ = ["Wire"]


class Wire:
    """A proxy of TCP; it understands nothing of what passes."""

    def __init__(self) -> None:
        self.delay_s = 0.0  #: of everything that passes
        self.apart_s = 0.0  #: between the two halves of whatever passes at once
        self.bytes_per_s = 0.0  #: that pass in each direction of a connection; 0: as many as come
        self.drops: set[str] = set()  #: directions of which nothing passes: "to the server", "to the agent"
        self.target: Callable[[], tuple[str, int]] = lambda: ("", 0)  #: where the other end is
        self.port = 0
        self._server: asyncio.Server
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def lay(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._joined, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def through(self, server: str) -> str:
        """Return the address that leads through this wire to that server."""
        address = TlsAddress.parse(server)
        self.target = lambda: (address.host, address.port)
        return str(TlsAddress("127.0.0.1", self.port, address.fingerprint))

    def mend(self) -> None:
        """Carry everything, at once."""
        self.delay_s = self.apart_s = self.bytes_per_s = 0.0
        self.drops.clear()

    def cut(self) -> None:
        """End all connections, as a machine does that is switched off; later ones are made as before."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()

    async def close(self) -> None:
        """End everything."""
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection(*self.target())
        except OSError:  # there is no server just now
            writer.transport.abort()
            return
        self._writers += [writer, to_writer]
        self._start(self._carry(reader, to_writer, lambda: "to the server" in self.drops))
        self._start(self._carry(to_reader, writer, lambda: "to the agent" in self.drops))

    def _start(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, drops: Callable[[], bool]
    ) -> None:
        try:
            while data := await reader.read(1 << 16):
                await asyncio.sleep(self.delay_s)  # what the wire is for
                half = len(data) // 2 if self.apart_s else 0
                for piece, pause_s in ((data[:half], self.apart_s), (data[half:], 0.0)):
                    if piece and not drops():
                        writer.write(piece)
                        await writer.drain()
                    await asyncio.sleep(pause_s + (len(piece) / self.bytes_per_s if self.bytes_per_s else 0.0))
        except ConnectionError:
            pass
        finally:
            writer.close()
