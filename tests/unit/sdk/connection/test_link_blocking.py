"""A link for one thread over a real socket: Ctrl-C ends a wait, whenever it comes and whichever thread gets it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.errors import Error
from swell.sdk.connection import link as module
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.link import BlockingLink
from swell.wire import codec
from swell.wire.messages import GetStats, Log

PATIENCE_S = 50.0


@pytest.fixture
def link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BlockingLink]:
    """A link to a server that sends nothing; it looks for signals often."""
    monkeypatch.setattr(module, "SIGNAL_CHECK_S", 0.05)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()
        link = BlockingLink(f"unix:{tmp_path / 's'}", 1 << 20)
        yield link
        link.shut()
    signal.signal(signal.SIGINT, before)


def interrupt_from_a_thread() -> None:
    """Have a signal arrive that does not wake the main thread from what it waits for."""
    signal.pthread_kill(threading.get_ident(), signal.SIGINT)


@pytest.mark.parametrize("patience_s", [None, 1_000.0])
def test_a_signal_that_does_not_end_a_system_call_ends_the_wait(link: BlockingLink, patience_s: float | None) -> None:
    until = None if patience_s is None else time.monotonic() + patience_s
    timer = threading.Timer(0.1, interrupt_from_a_thread)
    with pytest.raises(KeyboardInterrupt):
        timer.start()  # in here: on a busy machine the signal may come before this has returned
        run_blocking(link.receive(link.open("fc-1"), until))
    timer.join()


def test_a_wait_for_so_long_ends_then_and_not_before(link: BlockingLink) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_blocking(link.receive(link.open("fc-1"), began + 0.12))
    assert time.monotonic() >= began + 0.12  # however slow the machine, it never ends early


def test_what_arrives_is_read_while_the_server_does_not_take_what_is_sent(tmp_path: Path) -> None:
    """A server reads nothing from a client that leaves much unread: each would wait for the other."""
    size, heard = 8 << 20, list[int]()
    received = codec.encode(Log("ap-1", "f", "ta-1", "stdout"), bytes(size))
    frame = codec.encode(GetStats(1, "fu-1"), bytes(size))

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(received)  # more than any buffer takes: the client must read it
            while sum(heard) < len(frame):
                heard.append(len(connection.recv(1 << 20)))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        server = threading.Thread(target=serve, args=(listener,), daemon=True)
        server.start()
        link = BlockingLink(f"unix:{tmp_path / 's'}", 16 << 20)
        link.send(GetStats(1, "fu-1"), bytes(size))
        server.join(PATIENCE_S)
        assert sum(heard) == len(frame)
        message, payload = run_blocking(link.receive(link.unsolicited))
        assert (message, len(payload)) == (Log("ap-1", "f", "ta-1", "stdout"), size)
        link.shut()


def test_a_thread_that_only_sends_does_not_read_when_the_server_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread reads, and two at once would tear frames apart."""
    readers, errors = list[int](), list[Error]()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        link = BlockingLink(f"unix:{tmp_path / 's'}", 16 << 20)
        monkeypatch.setattr(link, "_read", lambda: readers.append(threading.get_ident()))

        def send() -> None:
            try:
                link.send(GetStats(1, "fu-1"), bytes(8 << 20))
            except Error as error:
                errors.append(error)

        sender = threading.Thread(target=send)
        sender.start()
        connection, _ = listener.accept()
        connection.settimeout(PATIENCE_S)
        assert connection.recv(1)  # it has begun to send
        connection.close()
        sender.join(PATIENCE_S)
    assert [str(error) for error in errors] == ["the server is gone"]
    assert readers == []
    link.shut()
