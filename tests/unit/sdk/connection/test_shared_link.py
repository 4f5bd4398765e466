"""A link that threads share, over a real socket: one reads for all, and no answer and no thread is left behind."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import pytest
from patience import wait_until

import swell.sdk.connection.shared_link as shared_link
from swell.config import Settings
from swell.discovery import socket_path
from swell.errors import ConnectionError
from swell.sdk.connection.blocking import run_blocking
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Mailbox, Received
from swell.sdk.connection.shared_link import SharedLink
from swell.wire import codec
from swell.wire.messages import Done, GetStats, Hello, Welcome

PATIENCE_S = 50.0
THREADS = 8


class Server:
    """The other end of a link; the test reads and answers."""

    def __init__(self, link: SharedLink, connection: socket.socket) -> None:
        self.link = link
        self.connection = connection
        self.connection.settimeout(PATIENCE_S)
        self._decoder = codec.for_server(16 << 20)

    def heard(self, count: int) -> list[int]:
        """Return the numbers of so many requests."""
        requests: list[int] = []
        while len(requests) < count:
            data = self.connection.recv(1 << 20)
            assert data
            requests += [message.request for message, _ in self._decoder.feed(data) if isinstance(message, GetStats)]
        return requests

    def answer(self, *requests: int) -> None:
        self.connection.sendall(b"".join(codec.encode(Done(request)) for request in requests))

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        link = SharedLink(f"unix:{tmp_path / 's'}", 16 << 20)
        server = Server(link, listener.accept()[0])
    yield server
    link.shut()
    server.close()


@pytest.fixture
def link(server: Server) -> SharedLink:
    return server.link


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(THREADS) as executor:
        yield executor


@pytest.fixture
def on_signal() -> Iterator[Callable[[Callable[[], object]], None]]:
    """A function that sets what SIGUSR1 does in the main thread."""
    before = signal.getsignal(signal.SIGUSR1)

    def handle(action: Callable[[], object]) -> None:
        def handler(number: int, frame: FrameType | None) -> None:
            action()

        signal.signal(signal.SIGUSR1, handler)

    yield handle
    signal.signal(signal.SIGUSR1, before)


def ask(link: SharedLink, number: int, until: float | None = None) -> Received:
    return run_blocking(link.request(number, GetStats(number, "fu-1"), until=until))


def is_led(link: SharedLink) -> bool:
    """Tell whether another thread reads."""
    if not link._leading.acquire(blocking=False):
        return True
    link._leading.release()
    return False


def numbers(mailboxes: Iterable[Mailbox]) -> list[int]:
    """Return the numbers of the requests that mailboxes wait for."""
    return [key for mailbox in mailboxes for key in mailbox.keys if isinstance(key, int)]


def interrupt_main_thread() -> None:
    os.kill(os.getpid(), signal.SIGUSR1)


class Interrupted(Exception):
    """What a signal handler raises."""


def raise_interrupted() -> None:
    raise Interrupted


# ---------------------------------------------------------------- answers


def test_every_thread_gets_its_answer_whatever_their_order(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    asking = {number: threads.submit(ask, link, number) for number in range(1, THREADS + 1)}
    requests = server.heard(THREADS)
    server.answer(*reversed(requests))
    assert {number: one.result(PATIENCE_S) for number, one in asking.items()} == {
        number: (Done(number), b"") for number in asking
    }


def test_the_lead_passes_on_until_the_last_has_its_answer(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    asking = {number: threads.submit(ask, link, number) for number in range(1, THREADS + 1)}
    for request in server.heard(THREADS):
        server.answer(request)  # whoever reads it, the others go on waiting
        assert asking[request].result(PATIENCE_S)[0] == Done(request)


@pytest.fixture
def nobody_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have followers sleep until they are woken."""
    monkeypatch.setattr(shared_link, "SIGNAL_CHECK_S", 2 * PATIENCE_S)


