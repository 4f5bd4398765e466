"""Servers of the user's behind a relay, each with its port to itself although all have the same."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest
from patience import patience, wait_until
from websockets.sync.client import unix_connect

from swell.errors import ConflictError
from swell.model import ClassSpec, Concurrency, FunctionSpec, MethodSpec, OutputStatus, Source, WebSpec
from swell.wire import payload
from swell.wire.messages import Drain, Leaving, StartFailed

Start = Callable[..., Any]

PORT = 8642
PATIENCE_S = patience(60.0)


def server(port: int = PORT, *, startup_timeout_s: float = PATIENCE_S, **options: Any) -> FunctionSpec:
    web = WebSpec("server", port=port, startup_timeout_s=startup_timeout_s)
    return FunctionSpec("f", Source("program", "f"), web=web, concurrency=Concurrency(8, 8), **options)


def await_that(is_so: Callable[[], bool], what: str) -> None:
    wait_until(is_so, what, pause_s=0.005)


def failure(peer: Any) -> BaseException:
    """What a container that does not start reports."""
    message, data = peer.data.read()
    assert isinstance(message, StartFailed)
    assert peer.wait()[0] == 1
    error: BaseException = payload.decode_exception(data)
    return error


# ---------------------------------------------------------------- a port for each

#: Answers each request with the name of the directory that the container works in.
ANSWERING = """
import http.server, os, socket, socketserver, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.path.basename(os.getcwd()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
def serve(host="0.0.0.0", port=8642):
    server = Server((host, port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
"""

LOOK = """
import urllib.request
def look(url):
    try:
        with urllib.request.urlopen(url, timeout=10) as answer: return answer.read().decode()
    except OSError as error:
        return type(getattr(error, "reason", error)).__name__
"""

IN_A_CHILD = """
import subprocess, sys
def f(): subprocess.Popen([sys.executable, "-m", "http.server", "8642", "--bind", "{host}"])
"""

ON_A_LOOP = """
import asyncio, os, threading
async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    name = os.path.basename(os.getcwd()).encode()
    writer.write(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(name), name))
    writer.close()
async def serve():
    server = await asyncio.start_server(answer, {host}, 8642)
    await server.serve_forever()
def f(): threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
"""

UVICORN = """
import os, threading, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": os.path.basename(os.getcwd()).encode()})
def f():
    config = uvicorn.Config(app, host="::", port=8642, log_level="error", lifespan="off")
    threading.Thread(target=uvicorn.Server(config).run, daemon=True).start()
"""

NODE = """
import subprocess
def f():
    script = "require('http').createServer((q, a) => a.end(require('path').basename(process.cwd()))).listen(8642{host})"
    subprocess.Popen(["node", "-e", script])
"""

IN_C = """
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
/* Its address is a constant, in memory that the program itself may not write to. */
static const struct sockaddr_in here = {{AF_INET, __builtin_bswap16(8642), {{0}}, {{0}}}};
int main(void) {{
    char name[4096], answer[8192], request[65536];
    int one = 1, s = socket(AF_INET, SOCK_STREAM, 0);
    getcwd(name, sizeof name);
    const char *base = strrchr(name, '/') + 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (const struct sockaddr *)&here, sizeof here)) {{ perror("bind"); return 1; }}
    listen(s, 100);
    for (;;) {{
        int c = accept(s, NULL, NULL);
        if (read(c, request, sizeof request) > 0) {{
            snprintf(answer, sizeof answer, "HTTP/1.0 200 OK\\r\\n\\r\\n%s", base);
            write(c, answer, strlen(answer));
        }}
        close(c);
    }}
}}
"""

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1", "localhost", "::", "::1"])
def test_two_containers_bind_one_port_on_any_host(start: Start, host: str) -> None:
    peers = [start(server(), IN_A_CHILD.format(host=host), name=name) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
        (peer.directory / "who").write_text(peer.directory.name)
    assert [peer.ask(path="/who") for peer in peers] == [(200, b"a"), (200, b"b")]
    assert [peer.end()[0] for peer in peers] == [0, 0]


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(ON_A_LOOP.format(host="None"), id="one socket for each family"),
        pytest.param(ON_A_LOOP.format(host="['127.0.0.1', '::1']"), id="both loopback addresses"),
        pytest.param(UVICORN, id="uvicorn in this process"),
        pytest.param(NODE.format(host=""), id="node", marks=needs_node),
        pytest.param(NODE.format(host=", '127.0.0.1'"), id="node on IPv4", marks=needs_node),
    ],
)
def test_two_containers_of_any_kind_bind_one_port(start: Start, code: str) -> None:
    peers = [start(server(), code, name=name) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
    assert [peer.ask() for peer in peers] == [(200, b"a"), (200, b"b")]


@needs_gcc
@pytest.mark.parametrize("linked", ["-dynamic", "-static"])
def test_two_containers_run_a_program_in_c(start: Start, tmp_path: Path, linked: str) -> None:
    (tmp_path / "server.c").write_text(IN_C.format())
    built = subprocess.run(
        ["gcc", "-O2", "-w", linked.replace("-dynamic", "-O2"), "-o", tmp_path / "server", tmp_path / "server.c"],
        capture_output=True,
        check=False,
    )
    if built.returncode:
        pytest.skip(f"gcc {linked} does not work here")
    code = f"import subprocess\ndef f(): subprocess.Popen([{str(tmp_path / 'server')!r}])"
    peers = [start(server(), code, name=name) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
    assert [peer.ask() for peer in peers] == [(200, b"a"), (200, b"b")]


def test_many_containers_bind_one_port_at_once(start: Start) -> None:
    peers = [start(server(), ANSWERING + "f = serve", name=f"n{i}") for i in range(8)]
    for peer in peers:
        peer.ready()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            assert list(threads.map(lambda peer: peer.ask(), peers)) == [(200, f"n{i}".encode()) for i in range(8)]


@pytest.mark.parametrize("port", [8642, 80])
def test_a_container_without_privileges_has_its_port_too(start: Start, port: int) -> None:
    if os.geteuid() or shutil.which("setpriv") is None:
        through = []  # every container here is without privileges, or cannot lose them
    else:
        lost = "-sys_admin,-sys_ptrace,-net_bind_service"
        through = ["setpriv", f"--bounding-set={lost}", f"--inh-caps={lost}"]
    code = ANSWERING + f"def f(): return serve(port={port})"
    peers = [start(server(port), code, name=name, through=through) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
    assert [peer.ask() for peer in peers] == [(200, b"a"), (200, b"b")]


def test_a_program_of_the_machine_that_has_the_port_everywhere_does_not_matter(start: Start) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        code = ANSWERING + LOOK + f"def f():\n    serve(port={port})\n    print(look('http://127.0.0.1:{port}'))"
        peer = start(server(port), code, name="a")
        peer.ready()
        assert peer.ask() == (200, b"a")
        assert peer.end()[:2] == (0, "a\n")


# ---------------------------------------------------------------- the network as the container sees it


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "::1"])
def test_the_users_code_reaches_its_own_server_and_no_other(start: Start, host: str) -> None:
    code = (
        ANSWERING
        + LOOK
        + f"""
