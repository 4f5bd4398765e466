"""The server process: the one place where engine, backend, store and sockets are chosen and put together.

There are two kinds. A private one is started by a client for itself, with a socket that already listens, so that the
client need not wait for it; it lives as long as the client's end of the lifeline, and keeps nothing. One that stays has
a data directory, in which it keeps what must survive, and is found there. This module must not decide anything about
work.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from msgspec.structs import replace

from swell.backends.gpu import NvmlProvider
from swell.backends.process.backend import ProcessBackend
from swell.collector import calm
from swell.config import Settings
from swell.daemon import load_settings, run
from swell.discovery import socket_path
from swell.errors import Error, InvalidError
from swell.logs import begin_logging
from swell.ports import Store, StoreBroken
from swell.server.connection import Connection
from swell.server.control_plane import ControlPlane
from swell.server.data_directory import READY, DataDirectory
from swell.server.paths import ServerPaths
from swell.server.server_log import ServerLog
from swell.signals import is_ignored, reset_signals
from swell.store.memory.store import MemoryStore

__all__ = ["main", "stay"]

log = logging.getLogger("swell.server")

EXIT_STORE = 74  #: as sysexits.h has it: an input or output error
LAST_SAYING_S = 0.2  #: how long clients are given to read why the server ends


class Shutdown:
    """What ends a server: a signal, its lifeline, or its store."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop: asyncio.Future[str] = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGTERM and is_ignored(number):
                continue  # under nohup, or in the background of a script: it outlives that terminal, or that Ctrl-C
            self._loop.add_signal_handler(number, self.end, f"the server got {number.name}")

    def end(self, reason: str) -> None:
        """Order the end."""
        if not self._stop.done():
            self._stop.set_result(reason)

    async def run(
        self, plane: ControlPlane, listener: socket.socket, settings: Settings, up: Callable[[], None]
    ) -> None:
        """Serve until the end is ordered; `up` is called when clients are heard."""
        await plane.start()
        numbers = iter(range(1, sys.maxsize))
        server = await self._loop.create_unix_server(
            lambda: Connection(plane, next(numbers), settings.frame_max, plane.limits),
            sock=listener,
            start_serving=True,
            backlog=4_096,
        )
        up()
        calm()
        reason = await self._stop
        log.info("%s: it ends", reason)
        server.close()
        await plane.stop(reason)


def _plane(settings: Settings, store: Store, paths: ServerPaths) -> ControlPlane:
    backend = ProcessBackend(NvmlProvider(), paths.run_dir, settings.log_line_max)
    return ControlPlane(settings=settings, backend=backend, store=store, paths=paths, seed=secrets.token_hex(16))


# ---------------------------------------------------------------- a private server


async def _serve_client(listener: socket.socket, run_dir: Path, lifeline: int, settings: Settings) -> None:
    """Serve until the lifeline closes, or the server is told to stop."""
    life, loop = Shutdown(), asyncio.get_running_loop()
    loop.add_reader(lifeline, life.end, "the client is gone")
    paths = ServerPaths(
        f"unix:{socket_path(str(run_dir))}", run_dir
    )  # what it is bound to may be a detour to a long path
    paths.make()
    plane = _plane(settings, MemoryStore(loop.call_soon), paths)
    await life.run(plane, listener, settings, up=lambda: None)
    loop.remove_reader(lifeline)


def _be_private(listen_fd: int, lifeline_fd: int, run_dir: Path) -> None:
    settings = load_settings("swell server")
    begin_logging("swell server: %(message)s", "WARNING", as_json=settings.log_format == "json")
    os.set_inheritable(listen_fd, False)
    os.set_inheritable(lifeline_fd, False)
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(False)
    try:
        run(_serve_client(listener, run_dir, lifeline_fd, settings))
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


# ---------------------------------------------------------------- a server that stays


