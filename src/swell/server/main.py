"""The server process: the one place where engine, backend, store and sockets are chosen and put together.

Started by a client for itself (private: it lives as long as the client's end of the lifeline), with a socket that
already listens, so that the client need not wait for it. This module must not decide anything about work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
from pathlib import Path

from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import ProcessBackend
from swell.config import Settings
from swell.errors import Error
from swell.server.connection import Connection
from swell.server.controlplane import ControlPlane
from swell.store.memory import MemoryStore

__all__ = ["main"]


async def serve(listener: socket.socket, run_dir: Path, lifeline: int, settings: Settings) -> None:
    """Run a server until its lifeline closes or it is told to stop.

    Args:
        listener: a listening socket.
        run_dir: private directory of this server; removed at the end.
        lifeline: file descriptor whose end of file is the order to stop.
        settings: what the server runs under.
    """
    loop = asyncio.get_running_loop()
    stop: asyncio.Future[str] = loop.create_future()

    def order_stop(reason: str) -> None:
        if not stop.done():
            stop.set_result(reason)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, order_stop, f"the server got {number.name}")
    loop.add_reader(lifeline, order_stop, "the client is gone")

    blob_dir = run_dir / "blobs"
    blob_dir.mkdir(mode=0o700, exist_ok=True)
    web_dir = run_dir / "web"
    web_dir.mkdir(mode=0o700, exist_ok=True)
    plane = ControlPlane(
        settings=settings,
        backend=ProcessBackend(NvmlProvider(), run_dir, settings.log_line_max),
        store=MemoryStore(),
        address=f"unix:{listener.getsockname()}",
        blob_dir=blob_dir,
        web_dir=web_dir,
        seed=secrets.token_hex(16),
    )
    await plane.start()
    numbers = iter(range(1, sys.maxsize))
    server = await loop.create_unix_server(
        lambda: Connection(plane, next(numbers), settings.frame_max), sock=listener, start_serving=True, backlog=4_096
    )
    # What is here now stays for good: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    reason = await stop
    loop.remove_reader(lifeline)
    server.close()
    await plane.stop(reason)


def main() -> None:
    """Entry point of `python -m swell.server.main`."""
    parser = argparse.ArgumentParser(prog="swell.server", description="A private swell server, started by a client.")
    parser.add_argument("--listen-fd", type=int, required=True, help="listening socket, inherited")
    parser.add_argument("--lifeline-fd", type=int, required=True, help="end of file here stops the server")
    parser.add_argument("--run-dir", type=Path, required=True, help="private directory, removed at the end")
    options = parser.parse_args()
    logging.basicConfig(level=os.environ.get("SWELL_LOG_LEVEL", "WARNING"), format="swell server: %(message)s")
    try:
        settings = Settings.load()
    except Error as error:
        sys.exit(f"swell server: {error}")
    os.set_inheritable(options.listen_fd, False)
    os.set_inheritable(options.lifeline_fd, False)
    listener = socket.socket(fileno=options.listen_fd)
    listener.setblocking(False)
    try:
        with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(serve(listener, options.run_dir, options.lifeline_fd, settings))
    finally:
        shutil.rmtree(options.run_dir, ignore_errors=True)


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not built for this platform: slower, otherwise the same
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
