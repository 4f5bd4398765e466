"""Web functions in containers that a server starts: each tells in which container it was answered."""

from __future__ import annotations

import http.server
import os
import socket
import socketserver
import threading
from typing import Any

import swell

app = swell.App("web")


class Plain:
    """An ASGI app."""

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": os.environ["SWELL_TASK_ID"].encode()})


@app.function(min_containers=1)
@swell.asgi_app()
def plain() -> Plain:
    return Plain()


loaded_in = os.getpid()


@app.cls(min_containers=1, enable_memory_snapshot=True)
class Early:
    @swell.enter(snap=True)
    def load(self) -> None:
        self.loaded_in = os.getpid()

    @swell.asgi_app()
    def site(self) -> Plain:
        assert os.getpid() != self.loaded_in == loaded_in, "built after the fork"
        return Plain()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write((str(os.getpid()) if self.path == "/pid" else os.environ["SWELL_TASK_ID"]).encode())

    def log_message(self, *_: object) -> None: ...


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def __init__(self, address: tuple[str, int], handler: type[Handler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)


@app.cls(min_containers=2, enable_memory_snapshot=True)
class EarlyServer:
    @swell.enter(snap=True)
    def load(self) -> None:
        self.loaded_in = os.getpid()

    @swell.web_server(8662, startup_timeout=20)
    def serve(self) -> None:
        assert os.getpid() != self.loaded_in == loaded_in, "started after the fork"
        threading.Thread(target=Server(("::", 8662), Handler).serve_forever, daemon=True).start()


@app.function(min_containers=3)
@swell.web_server(8661, startup_timeout=20)
def server() -> None:
    threading.Thread(target=Server(("0.0.0.0", 8661), Handler).serve_forever, daemon=True).start()
