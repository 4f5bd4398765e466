"""A server that speaks to one real container, so that tests see exactly what a runner does on its sockets."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import pytest
from patience import patience

import swell
from swell.model import DeliveryMode, Environment, FunctionSpec, OutputStatus
from swell.policy.leasing import may_lease
from swell.wire import blobs, codec, payload
from swell.wire.json_payload import decode_json_exception, is_json
from swell.wire.leases import socket_name
from swell.wire.messages import (
    Completed,
    Deliver,
    Drain,
    Hello,
    Load,
    Message,
    Ready,
    Returned,
    ToContainer,
    ToServer,
    Yielded,
)
from swell.wire.shelf import Shelf
from swell.wire.web_names import socket_path

FRAME_MAX = 64 << 20
INLINE_MAX = 4096
PAYLOAD_MAX = 64 << 20
PATIENCE_S = patience(60.0)

M = TypeVar("M", bound=Message)

sys.path.append(str(Path(__file__).parent / "apps"))  # small programs, which containers import by the same path


class Connection:
    """One end of a connection, as the server has it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._decoder = codec.for_server(FRAME_MAX)
        self._frames: list[tuple[ToServer, bytes]] = []

    def read(self) -> tuple[ToServer, bytes] | None:
        """Return the next frame; None at the end of the stream."""
        while not self._frames:
            data = self.socket.recv(1 << 16)
            if not data:
                return None
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def send(self, message: Message, data: bytes = b"") -> None:
        self.socket.sendall(codec.encode(message, data))


