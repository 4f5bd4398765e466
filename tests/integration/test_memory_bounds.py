"""Whatever is not read, the server's memory stays bounded; nothing that was accepted is lost, and others are served."""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

import flood_app as f
import psutil
import pytest

import swell
from swell.model import CallKind
from swell.sdk.deploy.bundling import bundle
from swell.sdk.deploy.environment import present_environment
from swell.sdk.deploy.specs import specs_of
from swell.server.connection_limits import PENDING_MAX
from swell.wire import codec
from swell.wire import messages as m
from swell.wire.payload import encode_arguments, loads
from swell.wire.queries import GetStatus, Status

PATIENCE_S = 60.0
GROWTH_MAX = 64 << 20  #: bytes that the server may grow by under any of this
QUIET_S = 1.0  #: a socket that takes nothing for so long is not read at the other end
SIZE = 100_000


@pytest.fixture(scope="module", autouse=True)
def running(run_app: Callable[..., swell.App]) -> swell.App:
    app = run_app(f.app, pending_sync_max=10_000)
    assert f.make.remote(1) == b"\0"
    return app


class Peer:
    """A raw connection to the server."""

    def __init__(self, *, greets: bool = True) -> None:
        session = f.app.session
        assert session is not None
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(session.client.address.removeprefix("unix:"))
        self._decoder = codec.for_client(64 << 20)
        self._frames: list[tuple[m.Message, bytes]] = []
        if greets:
            self.say(m.Hello("client", m.PROTOCOL, "one that does not read"))
            self.welcome = self.hear()[0]
            assert isinstance(self.welcome, m.Welcome)

    def say(self, message: m.Message, payload: bytes = b"") -> None:
        self.socket.sendall(codec.encode(message, payload))

    def hear(self) -> tuple[m.Message, bytes]:
        while not self._frames:
            data = self.socket.recv(1 << 20)
            assert data, "the server has hung up"
            self._frames += self._decoder.feed(data)
        return self._frames.pop(0)

    def floods(self, frame: bytes, most: int) -> int:
        """Send a frame again and again, until the server reads no more; return how often it was sent whole."""
        self.socket.settimeout(QUIET_S)
        sent = 0
        rest = memoryview(b"")
        with suppress(TimeoutError):
            while sent < most:
                rest = rest or memoryview(frame)
                rest = rest[self.socket.send(rest) :]
                sent += not rest
        self.socket.settimeout(PATIENCE_S)
        return sent

    def opens(self, app: swell.App) -> m.AppOpened:
        """Open an app of its own with the functions of another, and watch it."""
        specs, environment, archive = specs_of(app.describe()), present_environment(), b""
        if self.welcome.wants_bundles:
            specs, environment, archive = bundle(app.describe(), is_for_elsewhere=True)
        self.say(m.OpenApp(3, "ap-unread", "unread", environment, specs, watch=True), archive)
        while not isinstance((opened := self.hear()[0]), m.AppOpened):
            assert not isinstance(opened, m.Failed), opened.text
        return opened

    def calls(self, function_id: str, kind: CallKind, argument: int, count: int) -> str:
        call_id = f"fc-{os.urandom(8).hex()}"
        one = encode_arguments((argument,), {})
        ends = [len(one) * (i + 1) for i in range(count)]
        self.say(
            m.OpenCall(call_id=call_id, function_id=function_id, method="", kind=kind, ends=ends, sealed=True),
            one * count,
        )
        return call_id


@contextmanager
def peer(*, greets: bool = True) -> Iterator[Peer]:
    one = Peer(greets=greets)
    try:
        yield one
    finally:
        one.socket.close()


def server() -> psutil.Process:
    with peer() as one:
        one.say(GetStatus(1))
        status = one.hear()[0]
        assert isinstance(status, Status)
        return psutil.Process(status.pid)


@contextmanager
def bounded() -> Iterator[psutil.Process]:
    """Check that the server grows by no more than it may while the block runs, and serves others."""
    process = server()
    before = process.memory_info().rss
    yield process
    grown = process.memory_info().rss - before
    assert grown < GROWTH_MAX, f"the server has grown by {grown >> 20} MiB"
    assert f.make.remote(3) == bytes(3), "others are served"


