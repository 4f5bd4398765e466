"""A link for one thread over a real socket: Ctrl-C ends a wait, whenever it comes and whichever thread gets it."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swell.sdk.blocking import run_blocking
from swell.sdk.link import BlockingLink


@pytest.fixture
def link(tmp_path: Path) -> Iterator[BlockingLink]:
    """A link to a server that says nothing."""
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
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        run_blocking(link.receive(link.open("fc-1"), until))
    timer.join()


def test_a_wait_for_so_long_ends_then_and_not_before(link: BlockingLink) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        run_blocking(link.receive(link.open("fc-1"), began + 0.7))
    assert time.monotonic() >= began + 0.7
