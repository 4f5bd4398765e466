"""Which agents are asked of Ray when some are not let in. The broker and what lets agents in are this test's."""

from __future__ import annotations

import asyncio

from swell.backends.agents.backend import Invitation
from swell.backends.ray.messages import Connected, Failed, Gone, Nodes, Pong, RayNode, Release, Start, Started, ToBroker
from swell.backends.ray.options import RayOptions
from swell.backends.ray.provider import RayAgents
from swell.slices import Slice


def machine(name: str) -> RayNode:
    return RayNode(
        node=name,
        host=f"host-of-{name}",
        cpu=4,
        cpu_free=4,
        memory_bytes=0,
        memory_free_bytes=0,
        gpus=0,
        gpus_free=0,
    )


class Broker:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.starts: asyncio.Queue[Start] = asyncio.Queue()
        self.released: list[str] = []

    def start(self) -> None:
        """The test says when Ray is reached."""

    def send(self, message: ToBroker) -> None:
        if isinstance(message, Start):
            self.starts.put_nowait(message)
        elif isinstance(message, Release):
            self.released.append(message.agent)

    async def stop(self) -> None:
        """There is no process."""


class Inviter:
    """Lets in whom the test lets in."""

    def __init__(self) -> None:
        self.invited: set[str] = set()
        self.nodes: set[str] = set()
        self.forgotten: list[str] = []
        self.is_told = asyncio.Event()

    async def listen(self, host: str) -> None:
        """Nobody connects."""

    def invite(self, node: str) -> Invitation:
        self.invited.add(node)
        return Invitation("tls://h:1#00", "token", node)

    def has_node(self, node: str) -> bool:
        return node in self.nodes

    def withdraw(self, node: str) -> bool:
        was_invited = node in self.invited
        self.invited.discard(node)
        return was_invited

    def forget_refusal(self, node: str) -> None:
        self.forgotten.append(node)

    def trouble_changed(self) -> None:
        self.is_told.set()

    def drains(self, name: str, deadline_s: float | None) -> None:
        raise AssertionError("no machine drains")


class World:
    """A provider of one agent at least, on two machines."""

    def __init__(self) -> None:
        self.unreachable: list[str] = []
        options = RayOptions(address="auto", namespace="ns", slices=(Slice(1.0),))
        self.agents = RayAgents(options, log_line_max=100, timeout_s=5.0, unreachable=self.unreachable.append)
        self.broker, self.inviter = Broker(), Inviter()
        self.agents._broker = self.broker

    async def begin(self) -> Start:
        """Reach Ray; return what is asked of it."""
        await self.agents.start(self.inviter)
        self.agents._received(Nodes((machine("a"), machine("b"))))
        self.agents._received(Connected("h", "2", (), False))
        return await self.broker.starts.get()

    def let_in(self, name: str, machine: str) -> None:
        self.agents._received(Started(name, machine))
        self.inviter.withdraw(name)
        self.agents.let_in(name)
        self.inviter.nodes.add(name)


async def test_the_machine_of_an_agent_that_was_refused_is_avoided_until_one_is_let_in_there() -> None:
    world = World()
    first = await world.begin()
    assert first.avoid == ()
    world.agents._received(Started(first.agent, "a"))
    world.agents.lost(first.agent, "it is refused: it has swell 0, the server 1")
    assert world.broker.released == [first.agent]
    second = await world.broker.starts.get()
    assert second.avoid == ("a",)
    assert world.agents.trouble() == "", "the backend names the node that it has refused"
    world.let_in(second.agent, "b")
    assert world.inviter.forgotten == [], "the other machine is as it was"
    world.agents.lost(second.agent, "the connection ended")
    third = await world.broker.starts.get()
    world.let_in(third.agent, "a")
    assert world.inviter.forgotten == [first.agent]
    await world.agents.stop()


async def test_a_machine_where_an_agent_has_failed_is_named_and_forgotten_when_it_is_gone() -> None:
    world = World()
    first = await world.begin()
    world.agents._received(Gone(first.agent, "there is no swell", "a"))
    assert world.agents.trouble() == "an agent has failed: there is no swell (at host-of-a)"
    second = await world.broker.starts.get()
    assert second.avoid == ("a",)
    world.agents._received(Nodes((machine("b"),)))
    world.agents._received(Gone(second.agent, "it fell", "b"))
    assert (await world.broker.starts.get()).avoid == ("b",)
    await world.agents.stop()


async def test_a_cluster_that_cannot_be_reached_ends_a_server_only_if_it_has_no_nodes() -> None:
    world = World()
    first = await world.begin()
    world.let_in(first.agent, "a")
    world.agents._broker_lost("its broker has ended with status -9, and is started again")
    world.agents._received(Failed("no Ray answers at h:1"))
    assert world.agents.trouble() == "Ray cannot be used: no Ray answers at h:1"
    assert world.unreachable == []
    world.inviter.nodes.clear()
    world.agents.lost(first.agent, "the connection ended")
    world.agents._received(Failed("no Ray answers at h:1"))
    assert world.unreachable == ["Ray cannot be used: no Ray answers at h:1"]
    await world.agents.stop()


async def test_it_is_told_that_ray_does_not_answer_and_that_it_does_again() -> None:
    world = World()
    first = await world.begin()
    world.let_in(first.agent, "a")
    world.agents._received(Pong(1.0))
    assert world.agents.trouble() == ""
    world.agents._received(Pong(6.0))
    assert world.agents.trouble().startswith("Ray does not answer: its head is stopped")
    world.agents._received(Pong(0.1))
    assert world.agents.trouble() == ""
    await world.agents.stop()
