"""Messages of every kind with the most extreme values that their types allow, and some that they do not.

A message is drawn from the types of its fields, so that a field that is added is tried, too. Ids are often of something
that there is, or most messages would ask for what does not exist. `play` sends them through the real codec to a real
engine and a real store in memory: no message may raise, contradict the engine's state, or be answered by what its
sender cannot read. This module must not know what a message means.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, cast, get_args

import msgspec
from msgspec import inspect

from swell.config import Settings
from swell.engine.engine import Engine
from swell.engine.events import (
    ClientGone,
    ClientMessage,
    ContainerExited,
    ContainerMessage,
    DefectFound,
    Effect,
    Event,
    KillContainer,
    NodesObserved,
    NodeView,
    SendRecorded,
    SendToClient,
    SendToContainer,
    StartContainer,
    StateRestored,
)
from swell.engine.gate import Gate
from swell.model import Batching, CallKind, Concurrency, Environment, FunctionSpec, Gpu, Node, RetryPolicy, Source
from swell.store.memory.store import MemoryStore
from swell.wire import apps, codec
from swell.wire import messages as m

__all__ = ["Extremes", "play"]

FRAME_MAX: Final = 1 << 20
INTEGERS: Final = (0, 0, 1, 1, 2, 3, -1, 2**31, 2**53 - 1, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
FLOATS: Final = (0.0, 1.0, 0.1, -1.0, 1e-300, 1e10, 1e12, 1e300, float("inf"), float("-inf"), float("nan"))
TEXTS: Final = (
    *("", "a", "²", "in-1:²", "in-x:٣", "fc-", "fc-1:99999999999999999999", "in-1:-1", "a.b.c", "app.f", "*", "f.*"),
    *("\0", "../../etc", "x" * 300, "ж" * 1_000, "\x1b[2J\n", "%s%n{0}", "cron", "* * * * *", "9" * 5_000 + " * * * *"),
)
DEPTH_MAX: Final = 3


class Extremes:
    """Draws messages to a server.

    Args:
        random: decides everything.
        known: returns values of a field that name something there is, by the name of the field.
    """

    def __init__(self, random: Random, known: Callable[[str], Sequence[Any]]) -> None:
        self._random = random
        self._known = known

    def frame(self, kinds: Sequence[type[m.Message]] = get_args(m.ToServer)) -> bytes:
        """Return one frame: a message of one of these kinds, and a payload that often fits it."""
        kind = self._random.choice(kinds)
        values: dict[str, Any] = {field.name: self._field(field) for field in _struct(kind).fields}
        header = msgspec.msgpack.encode([kind.__struct_config__.tag, *values.values()])
        ends = cast("list[Any]", values["ends"]) if type(values.get("ends")) is list else []
        last = ends[-1] if ends else 0
        fits = last in range(5_000) and self._random.random() < 0.9
        size: int = last if fits else self._random.choice((0, 1, 100))
        return codec.PREFIX.pack(len(header), size) + header + b"x" * size

    def _field(self, field: inspect.Field) -> Any:
        random = self._random
        known = self._known(field.name)
        if known and random.random() < 0.7:
            return random.choice(known)
        if random.random() < 0.01:
            odd: tuple[Any, ...] = (None, 1.5, "text", [], {})  # seldom what is wanted here
            return random.choice(odd)
        if field.name == "ends" and random.random() < 0.7:
            return sorted(random.choice((0, 1, 5, 100)) for _ in range(random.randint(0, 4)))
        return self._value(field.type, 0)

    def _value(self, kind: inspect.Type, depth: int) -> Any:
        random = self._random
        match kind:
            case inspect.Metadata():
                return self._value(kind.type, depth)
            case inspect.UnionType():
                return self._value(random.choice(kind.types), depth)
            case inspect.IntType():
                fitting = [number for number in INTEGERS if (kind.ge or -1) <= number <= (kind.le or 2**53)]
                return random.choice(fitting if random.random() < 0.97 and fitting else INTEGERS)
            case inspect.FloatType():
                fitting = [number for number in FLOATS if (kind.ge or -1e300) <= number <= (kind.le or 1e300)]
                return random.choice(fitting if random.random() < 0.97 else FLOATS)
            case inspect.StrType():
                fitting = [text for text in TEXTS if len(text) <= (kind.max_length or 1_000)]
                return random.choice(fitting if random.random() < 0.97 else TEXTS)
            case inspect.BytesType():
                return random.choice((b"", b"\x80", b"\x81\xa9timeout_s\x05", b"\x91" * 2_000, b"\xff", bytes(300)))
            case inspect.BoolType():
                return random.random() < 0.5
            case inspect.NoneType():
                return None
            case inspect.EnumType():
                return random.choice([*(member.value for member in kind.cls), 0, 2**40])
            case inspect.AnyType():
                return random.choice((*INTEGERS[:7], *FLOATS[:3], *TEXTS[:3], None, [1], {"a": [b"b"]}))
            case _:
                return self._values(kind, depth)

    def _values(self, kind: inspect.Type, depth: int) -> Any:
        random = self._random
        many = random.choice((0, 1, 1, 2, 5)) if depth < DEPTH_MAX else 0
        match kind:
            case inspect.ListType() | inspect.VarTupleType():
                return [self._value(kind.item_type, depth + 1) for _ in range(many)]
            case inspect.TupleType():
                return [self._value(one, depth + 1) for one in kind.item_types]
            case inspect.DictType():
                keys = [self._value(kind.key_type, depth + 1) for _ in range(many)]
                return {key: self._value(kind.value_type, depth + 1) for key in keys}
            case inspect.StructType():
                given = [field for field in kind.fields if field.required or random.random() < 0.3]
                if kind.array_like:
                    return [self._value(field.type, depth + 1) for field in kind.fields]
                return {field.encode_name: self._value(field.type, depth + 1) for field in given}
            case _:
                raise AssertionError(f"no value is known of {kind}")


def _struct(kind: type[m.Message]) -> inspect.StructType:
    found = inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    return found


# ---------------------------------------------------------------- a server in memory


class _Server:
    """A real engine, gate and store; containers that are ready at once, and clients that read everything."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.engine = Engine(Settings(pending_sync_max=50, containers_max=50, timezone="UTC"), str(seed))
        self._soon: deque[Callable[[], None]] = deque()
        self._store = MemoryStore(self._soon.append)
        self._gate = Gate(self._store, self._do, self._handle, self._soon.append)
        self.feed(StateRestored(self._store.restore()))
        self.feed(NodesObserved([NodeView(Node("n", 64, 1 << 40, (Gpu("g", "L4"),)))]))

    def feed(self, event: Event) -> None:
        """Let the engine handle an event, and do what it decides, with all that follows from that."""
        self._handle(event)
        while self._soon:
            self._soon.popleft()()

    def _handle(self, event: Event) -> None:
        self._carry_out(self.engine.handle(event, self.now))

    def pass_time(self) -> None:
        """Let some time pass."""
        self.now += self.random.choice((0.0, 0.0, 0.01, 1.0, 400.0))
        for _ in range(50):
            if self.engine.next_deadline() > self.now:
                return
            self._carry_out(self.engine.tick(self.now))
        raise AssertionError("the engine wants to be woken for ever")

    def known(self, name: str) -> Sequence[Any]:
        """Return values that name something there is."""
        state = self.engine.state
        match name:
            case "call_id" | "about" | "parent":
                return [*state.calls, *(f"in-{call_id[3:]}:0" for call_id in state.calls), "fc-ended"]
            case "function_id":
                return list(state.pools)
            case "container_id":
                return list(state.containers)
            case "app_id":
                return list(state.apps)
            case "app":
                return [*state.app_names, *state.apps]
            case "delivery":
                return [number for c in state.containers.values() for number in c.deliveries]
            case "name":
                return ["shop", "f"]
            case _:
                return ()

    def _carry_out(self, effects: list[Effect]) -> None:
        self.engine.validate()
        self._gate.carry_out(effects)

    def _do(self, effect: Effect) -> None:
        match effect:
            case DefectFound():
                raise effect.error
            case SendToClient():
                _sent(codec.for_client(FRAME_MAX << 6), effect.message, effect.payload)
            case SendToContainer():
                _sent(codec.for_container(FRAME_MAX << 6), effect.message, effect.payload)
            case StartContainer():
                how = self.random.random()
                event = ContainerMessage(effect.container_id, m.Ready(1, 0.1))
                self._soon.append(
                    lambda: self._handle(event if how < 0.8 else ContainerExited(effect.container_id, "x"))
                )
            case KillContainer():
                self._soon.append(lambda: self._handle(ContainerExited(effect.container_id, effect.reason)))
            case SendRecorded():
                self._store.read_outputs(effect.call_id, effect.first, min(effect.last, effect.first + 100), _ignore)
            case _:
                pass


