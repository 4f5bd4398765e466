"""Pipes of clients to commands: each request is one, and all end with their client."""

from __future__ import annotations

from typing import cast

from swell.errors import NotFoundError
from swell.ports import Backend, Pipe
from swell.server.command_relay import CommandRelay
from swell.server.connection import Connection
from swell.wire.message import Message
from swell.wire.messages import Exec, ExecBytes, Failed


class Command:
    """A command, and the pipe to its user."""

    def __init__(self, user: Pipe) -> None:
        self.user = user
        self.taken: list[bytes] = []
        self.is_closed = False

    def send(self, data: bytes) -> None:
        self.taken.append(data)

    def close(self, why: str = "") -> None:
        self.is_closed = True
        self.user.close()


class FakeBackend:
    """Has one container, ta-1."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def exec(self, container_id: str, user: Pipe) -> Pipe:
        if container_id != "ta-1":
            raise NotFoundError(f"container {container_id!r} does not run here")
        self.commands.append(Command(user))
        return self.commands[-1]


class Client:
    """A connection that notes what it is sent."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sent: list[tuple[Message, bytes]] = []

    def send(self, message: Message, payload: bytes = b"") -> None:
        self.sent.append((message, payload))

    def failures(self) -> list[str]:
        return [message.text for message, _ in self.sent if isinstance(message, Failed)]


class Relay:
    """A relay with its backend, and two clients."""

    def __init__(self) -> None:
        self.backend = FakeBackend()
        self.relay = CommandRelay(cast("Backend", self.backend))
        self.one, self.two = Client(1), Client(2)

    def open(self, client: Client, request: int, container_id: str = "ta-1") -> None:
        self.relay.open(cast("Connection", client), Exec(request, container_id), b"begin")

    def put(self, client: Client, request: int, data: bytes) -> None:
        self.relay.pass_on(cast("Connection", client), ExecBytes(request), data)


def test_bytes_pass_between_a_client_and_its_command() -> None:
    relay = Relay()
    relay.open(relay.one, 7)
    relay.open(relay.two, 7)
    relay.put(relay.one, 7, b"of one")
    relay.put(relay.two, 7, b"of two")
    first, second = relay.backend.commands
    assert (first.taken, second.taken) == ([b"begin", b"of one"], [b"begin", b"of two"])
    first.user.send(b"answer")
    assert (relay.one.sent, relay.two.sent) == ([(ExecBytes(7), b"answer")], [])


def test_what_cannot_be_opened_is_refused() -> None:
    relay = Relay()
    relay.open(relay.one, 7, "ta-2")
    relay.open(relay.one, 8)
    relay.open(relay.one, 8)
    assert relay.one.failures() == [
        "container 'ta-2' does not run here",
        "request 8 is that of a command that runs",
    ]
    relay.put(relay.one, 7, b"nobody has it")
    assert relay.backend.commands[0].taken == [b"begin"]


def test_a_pipe_that_breaks_is_an_error_of_its_request_and_one_that_ends_is_none() -> None:
    relay = Relay()
    relay.open(relay.one, 7)
    relay.open(relay.one, 8)
    first, second = relay.backend.commands
    first.user.close("the link to node attic is lost")
    first.user.close("again")
    second.user.close()
    relay.put(relay.one, 8, b"too late")
    assert relay.one.failures() == ["the link to node attic is lost"]
    assert second.taken == [b"begin"]


def test_commands_end_with_their_client_and_no_others() -> None:
    relay = Relay()
    relay.open(relay.one, 7)
    relay.open(relay.one, 8)
    relay.open(relay.two, 7)
    relay.relay.leave(cast("Connection", relay.one))
    assert [command.is_closed for command in relay.backend.commands] == [True, True, False]
    assert not relay.one.sent
