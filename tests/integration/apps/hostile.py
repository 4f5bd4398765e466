"""A server in a container that does not keep to HTTP, for tests of what the edge takes of containers.

Run as a program, it is that server.
"""

from __future__ import annotations

import os
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator

import swell

app = swell.App("hostile")

ENDLESS = 256 << 20  #: bytes that stand for no end
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
AWAKE = threading.Event()  #: ends those that neither read nor send
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@app.function(max_containers=1, timeout=60)
@swell.concurrent(max_inputs=20)
@swell.web_server(8_000, label="hostile")
def hostile() -> None:
    subprocess.Popen([sys.executable, os.path.abspath(__file__)])


def answer(mode: str) -> Iterator[bytes]:
    """What is sent to a request for a path."""
    again = 0
    match mode:
        case "/trailer":
            begin, again = CHUNKED + b"0\r\n", b"T: " + b"t" * 9_000 + b"\r\n"
        case "/trailer-line":
            begin, again = CHUNKED + b"0\r\nT: ", b"t" * 65_536
        case "/extension":
            begin, again = CHUNKED + b"1;", b"e" * 65_536
        case "/extensions":
            begin, again = CHUNKED, (b"1;" + b"e" * 60 + b"\r\nx\r\n") * 1_000
        case "/head":
            begin, again = OK + b"X: ", b"x" * 65_536
        case "/fields":
            begin, again = OK, b"X: 1\r\n" * 10_000
        case "/interims":
            begin, again = b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1_000
        case "/flood":
            begin, again = SWITCH, b"\x82\x7e\xff\xff" + bytes(65_535)
        case "/deaf":
            begin, again = SWITCH, b""
        case "/lengths":
            begin = OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        case "/cut":
            begin = OK + b"Content-Length: 10\r\n\r\n12345"
        case "/silent":
            begin = b""
        case "/switch":
            begin = SWITCH
        case _:
            begin = OK + b"Content-Length: 2\r\n\r\nhi" + OK + b"Content-Length: 6\r\n\r\nforged"
    yield begin
    for _ in range(ENDLESS // len(again) if again else 0):
        yield again
    if mode == "/wake":
        AWAKE.set()
    if mode in ("/deaf", "/silent"):
        AWAKE.clear()
        AWAKE.wait()


class Handler(socketserver.BaseRequestHandler):
    """Reads one head, and answers."""

    def handle(self) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            part = self.request.recv(65_536)
            if not part:
                return
            head += part
        path = head.split(b" ", 2)[1].partition(b"?")[0].decode()
        for data in answer(path):
            try:
                self.request.sendall(data)
            except OSError:
                return


class Server(socketserver.ThreadingTCPServer):
    """One thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    with Server(("127.0.0.1", 8_000), Handler) as server:
        server.serve_forever()