@pytest.mark.usefixtures("nobody_looks_by_itself")
def test_one_that_was_handed_the_lead_hands_it_to_another(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    asking = {number: threads.submit(ask, link, number) for number in range(1, THREADS + 1)}
    server.heard(THREADS)
    wait_until(lambda: len(link._following) == THREADS - 1)
    latest_first = [asked for asked in range(1, THREADS + 1) if asked not in numbers(link._following)]
    latest_first += reversed(numbers(link._following))
    for request in latest_first:  # the one that leads is answered first, each time
        server.answer(request)
        assert asking[request].result(PATIENCE_S)[0] == Done(request)


@pytest.mark.usefixtures("nobody_looks_by_itself")
def test_one_that_is_handed_the_lead_when_its_answer_is_there_passes_it_on(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    class Following(dict[Mailbox, shared_link._Follower]):
        registered, go_on = threading.Event(), threading.Event()

        def __setitem__(self, mailbox: Mailbox, follower: shared_link._Follower) -> None:
            super().__setitem__(mailbox, follower)
            if mailbox.keys == [2]:
                self.registered.set()
                assert self.go_on.wait(PATIENCE_S)

    following = link._following = Following()
    link._leading.acquire()  # the test leads
    sleeping = threads.submit(ask, link, 1)
    wait_until(lambda: len(following) == 1)
    late = threads.submit(ask, link, 2)
    assert following.registered.wait(PATIENCE_S)
    link._sort(codec.encode(Done(2)))
    link._let_go()
    assert len(following) == 1
    following.go_on.set()
    assert late.result(PATIENCE_S)[0] == Done(2)
    server.answer(1)
    assert sleeping.result(PATIENCE_S)[0] == Done(1)


def test_frames_of_threads_that_send_at_once_arrive_whole(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    rounds = 200

    def go_on(first: int) -> None:
        for number in range(first, first + rounds):
            assert ask(link, number)[0] == Done(number)

    asking = [threads.submit(go_on, 1 + rounds * thread) for thread in range(THREADS)]
    left = rounds * THREADS
    while left:
        requests = server.heard(1)
        server.answer(*requests)
        left -= len(requests)
    for one in asking:
        one.result(PATIENCE_S)


def test_more_is_sent_than_the_kernel_takes_at_once(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    def send(number: int) -> Received:
        return run_blocking(link.request(number, GetStats(number, "fu-1"), bytes(4 << 20)))

    asking = [threads.submit(send, number) for number in range(1, THREADS + 1)]
    server.answer(*server.heard(THREADS))
    assert all(one.result(PATIENCE_S) for one in asking)


# ---------------------------------------------------------------- ends


def test_a_wait_for_so_long_ends_then_for_the_one_that_reads_and_the_others(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    until = time.monotonic() + 0.12
    asking = [threads.submit(ask, link, number, until) for number in range(1, THREADS)]
    patient = threads.submit(ask, link, THREADS)
    for one in asking:
        with pytest.raises(TimeoutError):
            one.result(PATIENCE_S)
    assert time.monotonic() >= until
    server.answer(THREADS)
    assert patient.result(PATIENCE_S)[0] == Done(THREADS)


def test_a_server_that_is_gone_fails_all_who_wait_and_who_come_later(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor
) -> None:
    asking = [threads.submit(ask, link, number) for number in range(1, THREADS + 1)]
    server.heard(THREADS)
    server.close()
    for one in asking:
        with pytest.raises(ConnectionError, match="the server is gone"):
            one.result(PATIENCE_S)
    assert not link.works()
    with pytest.raises(ConnectionError, match="the server is gone"):
        ask(link, 99)


def test_that_a_server_has_gone_is_seen_without_a_request(server: Server, link: SharedLink) -> None:
    assert link.works()
    server.close()
    assert not link.works()


@pytest.mark.parametrize("leads", [True, False])
def test_who_is_interrupted_breaks_the_link_for_all(
    server: Server,
    link: SharedLink,
    threads: ThreadPoolExecutor,
    on_signal: Callable[[Callable[[], object]], None],
    leads: bool,
) -> None:
    """It may have read what is for others."""
    on_signal(raise_interrupted)
    asking = [] if leads else [threads.submit(ask, link, 1)]

    def then_interrupt() -> None:
        server.heard(1)
        wait_until(lambda: is_led(link) and len(link._following) == len(asking), "the main thread waits")
        asking.append(threads.submit(ask, link, 2))
        wait_until(lambda: len(link._following) == len(asking), "another one follows")
        interrupt_main_thread()

    if not leads:
        server.heard(1)
        wait_until(lambda: is_led(link), "the first one reads")
    with pytest.raises(Interrupted):
        helper = threads.submit(then_interrupt)
        ask(link, 3)
    helper.result(PATIENCE_S)
    for one in asking:
        with pytest.raises(ConnectionError, match="interrupted"):
            one.result(PATIENCE_S)
    assert not link.works()


def test_a_signal_handler_may_ask_while_its_thread_reads(
    server: Server, link: SharedLink, threads: ThreadPoolExecutor, on_signal: Callable[[Callable[[], object]], None]
) -> None:
    inner: list[Received] = []
    on_signal(lambda: inner.append(ask(link, 2)))

    def serve() -> None:
        server.heard(1)
        wait_until(lambda: is_led(link), "the main thread reads")
        interrupt_main_thread()
        server.heard(1)
        server.answer(1)
        server.answer(2)

    serving = threads.submit(serve)
    assert ask(link, 1)[0] == Done(1)
    serving.result(PATIENCE_S)
    assert inner == [(Done(2), b"")]


def test_one_that_asks_while_its_thread_sends_breaks_the_link(
    link: SharedLink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part of the frame may be sent already."""

    class Interrupting:
        def send(self, data: bytes, flags: int) -> int:
            with pytest.raises(ConnectionError, match="signal handler"):
                ask(link, 2)
            return len(data)

        def __getattr__(self, name: str) -> object:
            return getattr(whole, name)

    whole = link._socket
    monkeypatch.setattr(link, "_socket", Interrupting())
    with pytest.raises(ConnectionError, match="signal handler"):
        ask(link, 1)


# ---------------------------------------------------------------- the client's


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client of a daemon that greets everybody."""
    path = socket_path(str(tmp_path))

    def serve(connection: socket.socket) -> None:
        with connection:
            decoder = codec.for_server(1 << 20)
            while data := connection.recv(1 << 16):
                for message, _ in decoder.feed(data):
                    if isinstance(message, Hello):
                        connection.sendall(codec.encode(Welcome("", 1, 1)))

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            running.append(threading.Thread(target=serve, args=(connection,)))
            running[-1].start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        running = [threading.Thread(target=accept)]
        running[0].start()
        client = Client(f"unix:{path}", settings=Settings(data_dir=str(tmp_path)))
        yield client
        client.shut()
        listener.shutdown(socket.SHUT_RDWR)
        for thread in running:
            thread.join(PATIENCE_S)


def test_all_threads_get_the_same_link_of_a_daemon(client: Client, threads: ThreadPoolExecutor) -> None:
    link = client.shared_link()
    assert all(one is link for one in threads.map(lambda _: client.shared_link(), range(THREADS)))
    assert client.blocking_link() is not link
    client.shut()
    assert client.shared_link() is not link


def test_a_forked_child_has_a_link_of_its_own(client: Client) -> None:
    link = client.shared_link()
    pid = os.fork()
    if not pid:
        os._exit(int(client.shared_link() is link))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert client.shared_link() is link


def test_a_broken_link_is_replaced(client: Client) -> None:
    link = client.shared_link()
    link.shut()
    assert client.shared_link() is not link


def test_a_server_that_does_not_come_back_has_a_link_for_each_thread(client: Client) -> None:
    """Nobody would make a request again that broke with another thread's."""
    client = Client(client.address, settings=Settings(data_dir="/elsewhere"))
    assert client.shared_link() is client.blocking_link()
    assert not isinstance(client.shared_link(), SharedLink)
    client.shut()
