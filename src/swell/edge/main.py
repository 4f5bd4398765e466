"""The edge process: what speaks HTTP to the world. The one place where its parts are chosen and put together.

It is a client of the server that started it, and ends with it. This module must not know what is served.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path

from swell.config import Settings
from swell.edge.admin.app import Admin
from swell.edge.gateway.exchange import Means
from swell.edge.gateway.gateway import Gateway
from swell.edge.gateway.leases import Leases
from swell.edge.gateway.proxy_auth import ProxyTokens
from swell.edge.gateway.routing import Router
from swell.edge.traffic import Traffic
from swell.errors import Error
from swell.home import proxy_tokens_path
from swell.logs import begin_logging
from swell.sdk.client import Client

__all__ = ["main"]

log = logging.getLogger("swell.edge")

_LOOK_AGAIN_S = 1.0  #: between attempts to listen at a port that is taken
_BACKLOG = 4_096


class Edge:
    """One edge, from its start to its end."""

    def __init__(self, options: argparse.Namespace, settings: Settings) -> None:
        self._options = options
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._trouble = ""

    def end(self, why: str) -> None:
        """Order the end."""
        if not self._over.done():
            self._over.set_result(why)

    async def run(self) -> None:
        """Serve until the end is ordered."""
        settings, options = self._settings, self._options
        router = Router(lambda function_id, changes: leases.bind(function_id, changes))
        leases = Leases(settings.token, settings.frame_max, router.learn, self.end)
        await self._loop.create_unix_connection(lambda: leases, options.server.removeprefix("unix:"))
        token = options.admin_token_file.read_text().strip()
        tokens = ProxyTokens(proxy_tokens_path(settings))
        traffic = Traffic()
        gateway = Gateway(Means(settings, leases, router, options.web_dir), tokens, token, traffic)
        client = Client(options.server, settings.token, settings)
        admin = Admin(client, settings, token, lambda: router.routes, traffic, any_port=options.any_port)
        self._loop.add_reader(options.lifeline_fd, self.end, "the server is gone")
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self.end, f"the edge got {number.name}")
        listening = self._loop.create_task(self._listen(gateway, admin, leases))
        gc.collect()
        gc.freeze()
        log.debug("%s: it ends", await self._over)
        listening.cancel()
        gateway.close()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await admin.stop()

    async def _listen(self, gateway: Gateway, admin: Admin, leases: Leases) -> None:
        """Listen for both kinds of requests; say where, or why it cannot be, and try again."""
        settings, url, admin_url = self._settings, "", ""
        while not (url and admin_url):
            trouble = ""
            try:
                if not url:
                    listener = _listener(settings.web_host, settings.web_port, any_port=self._options.any_port)
                    await gateway.listen(listener)
                    url = _url(listener)
            except OSError as error:
                where = f"{settings.web_host}:{settings.web_port}"
                trouble = f"cannot listen at {where}: {error.strerror}; SWELL_WEB_PORT names another port"
            try:
                admin_url = admin_url or await admin.start()
            except OSError as error:
                where = f"{settings.admin_host}:{settings.admin_port}"
                trouble = trouble or f"cannot listen at {where}: {error.strerror}; SWELL_ADMIN_PORT names another port"
            if trouble != self._trouble or (url and admin_url):
                if trouble:
                    log.error("%s", trouble)
                self._trouble = trouble
                leases.up(url, admin_url, trouble)
            if trouble:
                await asyncio.sleep(_LOOK_AGAIN_S)


def _listener(host: str, port: int, *, any_port: bool) -> socket.socket:
    """Return a listening socket.

    Raises:
        OSError: the port is taken, or the address is none of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        try:
            listener.bind((host, port))
        except OSError:
            if not any_port:
                raise
            listener.bind((host, 0))
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.setblocking(False)
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    name = "127.0.0.1" if host == "0.0.0.0" else f"[{'::1' if host == '::' else host}]" if ":" in host else host
    return f"http://{name}:{port}"


async def _serve(options: argparse.Namespace, settings: Settings) -> None:
    await Edge(options, settings).run()


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
    try:
        settings = Settings.load()
    except Error as error:
        sys.exit(f"swell edge: {error}")
    begin_logging("%(asctime)s %(levelname)s edge: %(message)s", "WARNING", as_json=settings.log_format == "json")
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(_serve(options, settings))


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:  # not built for this platform: slower, otherwise the same
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


if __name__ == "__main__":
    main()
