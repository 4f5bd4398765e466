"""The edge process, which serves HTTP: the one place where its parts are chosen and put together.

It is a client of the server that started it, and ends with it. This module must not know what is served.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swell.collector import calm
from swell.config import Settings
from swell.daemon import load_settings, run
from swell.discovery import proxy_tokens_path
from swell.edge.descriptors import DescriptorShares, divide_descriptors, raise_descriptor_limit
from swell.edge.gateway.context import ExchangeContext
from swell.edge.gateway.gateway import Gateway
from swell.edge.gateway.leases import Leases
from swell.edge.gateway.proxy_auth import ProxyTokens
from swell.edge.gateway.routing import Router
from swell.edge.traffic import Traffic
from swell.errors import Error
from swell.listening import listen_at
from swell.logs import PeerLog, begin_logging
from swell.private_files import connect_socket, read_file
from swell.sdk.connection.client import Client
from swell.signals import reset_signals
from swell.wire.web import EdgeUp, Route

if TYPE_CHECKING:
    from swell.edge.admin.app import Admin

__all__ = ["main"]

log = logging.getLogger("swell.edge")

_LOOK_AGAIN_S = 1.0  #: between attempts to listen at a port that is taken
_GONE = "the server is gone already"  #: a run that was over before its edge had begun


class Edge:
    """One edge, from its start to its end."""

    def __init__(self, options: argparse.Namespace, settings: Settings, token: str) -> None:
        self._options = options
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._leases = Leases(settings.token, settings.frame_max, self._learn, self.end)
        self._router = Router()
        self._traffic = Traffic()
        self._token = token
        self._address = EdgeUp()
        self._troubles: dict[str, str] = {}  # by the setting that would help
        self._admin: Admin | None = None
        self._shares = _descriptor_shares(settings)
        self._peers = PeerLog(log)

    def _learn(self, routes: list[Route]) -> None:
        self._router.learn(routes)

    def end(self, why: str) -> None:
        """End the edge, for a reason."""
        if not self._over.done():
            self._over.set_result(why)

    async def run(self) -> None:
        """Serve until `end` is called."""
        settings, options = self._settings, self._options
        try:
            connection = connect_socket(options.server.removeprefix("unix:"))
            connection.setblocking(False)
            await self._loop.create_unix_connection(lambda: self._leases, sock=connection)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            log.debug("%s: %s", _GONE, error)
            return
        self._loop.set_exception_handler(self._report)
        self._loop.add_reader(options.lifeline_fd, self.end, "the server is gone")
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.end, f"the edge got {number.name}")
        context = ExchangeContext(
            settings, self._leases, self._router, options.web_dir, self._loop, upstreams_max=self._shares.upstream
        )
        gateway = Gateway(
            context,
            ProxyTokens(proxy_tokens_path(settings)),
            self._token,
            self._traffic,
            connections_max=self._shares.clients,
        )
        tasks = [self._loop.create_task(self._open_gateway(gateway)), self._loop.create_task(self._open_admin())]
        for task in tasks:
            task.add_done_callback(self._check)
        log.debug("%s: it ends", await self._over)
        for task in tasks:
            task.cancel()
        gateway.close()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._admin is not None:
            await self._admin.stop()

    def _report(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Log an exception that no code has caught. A client chooses how often it comes, so its lines are limited.

        A lack of descriptors is not a defect.
        """
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
            self._peers.warning("out of descriptors", "a connection cannot be accepted: %s", error.strerror)
        else:
            kind, text = f"uncaught {type(error).__name__}", "a defect in the edge: %s: %r"
            self._peers.log(logging.ERROR, kind, text, context.get("message", ""), error, defect=error)

    def _check(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            log.critical("a defect in the edge; it ends", exc_info=task.exception())
            self.end("a defect")

    async def _open_gateway(self, gateway: Gateway) -> None:
        settings, any_port = self._settings, self._options.any_port

        async def listen() -> None:
            listener = listen_at(settings.web_host, settings.web_port, any_port=any_port)
            url = _url(listener)
            await gateway.listen(listener)
            self._report_address(url=url)

        await self._insist(listen, f"{settings.web_host}:{settings.web_port}", "SWELL_WEB_PORT")

    async def _open_admin(self) -> None:
        await asyncio.sleep(0)  # the gateway first: requests wait for it, and this takes a while to load
        from swell.edge.admin.app import Admin

        settings = self._settings
        client = Client(self._options.server, settings.token, settings)
        admin = self._admin = Admin(
            client,
            settings,
            self._token,
            lambda: self._router.routes,
            self._traffic,
            any_port=self._options.any_port,
            connections_max=self._shares.admin,
        )

        async def listen() -> None:
            self._report_address(admin_url=await admin.start())

        await self._insist(listen, f"{settings.admin_host}:{settings.admin_port}", "SWELL_ADMIN_PORT")
        calm()

    async def _insist(self, listen: Callable[[], Awaitable[None]], where: str, setting: str) -> None:
        """Listen; as long as that fails, report why, and try again."""
        while True:
            try:
                await listen()
            except OSError as error:
                trouble = f"cannot listen at {where}: {error.strerror}; {setting} names another port"
                if trouble != self._troubles.get(setting):
                    log.error("%s", trouble)
                    self._troubles[setting] = trouble
                    self._report_address()
                await asyncio.sleep(_LOOK_AGAIN_S)
            else:
                if self._troubles.pop(setting, ""):
                    self._report_address()
                return

    def _report_address(self, *, url: str = "", admin_url: str = "") -> None:
        """Send the server our addresses, or why we cannot listen."""
        said = self._address
        trouble = "; ".join(self._troubles.values())
        self._address = EdgeUp(url or said.url, admin_url or said.admin_url, trouble)
        self._leases.send(self._address)


def _descriptor_shares(settings: Settings) -> DescriptorShares:
    limit, clients_max, admin_max = (
        raise_descriptor_limit(),
        settings.web_connections_max,
        settings.admin_connections_max,
    )
    shares = divide_descriptors(limit, clients_max, admin_max)
    for name, wanted, share in (
        ("web_connections_max", clients_max, shares.clients),
        ("admin_connections_max", admin_max, shares.admin),
    ):
        if share < wanted:
            log.warning(
                "%s is %d, but a process may have only %d file descriptors here: %d connections are accepted; raise "
                "the hard limit (ulimit -Hn), or lower the setting",
                name,
                wanted,
                limit,
                share,
            )
    return shares


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    name = "127.0.0.1" if host == "0.0.0.0" else f"[{'::1' if host == '::' else host}]" if ":" in host else host
    return f"http://{name}:{port}"


async def _serve(options: argparse.Namespace, settings: Settings, token: str) -> None:
    await Edge(options, settings, token).run()


def main() -> None:
    """Entry point of `python -m swell.edge.main`; a server starts it."""
    parser = argparse.ArgumentParser(prog="swell.edge", description="What speaks HTTP; a swell server starts it.")
    parser.add_argument("--server", required=True, help="address of the server, as unix:/path")
    parser.add_argument("--web-dir", required=True, help="where containers have the sockets at which they answer")
    parser.add_argument("--admin-token-file", required=True, type=Path, help="holds what opens the admin surface")
    parser.add_argument("--lifeline-fd", required=True, type=int, help="end of file here ends the edge")
    parser.add_argument("--any-port", action="store_true", help="where a port is taken, listen at any that is free")
    options = parser.parse_args()
    os.set_inheritable(options.lifeline_fd, False)
    reset_signals()
    settings = load_settings("swell edge")
    begin_logging("%(asctime)s %(levelname)s edge: %(message)s", "WARNING", as_json=settings.log_format == "json")
    try:
        token = read_file(options.admin_token_file, is_secret=True).decode().strip()
    except FileNotFoundError as error:
        log.debug("%s: %s", _GONE, error)
        return
    except Error as error:
        sys.exit(f"swell edge: {error}")
    run(_serve(options, settings, token))


if __name__ == "__main__":
    main()