import json, subprocess, sys, socket
def f():
    Server.address_family = socket.AF_INET6 if ":" in {host!r} else socket.AF_INET
    urls = ["http://127.0.0.1:8642", "http://localhost:8642", "http://[::1]:8642", "http://0.0.0.0:8642"]
    before = [look(url) for url in urls]
    server = serve({host!r})
    after = [look(url) for url in urls]
    child = "import program, sys; print(*map(program.look, sys.argv[1:]))"
    in_child = subprocess.run([sys.executable, "-c", child, *urls], capture_output=True, text=True).stdout.split()
    open("seen", "w").write(json.dumps([before, after, in_child]))
    return server
"""
    )
    peers = [start(server(), code, name=name) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
        before, after, in_child = __import__("json").loads((peer.directory / "seen").read_text())
        assert before == ["ConnectionRefusedError"] * 4, "the other container's server is out of reach"
        assert after == in_child == [peer.directory.name] * 4


def test_the_rest_of_the_network_is_that_of_the_machine(start: Start) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
    ):
        code = (
            ANSWERING
            + f"""
def f():
    for address in (("127.0.0.1", {listener.getsockname()[1]}), ("::1", {six.getsockname()[1]})):
        with socket.create_connection(address) as connection: connection.sendall(b"hello")
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert other.getsockname()[0] == "127.0.0.1"
        with socket.create_connection(other.getsockname()): pass
    with socket.socket(socket.AF_UNIX) as local: local.bind("local")
    assert {{found[4][:2] for found in socket.getaddrinfo("localhost", 8642)}} <= {{("127.0.0.1", 8642), ("::1", 8642)}}
    return serve()
