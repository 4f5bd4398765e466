"""The broker with a stand-in for Ray, and a server that is this test."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

import pytest

from swell.backends.ray.broker import Broker
from swell.backends.ray.messages import (
    SIZE_BYTES,
    Begin,
    Connected,
    Gone,
    Nodes,
    Ping,
    Pong,
    RayNode,
    Release,
    Scaling,
    Start,
    Started,
    ToBroker,
    ToServer,
    decode_to_server,
    encode,
    size_of,
)
from swell.slices import Slice

T = TypeVar("T")


def machine(name: str, cpu: float) -> RayNode:
    return RayNode(
        node=name,
        host="h",
        cpu=cpu,
        cpu_free=cpu,
        memory_bytes=100,
        memory_free_bytes=100,
        gpus=0,
        gpus_free=0,
    )


class FakeRay:
    """Starts what it is told to, and writes it down."""

    def __init__(self, machines: Sequence[RayNode], found: Sequence[str] = ()) -> None:
        self.machines = tuple(machines)
        self.found = tuple(found)
        self.started: dict[str, tuple[Slice, str]] = {}
        self.ended: list[str] = []
        self.news: list[Started | Gone] = []
        self.does = Scaling()
        self.is_closed = False
        self.answers, self.is_asked = threading.Event(), threading.Event()  # at once, unless told otherwise
        self.answers.set()

    def connect(self, begin: Begin) -> Connected:
        return Connected("h", "2", self.found, False)

    def nodes(self) -> tuple[RayNode, ...]:
        return self.machines

    def scaling(self) -> Scaling:
        return self.does

    def start(self, agent: str, order: bytes, held: Slice, node: str = "", *, elsewhere: bool = False) -> None:
        self.is_asked.set()
        assert self.answers.wait(60)
        self.started[agent] = (held, node)
        self.news.append(Started(agent, node or "any"))

    def end(self, agent: str) -> None:
        self.ended.append(agent)

    def take_news(self) -> Sequence[Started | Gone]:
        news, self.news = self.news, []
        return news

    def close(self) -> None:
        self.is_closed = True


class Server:
    """The other end."""

    def __init__(self, ray: FakeRay) -> None:
        self.left = threading.Event()
        self.socket, self._theirs = socket.socketpair()
        self._stream = self.socket.makefile("rb")
        self.thread = threading.Thread(target=Broker(self._theirs, lambda: ray, self.left.set).run, daemon=True)
        self.thread.start()
        self.send(Begin("auto", "ns", "ray-1-", "", False))

    def send(self, message: ToBroker) -> None:
        self.socket.sendall(encode(message))

    def hear(self) -> ToServer:
        return decode_to_server(self._stream.read(size_of(self._stream.read(SIZE_BYTES))))

    def hear_of(self, kind: type[T]) -> T:
        while not isinstance(message := self.hear(), kind):
            pass
        return message

    def go(self) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        assert self.left.wait(60)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.go()
        for each in (self._stream, self.socket, self._theirs):
            each.close()


@pytest.fixture
def ray() -> FakeRay:
    return FakeRay([machine("small", 2), machine("large", 8)], ["ray-0-1"])


@pytest.fixture
def server(ray: FakeRay) -> Iterator[Server]:
    server = Server(ray)
    yield server
    server.close()


def test_a_server_hears_of_agents_that_are_there_and_of_the_machines(server: Server, ray: FakeRay) -> None:
    assert server.hear() == Connected("h", "2", ("ray-0-1",), False)
    assert server.hear() == Nodes(ray.machines)


def test_a_server_hears_when_the_autoscaler_does_something_else(server: Server, ray: FakeRay) -> None:
    assert server.hear_of(Nodes) == Nodes(ray.machines)
    ray.does = Scaling(is_there=True, starting={"large": 1})
    assert server.hear_of(Nodes) == Nodes(ray.machines, ray.does)


def test_an_agent_with_a_slice_is_started_wherever_ray_has_room(server: Server, ray: FakeRay) -> None:
    server.send(Start("ray-1-1", b"", Slice(1.0)))
    assert server.hear_of(Started) == Started("ray-1-1", "any")
    assert ray.started == {"ray-1-1": (Slice(1.0), "")}


def test_an_agent_with_a_slice_avoids_machines_while_another_has_room(server: Server, ray: FakeRay) -> None:
    server.hear_of(Nodes)
    server.send(Start("ray-1-1", b"", Slice(1.0), ("large",)))
    assert server.hear_of(Started) == Started("ray-1-1", "small")
    server.send(Start("ray-1-2", b"", Slice(4.0), ("large",)))
    assert server.hear_of(Started) == Started("ray-1-2", "any")


def test_agents_for_whole_machines_get_one_each_and_the_rest_wait(server: Server, ray: FakeRay) -> None:
    for number in range(3):
        server.send(Start(f"ray-1-{number}", b"", None))
    heard = {server.hear_of(Started).node for _ in range(2)}
    assert heard == {"large", "small"}
    assert ray.started == {
        "ray-1-0": (Slice(8.0, 100), "large"),
        "ray-1-1": (Slice(2.0, 100), "small"),
    }
    server.send(Release("ray-1-0"))
    assert server.hear_of(Started) == Started("ray-1-2", "large")
    assert ray.ended == ["ray-1-0"]


def test_an_agent_that_has_ended_leaves_its_machine_to_others(server: Server, ray: FakeRay) -> None:
    ray.machines = (machine("only", 4),)
    server.send(Start("ray-1-1", b"", None))
    server.send(Start("ray-1-2", b"", None))
    assert server.hear_of(Started) == Started("ray-1-1", "only")
    ray.news.append(Gone("ray-1-1", "it fell"))
    assert server.hear_of(Gone) == Gone("ray-1-1", "it fell")
    assert server.hear_of(Started) == Started("ray-1-2", "only")


def test_when_the_server_is_gone_its_agents_are_ended_and_no_others(server: Server, ray: FakeRay) -> None:
    server.send(Start("ray-1-1", b"", Slice(1.0)))
    server.hear_of(Started)
    server.go()
    assert ray.ended == ["ray-1-1"], "ray-0-1 may be an agent of the server's successor"
    assert ray.is_closed


def test_a_broker_says_that_it_lives_and_how_long_ray_lets_it_wait(server: Server, ray: FakeRay) -> None:
    server.hear_of(Nodes)
    ray.answers.clear()
    server.send(Start("ray-1-1", b"", Slice(1.0)))
    assert ray.is_asked.wait(60)
    server.send(Ping())
    first = server.hear_of(Pong)
    server.send(Ping())
    assert 0 <= first.waits_s < server.hear_of(Pong).waits_s, "the same turn goes on"
    ray.answers.set()
    assert server.hear_of(Started) == Started("ray-1-1", "any")