class UnixHttp(http.client.HTTPConnection):
    """A client of HTTP on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("site.example", timeout=PATIENCE_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE_S)
        self.sock.connect(self._path)


class Peer:
    """The server's side of one container.

    Attributes:
        results: Every value reported so far, by (delivery, position): (status, value or exception).
        yielded: Values of generators, by (delivery, position).
        returned: (delivery, position) in order.
    """

    def __init__(self, directory: Path, spec: FunctionSpec, payload_max: int, through: Sequence[str]) -> None:
        self.directory = directory
        self.spec = spec
        self.results: dict[tuple[int, int], tuple[OutputStatus, Any]] = {}
        self.yielded: dict[tuple[int, int], list[Any]] = {}
        self.returned: list[tuple[int, int]] = []
        self.messages: list[Message] = []
        self.payloads: list[bytes] = []  # of those
        self._deliveries = 0
        self.blob_dir = directory / "blobs"
        self.blob_dir.mkdir()
        # Short, because the path of a Unix socket may have 107 bytes at most.
        self.web_dir = tempfile.mkdtemp(prefix="swell-w-", dir="/tmp")
        self.calls_at = os.path.join(self.web_dir, socket_name("ta-1"))
        address = directory / "server"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(address))
        listener.listen()
        listener.settimeout(PATIENCE_S)
        self.process = subprocess.Popen(
            [*through, sys.executable, "-m", "swell.runner.main", f"unix:{address}", "ta-1"],
            start_new_session=True,
            env={**os.environ, "SWELL_TOKEN": "secret"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.data, self.control = (self._accept(listener) for _ in range(2))
        listener.close()
        self.hellos = [self.data.read(), self.control.read()]
        roles = [hello[0].role for hello in self.hellos if hello and isinstance(hello[0], Hello)]
        assert roles == ["container", "control"]
        environment = Environment(sys.executable, str(directory), (str(directory), *sys.path), {"FROM_CLIENT": "yes"})
        load = Load(
            function_id="fu-1",
            spec=spec,
            environment=environment,
            function_ids={"other": "fu-2"},
            blob_dir=str(self.blob_dir),
            payload_inline_max=INLINE_MAX,
            payload_max=payload_max,
            frame_max=FRAME_MAX,
            exit_grace_s=30.0,
            web_dir=self.web_dir,
            calls_at=self.calls_at if may_lease(spec) else "",
        )
        self.data.send(load)

    @staticmethod
    def _accept(listener: socket.socket) -> Connection:
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE_S)
        return Connection(connection)

    def deliver(
        self,
        *calls: tuple[Any, ...] | bytes,
        mode: str = "serial",
        method: str = "",
        call_id: str = "fc-1",
        blob_positions: list[int] | None = None,
        base: int = 0,
    ) -> int:
        """Send arguments (or raw bytes) as one delivery; return its number."""
        self._deliveries += 1
        data, ends = b"", list[int]()
        for call in calls:
            data += call if isinstance(call, bytes) else payload.encode_arguments(call, {})
            ends.append(base + len(data))
        parts = [(call_id, 0, len(calls))]
        self.data.send(
            Deliver(
                delivery=self._deliveries,
                mode=DeliveryMode(mode),
                method=method,
                parts=parts,
                ends=ends,
                blobs=blob_positions or [],
                base=base,
            ),
            data,
        )
        return self._deliveries

    def order(self, message: ToContainer) -> None:
        self.control.send(message)

    def read_one(self) -> Message | None:
        """Take in one message of the container; return it, None when it has hung up."""
        frame = self.data.read()
        if frame is None:
            return None
        message, data = frame
        self.messages.append(message)
        self.payloads.append(data)
        match message:
            case Completed():
                self._note(message, data)
            case Returned(delivery, position):
                self.returned.append((delivery, position))
            case Yielded(delivery, position, ends):
                starts = [0, *ends]
                values = [payload.loads(data[a:b]) for a, b in zip(starts, ends, strict=False)]
                self.yielded.setdefault((delivery, position), []).extend(values)
            case _:
                pass
        return message

    def _note(self, message: Completed, data: bytes) -> None:
        failures = dict(message.failures)
        starts = [0, *message.ends]
        number = 0
        for delivery, first, count in message.parts:
            for position in range(first, first + count):
                part = data[starts[number] : message.ends[number]]
                status = OutputStatus(failures.get(number, OutputStatus.SUCCESS))
                if status is OutputStatus.FAILURE and is_json(part):
                    value = decode_json_exception(part)
                elif status is OutputStatus.FAILURE:
                    value = payload.decode_exception(part)
                elif status is OutputStatus.TERMINATED:
                    value = part
                elif number in message.blobs:
                    value = blobs.unpack(part, Shelf(str(self.blob_dir)))
                else:
                    value = payload.loads(part)
                assert (delivery, position) not in self.results, "reported twice"
                self.results[delivery, position] = status, value
                number += 1

    def ready(self) -> Ready:
        message = self.read_one()
        assert isinstance(message, Ready), message
        return message

    def results_of(self, delivery: int, count: int) -> list[tuple[OutputStatus, Any]]:
        """Read until `count` items of a delivery are reported, and return them."""
        self.read_until(lambda: all((delivery, i) in self.results for i in range(count)))
        return [self.results[delivery, i] for i in range(count)]

    def read_until(self, is_done: Callable[[], bool]) -> None:
        while not is_done():
            assert self.read_one() is not None, f"the container left: {self.process.communicate()}"

    def run(self, *calls: tuple[Any, ...] | bytes, **options: Any) -> list[tuple[OutputStatus, Any]]:
        return self.results_of(self.deliver(*calls, **options), len(calls))

    def read_to_end(self) -> None:
        while self.read_one() is not None:
            pass

    def end(self, grace_s: float = 10.0) -> tuple[int, str, str]:
        """Drain the container; return its exit code and what it printed."""
        self.order(Drain(grace_s))
        return self.wait()

    def wait(self) -> tuple[int, str, str]:
        self.read_to_end()
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out.decode(), err.decode()

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def socket_path(self, method: str = "") -> str:
        """Where the container answers HTTP."""
        return socket_path(self.web_dir, "ta-1", method)

    def http(self, method: str = "") -> UnixHttp:
        """A connection to the container's web function of that name, as a client of HTTP."""
        return UnixHttp(self.socket_path(method))

    def ask(
        self, verb: str = "GET", path: str = "/", body: bytes = b"", *, method: str = "", **headers: str
    ) -> tuple[int, bytes]:
        """Make one request on a connection of its own; return the status and the body of the answer."""
        with contextlib.closing(self.http(method)) as connection:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(verb, path, body or None, given)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def mark(self, name: str) -> Path:
        """A file through which user code and test tell each other how far they are."""
        return self.directory / name

    def close(self) -> None:
        self.data.socket.close()
        self.control.socket.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.communicate(timeout=PATIENCE_S)
        shutil.rmtree(self.web_dir)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Peer]]:
    """Start a container: `start(spec, code)` writes `code` to program.py, where `spec` finds it.

    A second container of one test needs a directory of its own: `start(spec, code, name="second")`. `through` is a
    command that runs the container as its own last words.
    """
    peers: list[Peer] = []

    def begin(
        spec: FunctionSpec,
        code: str = "",
        *,
        payload_max: int = PAYLOAD_MAX,
        name: str = "",
        through: Sequence[str] = (),
    ) -> Peer:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        (directory / "program.py").write_text(code)
        peer = Peer(directory, spec, payload_max, through)
        peers.append(peer)
        return peer

    yield begin
    for peer in peers:
        peer.close()


@pytest.fixture(scope="module")
def run_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., swell.App]]:
    """Run an App until the module's last test is over: `run_app(app, retry_delay_min_s=0.1)` sets settings, too."""
    with contextlib.ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("BOARD", str(tmp_path_factory.mktemp("board")))

        def begin(app: swell.App, **settings: object) -> swell.App:
            for name, value in settings.items():
                patch.setenv(f"SWELL_{name.upper()}", str(value))
            return stack.enter_context(app.run())

        yield begin


@pytest.fixture
def board(run_app: Callable[..., swell.App]) -> ModuleType:
    """The clean board of the App that runs; without one that runs, that of the module."""
    import board

    board.wipe()
    return board
