"""The server process: the one place where engine, backend, store and sockets are chosen and put together.

There are two kinds. A client starts a private server for itself, with a socket that already listens, so that it need
not wait; that server lives as long as the client's end of the lifeline, and keeps nothing. A daemon has a data
directory, in which it keeps what must survive, and where clients find it. This module must not decide anything about
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
from typing import TYPE_CHECKING

from msgspec.structs import replace

from swell.collector import calm
from swell.config import Settings
from swell.daemon import load_settings, run
from swell.discovery import socket_path
from swell.errors import Error, InvalidError
from swell.listening import accept_at
from swell.logs import begin_logging
from swell.ports import Store, StoreBroken
from swell.server.backends import make_backend
from swell.server.control_plane import ControlPlane
from swell.server.data_directory import READY, DataDirectory
from swell.server.paths import ServerPaths
from swell.server.remembered import remembered
from swell.server.server_log import ServerLog
from swell.signals import is_ignored, reset_signals
from swell.standard_streams import open_closed
from swell.store.memory.store import MemoryStore
from swell.wire.blob_file import file_bytes_max

if TYPE_CHECKING:
    from swell.server.client_port import ClientPort

__all__ = ["main", "run_daemon"]

log = logging.getLogger("swell.server")

EXIT_STORE = 74  #: as sysexits.h has it: an input or output error
LAST_READ_S = 0.2  #: how long clients are given to read why the server ends


class Shutdown:
    """Shutdown triggers: a signal, a closed lifeline, a broken store."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reason: asyncio.Future[str] = self._loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGTERM and is_ignored(number):
                continue  # under nohup, or in the background of a script: it outlives the terminal, or that Ctrl-C
            self._loop.add_signal_handler(number, self.request, f"the server got {number.name}")

    def request(self, reason: str) -> None:
        """Have the server shut down. The first reason counts."""
        if not self._reason.done():
            self._reason.set_result(reason)

    async def run(
        self, plane: ControlPlane, listener: socket.socket, ready: Callable[[], None], port: ClientPort | None = None
    ) -> None:
        """Serve until the server is to shut down; `ready` is called when clients can connect."""
        await plane.start()
        server = await accept_at(listener, plane.connection)
        if port is not None:
            port.start()
        ready()
        calm()
        reason = await self._reason
        log.info("%s: it ends", reason)
        server.close()
        if port is not None:
            await port.close()
        await plane.stop(reason)


def _plane(settings: Settings, store: Store, paths: ServerPaths, unreachable: Callable[[str], None]) -> ControlPlane:
    plane: ControlPlane
    backend = make_backend(settings, paths, lambda: plane.connection(), unreachable)
    plane = ControlPlane(settings=settings, backend=backend, store=store, paths=paths, seed=secrets.token_hex(16))
    return plane


def _client_port(
    settings: Settings, paths: ServerPaths, plane: Callable[[], ControlPlane]
) -> tuple[ClientPort | None, ServerPaths]:
    """Return the port for clients on other machines, if there is to be one, and the addresses with that one.

    It is started when the plane is there.
    """
    if not settings.listen_port:
        return None, paths
    from swell.server.client_files import ClientFiles
    from swell.server.client_keys import ClientKeys
    from swell.server.client_port import ClientPort  # loads TLS

    keys, loop = ClientKeys.load(paths, settings), asyncio.get_running_loop()
    files = ClientFiles(
        str(paths.blob_dir),
        file_bytes_max(settings.payload_max),
        keys.token,
        lambda name: _call_soon(loop, plane().drop_blob, name),
    )
    port = ClientPort(
        settings.listen_host,
        settings.listen_port,
        certificate=keys.certificate,
        connect=lambda: plane().remote_connection(keys.token),
        files=files,
    )
    token_file = "" if settings.token else str(paths.client_token_path)
    return port, replace(paths, remote_address=port.address, remote_token_file=token_file)


def _call_soon(loop: asyncio.AbstractEventLoop, act: Callable[[str], None], name: str) -> None:
    with contextlib.suppress(RuntimeError):  # the loop has just ended, and the blobs with it
        loop.call_soon_threadsafe(act, name)


# ---------------------------------------------------------------- a private server


async def _serve_client(listener: socket.socket, run_dir: Path, lifeline: int, settings: Settings) -> None:
    """Serve until the lifeline closes, or a signal arrives."""
    shutdown, loop = Shutdown(), asyncio.get_running_loop()
    loop.add_reader(lifeline, shutdown.request, "the client is gone")
    # Not the name that the socket is bound to: that may be a detour to a path that is too long.
    paths = ServerPaths(f"unix:{socket_path(str(run_dir))}", run_dir)
    paths.make()
    planes: list[ControlPlane] = []

    def unreachable(why: str) -> None:
        planes[0].announce_failure(why)
        loop.call_later(LAST_READ_S, shutdown.request, why)

    planes.append(_plane(settings, MemoryStore(loop.call_soon), paths, unreachable))
    await shutdown.run(planes[0], listener, ready=lambda: None)
    loop.remove_reader(lifeline)