def play(seed: int, count: int = 60) -> int:
    """Send messages to an engine; return how many it had to handle. Anything but an answer raises."""
    server = _Server(seed)
    _furnish(server)
    extremes = Extremes(server.random, server.known)
    handled = 0
    for _ in range(count):
        server.pass_time()
        decoder = codec.PeerDecoder(FRAME_MAX)
        decoder.trust()
        for message, payload in decoder.feed(extremes.frame()):
            if isinstance(message, codec.Misfit):
                continue
            handled += 1
            containers = [*server.engine.state.containers, "ta-gone"]
            if server.random.random() < 0.6:
                server.feed(ClientMessage(server.random.choice((1, 1, 1, 2)), message, payload))
            else:
                server.feed(ContainerMessage(server.random.choice(containers), message, payload))
            if server.random.random() < 0.01:
                server.feed(ClientGone(2))
    return handled


def _furnish(server: _Server) -> None:
    """Have an app that runs and one that is deployed, with calls of all kinds."""
    environment, source = Environment("/py", "/", ()), Source("m", "f")
    functions = [
        FunctionSpec("f", source, retry=RetryPolicy(1)),
        FunctionSpec("g", source, is_async=True, concurrency=Concurrency(3, 2)),
        FunctionSpec("h", source, batching=Batching(2, 10)),
        FunctionSpec("i", source, is_generator=True),
    ]
    server.feed(
        ClientMessage(1, m.OpenApp(request=1, app_id="ap-1", name="run", environment=environment, functions=functions))
    )
    server.feed(
        ClientMessage(
            1, apps.DeployApp(request=2, app_id="ap-2", name="shop", environment=environment, functions=functions)
        )
    )
    for number, function_id in enumerate(server.engine.state.pools):
        for kind in (CallKind.MAP, CallKind.SPAWN):
            call = m.OpenCall(
                call_id=f"fc-{number}-{kind}",
                function_id=function_id,
                method="",
                kind=kind,
                ends=[1, 2, 3],
                sealed=number % 2 == 0,
            )
            server.feed(ClientMessage(1, call, b"abc"))
    ended = m.OpenCall(
        call_id="fc-ended",
        function_id=next(iter(server.engine.state.pools)),
        method="",
        kind=CallKind.SPAWN,
        ends=[],
        sealed=True,
    )
    server.feed(ClientMessage(1, ended))


def _sent(decoder: codec.FrameDecoder[Any], message: m.Message, payload: bytes | memoryview) -> None:
    assert decoder.feed(codec.encode(message, payload)), f"{message} is no whole frame"


def _ignore(_found: object) -> None:
    pass