"""
        )
        peer = start(server(), code)
        for each in (listener, six):
            connection, _ = each.accept()
            assert connection.recv(10) == b"hello"
            connection.close()
        peer.ready()


def test_calls_with_nonsense_are_the_callers_own_affair(start: Start) -> None:
    code = (
        ANSWERING
        + """
import ctypes, errno
libc = ctypes.CDLL(None, use_errno=True)
def f():
    with socket.socket() as s:
        for address, size in ((1, 16), (-1, 16), (2**63, 16), (None, 0), (0, 1 << 20), (1, -1)):
            for call in (libc.bind, libc.connect):
                assert call(s.fileno(), ctypes.c_void_p(address), size) == -1
                assert ctypes.get_errno() in (errno.EFAULT, errno.EINVAL), ctypes.get_errno()
    assert libc.bind(-1, ctypes.create_string_buffer(16), 16) == -1 and ctypes.get_errno() == errno.EBADF
    return serve()
"""
    )
    peer = start(server(), code)
    peer.ready()
    assert peer.ask()[0] == 200


def test_servers_that_come_and_go_are_found_where_they_are_now(start: Start) -> None:
    code = (
        ANSWERING
        + LOOK
        + """
def f():
    for host, family in (("0.0.0.0", socket.AF_INET), ("::", socket.AF_INET6)) * 2:
        Server.address_family = family
        server = serve(host)
        assert look("http://127.0.0.1:8642") == os.path.basename(os.getcwd())
        server.shutdown()
        server.server_close()
    return serve(host)
"""
    )
    peer = start(server(), code)
    peer.ready()
    assert peer.ask()[0] == 200


def test_a_port_is_free_again_when_its_container_is_gone(start: Start) -> None:
    for name in ("a", "b"):
        peer = start(server(), ANSWERING + "f = serve", name=name)
        peer.ready()
        assert peer.ask() == (200, name.encode())
        assert peer.end()[0] == 0


# ---------------------------------------------------------------- where ports cannot be had

#: Runs a program whose system calls are watched already, so that the kernel refuses another watcher.
WATCHED = """
import os, select, socket, sys
from swell.runner.web.isolation import seccomp
near, far = socket.socketpair()
watched = os.getpid()
if os.fork() == 0:
    near.close()
    _, [listener], _, _ = socket.recv_fds(far, 1, 1)
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    while poll.poll()[0][1] & select.POLLIN:
        notification = seccomp.receive(listener)
        if notification is not None: seccomp.continue_call(listener, notification)
    os._exit(0)
listener = seccomp.install_filter()
socket.send_fds(near, [b"x"], [listener])
near.close(), far.close(), os.close(listener)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.fixture
def watched() -> list[str]:
    return [sys.executable, "-c", WATCHED]


def test_without_ports_of_their_own_one_container_starts_and_the_next_one_says_why_not(
    start: Start, watched: list[str]
) -> None:
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
    spec, code = server(port), ANSWERING + f"def f(): return serve(port={port})"
    first = start(spec, code, name="a", through=watched)
    first.ready()
    assert first.ask() == (200, b"a")
    error = failure(start(spec, code, name="b", through=watched))
    assert isinstance(error, ConflictError)
    assert "watched by another program already" in str(error)
    assert "max_containers=1" in str(error)
    assert first.ask() == (200, b"a")
    status, _, err = first.end()
    assert status == 0
    assert f"shares port {port} with the whole machine" in err
    again = start(spec, code, name="c", through=watched)
    again.ready()
    assert again.ask() == (200, b"c")