def stay(data_dir: Path, settings: Settings, up: Callable[[], None]) -> None:
    """Run a server on a data directory until it is told to stop by SIGTERM or SIGINT.

    Args:
        data_dir: what it keeps is there.
        settings: what it runs under.
        up: called when clients are heard.

    Raises:
        ConflictError: another server has the directory.
        InvalidError: the directory cannot be written to, or what is in it cannot be read.
    """
    begin_logging("%(asctime)s %(levelname)s %(message)s", "INFO", as_json=settings.log_format == "json")
    data_directory = DataDirectory(data_dir)
    data_directory.acquire()
    try:
        run(_serve_all(data_directory, _with_timezone(settings), up))
    finally:
        data_directory.release()


def _stay_in_background(data_dir: Path, ready_fd: int) -> None:
    """Run a server that stays for whoever waits at the other end of a pipe: it reads READY, or why there is none."""
    os.set_inheritable(ready_fd, False)
    with open(ready_fd, "w") as waiting:

        def say(text: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # who waited has gone
                waiting.write(text)
                waiting.close()

        try:
            stay(data_dir, Settings.load(), up=lambda: say(READY))
        except Error as error:
            log.critical("%s", error)
            if not waiting.closed:
                say(str(error))
            sys.exit(1)


async def _serve_all(data_directory: DataDirectory, settings: Settings, up: Callable[[], None]) -> None:
    from swell.store.sqlite.store import SqliteStore  # the driver of its database; a private server does without

    life = Shutdown()
    paths = ServerPaths(f"unix:{data_directory.socket_path}", data_directory.run_dir, data_directory.path)
    paths.make()
    planes: list[ControlPlane] = []

    def broken(error: StoreBroken) -> None:
        # Nothing more can be promised. Whoever waits is told why; what was accepted is safe, and goes on with the next
        # server. Not an orderly stop: that would want to write.
        log.critical("%s", error)
        for plane in planes:
            plane.break_down(error)
        asyncio.get_running_loop().call_later(LAST_SAYING_S, os._exit, EXIT_STORE)

    store = SqliteStore(
        str(data_directory.path / "swell.db"),
        soon=asyncio.get_running_loop().call_soon_threadsafe,
        on_broken=broken,
        synchronous=settings.store_sync,
    )
    planes.append(_plane(settings, store, paths))
    listener = data_directory.listen()

    def announce() -> None:
        data_directory.announce(paths.address)
        log.info("swell %s listens at %s (pid %d)", version("swell"), paths.address, os.getpid())
        up()

    server_log = ServerLog(data_directory.path)
    server_log.start()
    try:
        await life.run(planes[0], listener, settings, announce)
    except StoreBroken as error:  # as it was opened
        raise InvalidError(str(error)) from None
    finally:
        server_log.stop()


def _with_timezone(settings: Settings) -> Settings:
    if settings.timezone:
        return settings
    from tzlocal import get_localzone_name

    return replace(settings, timezone=get_localzone_name())


# ---------------------------------------------------------------- both


def main() -> None:
    """Entry point of `python -m swell.server.main`: a private server, or with a data directory one that stays."""
    parser = argparse.ArgumentParser(prog="swell.server", description="A swell server, started by a client or command.")
    parser.add_argument("--listen-fd", type=int, help="private: listening socket, inherited")
    parser.add_argument("--lifeline-fd", type=int, help="private: end of file here stops the server")
    parser.add_argument("--run-dir", type=Path, help="private: directory of its own, removed at the end")
    parser.add_argument("--data-dir", type=Path, help="staying: what it keeps is there")
    parser.add_argument("--ready-fd", type=int, help="staying: gets READY when clients are heard, or why there is none")
    options = parser.parse_args()
    # One that stays is kept by nohup from what is meant for terminals, as a service manager may run it in one.
    reset_signals(keep=() if options.data_dir is None else (signal.SIGHUP,))
    if options.data_dir is not None and options.ready_fd is not None:
        _stay_in_background(options.data_dir, options.ready_fd)
    elif None not in (options.listen_fd, options.lifeline_fd, options.run_dir):
        _be_private(options.listen_fd, options.lifeline_fd, options.run_dir)
    else:
        parser.error("give all options of a private server, or all of one that stays")


if __name__ == "__main__":
    main()
