"""A server that consists of its answers, at the other end of a link without a socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from swell.config import Settings
from swell.errors import ConnectionError
from swell.model import FunctionSpec, Source
from swell.sdk.connection.client import Client
from swell.sdk.connection.link import Link, Mailbox, Received
from swell.wire import apps as a
from swell.wire import codec
from swell.wire import messages as m

Answer = Callable[[Any], m.Message | Iterable[m.Message]]


class Wire(Link):
    """A link for one thread: what is sent is answered at once, as frames, or never."""

    def __init__(self) -> None:
        super().__init__(1 << 20)
        self.welcome = m.Welcome("", 1 << 20, 1_000, 1 << 20)
        self.received: list[m.Message] = []
        self.answers: dict[type[m.Message], Answer] = {}
        self.breaks = 0  #: how often sending still fails, as if the server were gone

    def send(self, message: m.Message, payload: bytes | memoryview = b"") -> None:
        self.received.append(message)
        if self.breaks:
            self.breaks -= 1
            raise ConnectionError("the server is gone")
        answer = self.answers.get(type(message))
        told = () if answer is None else answer(message)
        for one in (told,) if isinstance(told, m.Message) else told:
            self._sort(codec.encode(one))

    async def receive(self, mailbox: Mailbox, until: float | None = None) -> Received:
        assert mailbox.messages, f"nobody answers {self.received[-1]}"
        return mailbox.messages.popleft()

    def fileno(self) -> int:
        return -1  # nothing is waited for

    def poll(self) -> None:
        return None

    def wake(self, mailbox: Mailbox) -> None:
        return None

    def heard(self, kind: type[m.Message]) -> list[Any]:
        """Return what was said of one kind."""
        return [message for message in self.received if type(message) is kind]


class Line(Client):
    """The client of that server; `is_durable` as if it were the daemon."""

    def __init__(self, *, is_durable: bool = True) -> None:
        super().__init__("unix:/nowhere", settings=Settings())
        self.wire = Wire()
        self.is_durable = is_durable
        self.refuses = 0  #: how often connecting still fails

    @property
    def stays(self) -> bool:
        return self.is_durable

    def blocking_link(self) -> Any:
        if self.refuses:
            self.refuses -= 1
            raise ConnectionError("no server listens")
        return self.wire

    def shared_link(self) -> Any:
        return self.blocking_link()

    async def loop_link(self) -> Any:
        return self.blocking_link()

    def has(self, *specs: FunctionSpec, app: str = "shop", version: int = 3) -> Line:
        """Have the server know an app with these functions, at ids fu-NAME, and their variants."""
        known = {spec.name: spec for spec in specs}

        def find(asked: a.FindFunction) -> m.Message:
            spec = known.get(asked.name)
            if asked.app != app or spec is None:
                return m.Failed(asked.request, "not_found", f"Lookup failed for {asked.name!r}")
            return a.FunctionFound(asked.request, "ap-1", f"fu-{asked.name}", asked.version or version, spec)

        def bind(asked: m.BindFunction) -> m.Message:
            return m.Bound(asked.request, f"{asked.function_id}/{len(self.wire.heard(m.BindFunction))}")

        self.wire.answers |= {
            a.FindFunction: find,
            m.BindFunction: bind,
            m.OpenCall: lambda opened: m.Accepted(opened.call_id, len(opened.ends)),
        }
        return self


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def private_line() -> Line:
    return Line(is_durable=False)


@pytest.fixture
def spec() -> FunctionSpec:
    return FunctionSpec("f", Source("m", "f"))