def settle(value: Callable[[], int]) -> int:
    """Wait until a number does not change any more, and return it."""
    deadline, last = time.monotonic() + PATIENCE_S, value()
    while time.monotonic() < deadline:
        time.sleep(QUIET_S)
        now = value()
        if now == last:
            return now
        last = now
    raise AssertionError("it changes for ever")


# ---------------------------------------------------------------- who does not read


def test_answers_that_are_not_read_stop_the_questions() -> None:
    frame = codec.encode(GetStatus(7))
    with bounded() as process, peer() as one:
        sent = one.floods(frame, most=3_000_000)
        assert 0 < sent < 3_000_000, "the server reads no more"
        settle(lambda: process.memory_info().rss >> 20)
    with peer() as one:
        assert one.floods(frame, most=200_000) > 10_000


def test_results_that_are_not_read_are_not_made_and_none_is_lost() -> None:
    count = 2_000
    with peer() as one:
        with bounded() as process:
            one.calls(f.make.object_id, CallKind.MAP, SIZE, count)
            settle(lambda: process.memory_info().rss >> 20)
        heard = 0
        while heard < count:
            message, payload = one.hear()
            assert isinstance(message, m.Outputs)
            assert not message.failures
            assert len(loads(payload[: message.ends[0]])) == SIZE
            heard += len(message.ends)
    assert f.make.get_current_stats().backlog == 0


def test_results_of_a_spawned_call_that_are_not_read_stay_in_the_store() -> None:
    count = 300
    with peer() as one:
        call_id = one.calls(f.make.object_id, CallKind.SPAWN, SIZE, count)
        assert isinstance(one.hear()[0], m.Accepted)
        one.say(m.Watch(5, call_id, 0, count))
        swell.FunctionCall.from_id(call_id).get(index=count - 1)
        seen: set[int] = set()
        while len(seen) < count:
            message, _ = one.hear()
            assert isinstance(message, m.Outputs)
            seen.update(i for first, many in message.parts for i in range(first, first + many))


@pytest.mark.nodes
def test_lines_that_are_not_read_are_left_out_and_counted() -> None:
    lines = 150_000  # of 1,000 bytes
    with peer() as one:
        opened = one.opens(f.app)
        with bounded():
            one.calls(opened.function_ids["talk"], CallKind.REMOTE, lines, 1)
            with peer() as other:
                other.say(m.GetStats(1, opened.function_ids["talk"]))
                deadline = time.monotonic() + PATIENCE_S
                while time.monotonic() < deadline:
                    stats = other.hear()[0]
                    assert isinstance(stats, m.Stats)
                    if not (stats.backlog or stats.running_inputs):
                        break
                    time.sleep(0.1)
                    other.say(m.GetStats(1, opened.function_ids["talk"]))
                else:
                    raise AssertionError("a program must not wait for who shows what it prints")
        shown = left_out = 0
        results = 0
        while shown + left_out < lines or not results:
            message, payload = one.hear()
            match message:
                case m.Log() if message.stream == "system":
                    left_out += int(payload.split()[0].replace(b",", b""))
                case m.Log():
                    shown += payload.count(b"\n")
                case m.Outputs():
                    results += 1
                case _:
                    pass
        assert shown + left_out == lines
        assert left_out > 0


# ---------------------------------------------------------------- who does not say who they are


def test_a_stranger_cannot_make_the_server_keep_much() -> None:
    prefix = struct.pack("<II", 30 << 20, 60 << 20)
    with bounded(), ExitStack() as strangers:
        for _ in range(100):
            one = strangers.enter_context(peer(greets=False))
            with suppress(BrokenPipeError, ConnectionResetError):
                one.socket.sendall(prefix + bytes(2_000_000))
            with suppress(ConnectionResetError):  # what it sent was not read to the end
                assert one.socket.recv(1) == b""


def test_the_longest_silent_make_room_for_newcomers() -> None:
    with bounded() as process, ExitStack() as strangers:
        silent = [strangers.enter_context(peer(greets=False)) for _ in range(PENDING_MAX + 200)]
        assert silent[0].socket.recv(1) == b"", "the one that came first is closed"
        with peer() as one:
            one.say(GetStatus(1))
            assert isinstance(one.hear()[0], Status)
        assert process.num_fds() < PENDING_MAX + 100