def test_without_ports_of_their_own_another_program_on_the_port_is_not_taken_for_the_server(
    start: Start, watched: list[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = failure(start(server(port), ANSWERING + "f = serve", through=watched))
    assert isinstance(error, ConflictError)
    assert "another program listens there" in str(error)


# ---------------------------------------------------------------- the relay


def test_requests_pass_as_they_are(start: Start) -> None:
    code = (
        ANSWERING
        + """
def echo(self):
    body = self.rfile.read(int(self.headers["Content-Length"]))
    seen = repr((self.command, self.path, self.headers.items(), body)).encode()
    self.send_response(207, "Curious")
    self.send_header("Content-Length", str(len(seen)))
    self.send_header("X-Odd", "a"), self.send_header("X-Odd", "b")
    self.end_headers()
    self.wfile.write(seen)
Handler.do_PURGE = echo
f = serve
"""
    )
    peer = start(server(), code)
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("PURGE", "/a/../%2F?q=%20&q", b"\0\xff", {"X-Mine": "1", "X-Swell-Input": "fc-1"})
        answer = connection.getresponse()
        seen = eval(answer.read())
        assert (answer.status, answer.reason, answer.headers.get_all("X-Odd")) == (207, "Curious", ["a", "b"])
    headers = [("Host", "site.example"), ("Accept-Encoding", "identity"), ("Content-Length", "2"), ("X-Mine", "1")]
    assert seen == ("PURGE", "/a/../%2F?q=%20&q", [*headers, ("X-Swell-Input", "fc-1")], b"\0\xff")


def test_a_connection_carries_many_requests(start: Start) -> None:
    peer = start(server(), ANSWERING + "f = serve", name="a")
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        for _ in range(20):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"a"


def test_websockets_pass(start: Start) -> None:
    code = """
import threading
from websockets.sync.server import serve
def echo(ws):
    for message in ws: ws.send(message)
def f():
    server = serve(echo, "0.0.0.0", 8642, subprotocols=["chat"])
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
"""
    peer = start(server(), code)
    peer.ready()
    with unix_connect(peer.socket_path(), "ws://site.example/x", subprotocols=["chat"]) as ws:
        assert ws.subprotocol == "chat"
        for message in ("text", b"bytes", "x" * 1_000_000):
            ws.send(message)
            assert ws.recv(PATIENCE_S) == message


def test_a_hundred_megabytes_pass_each_way_and_are_not_kept(start: Start) -> None:
    code = """
import os, socket, threading
def count(c):
    total = 0
    while data := c.recv(1 << 20): total += len(data)
    c.sendall(b"%d\\n" % total)
    for _ in range(100): c.sendall(bytes(1 << 20))
    with open("/proc/self/status") as status:
        c.sendall(next(line for line in status if line.startswith("VmHWM")).split()[1].encode())
    c.close()
def accept(s):
    while True: threading.Thread(target=count, args=(s.accept()[0],), daemon=True).start()
def f():
    s = socket.create_server(("", 8642))
    threading.Thread(target=accept, args=(s,), daemon=True).start()
"""
    peer = start(server(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(peer.socket_path())
        for _ in range(100):
            client.sendall(bytes(1 << 20))
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as answer:
            assert answer.readline() == b"%d\n" % (100 << 20)
            received = answer.read()
    data, peak_kb = received[: 100 << 20], int(received[100 << 20 :])
    assert data == bytes(100 << 20)
    assert peak_kb < 150_000, "what passes is not held"


def test_a_slow_reader_slows_the_server_down(start: Start) -> None:
    code = """
import socket, threading
def flood(s):
    c, _ = s.accept()
    c.close()  # the container's own look at the port
    c, _ = s.accept()
    c.settimeout(1)
    sent = 0
    try:
        while True: sent += c.send(bytes(65536))
    except TimeoutError:
        open("sent", "w").write(str(sent))
def f():
    s = socket.create_server(("", 8642))
    threading.Thread(target=flood, args=(s,), daemon=True).start()
"""
    peer = start(server(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(peer.socket_path())
        await_that(lambda: peer.mark("sent").exists() and bool(peer.mark("sent").read_text()), "nothing holds it back")
        assert int(peer.mark("sent").read_text()) < 32 << 20


@pytest.mark.parametrize("side", ["client", "server"])
def test_when_one_side_hangs_up_the_other_is_told(start: Start, side: str) -> None:
    code = """
import socket, threading
def serve(s):
    while True:
        c, _ = s.accept()
        if c.recv(10) == b"bye": c.close()
        elif c.recv(10) == b"": open("gone", "w").close()
def f():
    s = socket.create_server(("", 8642))
    threading.Thread(target=serve, args=(s,), daemon=True).start()
"""
    peer = start(server(), code)
    peer.ready()
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE_S)
        client.connect(peer.socket_path())
        if side == "server":
            client.sendall(b"bye")
            assert client.recv(10) == b""
            return
        client.sendall(b"hello")
    await_that(peer.mark("gone").exists, "the server was not told")


def test_many_connections_at_once(start: Start) -> None:
    peer = start(server(), UVICORN, name="a")
    peer.ready()

    def ask_often(_: int) -> list[tuple[int, bytes]]:
        return [peer.ask() for _ in range(20)]

    with ThreadPoolExecutor(32) as threads:
        for answers in threads.map(ask_often, range(32)):
            assert answers == [(200, b"a")] * 20


# ---------------------------------------------------------------- start and end


def test_a_server_that_does_not_come_up_is_a_failed_start(start: Start) -> None:
    error = failure(start(server(startup_timeout_s=0.3), "def f(): pass"))
    assert type(error) is TimeoutError
    assert "port 8642" in str(error)
    assert "startup_timeout=0.3" in str(error)


def test_what_the_function_raises_is_a_failed_start(start: Start) -> None:
    error = failure(start(server(), "def f(): raise LookupError('no model')"))
    assert isinstance(error, LookupError)


def test_a_server_may_take_its_time(start: Start) -> None:
    code = (
        ANSWERING
        + """
import time
def later():
    while not os.path.exists("go"): time.sleep(0.01)
    serve()
def f():
    open("called", "w").close()
    threading.Thread(target=later, daemon=True).start()
"""
    )
    peer = start(server(), code)
    await_that(peer.mark("called").exists, "never called")
    peer.data.socket.settimeout(0.2)
    with pytest.raises(TimeoutError):
        peer.data.read()
    peer.data.socket.settimeout(PATIENCE_S)
    peer.mark("go").touch()
    peer.ready()


def test_when_the_server_answers_no_more_the_container_takes_no_more(start: Start) -> None:
    code = (
        ANSWERING
        + """
def leave(self):
    threading.Thread(target=lambda: (self.server.shutdown(), self.server.server_close())).start()
    Handler.do_GET(self)
Handler.do_POST = leave
f = serve
"""
    )
    peer = start(server(), code)
    peer.ready()
    assert peer.ask("POST")[0] == 200

    def is_refused() -> bool:
        try:
            peer.ask()
        except (http.client.RemoteDisconnected, ConnectionError):
            return True
        return False

    await_that(is_refused, "it answers still")
    assert is_refused(), "the first may have been reset, by a server that had not accepted it yet"
    peer.read_until(lambda: any(isinstance(message, Leaving) for message in peer.messages))
    assert is_refused()
    code, _, err = peer.end()
    assert code == 0
    assert "port 8642 accepts no more" in err
    assert sum(isinstance(message, Leaving) for message in peer.messages) == 1


HELD = (
    ANSWERING
    + """
import time
def hold(self):
    open("held", "w").close()
    while not os.path.exists("go"): time.sleep(0.01)
    Handler.do_GET(self)
Handler.do_POST = hold
"""
)


def test_a_drain_lets_requests_finish(start: Start) -> None:
    peer = start(server(), HELD + "f = serve", name="a")
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("POST", "/", headers={"Connection": "close"})
        await_that(peer.mark("held").exists, "never called")
        peer.order(Drain(PATIENCE_S))
        await_that(lambda: not os.path.exists(peer.socket_path()), "it accepts still")
        peer.mark("go").touch()
        assert connection.getresponse().read() == b"a"
    assert peer.wait()[0] == 0


def test_a_drain_cuts_what_takes_longer_than_the_grace_and_runs_exit_hooks(start: Start) -> None:
    code = (
        HELD
        + """
class C:
    def web(self): return serve()
    def leave(self): open("left", "w").close()
    leave.__swell_marks__ = {"exit": {}}
"""
    )
    web = WebSpec("server", port=PORT, startup_timeout_s=PATIENCE_S)
    spec = FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec((MethodSpec("web", web=web),)))
    peer = start(spec, code)
    peer.ready()
    with contextlib.closing(peer.http("web")) as connection:
        connection.request("POST", "/")
        await_that(peer.mark("held").exists, "never called")
        peer.order(Drain(2.0))
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.getresponse()
    assert peer.wait()[0] == 0
    assert peer.mark("left").exists()


def test_an_interrupt_breaks_off_and_leaves_in_order(start: Start) -> None:
    peer = start(server(), HELD + "f = serve")
    peer.ready()
    with contextlib.closing(peer.http()) as connection:
        connection.request("POST", "/")
        await_that(peer.mark("held").exists, "never called")
        peer.interrupt()
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            connection.getresponse()
    assert peer.wait()[0] == 0


def test_an_interrupt_during_the_start_leaves_at_once(start: Start) -> None:
    peer = start(server(), "def f(): open('called', 'w').close()")
    await_that(peer.mark("called").exists, "never called")
    peer.interrupt()
    assert peer.wait()[0] == 0


@pytest.mark.parametrize(
    ("death", "status"), [("os._exit(7)", 7), ("os.kill(os.getpid(), 9)", -9), ("os.abort()", -signal.SIGABRT)]
)
def test_the_process_above_ends_as_the_container_does(start: Start, death: str, status: int) -> None:
    peer = start(server(), ANSWERING + f"Handler.do_POST = lambda self: {death}\nf = serve")
    peer.ready()
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        peer.ask("POST")
    assert peer.wait()[0] == status


@pytest.fixture
def children() -> Iterator[list[psutil.Process]]:
    found: list[psutil.Process] = []
    yield found
    _, alive = psutil.wait_procs(found, PATIENCE_S)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("end", ["server", "group", "itself"])
def test_nothing_of_a_container_outlives_it(start: Start, children: list[psutil.Process], end: str) -> None:
    # Without a template there is nobody who would find what has left the group, when the supervisor is killed with it.
    leave = "" if end == "group" else "setsid "
    code = (
        ANSWERING
        + f"""
import subprocess
def f():
    subprocess.Popen(["sh", "-c", "{leave}sleep 1000 & sleep 1000"])
    return serve()
"""
    )
    peer = start(server(), code)
    peer.ready()
    await_that(lambda: len(psutil.Process(peer.process.pid).children(recursive=True)) == 4, "not all are there")
    children += psutil.Process(peer.process.pid).children(recursive=True)
    if end == "server":
        peer.data.socket.close()
        peer.control.socket.close()
    elif end == "itself":
        children[0].kill()
    else:
        os.killpg(peer.process.pid, signal.SIGKILL)
    peer.process.wait(PATIENCE_S)


# ---------------------------------------------------------------- with others


def test_a_class_has_several_servers_and_takes_calls_beside(start: Start) -> None:
    code = (
        ANSWERING
        + LOOK
        + """
class Six(Server):
    address_family = socket.AF_INET6
class C:
    def one(self): serve(port=8642)
    def two(self):
        server = Six(("::", 8643), Two)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    def look(self): return [look(f"http://localhost:{port}") for port in (8642, 8643)]
class Two(Handler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"two of " + os.path.basename(os.getcwd()).encode())
        self.close_connection = True
"""
    )
    methods = (
        MethodSpec("one", web=WebSpec("server", port=8642, startup_timeout_s=PATIENCE_S)),
        MethodSpec("two", web=WebSpec("server", port=8643, startup_timeout_s=PATIENCE_S)),
        MethodSpec("look"),
    )
    spec = FunctionSpec("C.*", Source("program", "C"), cls=ClassSpec(methods))
    peers = [start(spec, code, name=name) for name in ("a", "b")]
    for peer in peers:
        peer.ready()
    for peer in peers:
        name = peer.directory.name
        answers = [peer.ask(method=method)[1].decode() for method in ("one", "two")]
        assert answers == [name, f"two of {name}"]
        assert peer.run((), method="look") == [(OutputStatus.SUCCESS, answers)]
        assert peer.end()[0] == 0