def _run_private(listen_fd: int, lifeline_fd: int, run_dir: Path) -> None:
    settings = load_settings("swell server")
    begin_logging("swell server: %(message)s", "WARNING", as_json=settings.log_format == "json")
    os.set_inheritable(listen_fd, False)
    os.set_inheritable(lifeline_fd, False)
    listener = socket.socket(fileno=listen_fd)
    listener.setblocking(False)
    try:
        run(_serve_client(listener, run_dir, lifeline_fd, settings))
    except Error as error:  # a setting of the backend
        sys.exit(f"swell server: {error}")
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)


# ---------------------------------------------------------------- a daemon


def run_daemon(data_dir: Path, settings: Settings, ready: Callable[[], None]) -> None:
    """Run a server on a data directory until it gets SIGTERM or SIGINT.

    Args:
        data_dir: holds what it keeps.
        settings: of the server.
        ready: called when clients can connect.

    Raises:
        ConflictError: another server has the directory.
        InvalidError: the directory cannot be written to, or what is in it cannot be read.
    """
    begin_logging("%(asctime)s %(levelname)s %(message)s", "INFO", as_json=settings.log_format == "json")
    data_directory = DataDirectory(data_dir)
    data_directory.acquire()
    try:
        run(_serve_all(data_directory, _with_timezone(settings), ready))
    finally:
        data_directory.release()


def _run_in_background(data_dir: Path, ready_fd: int) -> None:
    """Run a daemon, and write to a pipe READY when it is, or why it does not start."""
    os.set_inheritable(ready_fd, False)
    with open(ready_fd, "w") as pipe:

        def report(text: str) -> None:
            with contextlib.suppress(BrokenPipeError):  # the command that waited is gone
                pipe.write(text)
                pipe.close()

        try:
            run_daemon(data_dir, Settings.load(remembered=remembered(data_dir)), ready=lambda: report(READY))
        except Error as error:
            log.critical("%s", error)
            if not pipe.closed:
                report(str(error))
            sys.exit(1)


async def _serve_all(data_directory: DataDirectory, settings: Settings, ready: Callable[[], None]) -> None:
    from swell.store.sqlite.store import SqliteStore  # loads the database's driver; a private server does without

    shutdown = Shutdown()
    paths = ServerPaths(f"unix:{data_directory.socket_path}", data_directory.run_dir, data_directory.path)
    paths.make()
    planes: list[ControlPlane] = []
    loop = asyncio.get_running_loop()

    def broken(error: StoreBroken) -> None:
        # Nothing more can be written. Clients are told why; what was accepted is safe and goes on with the next one.
        # Not an orderly stop: that would write.
        log.critical("%s", error)
        for plane in planes:
            plane.announce_failure(str(error))
        loop.call_later(LAST_READ_S, os._exit, EXIT_STORE)

    store = SqliteStore(
        str(data_directory.path / "swell.db"),
        soon=loop.call_soon_threadsafe,
        soon_here=loop.call_soon,
        on_broken=broken,
        synchronous=settings.store_sync,
    )
    plane: ControlPlane
    port, paths = _client_port(settings, paths, lambda: plane)
    plane = _plane(settings, store, paths, unreachable=lambda _: None)  # it may be reached later
    planes.append(plane)
    listener = data_directory.listen()

    def announce() -> None:
        data_directory.announce(paths.address, paths.remote_address, paths.remote_token_file)
        log.info("swell %s listens at %s (pid %d)", version("swell"), paths.address, os.getpid())
        if port is not None:
            log.info("clients on other machines: %s", port.address)
        ready()

    server_log = ServerLog(data_directory.path)
    server_log.start()
    try:
        await shutdown.run(plane, listener, announce, port)
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
    """Entry point of `python -m swell.server.main`: a private server or, with a data directory, a daemon."""
    parser = argparse.ArgumentParser(prog="swell.server", description="A swell server, started by a client or command.")
    parser.add_argument("--listen-fd", type=int, help="private: listening socket, inherited")
    parser.add_argument("--lifeline-fd", type=int, help="private: end of file here stops the server")
    parser.add_argument("--run-dir", type=Path, help="private: directory of its own, removed at the end")
    parser.add_argument("--data-dir", type=Path, help="daemon: holds what it keeps")
    parser.add_argument(
        "--ready-fd", type=int, help="daemon: gets READY when clients can connect, or why it does not start"
    )
    options = parser.parse_args()
    open_closed()
    # A daemon under nohup must keep ignoring SIGHUP, as a service manager may run it in a terminal.
    reset_signals(keep=() if options.data_dir is None else (signal.SIGHUP,))
    if options.data_dir is not None and options.ready_fd is not None:
        _run_in_background(options.data_dir, options.ready_fd)
    elif None not in (options.listen_fd, options.lifeline_fd, options.run_dir):
        _run_private(options.listen_fd, options.lifeline_fd, options.run_dir)
    else:
        parser.error("give all options of a private server, or all of a daemon")


if __name__ == "__main__":
    main()
